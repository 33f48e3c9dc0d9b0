"""The agent introspection API on port 51678, byte for byte as the official agent answers it.

It only reads the published state; it decides nothing and waits for nobody.

Source: introspection-api.md.
"""
