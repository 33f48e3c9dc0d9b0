"""Where an image comes from, and when it may go.

Source: engine.md §4 (pull behavior) and §14 (image clean-up).
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

import msgspec

from ecscope.agent.core.actions import RemoveImage, SetTimer, Timer, TimerKind
from ecscope.agent.core.events import ImageRemoved
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container, ImageInspection
from ecscope.model.image_reference import InvalidImageReference, parse_image_reference
from ecscope.model.task import ImageRecord


def digest_in(image: str) -> str:
    """The digest that an image reference carries itself; ``""``: none."""
    return image.partition("@")[2]


def stand_in(settings: Settings, image: str) -> str:
    """The local image that is used in place of ``image``; ``""``: none is named.

    One that is named for a tag or a digest goes before one for the whole repository.
    """
    if not settings.local_images:
        return ""
    try:
        wanted = parse_image_reference(image)
    except InvalidImageReference:
        return ""
    of_repository = ""
    for name, local in settings.local_images.items():
        given = parse_image_reference(name)
        if given.repository == wanted.repository:
            if not (given.tag or given.digest):
                of_repository = local
            elif given.tag_or_digest == wanted.tag_or_digest:
                return local
    return of_repository


def local_name(settings: Settings, image: str) -> str:
    """What the runtime has ``image`` under."""
    return stand_in(settings, image) or image


def prefers_local(step: Step, image: str) -> bool:
    """Whether the local image, if there is one, is used without asking the registry."""
    if stand_in(step.settings, image):
        return True
    match step.settings.pull_behavior:
        case PullBehavior.PREFER_CACHED:
            return True
        case PullBehavior.ONCE:
            return image in step.images
        case PullBehavior.DEFAULT | PullBehavior.ALWAYS:
            return False
        case _:
            assert_never(step.settings.pull_behavior)


def failure_stops_task(step: Step) -> bool:
    """Whether a failed pull ends the task, even of a non-essential container."""
    return step.settings.pull_behavior in (PullBehavior.ALWAYS, PullBehavior.ONCE)


def digest_of(image: ImageInspection, reference: str) -> str:
    """Digest under which a local image is known in the repository that was asked for; ``""``: none.

    RepoDigests name an image in every repository that it was pulled from or pushed to, each with a digest of its own.
    """
    if digest := digest_in(reference):
        return digest
    repository = _repository_of(reference)
    for entry in image.repo_digests:
        name, _, digest = entry.partition("@")
        if repository and _repository_of(name) == repository:
            return digest
    return ""


def _repository_of(reference: str) -> str:
    """``""``: it is not the reference of an image in a repository."""
    try:
        return parse_image_reference(reference).repository
    except InvalidImageReference:
        return ""


def record_pull(step: Step, container: Container, image: ImageInspection) -> None:
    """Remember a successful pull, for pull behavior ``once`` and for clean-up.

    Where the name was that of another image before (its tag was pushed again), that image has lost it. It stays for
    clean-up under its ID, unless another name still leads to it.
    """
    name = container.definition.image
    before = step.images.get(name)
    if before is not None and before.image_id != image.image_id and _is_only_name(step, before):
        step.put_image(msgspec.structs.replace(before, name=before.image_id, removing=False))
    if image.image_id in step.images:
        step.drop_image(image.image_id)  # it has a name again
    step.put_image(
        ImageRecord(
            name=name,
            image_id=image.image_id,
            pulled_at=step.at,
            last_used_at=step.at,
            size_bytes=image.size_bytes,
        )
    )


def _is_only_name(step: Step, record: ImageRecord) -> bool:
    return not any(other.image_id == record.image_id and other.name != record.name for other in step.images.values())


def record_use(step: Step, container: Container) -> None:
    """Remember that a container of this image existed until now, under any name of the image."""
    for record in list(step.images.values()):
        if record.image_id == container.image_id or (
            not container.image_id and record.name == container.definition.image
        ):
            step.put_image(msgspec.structs.replace(record, last_used_at=step.at))


def is_cleanup_on(step: Step) -> bool:
    """Off when configured so, and with pull behavior ``prefer-cached``."""
    return step.settings.image_cleanup_enabled and step.settings.pull_behavior is not PullBehavior.PREFER_CACHED


def schedule_cleanup(step: Step) -> None:
    """Ask for the next cycle."""
    if is_cleanup_on(step):
        step.act(SetTimer(timer=Timer(kind=TimerKind.IMAGE_CLEANUP), delay_s=step.settings.image_cleanup_interval_s))


def run_cleanup(step: Step) -> None:
    """One cycle: the least recently used images that no container refers to."""
    if is_cleanup_on(step) and step.may_call_runtime:
        in_use = {c.definition.image for t in step.tasks.values() for c in t.containers}
        ids_in_use = {c.image_id for t in step.tasks.values() for c in t.containers}
        age = timedelta(seconds=step.settings.image_minimum_age_s)
        eligible = [
            record
            for record in step.images.values()
            if record.name not in in_use
            and record.image_id not in ids_in_use
            and record.name not in step.settings.images_excluded
            and not record.removing
            and step.at - record.pulled_at >= age
        ]
        eligible.sort(key=lambda record: record.last_used_at)
        for record in eligible[: step.settings.images_per_cycle]:
            step.put_image(msgspec.structs.replace(record, removing=True))
            step.act(RemoveImage(image=record.name))
    schedule_cleanup(step)


def is_being_removed(step: Step, image: str) -> bool:
    """Whether the image may go away at any moment: pulls wait for that. Source: engine.md §4.3."""
    record = step.images.get(image)
    return record is not None and record.removing


def forget_removals(step: Step) -> None:
    """Removals asked of an earlier connection have ended, one way or the other."""
    for record in step.images.values():
        if record.removing:
            step.put_image(msgspec.structs.replace(record, removing=False))


def removed(step: Step, event: ImageRemoved) -> None:
    """The end of one removal; pulls that wait for it go on."""
    for arn in step.tasks:
        step.touch(arn)
    record = step.images.get(event.image)
    if event.error is None:
        step.drop_image(event.image)
        step.note(history.ImageRemoved(image=event.image))
    else:
        if record is not None:
            step.put_image(msgspec.structs.replace(record, removing=False))
        step.note(history.CleanupFailed(what=f"image {event.image}", error=str(event.error)))
