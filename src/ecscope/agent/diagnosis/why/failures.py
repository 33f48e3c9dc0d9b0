"""Why a container never ran, or a task could not be set up: errors of pull, create, start and of resources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ecscope.agent.diagnosis.why import messages
from ecscope.agent.diagnosis.why.story import HISTORY, ContainerFacts, PortHolder, Story
from ecscope.agent.diagnosis.why.times import text_of
from ecscope.agent.diagnosis.why.verdict import UNKNOWN, Certainty, Considered, Culprit, Evidence, Finding, Verdict
from ecscope.model import history
from ecscope.model.task_resource import CGROUP, PARAMETERS, SECRETS, VOLUME

_BY_STEP = {
    "pull": messages.PULL,
    "resolving the image digest": messages.PULL,
    "create": messages.CREATE + messages.START,
    "start": messages.START + messages.CREATE,
    "restart": messages.START + messages.CREATE,
}


_AUTH_ERROR = "CannotPullContainerAuthError"
"""ECS's name of what keeps the secret of ``repositoryCredentials`` from the agent."""


def never_ran(story: Story, container: ContainerFacts) -> Finding | None:
    """The error of its pull, create or start; ``None``: there was none."""
    error = container.error
    if error is None or error.doing not in _BY_STEP:
        return None
    evidence = Evidence(
        at=text_of(container.error_at),
        source=HISTORY,
        text=f"{error.doing} of container {container.name} failed: {error.error_name}: {error.message}",
        data={"container": container.name, "image": container.image, "error": error.error_name},
    )
    patterns = messages.REGISTRY_SECRET if error.error_name == _AUTH_ERROR else _BY_STEP[error.doing]
    match = messages.first_match(patterns, error.message)
    if match is None:
        sentence = f"{error.doing} of container {container.name} failed: {error.message}"
        verdict = Verdict(
            code=UNKNOWN,
            sentence=sentence,
            certainty=Certainty.UNKNOWN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(container.error_at),
        )
        return Finding(verdict=verdict, evidence=(evidence,))
    if match.pattern.code == "start.port_taken":
        return _port_taken(story, container, evidence)
    return _named(story, container, match, evidence)


_TELLS_MORE = ("create.invalid_config", "start.log_driver_init", "image.corrupt", "image.registry_tls")
"""What exactly is wrong stands in the message only."""
_TAIL = 160


def _tail(text: str) -> str:
    """The end of a message, where engines put what went wrong first."""
    text = text.rpartition("Error response from daemon: ")[2].removesuffix(": unknown").strip()
    return text if len(text) <= _TAIL else f"…{text[-_TAIL:]}"


def _named(story: Story, container: ContainerFacts, match: messages.Match, evidence: Evidence) -> Finding:
    code = match.pattern.code
    registry = story.observed.registries.get(container.image)
    if code == "image.tag_not_found" and registry is not None and not registry.has_repository:
        match = messages.repository_not_found(match)
        code = match.pattern.code
    pulled = next((one for one in container.timeline if isinstance(one.what, history.ImagePulled)), None)
    if code == "image.not_cached" and pulled is not None:
        return _removed_before_create(container, evidence, pulled)
    sentence = messages.filled(match.pattern.sentence, match, image=container.image, container=container.name)
    more: list[Evidence] = []
    if code == "image.tag_not_found" and (near := _nearest(container.image, story.observed.image_tags)):
        more.append(Evidence(at="", source="host", text=f"on this host: {', '.join(near)}"))
        sentence += f"; on this host there is {near[0]}"
    if match.pattern.is_vague or code in _TELLS_MORE:
        sentence += f": {_tail(evidence.text)}"
    if registry is not None:
        known = f"has {', '.join(registry.tags[:10])}" if registry.has_repository else "does not have this repository"
        more.append(Evidence(at="", source="registry", text=f"the registry, asked now, {known}"))
        if code == "image.tag_not_found" and registry.tags:
            sentence += f"; it has {', '.join(registry.tags[:5])}"
    if code in ("image.disk_full", "create.storage_driver") and story.observed.free_bytes is not None:
        free = f"{story.observed.free_bytes / 2**20:,.0f} MiB are free under Docker's root directory now"
        more.append(Evidence(at="", source="host", text=free))
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=sentence,
            certainty=Certainty.LIKELY if match.pattern.is_vague else Certainty.PROVEN,
            culprit=Culprit(
                container=container.name,
                image=container.image,
                path=match.groups.get("path", ""),
                action=match.groups.get("action", ""),
                driver=match.groups.get("driver", ""),
            ),
            since=text_of(container.error_at),
        ),
        evidence=(evidence, *more),
        actions=tuple(
            messages.filled(action, match, image=container.image, container=container.name)
            for action in match.pattern.actions
        ),
    )


