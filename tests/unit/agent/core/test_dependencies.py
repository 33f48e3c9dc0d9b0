"""When a container may go on, when it never will, and in which order containers stop: engine.md §5, to the letter."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.agent.core.actions import (
    CreateContainer,
    PullImage,
    ResolveManifest,
    StartContainer,
    StopContainer,
    TimerKind,
)
from ecscope.agent.core.dependencies import (
    Blocked,
    Failed,
    Met,
    can_be_resolved,
    describe,
    may_go_on,
    unstopped_dependents,
    with_implied_dependencies,
)
from ecscope.model.container import Container, Dependency, DependencyCondition, Health, VolumeFrom
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from tests.builders import AT, a_container, a_definition
from tests.tables import each_row
from tests.unit.agent.core.scenes import (
    ONE,
    REFUSED,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    fails,
    go_on_to,
    running,
    statuses,
    the_call,
    the_container,
)

START, COMPLETE, SUCCESS, HEALTHY, CREATE = (
    DependencyCondition.START,
    DependencyCondition.COMPLETE,
    DependencyCondition.SUCCESS,
    DependencyCondition.HEALTHY,
    DependencyCondition.CREATE,
)
NONE, MANIFEST_PULLED, PULLED, CREATED, RUNNING, STOPPED = (
    ContainerStatus.NONE,
    ContainerStatus.MANIFEST_PULLED,
    ContainerStatus.PULLED,
    ContainerStatus.CREATED,
    ContainerStatus.RUNNING,
    ContainerStatus.STOPPED,
)
STARTED = "2024-05-17T12:00:00Z"  # AT


def on(name: str, condition: DependencyCondition) -> Dependency:
    return Dependency(container_name=name, condition=condition)


def waiting(condition: DependencyCondition, *, known: ContainerStatus = MANIFEST_PULLED, **fields: object) -> Container:
    return a_container("app", known=known, depends_on=(on("db", condition),), **fields)


def verdict(
    target: Container, *others: Container, after_s: float = 0.0, upfront: bool = False
) -> Met | Blocked | Failed:
    task = a_task(target, *others)
    return may_go_on(task, target, now=AT + timedelta(seconds=after_s), pull_dependents_upfront=upfront)


# --- conditions: engine.md §5.1, the table ---

RUN = {"started_at": STARTED}

CONDITIONS: list[tuple[DependencyCondition, dict[str, object], bool]] = [
    (START, {"known": CREATED}, False),
    (START, {"known": RUNNING, **RUN}, True),
    (START, {"known": STOPPED, "exit_code": 1, **RUN}, True),
    (COMPLETE, {"known": RUNNING, **RUN}, False),
    (COMPLETE, {"known": STOPPED, "exit_code": 0, **RUN}, True),
    (COMPLETE, {"known": STOPPED, "exit_code": 7, **RUN}, True),
    (COMPLETE, {"known": STOPPED, "exit_code": None, **RUN}, False),
    (SUCCESS, {"known": RUNNING, **RUN}, False),
    (SUCCESS, {"known": STOPPED, "exit_code": 0, **RUN}, True),
    (HEALTHY, {"known": RUNNING, **RUN}, False),
    (HEALTHY, {"known": RUNNING, "health": Health(status=HealthStatus.UNHEALTHY), **RUN}, False),
    (HEALTHY, {"known": RUNNING, "health": Health(status=HealthStatus.HEALTHY), **RUN}, True),
    (CREATE, {"known": PULLED}, False),
    (CREATE, {"known": CREATED}, True),
    (CREATE, {"known": RUNNING, **RUN}, True),
]


@each_row("condition, db, met", CONDITIONS)
def test_a_condition_is_met_as_the_table_says(condition: DependencyCondition, db: dict[str, object], met: bool) -> None:
    needed = a_container("db", health_check_is_docker=condition is HEALTHY, **db)
    found = verdict(waiting(condition), needed)
    assert found == (Met() if met else Blocked(dependency=on("db", condition)))


def test_healthy_without_a_docker_health_check_is_never_met() -> None:
    needed = a_container("db", known=RUNNING, started_at=STARTED, health=Health(status=HealthStatus.HEALTHY))
    assert isinstance(verdict(waiting(HEALTHY), needed), Blocked)


def test_healthy_on_a_container_that_ran_and_stopped_waits_for_ever() -> None:
    needed = a_container("db", known=STOPPED, exit_code=1, started_at=STARTED, health_check_is_docker=True)
    assert isinstance(verdict(waiting(HEALTHY), needed, after_s=1e6), Blocked)


@pytest.mark.parametrize("condition", list(DependencyCondition))
def test_the_manifest_is_never_held_back(condition: DependencyCondition) -> None:
    """engine.md §5.1."""
    assert verdict(waiting(condition, known=NONE), a_container("db")) == Met()


@pytest.mark.parametrize(("known", "upfront", "met"), [
    (MANIFEST_PULLED, False, False), (MANIFEST_PULLED, True, True), (PULLED, True, False), (CREATED, True, False),
])  # fmt: skip
def test_the_pull_is_held_back_unless_dependents_are_pulled_upfront(
    known: ContainerStatus, upfront: bool, met: bool
) -> None:
    """engine.md §5.1: with ``ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT`` PULLED is not held back either."""
    found = verdict(waiting(START, known=known), a_container("db", known=CREATED), upfront=upfront)
    assert isinstance(found, Met) is met


def test_one_dependency_of_several_that_is_not_met_blocks() -> None:
    target = a_container("app", known=MANIFEST_PULLED, depends_on=(on("db", START), on("cache", START)))
    db, cache = a_container("db", known=RUNNING, started_at=STARTED), a_container("cache", known=CREATED)
    assert verdict(target, db, cache) == Blocked(dependency=on("cache", START))


# --- terminal failures: engine.md §5.1 and Seen running 2, to the letter ---


def test_a_container_is_described_as_the_official_agent_does() -> None:
    container = a_container("setup", image="busybox:latest", known=STOPPED, exit_code=4)
    assert describe(container) == "setup(busybox:latest) (STOPPED->RUNNING) - Exit: 4"
    target = a_container("app", image="busybox:latest", known=MANIFEST_PULLED)
    assert describe(target) == "app(busybox:latest) (MANIFEST_PULLED->RUNNING)"


@pytest.mark.parametrize(("exit_code", "shown"), [(4, " - Exit: 4"), (None, "")])
def test_a_success_dependency_that_did_not_exit_with_zero_is_terminal(exit_code: int | None, shown: str) -> None:
    needed = a_container("db", image="db:1", known=STOPPED, exit_code=exit_code, started_at=STARTED)
    assert verdict(waiting(SUCCESS, image="app:1"), needed) == Failed(
        reason=f"dependency graph: failed to resolve container ordering dependency [db(db:1) (STOPPED->RUNNING){shown}]"
        " for target [app(app:1) (MANIFEST_PULLED->RUNNING)] as dependency did not exit successfully."
    )


@pytest.mark.parametrize("condition", [START, COMPLETE, HEALTHY, CREATE])
@pytest.mark.parametrize("known", [NONE, MANIFEST_PULLED, PULLED, CREATED])
def test_a_dependency_that_will_never_start_is_terminal(condition: DependencyCondition, known: ContainerStatus) -> None:
    needed = a_container("db", image="db:1", known=known, desired=STOPPED, health_check_is_docker=True)
    assert verdict(waiting(condition, image="app:1"), needed) == Failed(
        reason=f"dependency graph: failed to resolve container ordering dependency [db(db:1) ({known.value}->STOPPED)]"
        " for target [app(app:1) (MANIFEST_PULLED->RUNNING)] because dependency will never start"
    )


@pytest.mark.parametrize("condition", [START, COMPLETE, HEALTHY, CREATE])
def test_a_dependency_that_stopped_without_having_started_is_terminal_too(condition: DependencyCondition) -> None:
    needed = a_container("db", known=STOPPED, desired=STOPPED, exit_code=143, health_check_is_docker=True)
    found = verdict(waiting(condition), needed)
    assert isinstance(found, Failed)
    assert found.reason.endswith("because dependency will never start")


def test_a_dependency_whose_call_is_under_way_may_still_start() -> None:
    assert isinstance(
        verdict(waiting(START), a_container("db", known=CREATED, desired=STOPPED, in_flight=RUNNING)), Blocked
    )


@pytest.mark.parametrize("condition", [SUCCESS, COMPLETE, HEALTHY])
def test_the_start_timeout_is_read_from_the_dependency(condition: DependencyCondition) -> None:
    """engine.md §5.1, §15 7: the dependent's own ``startTimeout`` says nothing."""
    needed = a_container(
        "db", image="db:1", known=RUNNING, started_at=STARTED, start_timeout_s=30, health_check_is_docker=True
    )
    target = waiting(condition, image="app:1", start_timeout_s=5)
    assert verdict(target, needed, after_s=30) == Blocked(
        dependency=on("db", condition), check_again_at=AT + timedelta(seconds=30)
    )
    assert verdict(target, needed, after_s=30.1) == Failed(
        reason="dependency graph: container ordering dependency [db(db:1) (RUNNING->RUNNING)]"
        " for target [app(app:1) (MANIFEST_PULLED->RUNNING)] has timed out."
    )


