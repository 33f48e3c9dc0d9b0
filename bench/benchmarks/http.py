"""Reading port 51678: requests per second, CPU per request and waiting times, by number of tasks.

Our agent runs over saved state and without an engine: reading needs none. With a peer, each
round measures both, and ours has as many tasks as the peer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench import recorded, wrk
from bench.figures import Figure, Target, at_least, at_most
from bench.options import Options
from bench.ours import Agent, agent
from bench.peer import Peer
from bench.place import Place, place_for_ours
from bench.rounds import rotated

SIZES = (2, 51, 200, 1000)
_LIST = "/v1/tasks"


class _Case(NamedTuple):
    label: str
    who: str
    """``ours`` or ``peer``."""
    url: str
    pid: int | None
    place: Place


def run(options: Options) -> list[Figure]:
    peer = options.peer
    if peer:
        peer.get(_LIST)
        peer.pid  # noqa: B018  # found before ours listens as well
    figures: list[Figure] = []
    with place_for_ours() as place:
        sizes = SIZES if peer is None or peer.tasks_url else tuple(sorted({len(peer.tasks()), *SIZES}))
        for size in sizes:
            beside = peer if peer and _peer_has(peer, size) else None
            with agent(place, saved_tasks=size) as ours:
                ours.start()
                figures += _measure_size(size, ours, place, beside, options)
    return figures


def _peer_has(peer: Peer, size: int) -> bool:
    """Whether the peer has that many tasks, having been given more where it takes them."""
    if peer.tasks_url and size in recorded.TASKS and len(peer.tasks()) < size:
        peer.grow_to(size)
    return len(peer.tasks()) == size


def _measure_size(size: int, ours: Agent, place: Place, peer: Peer | None, options: Options) -> list[Figure]:
    targets = {_LIST: _LIST}
    if size in (2, 200):
        targets |= _filters(ours.tasks())
    if size == 2:
        targets["/v1/metadata"] = "/v1/metadata"
    cases = [_Case(label, "ours", ours.url + target, ours.pid, place) for label, target in targets.items()]
    if peer:
        peers_targets = {_LIST: _LIST} | (_filters(peer.tasks()) if size in (2, 200) else {})
        peers_targets |= {label: label for label in targets if label == "/v1/metadata"}
        cases += [_Case(label, "peer", peer.url + target, peer.pid, Place()) for label, target in peers_targets.items()]
    readings: dict[tuple[str, str], list[wrk.Reading]] = {}
    rounds, seconds = (2, 1) if options.quick else (5, 2)
    for case in cases:  # once unmeasured: both have seen every target before
        wrk.measure(case.url, seconds=1, pid=case.pid, place=case.place)
    for order in rotated(cases, rounds):
        for case in order:
            reading = wrk.measure(case.url, seconds=seconds, pid=case.pid, place=case.place)
            readings.setdefault((case.label, case.who), []).append(reading)
    sizes = {"ours": len(ours.get(_LIST)), "peer": len(peer.get(_LIST)) if peer else 0}
    figures: list[Figure] = []
    for label in targets:
        figures += _figures(label, size, readings, sizes)
    figures += _filter_figures(size, readings)
    return figures


def _filters(tasks: Sequence[dict[str, object]]) -> dict[str, str]:
    """Label → target of the three look-ups, for the first container that has a Docker ID."""
    for task in json.loads(json.dumps(tasks)):
        for container in task["Containers"]:
            if len(container["DockerId"]) == 64:
                return {
                    "?taskarn=": f"{_LIST}?taskarn={task['Arn']}",
                    "?dockerid= (12)": f"{_LIST}?dockerid={container['DockerId'][:12]}",
                    "?dockerid= (full)": f"{_LIST}?dockerid={container['DockerId']}",
                }
    return {}


def _figures(
    label: str, size: int, readings: dict[tuple[str, str], list[wrk.Reading]], sizes: dict[str, int]
) -> list[Figure]:
    """Four rows: requests, CPU, half and nearly all of the waiting times."""
    ours = readings[label, "ours"]
    theirs = readings.get((label, "peer"))
    is_list = label == _LIST
    what = label if label == "/v1/metadata" else f"{size} tasks, {label}"
    reference = recorded.TASKS.get(size) if is_list else recorded.METADATA if label == "/v1/metadata" else None
    share = recorded.share_for(size) if is_list else 1.0
    part = f"1/{round(1 / share)} of recorded" if is_list else "recorded"
    requests = cpu = p99 = None
    if theirs:
        requests, cpu, p99 = at_least(1), at_most(share), at_most(0.5)
    elif reference:
        requests = at_least(reference.requests_per_s, "recorded")
        cpu = at_most(reference.cpu_us * share, part)
        p99 = at_most(reference.p99_ms / 2, "half of recorded") if is_list else None
    rows = [
        _row(f"{what}: requests", "/s", ours, theirs, lambda reading: reading.requests_per_s, requests),
        _row(f"{what}: p50", "ms", ours, theirs, lambda reading: reading.p50_ms, None),
        _row(f"{what}: p99", "ms", ours, theirs, lambda reading: reading.p99_ms, p99),
    ]
    if all(reading.cpu_us is not None for reading in [*ours, *(theirs or [])]):
        rows.insert(1, _row(f"{what}: CPU/request", "µs", ours, theirs, lambda reading: reading.cpu_us or 0.0, cpu))
    if is_list:
        against = [float(sizes["peer"])] if theirs else None
        rows.append(Figure(name=f"{what}: body", unit="bytes", samples=[float(sizes["ours"])], against=against))
    return rows


def _row(
    name: str,
    unit: str,
    ours: list[wrk.Reading],
    theirs: list[wrk.Reading] | None,
    part: Callable[[wrk.Reading], float],
    target: Target | None,
) -> Figure:
    against = [part(reading) for reading in theirs] if theirs else None
    return Figure(name=name, unit=unit, samples=[part(reading) for reading in ours], against=against, target=target)


def _filter_figures(size: int, readings: dict[tuple[str, str], list[wrk.Reading]]) -> list[Figure]:
    """Look-ups against the list of 2, measured in the same rounds."""
    if size != 2:
        return []
    plain = [reading.cpu_us or 0.0 for reading in readings[_LIST, "ours"]]
    return [
        Figure(
            name=f"{label} : list of 2, CPU/request",
            unit="µs",
            samples=[reading.cpu_us or 0.0 for reading in readings[label, "ours"]],
            against=plain,
            target=at_most(1.05, "no slower; 5 % is noise"),
        )
        for label, who in readings
        if who == "ours" and label.startswith("?")
    ]
