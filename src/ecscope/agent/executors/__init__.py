"""Actions of the core become calls; each gives one event back."""