@each_row(
    "condition, target_known, fields",
    [
        (START, MANIFEST_PULLED, {"known": CREATED}),  # START and CREATE know no time-out
        (CREATE, MANIFEST_PULLED, {"known": PULLED}),
        (COMPLETE, CREATED, {"known": RUNNING}),  # the waiting container is created already
        (COMPLETE, MANIFEST_PULLED, {"known": RUNNING, "start_timeout_s": None}),
        (COMPLETE, MANIFEST_PULLED, {"known": RUNNING, "start_timeout_s": 0}),
        (COMPLETE, MANIFEST_PULLED, {"known": CREATED, "started_at": ""}),  # not started yet
    ],
)
def test_nothing_else_times_out(
    condition: DependencyCondition, target_known: ContainerStatus, fields: dict[str, object]
) -> None:
    needed = a_container("db", **{"start_timeout_s": 30, "started_at": STARTED, **fields})
    found = verdict(waiting(condition, known=target_known), needed, after_s=1e6)
    assert found == Blocked(dependency=on("db", condition))


def test_a_dependency_that_stopped_in_time_does_not_time_out_afterwards() -> None:
    needed = a_container("db", known=STOPPED, exit_code=0, started_at=STARTED, start_timeout_s=30)
    assert verdict(waiting(SUCCESS), needed, after_s=1e6) == Met()


