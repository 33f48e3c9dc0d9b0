"""Durable records of the control plane. Holds no rule."""
