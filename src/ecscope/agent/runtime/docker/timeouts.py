"""How long the agent waits for the Docker Engine, per kind of call. All in seconds.

Source: engine.md §3.
"""

from __future__ import annotations

import msgspec


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one try, but for those of a pull and of a manifest, which hold for all tries together.

    The limits of create and start come with the call; that of stop is the grace plus ``stop_extra_s``.
    """

    version_s: float = 10.0
    ping_s: float = 5.0
    manifest_s: float = 60.0
    """``ECS_MANIFEST_PULL_TIMEOUT``."""
    pull_s: float = 7200.0
    """``ECS_IMAGE_PULL_TIMEOUT``."""
    pull_begin_s: float = 300.0
    """Until the first output of a pull."""
    pull_inactivity_s: float = 60.0
    """``ECS_IMAGE_PULL_INACTIVITY_TIMEOUT``: between two outputs of a pull."""
    tag_s: float = 30.0
    inspect_s: float = 30.0
    list_s: float = 600.0
    list_plugins_s: float = 60.0
    stop_extra_s: float = 120.0
    load_image_s: float = 120.0
    network_s: float = 60.0
    remove_container_s: float = 300.0
    remove_image_s: float = 180.0
    volume_s: float = 300.0
    stats_s: float = 18.0
    """Until the stats stream is open, between two of its answers, and for one answer of a poll."""
    events_s: float = 30.0
    """Until the event stream is open; after that it may be silent without limit."""
