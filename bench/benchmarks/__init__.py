"""One module per benchmark; each has ``run(options)``, which returns its figures."""
