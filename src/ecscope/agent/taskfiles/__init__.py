"""Task definitions from files: found, read, followed."""
