"""The layout of the state file, as numbered steps from one schema version to the next.

A new layout is a new step at the end of ``STEPS``; a step that was released never changes. After
a new step: keep a state file of the version before in ``tests/fixtures/store`` and load it in a
test, and teach ``salvage`` the new shape of rows. A change of bodies goes through ``upgraded``, which
salvage uses as well: it finds rows of any version.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from ecscope.agent.store.interface import AGENT
from ecscope.agent.store.records import Kind
from ecscope.sqlitefile import versions
from ecscope.sqlitefile.checksum import checksum_of
from ecscope.sqlitefile.versions import Step


def _create(connection: sqlite3.Connection) -> None:
    """Version 0 (an empty file) to 1."""
    versions.create_version_table(connection)
    connection.execute(
        "CREATE TABLE tasks (position INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE,"
        " revision INTEGER NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
    )
    for table, key in (("images", "name"), ("sources", "key"), ("metadata", "key")):
        connection.execute(
            f"CREATE TABLE {table} ({key} TEXT PRIMARY KEY NOT NULL,"
            " revision INTEGER NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)"
        )
    connection.execute(
        "CREATE TABLE history (id INTEGER PRIMARY KEY, at TEXT NOT NULL, event_id TEXT NOT NULL,"
        " task_arn TEXT NOT NULL, container_name TEXT NOT NULL, happening TEXT NOT NULL, cause TEXT NOT NULL,"
        " text TEXT NOT NULL, detail TEXT NOT NULL, checksum TEXT NOT NULL,"
        # Sum of HistoryRow.size over all rows before this one: the size of any range is one subtraction.
        " size_before INTEGER NOT NULL)"
    )
    connection.execute("CREATE INDEX history_by_task ON history (task_arn)")


def _one_resource_model(connection: sqlite3.Connection) -> None:
    """Version 1 to 2: volumes and cgroups of tasks become resources."""
    rows = connection.execute(
        "SELECT position, CAST(body AS BLOB), CAST(checksum AS BLOB) FROM tasks WHERE typeof(body) = 'text'"
    )
    for position, body, checksum in rows.fetchall():
        new = upgraded(Kind.TASK, body, checksum)
        if new != (body, checksum):
            texts = tuple(column.decode() if isinstance(column, bytes) else column for column in new)
            connection.execute("UPDATE tasks SET body = ?, checksum = ? WHERE position = ?", (*texts, position))


STEPS: tuple[Step, ...] = (_create, _one_resource_model)
"""``STEPS[n]`` leads from version n to n + 1."""


def upgraded(kind: Kind, body: object, checksum: object) -> tuple[object, object]:
    """Body and checksum of a record of any version as the newest version writes them.

    What cannot be read stays as it is; what is the newest already, too.
    """
    if kind is not Kind.TASK or not isinstance(body, bytes) or checksum != checksum_of(kind.value, body).encode():
        return body, checksum
    try:
        task = msgspec.json.decode(body, type=dict[str, Any])
        if "resources" in task:
            return body, checksum
        new = msgspec.json.encode(_with_resources(task))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return body, checksum
    return new, checksum_of(kind.value, new).encode()


def _with_resources(task: dict[str, Any]) -> dict[str, Any]:
    """The statuses that version 1 kept in ``volumes`` and ``cgroup``, as ``resources``.

    It also kept any network mode that ECS named.
    """
    resources: list[dict[str, Any]] = []
    cgroup = task.pop("cgroup", None)
    if cgroup is not None:
        reason = "CgroupError: Agent could not create task's platform resources"
        resources.append({"kind": "cgroup", "name": cgroup["parent"], **_status(cgroup), "failure_reason": reason})
    mounts = {
        container["definition"]["name"]: [point["source_volume"] for point in container["definition"]["mount_points"]]
        for container in task["containers"]
    }
    for volume in task["volumes"]:
        status = _status(volume)
        if volume["kind"] != "BIND":
            name = volume["name"]
            needed_by = [container for container, volumes in mounts.items() if name in volumes]
            removed_at = "CLEANUP" if volume["kind"] == "TASK" else "NEVER"
            resources.append(
                {"kind": "volume", "name": name, **status, "needed_by": needed_by, "removed_at": removed_at}
            )
    if task["network_mode"] not in ("", "bridge", "host", "none", "awsvpc"):
        task["network_mode"] = ""  # such a task was stopped at once, and says itself why
    return {**task, "resources": resources}


def _status(record: dict[str, Any]) -> dict[str, str]:
    created, removed = record.pop("created"), record.pop("removed")
    del record["in_flight"]  # it is not under way any more
    return {"status": "REMOVED" if removed else "CREATED" if created else "NONE"}


def check_not_newer(version: int, written_by: str, path: str) -> None:
    """Raise ``StoreError`` for a file that only a later ecscope understands."""
    versions.check_not_newer(version, written_by, path, newest=len(STEPS), owner=AGENT)
