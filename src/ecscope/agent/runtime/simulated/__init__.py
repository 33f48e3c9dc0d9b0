"""A whole container runtime in memory: what ``ecscope agent --simulated`` runs on. ``host`` builds it.

It behaves like a Docker Engine wherever the conformance suite looks; a ``Program`` says what a container does. All
waiting is on the running loop's clock (``loop.time``, ``call_later``), so a test that owns the clock owns this too. The
knobs that tests turn are theirs: ``tests/simulated_knobs.py``.

Source: engine.md §3, §10.4, §12, Seen running.
"""
