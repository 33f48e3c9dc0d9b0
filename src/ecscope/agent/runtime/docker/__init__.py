"""The Docker Engine as a runtime: ``DockerRuntime`` in ``runtime``, and the translations it is made of.

Translates, calls, translates back. Holds no rule about *when* to call. Only ``client``
imports aiohttp, and ``runtime`` imports ``client`` on first use.
"""
