"""Where images come from and when they go: engine.md §4 and §14, row by row."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core import images
from ecscope.agent.core.actions import (
    CreateContainer,
    InspectImage,
    PullImage,
    RemoveImage,
    ResolveManifest,
    Timer,
    TimerKind,
)
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import PullBehavior
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import ImageInspection
from ecscope.model.status import TaskStatus
from ecscope.model.task import ImageRecord
from tests.builders import AT, SAMPLE_IMAGE, a_container, an_image_record
from tests.tables import each_row
from tests.unit.agent.core.scenes import (
    NO_IMAGE,
    NO_MANIFEST,
    ONE,
    REFUSED,
    TWO,
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
    told,
)
from tests.world import IMAGE, INSTANCE, Settings, World

DIGEST = "sha256:" + "d" * 64
BY_DIGEST = f"sample@{DIGEST}"
CYCLE = Timer(kind=TimerKind.IMAGE_CLEANUP)


def world_with(*records: ImageRecord, **settings: object) -> World:
    """Docker is there; these images were pulled before."""
    world = World(settings=Settings(**settings))  # type: ignore[arg-type]  # a test's own settings
    world.state = restored_state(instance=INSTANCE, settings=world.settings, images=records)
    world.connect()
    world.run_calls()
    return world


# --- pull behavior: engine.md §4.1, the table ---


@each_row(
    "behavior, pulled_before, local, pulls",
    [
        ("default", False, True, True),
        ("default", True, True, True),
        ("always", True, True, True),
        ("once", False, True, True),  # only the agent's own record counts
        ("once", True, True, False),
        ("once", True, False, True),  # removed by hand since
        ("prefer-cached", False, True, False),
        ("prefer-cached", False, False, True),
    ],
)
def test_an_image_is_pulled_when_the_behavior_says_so(
    behavior: str, pulled_before: bool, local: bool, pulls: bool
) -> None:
    records = (an_image_record(),) if pulled_before else ()
    world = world_with(*records, pull_behavior=PullBehavior(behavior))
    world.local_images = local
    world.submit(a_task())
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING
    assert (history.ImagePulled in {type(n.what) for n in world.notes}) is pulls
    assert (world.task(ONE).pull_started_at is not None) is pulls


@pytest.mark.parametrize("kind", [ResolveManifest, PullImage])
@pytest.mark.parametrize("essential", [True, False])
@pytest.mark.parametrize(
    ("behavior", "stops"), [("default", False), ("prefer-cached", False), ("always", True), ("once", True)]
)
def test_a_failure_stops_the_task_when_the_behavior_says_so_even_for_a_non_essential_container(
    kind: type[ResolveManifest | PullImage], essential: bool, behavior: str, stops: bool
) -> None:
    """engine.md §3.2, §4.1, §15 6."""
    world = a_world(pull_behavior=PullBehavior(behavior))
    world.local_images = False
    world.submit(a_task(a_container("app", essential=essential), a_container("main")))
    go_on_to(world, kind, "app")
    fails(world, the_call(world, kind, "app"), NO_IMAGE)
    world.local_images = True
    world.run_calls()
    assert world.task(ONE).desired is (TaskStatus.STOPPED if stops else TaskStatus.RUNNING)
    assert statuses(world) == dict.fromkeys(("app", "main"), "STOPPED" if stops else "RUNNING")
    assert the_container(world).error == NO_IMAGE
    assert world.task(ONE).terminal_reason == ""


def test_after_a_failed_pull_the_local_image_is_tried() -> None:
    """engine.md §4.1: default goes on with the local image if there is one."""
    world = brought_to(a_task(), PullImage)
    fails(world, the_call(world, PullImage), NO_IMAGE)
    assert the_container(world).known.value == "MANIFEST_PULLED"
    world.finish(the_call(world, InspectImage))
    assert the_call(world, CreateContainer)
    assert the_container(world).image_id == IMAGE.image_id
    assert told(world, history.ImagePullFailed) == [str(NO_IMAGE)]


def test_without_a_local_image_the_create_fails_and_the_first_error_stays() -> None:
    """engine.md §15 12: a missing image is a ``CannotPullImageManifestError``, the task's reason stays empty."""
    world = a_world()
    world.local_images = False
    world.submit(a_task())
    fails(world, the_call(world, ResolveManifest), NO_MANIFEST)
    fails(world, the_call(world, PullImage), NO_IMAGE)
    world.finish(the_call(world, InspectImage))
    fails(world, the_call(world, CreateContainer), REFUSED)
    app = the_container(world)
    assert app.known.value == "STOPPED"
    assert str(app.error) == "CannotPullImageManifestError: Error response from daemon: no such manifest"
    assert app.exit_code is None
    assert world.task(ONE).terminal_reason == ""