def test_the_earliest_of_several_time_outs_is_when_to_look_again() -> None:
    target = a_container(
        "app", known=MANIFEST_PULLED, depends_on=(on("a", COMPLETE), on("b", COMPLETE), on("c", COMPLETE))
    )
    others = [
        a_container(name, known=RUNNING, started_at=STARTED, start_timeout_s=seconds)
        for name, seconds in (("a", 60), ("b", 30), ("c", 90))
    ]
    found = verdict(target, *others)
    assert isinstance(found, Blocked)
    assert found.check_again_at == AT + timedelta(seconds=30)


def test_a_dependency_that_does_not_exist_is_terminal() -> None:
    """Admission refuses it, so this is the last line of defence."""
    assert verdict(waiting(START, image="app:1")) == Failed(
        reason="dependency graph: container ordering dependency [db] for target"
        " [app(app:1) (MANIFEST_PULLED->RUNNING)] does not exist."
    )


# --- what is implied, and what cannot be resolved ---


def test_links_imply_start_and_volumes_from_implies_create() -> None:
    """engine.md §5.1."""
    definition = a_definition(
        links=("db:database", "cache", "db"), volumes_from=(VolumeFrom(source_container="files"),)
    )
    assert with_implied_dependencies(definition).depends_on == (
        on("db", START),
        on("cache", START),
        on("files", CREATE),
    )


def test_what_is_declared_already_is_not_implied_again() -> None:
    definition = a_definition(links=("db",), depends_on=(on("db", START),))
    assert with_implied_dependencies(definition) is definition
    healthy = a_definition(links=("db",), depends_on=(on("db", HEALTHY),))
    assert with_implied_dependencies(healthy).depends_on == (on("db", HEALTHY), on("db", START))


def needing(name: str, *others: str, condition: DependencyCondition = START, **fields: object) -> Container:
    return a_container(name, depends_on=tuple(on(other, condition) for other in others), **fields)


@each_row(
    "containers, resolvable",
    [
        ((), True),
        ((needing("a"),), True),
        ((needing("a", "b"), needing("b", "c"), needing("c")), True),
        ((needing("a", "a"),), False),
        ((needing("a", "b"), needing("b", "a")), False),
        ((needing("a"), needing("b", "c"), needing("c", "b")), False),
        ((needing("a", "nobody"),), False),
        ((needing("a", "b", condition=HEALTHY), needing("b")), False),
        ((needing("a", "b", condition=HEALTHY), needing("b", health_check_is_docker=True)), True),
    ],
)
def test_circles_unknown_names_and_unchecked_health_cannot_be_resolved(
    containers: tuple[Container, ...], resolvable: bool
) -> None:
    """engine.md §2 step 3."""
    assert can_be_resolved(containers) is resolvable


