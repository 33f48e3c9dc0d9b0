"""Other people's programs judge the control plane: what `make judges` runs, and `make test` does not."""
