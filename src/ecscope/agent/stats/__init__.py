"""Measurements of running containers: taken from the runtime, kept in rings, summed up. Never part of the state."""