# --- stopping: engine.md §5.2 ---


@pytest.mark.parametrize("condition", list(DependencyCondition))
@pytest.mark.parametrize(("known", "may"), [(RUNNING, False), (CREATED, False), (STOPPED, True)])
def test_a_container_stops_after_all_that_depend_on_it(
    condition: DependencyCondition, known: ContainerStatus, may: bool
) -> None:
    db, app = a_container("db", known=RUNNING), waiting(condition, known=known)
    assert (unstopped_dependents(a_task(db, app), db) == []) is may
    assert unstopped_dependents(a_task(db, app), app) == []


# --- the same rules in motion ---


def test_the_image_of_a_dependent_is_pulled_only_after_its_dependency_is_met() -> None:
    """engine.md §5.1, the note."""
    world = a_world()
    world.submit(a_task(needing("app", "db"), needing("db")))
    assert {c.container_name for c in calls_of(world, ResolveManifest)} == {"app", "db"}, "manifests at once"
    go_on_to(world, StartContainer, "db")
    assert statuses(world) == {"app": "MANIFEST_PULLED", "db": "CREATED"}
    assert not calls_of(world, PullImage, "app")
    world.finish(the_call(world, StartContainer, "db"))
    assert the_call(world, PullImage, "app")


@pytest.mark.parametrize("essential", [True, False])
def test_a_failed_dependency_ends_the_waiting_container_with_143_and_its_reason(essential: bool) -> None:
    """engine.md §5.1: known STOPPED, exit code 143, ``CannotStartContainerError: dependency graph: …``."""
    task = a_task(
        needing("app", "setup", condition=SUCCESS, image="busybox:latest", essential=essential),
        needing("setup", image="busybox:latest", essential=False),
        needing("main"),
    )
    world = running(task)
    exits(world, "setup", 4)
    app = the_container(world, "app")
    assert (app.known, app.exit_code, app.docker_id) == (STOPPED, 143, "")
    assert str(app.error) == (
        "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency"
        " [setup(busybox:latest) (STOPPED->RUNNING) - Exit: 4] for target"
        " [app(busybox:latest) (MANIFEST_PULLED->RUNNING)] as dependency did not exit successfully."
    )
    stopped = world.task(ONE).desired is TaskStatus.STOPPED
    assert stopped is essential, "if the waiting container is essential the task stops"
    assert world.task(ONE).terminal_reason == ""


@pytest.mark.parametrize("order", [("app", "db"), ("db", "app")])
@pytest.mark.parametrize("answered_first", ["the manifest of the dependent", "the create of the dependency"])
def test_a_dependent_of_what_could_not_be_created_never_starts_in_whatever_order(
    order: tuple[str, str], answered_first: str
) -> None:
    """Neither the order in the task definition nor the order of answers may decide."""
    made = {"app": needing("app", "db", essential=False), "db": needing("db", essential=False)}
    world = a_world()
    world.submit(a_task(needing("main"), *(made[name] for name in order)))
    manifest = the_call(world, ResolveManifest, "app")
    if answered_first.startswith("the manifest"):
        world.finish(manifest)
    world.calls = [c for c in world.calls if c is not manifest]
    go_on_to(world, CreateContainer, "db")
    fails(world, the_call(world, CreateContainer, "db"), REFUSED)
    if not answered_first.startswith("the manifest"):
        world.calls.append(manifest)
    world.run_calls()
    assert statuses(world) == {"main": "RUNNING", "app": "STOPPED", "db": "STOPPED"}
    assert the_container(world, "app").exit_code == 143
    assert "because dependency will never start" in str(the_container(world, "app").error)


def test_the_reason_shows_the_dependency_as_it_was_before_it_moved() -> None:
    world = a_world()
    world.submit(
        a_task(needing("db", image="db:1", essential=False), needing("app", "db", image="app:1"), needing("m"))
    )
    go_on_to(world, CreateContainer, "db")
    fails(world, the_call(world, CreateContainer, "db"), REFUSED)
    assert "[db(db:1) (PULLED->STOPPED)] for target" in str(the_container(world, "app").error)


