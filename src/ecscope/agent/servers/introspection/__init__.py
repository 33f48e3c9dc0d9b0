"""The agent introspection API on port 51678, byte for byte as the official agent answers it.

It only reads the published state; it decides nothing and never waits.

Source: introspection-api.md.
"""
