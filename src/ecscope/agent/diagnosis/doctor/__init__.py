"""The checks of `ecscope doctor`: facts in, findings out."""
