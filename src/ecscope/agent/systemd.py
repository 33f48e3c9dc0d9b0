"""What systemd learns of the agent: ready, alive, stopping. Without ``NOTIFY_SOCKET`` it does nothing.

The watchdog is fed from the event loop, so that an agent whose loop hangs is started again.

Source: sd_notify(3), sd_watchdog_enabled(3) of systemd.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping

_log = logging.getLogger("ecscope.agent.systemd")

READY = "READY=1"
STOPPING = "STOPPING=1"
_ALIVE = "WATCHDOG=1"


class Systemd:
    """The service manager that started this process, if one did."""

    def __init__(self, environ: Mapping[str, str], *, pid: int) -> None:
        """``pid``: of this process; a watchdog for another process is ignored."""
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        interval_us = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.watchdog_s = int(interval_us) / 1e6 if interval_us.isdecimal() and is_ours and path else 0.0
        """Longest silence that the watchdog accepts; 0: there is none."""

    def notify(self, message: str) -> None:
        """Never raises: the agent continues when the service manager does not listen."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            _log.debug("systemd cannot be notified: %s", error)

    async def feed_watchdog(self) -> None:
        """Until cancelled. Returns at once if no watchdog is configured."""
        while self.watchdog_s > 0:
            self.notify(_ALIVE)
            await asyncio.sleep(self.watchdog_s / 3)