def _removed_before_create(container: ContainerFacts, evidence: Evidence, pulled: history.HistoryEntry) -> Finding:
    return Finding(
        verdict=Verdict(
            code="image.removed_before_create",
            sentence=f"{container.image} was pulled, and removed from this host before container {container.name} was"
            " created",
            certainty=Certainty.LIKELY,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(container.error_at),
        ),
        evidence=(Evidence(at=text_of(pulled.at), source=HISTORY, text=pulled.text), evidence),
        considered=(Considered(code="image.not_cached", why_not="it had been pulled for this task"),),
        actions=("look for `docker image prune`, `docker rmi` or a clean-up job at that time",),
    )


def _port_taken(story: Story, container: ContainerFacts, evidence: Evidence) -> Finding:
    assert container.error is not None
    port = messages.port_of(container.error.message)
    holders: tuple[PortHolder, ...] = story.observed.ports.get(port, ())
    holder = next((one for one in holders if one.task_arn), None) or next(iter(holders), None)
    since = text_of(container.error_at)
    if holder is None:
        sentence = f"port {port} that container {container.name} wants on the host was taken; nobody holds it now"
        verdict = Verdict(
            code="start.port_taken_by_process",
            sentence=sentence,
            certainty=Certainty.LIKELY,
            culprit=Culprit(container=container.name, port=port),
            since=since,
        )
        note = Considered(code="start.port_taken_by_task", why_not="no task of this agent publishes that port now")
        return Finding(
            verdict=verdict, evidence=(evidence,), considered=(note,), actions=(f"ss -lptn 'sport = :{port}'",)
        )
    seen = Evidence(
        at="",
        source="host",
        text=f"port {port} is held by {_who(holder)}",
        data={"port": port, "pid": holder.pid, "command": holder.command, "task": holder.task_arn},
    )
    code = "start.port_taken_by_task" if holder.task_arn else "start.port_taken_by_process"
    action = f"ecscope task {holder.task_arn}" if holder.task_arn else f"ss -lptn 'sport = :{port}'"
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=f"port {port} that container {container.name} wants on the host is held by {_who(holder)}",
            certainty=Certainty.PROVEN if _held_then(holder, container) else Certainty.LIKELY,
            culprit=Culprit(
                container=container.name, port=port, pid=holder.pid, process=holder.command, task=holder.task_arn
            ),
            since=since,
        ),
        evidence=(evidence, seen),
        actions=(action, "use another hostPort, or 0 for a free one"),
    )


def _held_then(holder: PortHolder, container: ContainerFacts) -> bool:
    """It was there already when the start failed. Who holds the port now may have come later."""
    return holder.since is not None and container.error_at is not None and holder.since <= container.error_at


def _who(holder: PortHolder) -> str:
    if holder.task_arn:
        return f"container {holder.container} of task {holder.task_arn.rsplit('/', 1)[-1]}"
    return f"process {holder.pid} ({holder.command})" if holder.pid else "a process that this user may not see"


def _nearest(image: str, tags: Sequence[str]) -> list[str]:
    """Local images of the same repository."""
    repository = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    return [tag for tag in tags if tag.rpartition(":")[0] == repository][:3]


_DENIED = (re.compile(r"\bAccessDenied(?:Exception)?\b|is not authorized to perform"), "resource.secret_denied")
_NO_ANSWER = (re.compile(r"\bno (?:answer|connection)\b|timed out"), "resource.secret_timeout")
_RESOURCES: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    VOLUME: (
        (re.compile(r"error looking up volume plugin|no such (?:volume )?driver"), "resource.volume_driver"),
        (re.compile(""), "resource.volume_failed"),
    ),
    CGROUP: ((re.compile(""), "resource.cgroup_create"),),
    SECRETS: (
        (
            re.compile(r"\bResourceNotFoundException\b|can't find the specified secret"),
            "resource.secret_not_found",
        ),
        _DENIED,
        (re.compile(r"did not contain json key"), "resource.secret_key_missing"),
        _NO_ANSWER,
    ),
    PARAMETERS: (
        (re.compile(r"invalid (?:ssm )?parameters\b"), "resource.parameter_not_found"),
        _DENIED,
        _NO_ANSWER,
    ),
}
"""By kind: what its provider says, and the cause that this proves. First fit wins."""


def resource(story: Story) -> Finding | None:
    """What the task needs besides containers, and could not get."""
    if not story.resource_failures:
        return None
    entry = story.resource_failures[0]
    assert isinstance(entry.what, history.TaskResourceFailed)
    kind, name, text = entry.what.resource, entry.what.name, entry.what.reason
    code = next((code for pattern, code in _RESOURCES.get(kind, ()) if pattern.search(text)), "")
    evidence = Evidence(at=text_of(entry.at), source=HISTORY, text=text, data={"kind": kind, "name": name})
    verdict = Verdict(
        code=code or UNKNOWN,
        sentence=f"{kind} {name} of the task cannot be made: {text}",
        certainty=Certainty.PROVEN if code else Certainty.UNKNOWN,
        culprit=Culprit(resource=name),
        since=text_of(entry.at),
    )
    action = f"docker volume inspect {name}" if kind == VOLUME else ""
    return Finding(verdict=verdict, evidence=(evidence,), actions=(action,) if action else ())