def test_failures_go_down_a_chain() -> None:
    world = brought_to(
        a_task(
            needing("main"), needing("c", "b", essential=False), needing("b", "a", essential=False),
            needing("a", essential=False),
        ),
        CreateContainer,
        "a",
    )  # fmt: skip
    fails(world, the_call(world, CreateContainer, "a"), REFUSED)
    world.run_calls()
    assert statuses(world) == {"main": "RUNNING", "a": "STOPPED", "b": "STOPPED", "c": "STOPPED"}


def test_no_container_goes_on_in_the_step_in_which_an_essential_one_fails() -> None:
    world = running(
        a_task(
            needing("app", "setup", condition=SUCCESS),
            needing("setup", essential=False),
            needing("z", "setup", condition=COMPLETE),
        )
    )
    world.exits(world.box(ONE, "setup"), 1)
    world.run_calls()
    assert statuses(world) == {"app": "STOPPED", "setup": "STOPPED", "z": "STOPPED"}
    assert (the_container(world, "z").docker_name, the_container(world, "z").image_id) == ("", "")


def test_a_start_timeout_ends_the_waiting_container_when_it_runs_out() -> None:
    world = running(
        a_task(
            needing("main"),
            needing("app", "db", condition=HEALTHY, essential=False),
            needing("db", health_check_is_docker=True, start_timeout_s=30, essential=False),
        )
    )
    assert statuses(world)["app"] == "MANIFEST_PULLED"
    world.advance(25)
    world.run_calls()
    assert statuses(world)["app"] == "MANIFEST_PULLED"
    world.advance(10)
    assert statuses(world) == {"main": "RUNNING", "app": "STOPPED", "db": "RUNNING"}
    assert str(the_container(world, "app").error).endswith("has timed out.")


@pytest.mark.parametrize("order", [("fast", "slow"), ("slow", "fast")])
def test_of_several_waiting_containers_the_first_time_out_is_the_one_that_is_timed(order: tuple[str, str]) -> None:
    """One timer per task: which container comes last in the task definition must not matter."""
    timeouts = {"fast": 30, "slow": 3000}
    dependencies = [
        needing(f"db-{name}", health_check_is_docker=True, start_timeout_s=timeouts[name]) for name in order
    ]
    dependents = [needing(name, f"db-{name}", condition=HEALTHY, essential=False) for name in order]
    world = running(a_task(*dependencies, *dependents))
    timer = next(t for t in world.timers if t.kind is TimerKind.DEPENDENCY_CHECK)
    assert timedelta(seconds=25) < world.timers[timer] - world.now < timedelta(seconds=35)
    world.advance(35)
    assert statuses(world)["fast"] == "STOPPED"
    assert statuses(world)["slow"] == "MANIFEST_PULLED"


def test_a_dependent_goes_on_as_soon_as_docker_calls_its_dependency_healthy() -> None:
    world = running(a_task(needing("app", "db", condition=HEALTHY), needing("db", health_check_is_docker=True)))
    assert statuses(world) == {"app": "MANIFEST_PULLED", "db": "RUNNING"}
    box = world.box(ONE, "db")
    box.health = HealthStatus.HEALTHY
    world.notice(box, RuntimeAction.HEALTH)
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING", "db": "RUNNING"}


def test_stopping_goes_in_reverse_order_one_after_the_other() -> None:
    """engine.md §5.2, §15 9, Seen running 16."""
    world = running(a_task(needing("db"), needing("app", "db"), needing("proxy", "app")))
    world.stop(ONE)
    for name in ("proxy", "app", "db"):
        assert [c.container_name for c in calls_of(world, StopContainer)] == [name]
        world.finish(the_call(world, StopContainer))
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_links_stop_in_reverse_order_too() -> None:
    """engine.md §5.2: incl. links."""
    world = running(a_task(a_container("db"), a_container("app", links=("db:database",))))
    world.stop(ONE)
    assert the_call(world, StopContainer).container_name == "app"


def test_containers_that_do_not_know_each_other_stop_at_the_same_time() -> None:
    world = running(a_task(needing("a"), needing("b")))
    world.stop(ONE)
    assert {c.container_name for c in calls_of(world, StopContainer)} == {"a", "b"}
