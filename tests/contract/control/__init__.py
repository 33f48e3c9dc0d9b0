"""The control plane as clients and agents meet it."""