@pytest.mark.parametrize(
    ("essential", "local", "stops"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_in_upfront_mode_an_essential_image_that_cannot_be_had_stops_the_task_at_once(
    essential: bool, local: bool, stops: bool
) -> None:
    """engine.md §4.3."""
    world = a_world(pull_dependents_upfront=True)
    world.local_images = local
    world.submit(a_task(a_container("app", essential=essential), a_container("main")))
    go_on_to(world, PullImage, "app")
    fails(world, the_call(world, PullImage, "app"), NO_IMAGE)
    world.finish(the_call(world, InspectImage, "app"))
    assert (world.task(ONE).desired is TaskStatus.STOPPED) is stops
    assert bool(calls_of(world, CreateContainer, "app")) is not stops


def test_a_failure_of_what_is_to_stop_anyway_adds_only_its_error() -> None:
    world = brought_to(a_task(), PullImage, pull_behavior=PullBehavior.ALWAYS)
    call = the_call(world, PullImage)
    world._take = lambda action: None  # type: ignore[method-assign]  # the cancel comes too late
    world.stop(ONE)
    fails(world, call, NO_IMAGE)
    assert (statuses(world), the_container(world).error) == ({"app": "STOPPED"}, NO_IMAGE)
    assert len(told(world, history.TaskDesiredStatusChanged)) == 1


# --- digests: engine.md §4.2 ---


def test_the_pull_uses_the_digest_that_was_resolved() -> None:
    world = brought_to(a_task(), PullImage)
    assert the_call(world, PullImage) == PullImage(
        task_arn=ONE, container_name="app", image=SAMPLE_IMAGE, digest=DIGEST
    )
    assert the_container(world).image_digest == DIGEST


def test_an_image_given_by_digest_is_not_resolved() -> None:
    world = a_world()
    world.submit(a_task(a_container(image=BY_DIGEST)))
    assert not calls_of(world, ResolveManifest)
    assert the_call(world, PullImage).digest == DIGEST
    assert the_container(world).image_digest == DIGEST


def test_a_digest_that_could_not_be_resolved_is_no_digest() -> None:
    world = brought_to(a_task(), ResolveManifest)
    fails(world, the_call(world, ResolveManifest), NO_MANIFEST)
    assert the_call(world, PullImage).digest == ""


@each_row(
    "image, digests, digest",
    [
        (SAMPLE_IMAGE, (f"ecscope-sample@{DIGEST}", "other@sha256:0"), DIGEST),
        (SAMPLE_IMAGE, ("mirror.example/ecscope-sample@sha256:0", f"ecscope-sample@{DIGEST}"), DIGEST),
        (SAMPLE_IMAGE, (f"docker.io/library/ecscope-sample@{DIGEST}",), DIGEST),  # as Podman spells it
        (f"docker.io/{SAMPLE_IMAGE}", ("team/ecscope-sample@sha256:0",), ""),
        (SAMPLE_IMAGE, ("mirror.example/ecscope-sample@sha256:0",), ""),
        (SAMPLE_IMAGE, (), ""),  # none → skipped silently
        (BY_DIGEST, (), DIGEST),
        (BY_DIGEST, ("sample@sha256:0",), DIGEST),
        ("sha256:1", (f"sample@{DIGEST}",), ""),  # an ID, asked for in no repository
    ],
)
def test_without_a_pull_the_digest_is_that_of_the_local_image(
    image: str, digests: tuple[str, ...], digest: str
) -> None:
    world = a_world(pull_behavior=PullBehavior.PREFER_CACHED)
    world.submit(a_task(a_container(image=image)))
    call = the_call(world, InspectImage)
    world.calls.remove(call)
    local = ImageInspection(image_id="sha256:1", repo_digests=digests)
    world.send(ev.ImageInspected(**world.head(), task_arn=ONE, container_name="app", image=local))  # type: ignore[arg-type]
    assert (the_container(world).image_digest, the_container(world).image_id) == (digest, "sha256:1")
    assert the_call(world, CreateContainer)


# --- local images in place of others ---

PRIVATE = "registry.example/team/app"


@each_row(
    "named, image, used",
    [
        ({PRIVATE: "app:dev"}, PRIVATE, "app:dev"),
        ({PRIVATE: "app:dev"}, f"{PRIVATE}:v7", "app:dev"),
        ({PRIVATE: "app:dev"}, f"{PRIVATE}@{DIGEST}", "app:dev"),
        ({PRIVATE: "app:dev"}, f"{PRIVATE}2", ""),
        ({PRIVATE: "app:dev"}, "team/app", ""),
        ({f"{PRIVATE}:v7": "app:dev"}, f"{PRIVATE}:v7", "app:dev"),
        ({f"{PRIVATE}:v7": "app:dev"}, f"{PRIVATE}:v8", ""),
        ({f"{PRIVATE}:latest": "app:dev"}, PRIVATE, "app:dev"),
        ({PRIVATE: "any", f"{PRIVATE}:v7": "one"}, f"{PRIVATE}:v7", "one"),
        ({f"{PRIVATE}:v7": "one", PRIVATE: "any"}, f"{PRIVATE}:v7", "one"),
        ({"nginx": "mine"}, "docker.io/library/nginx:1", "mine"),
        ({"nginx": "mine"}, "Not an image", ""),
        ({}, PRIVATE, ""),
    ],
)
def test_the_local_image_in_place_of_another(named: dict[str, str], image: str, used: str) -> None:
    settings = Settings(local_images=named)
    assert images.stand_in(settings, image) == used
    assert images.local_name(settings, image) == (used or image)


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("behavior", ["always", "default"])
def test_no_registry_is_asked_for_an_image_that_a_local_one_stands_in_for(behavior: str, is_there: bool) -> None:
    """Also where it is missing: then the create call fails, and names it."""
    world = a_world(pull_behavior=PullBehavior(behavior), local_images={PRIVATE: "app:dev"})
    world.local_images = is_there
    world.submit(a_task(a_container(image=f"{PRIVATE}:v7")))
    assert the_call(world, InspectImage).image == "app:dev"
    world.finish(the_call(world, InspectImage))
    assert the_call(world, CreateContainer)
    assert the_container(world).definition.image == f"{PRIVATE}:v7"
    assert the_container(world).image_digest == ""


# --- pulls: engine.md §4.3 ---


def test_pulls_of_different_containers_run_at_the_same_time() -> None:
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b")))
    for call in calls_of(world, ResolveManifest):
        world.finish(call)
    assert {c.container_name for c in calls_of(world, PullImage)} == {"a", "b"}


def test_pull_times_are_those_of_the_first_start_and_the_last_end() -> None:
    world = a_world()
    world.submit(a_task(a_container("a"), a_container("b")))
    for call in calls_of(world, ResolveManifest):
        world.finish(call)
        world.advance(1)
    for name in ("a", "b"):
        world.advance(10)
        world.finish(the_call(world, PullImage, name))
    task = world.task(ONE)
    assert task.pull_started_at == AT
    assert task.pull_stopped_at == AT + timedelta(seconds=22)


def test_a_failed_or_cancelled_pull_has_an_end_too() -> None:
    world = brought_to(a_task(), PullImage)
    world.advance(5)
    fails(world, the_call(world, PullImage), NO_IMAGE)
    assert world.task(ONE).pull_stopped_at == AT + timedelta(seconds=5)
    world = brought_to(a_task(), PullImage)
    world.advance(5)
    world.stop(ONE)
    assert world.task(ONE).pull_stopped_at == AT + timedelta(seconds=5)


def test_a_pull_waits_for_a_removal_of_its_image_and_then_goes_on() -> None:
    """engine.md §4.3: pulls are kept apart from image deletion."""
    world = world_with(an_image_record(), pull_behavior=PullBehavior.ONCE)
    world.advance(2 * 3600)
    assert the_call(world, RemoveImage).image == SAMPLE_IMAGE
    world.submit(a_task())
    assert not calls_of(world, InspectImage), "the local image may go away at any moment"
    world.finish(the_call(world, RemoveImage))
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING
    assert history.ImagePulled in {type(n.what) for n in world.notes}


def test_a_removal_whose_answer_was_lost_holds_no_pull_for_ever() -> None:
    world = world_with(an_image_record())
    world.advance(2 * 3600)
    world.calls.remove(the_call(world, RemoveImage))
    world.disconnect()
    world.submit(a_task())
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


# --- image clean-up: engine.md §14, the table ---


def removed_in_a_cycle(*records: ImageRecord, after_s: float = 7200.0, **settings: object) -> list[str]:
    world = world_with(*records, **settings)
    world.advance(after_s)
    return [call.image for call in calls_of(world, RemoveImage)]


def test_cycles_come_every_half_hour_and_again() -> None:
    world = world_with()
    assert world.timers[CYCLE] == AT + timedelta(minutes=30)
    world.advance(1800)
    assert world.timers[CYCLE] == AT + timedelta(minutes=60)


@pytest.mark.parametrize("settings", [{"image_cleanup_enabled": False}, {"pull_behavior": PullBehavior.PREFER_CACHED}])
def test_image_cleanup_can_be_off(settings: dict[str, object]) -> None:
    world = world_with(an_image_record(), **settings)
    assert CYCLE not in world.timers
    world.send(ev.TimerFired(**world.head(), timer=CYCLE))  # type: ignore[arg-type]
    assert not world.calls


def test_an_unused_image_pulled_an_hour_ago_goes() -> None:
    assert removed_in_a_cycle(an_image_record()) == [SAMPLE_IMAGE]


@pytest.mark.parametrize(("age_s", "goes"), [(3599, False), (3600, True)])
def test_younger_images_stay(age_s: float, goes: bool) -> None:
    record = an_image_record(pulled_at=AT + timedelta(seconds=7200 - age_s))
    assert bool(removed_in_a_cycle(record)) is goes


def test_excluded_images_stay() -> None:
    assert removed_in_a_cycle(an_image_record(), images_excluded=frozenset({SAMPLE_IMAGE})) == []


def test_images_of_tasks_stay_by_name_and_by_id() -> None:
    world = world_with(an_image_record("old", image_id=IMAGE.image_id), an_image_record("other", image_id="sha256:9"))
    world.submit(a_task())
    world.run_calls()
    world.advance(7200)
    assert [call.image for call in calls_of(world, RemoveImage)] == ["other"]


def test_the_least_recently_used_go_first_and_five_at_a_time() -> None:
    records = [an_image_record(f"image-{i}", last_used_at=AT - timedelta(hours=i)) for i in range(7)]
    assert removed_in_a_cycle(*records) == ["image-6", "image-5", "image-4", "image-3", "image-2"]


def test_an_image_is_not_removed_twice_at_once() -> None:
    world = world_with(an_image_record())
    world.advance(7200)
    world.advance(1800)
    assert len(calls_of(world, RemoveImage)) == 1


def test_without_docker_a_cycle_only_asks_for_the_next() -> None:
    world = world_with(an_image_record())
    world.disconnect()
    world.advance(7200)
    assert not world.calls
    assert CYCLE in world.timers


def test_a_removed_image_is_forgotten_and_must_be_pulled_again_by_once() -> None:
    """engine.md §4.1: the agent's own record is cleared by image cleanup."""
    world = world_with(an_image_record(), pull_behavior=PullBehavior.ONCE)
    world.advance(7200)
    world.finish(the_call(world, RemoveImage))
    assert world.state.images == {}
    assert told(world, history.ImageRemoved) == [f"removed image {SAMPLE_IMAGE}, unused"]
    world.submit(a_task())
    assert the_call(world, ResolveManifest)


def test_a_removal_that_failed_is_remembered_and_tried_in_the_next_cycle() -> None:
    world = world_with(an_image_record())
    world.advance(7200)
    world.finish(the_call(world, RemoveImage), outcome="failed", effect=False)
    assert told(world, history.CleanupFailed)[0].startswith(f"could not remove image {SAMPLE_IMAGE}: ")
    world.advance(1800)
    assert the_call(world, RemoveImage)


def test_the_end_of_a_removal_that_nobody_asked_for_is_only_noted() -> None:
    world = world_with()
    world.send(ev.ImageRemoved(**world.head(), image="unknown", error=REFUSED))  # type: ignore[arg-type]
    assert world.state.images == {}
    assert told(world, history.CleanupFailed)


def test_an_image_was_last_used_when_the_last_task_of_it_was_cleaned_up() -> None:
    world = running(a_task(number=2), cleanup_wait_s=60.0)
    exits(world, arn=TWO)
    world.advance(60)
    world.run_calls()
    assert TWO not in world.state.tasks
    record = world.state.images[SAMPLE_IMAGE]
    assert (record.pulled_at, record.last_used_at) == (AT, AT + timedelta(seconds=60))


def test_the_digest_in_a_reference_is_what_follows_the_at_sign() -> None:
    assert images.digest_in(BY_DIGEST) == DIGEST
    assert images.digest_in(SAMPLE_IMAGE) == ""


# --- names that move: a tag that was pushed again ---


@pytest.mark.parametrize("also_named", [False, True])
def test_an_image_that_lost_its_name_goes_by_its_id(also_named: bool) -> None:
    old, new = "sha256:" + "0" * 64, IMAGE.image_id
    records = [an_image_record(image_id=old)]
    if also_named:
        records.append(an_image_record("other:1", image_id=old))
    world = world_with(*records)
    world.submit(a_task())
    world.run_calls()
    assert world.state.images[SAMPLE_IMAGE].image_id == new
    world.advance(7200)
    assert [call.image for call in calls_of(world, RemoveImage)] == ["other:1" if also_named else old]
    world.run_calls()
    assert set(world.state.images) == {SAMPLE_IMAGE}


def test_an_image_without_a_name_stays_while_a_container_has_it() -> None:
    old = "sha256:" + "0" * 64
    world = world_with()
    step = Step(world.state, ev.TimerFired(**world.head(), timer=CYCLE))  # type: ignore[arg-type]
    running_one = a_container(image_id=IMAGE.image_id)
    step.put(a_task(running_one))
    images.record_pull(step, running_one, IMAGE)
    images.record_pull(step, running_one, msgspec.structs.replace(IMAGE, image_id=old))
    assert set(step.images) == {SAMPLE_IMAGE, IMAGE.image_id}
    images.record_pull(step, running_one, IMAGE)
    assert set(step.images) == {SAMPLE_IMAGE, old}, "the name came back to the first, and the second has none now"
