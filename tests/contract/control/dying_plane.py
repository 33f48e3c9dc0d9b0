"""A control plane as a process of its own, which kills itself with SIGKILL at a save that was chosen before.

``python -m tests.contract.control.dying_plane FOLDER PORT MOMENT PATTERN COUNT``: at the ``COUNT``-th save with a row
in which ``PATTERN`` is found, ``before`` anything of it is on disk or ``after`` all is. A line of JSON tells when it
answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ecscope.control.app import ControlPlane
from ecscope.control.store.interface import Prepared
from ecscope.control.store.sqlite import SqliteStore
from tests.control_builders import AT_ONCE

_LEAVES_IN_S = 0.3
"""What was told or done before the save, and must not have been, is with the client or the agent after this time."""


class DyingStore(SqliteStore):
    """See the module docstring."""

    def __init__(self, data_dir: Path, *, moment: str, pattern: str, count: int) -> None:
        super().__init__(data_dir)
        self._moment = moment
        self._pattern = re.compile(pattern)
        self._left = count

    async def save(self, changes: Sequence[Prepared]) -> None:
        texts = (f"{table} {body}" for change in changes for (table, _), body in change.items())
        self._left -= any(map(self._pattern.search, texts))
        is_last = self._left == 0
        if is_last and self._moment == "before":
            await asyncio.sleep(_LEAVES_IN_S)
            os.kill(os.getpid(), signal.SIGKILL)
        await super().save(changes)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


async def live(folder: Path, port: int, moment: str, pattern: str, count: int) -> None:
    store = DyingStore(folder, moment=moment, pattern=pattern, count=count)
    plane = ControlPlane(data_dir=folder, port=port, store=store, settings=AT_ONCE)
    await plane.start()
    keys = [[key.access_key_id, key.secret_access_key] for key in (plane.administrator,)]
    role = plane.instance_role
    keys.append([role.access_key_id, role.secret_access_key, role.session_token])
    print(json.dumps({"url": plane.url, "keys": keys}), flush=True)
    await plane.failed()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
