"""Memory, time to the first answer, and the CPU that an agent at rest takes."""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench import processes, recorded
from bench.command import Options
from bench.engine import engine, statuses, task_definition
from bench.figures import Figure, Target, at_most
from bench.ours import agent
from bench.place import Place, place_for_ours
from bench.rounds import rotated
from bench.waiting import until_new_ones_are


def run(options: Options) -> list[Figure]:
    figures: list[Figure] = []
    peer = options.peer
    if peer:
        tasks = statuses(peer.tasks())
        if peer.pid:
            running = list(tasks.values()).count("RUNNING")
            name = f"peer: memory with {len(tasks)} tasks, {running} of them running"
            figures.append(Figure(name=name, unit="MiB", samples=[processes.rss_mib(peer.pid)]))
    with place_for_ours() as place:
        figures += _first_answers(options, place)
        figures += _memory_with_saved_tasks(options, place)
        figures += _with_engine(options, place)
    return figures


def _first_answers(options: Options, place: Place) -> list[Figure]:
    """From the exec to the first 200, polled every 0.5 ms, in alternating rounds."""
    taken: dict[int, list[float]] = {0: [], 201: []}
    with ExitStack() as stack:
        agents = {saved: stack.enter_context(agent(place, saved_tasks=saved)) for saved in taken}
        for ours in agents.values():  # once unmeasured: byte code and page cache
            ours.start()
            ours.stop()
        for order in rotated(list(taken), 3 if options.quick else 11):
            for saved in order:
                taken[saved].append(agents[saved].start())
                agents[saved].stop()
    return [
        Figure(
            name="first answer after the start", unit="s", samples=taken[0], target=at_most(recorded.FIRST_ANSWER_S)
        ),
        Figure(
            name="first answer after the start, 201 saved tasks",
            unit="s",
            samples=taken[201],
            target=at_most(1, f"recorded: {recorded.FIRST_ANSWER_201_SAVED_S} s"),
        ),
    ]


def _memory_with_saved_tasks(options: Options, place: Place) -> list[Figure]:
    with agent(place, saved_tasks=200) as ours:
        ours.start()
        time.sleep(3 if options.quick else 8)
        ours.tasks()
        return [
            Figure(
                name="memory with 200 saved tasks, no engine",
                unit="MiB",
                samples=[processes.rss_mib(ours.pid)],
                target=at_most(recorded.MEMORY_200_SAVED_MIB, "recorded of the official agent"),
            )
        ]


def _with_engine(options: Options, place: Place) -> list[Figure]:
    """Idle and with 50 running tasks, connected to a real engine."""
    settle_s, rest_s = (3, 5) if options.quick else (10, 20)
    with engine() as found, agent(place, docker_host=found.endpoint) as ours:
        ours.start()
        time.sleep(settle_s)
        ours.tasks()
        idle = processes.rss_mib(ours.pid)
        files = {f"{number}.json": task_definition(number, "sleep") for number in range(50)}
        begun = ours.drop_task_files(files)
        until_new_ones_are("RUNNING", 50, ours.tasks, set(), begun, limit_s=180, poll_s=0.1)
        time.sleep(settle_s)
        loaded = processes.rss_mib(ours.pid)
        before, begun = processes.cpu_s(ours.pid), time.perf_counter()
        time.sleep(rest_s)
        percent = (processes.cpu_s(ours.pid) - before) / (time.perf_counter() - begun) * 100
        ours.stop()
    return [
        Figure(name="memory idle", unit="MiB", samples=[idle], target=Target(limit=recorded.MEMORY_IDLE_MIB)),
        Figure(
            name="memory with 50 running tasks",
            unit="MiB",
            samples=[loaded],
            target=Target(limit=recorded.MEMORY_50_RUNNING_MIB),
        ),
        Figure(
            name=f"CPU at rest with 50 running tasks, over {rest_s} s",
            unit="% of a core",
            samples=[percent],
            target=Target(limit=recorded.AT_REST_PERCENT),
        ),
    ]
