"""From a request of a container to its answer.

What the published state does not hold is asked of ``Sources``: stats of the collector, tags and task protection of the
ECS API. All else is a function of the state and the request.

Source: task-metadata-api.md §2, §3, §7.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json, targets
from ecscope.agent.servers.taskmetadata import audit, metadata, protection, stats
from ecscope.agent.servers.taskmetadata.callers import Caller, Callers, task_of_address
from ecscope.agent.servers.taskmetadata.credentials import Outcome, outcome
from ecscope.agent.servers.taskmetadata.rate_limit import RateLimit
from ecscope.model.arn import DockerId
from ecscope.model.credentials import TaskCredentials
from ecscope.model.stats import LatestStats
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task

STARTED_WITHIN_S = 2.0
"""A container that runs and asks before Docker has said so is answered when it has, or after that time."""

_TEXT = "text/plain; charset=utf-8"
_NOT_FOUND = b"404 page not found\n"
_TOO_MANY = b"You have reached maximum request limit."
_TOO_MANY_FAULTS = b"You have reached maximum request limit"
_FAULT_RATE = "0.20"
"""Requests a second of one client for one path, as the header shows it. Source: task-metadata-api.md §15.1."""

_OF_ENDPOINT = re.compile(r"/v([34])/([^/]*)(?:/(task|taskWithTags|stats|task/stats)|/associations/(.*))?", re.DOTALL)
_OF_ADDRESS = re.compile(r"/v2/(?:(metadata|stats)(?:/(.*))?|(metadataWithTags)/?)", re.DOTALL)
_PROTECTION = re.compile(r"/api/([^/]*)/task-protection/v1/state")
_FAULT = re.compile(r"/api/([^/]*)/fault/v1/network-(?:blackhole-port|latency|packet-loss)/(?:start|stop|status)")
_BODY = re.compile(r"/api/")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. Metadata, stats and credentials are answered alike for any method."""

    target: str
    """As it was sent."""
    address: str
    """The client's, as TCP knows it."""
    port: int
    method: str = "GET"
    body: bytes = b""
    user_agent: str = ""
    forwarded_for: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``repr`` does not show the body, which may be credentials."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """In order; a name may come twice."""
    body: bytes = b""
    audit_line: str = ""
    """``""``: none is written."""

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, headers={self.headers!r}, audit_line={self.audit_line!r})"


class Sources(Protocol):
    """What is asked while a request is answered."""

    async def stats(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        """Those of them that run, each with its newest sample; ``None``: there is none yet."""

    async def ecs(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        """One call of the ECS API. Raises ``AwsCallFailed``.

        Args:
            credentials: ``None``: the agent's own.
            on_behalf: added to the user agent.
        """

    async def state_when(self, is_wanted: Callable[[AgentState], bool], *, within_s: float) -> AgentState:
        """The published state as soon as it is as wanted, or as it is when the time is over."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before its headers."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    """``""``: none is sent."""
    headers: tuple[tuple[str, str], ...] = ()


class Routes:
    """All answers of the server for containers."""

    def __init__(self, *, steady: int, burst: int, sources: Sources, shows_zone: bool = True) -> None:
        """
        Args:
            steady: requests a second of one client for one path, see ``RateLimit``.
            burst: requests at once.
            shows_zone: ``ECS_DISABLE_TASK_METADATA_AZ`` is not set.
        """
        self._steady = steady
        self._limit = RateLimit(steady, burst)
        self._fault_limit = RateLimit(float(_FAULT_RATE), burst=1)
        self._sources = sources
        self._callers = Callers()
        self._views = metadata.MetadataViews(shows_zone=shows_zone)

    @staticmethod
    def reads_body(method: str, target: str) -> bool:
        """Whether the body of such a request is looked at."""
        return method == "PUT" and _BODY.match(target) is not None

    async def answer(self, request: Request, state: AgentState, *, at: datetime, now_s: float) -> Answer:
        """``now_s``: of a clock that never jumps. Raises ``targets.BadTarget``."""
        raw_path, query = targets.split(request.target.encode("utf-8", "surrogateescape"))
        decoded = targets.unescape(raw_path)
        cleaned = targets.clean(decoded)
        if cleaned != decoded:
            location = targets.escape(cleaned.replace(b"%", b"%25")) + (b"?" + query if query else b"")
            return Answer(status=301, headers=(("Location", location.decode()),))
        path = decoded.decode("utf-8", "replace")
        headers = self._limit_headers(request)
        if not self._limit.allows(request.address, path, now_s=now_s):
            found = Outcome(status=429, body=_TOO_MANY)
            shown = _without_ids(state, path)
            return self._audited(request, found, (("Content-Type", _TEXT), *headers), state=state, at=at, path=shown)
        found_credentials = _credentials(state, path, query, request.address)
        if found_credentials is not None:
            json_headers = (("Content-Type", "application/json"), *headers)
            return self._audited(request, found_credentials, json_headers, state=state, at=at, path=path)
        answer = await self._routed(request, state, path, now_s)
        if answer is None:
            no_sniff = (("Content-Type", _TEXT), ("X-Content-Type-Options", "nosniff"))
            return Answer(status=404, headers=(*no_sniff, *headers), body=_NOT_FOUND)
        content_type = (("Content-Type", answer.content_type),) if answer.content_type else ()
        return Answer(status=answer.status, headers=(*content_type, *headers, *answer.headers), body=answer.body)

    async def _routed(self, request: Request, state: AgentState, path: str, now_s: float) -> _Found | None:
        """``None``: nothing is served under that path."""
        if (of_endpoint := _OF_ENDPOINT.fullmatch(path)) is not None:
            version, endpoint_id, what, association = of_endpoint.groups()
            if association is not None:
                return self._association(state, int(version), endpoint_id, association, request.address)
            return await self._of_endpoint(state, int(version), endpoint_id, what or "", request.address)
        if (of_address := _OF_ADDRESS.fullmatch(path)) is not None:
            return await self._of_address(state, of_address[1] or of_address[3], of_address[2] or "", request.address)
        if (asked := _PROTECTION.fullmatch(path)) is not None:
            return await self._protection(state, asked[1], request)
        if (asked := _FAULT.fullmatch(path)) is not None:
            return self._fault(state, asked[1], request, path, now_s)
        return None

    def _limit_headers(self, request: Request, steady: str = "") -> tuple[tuple[str, str], ...]:
        return (
            ("X-Rate-Limit-Duration", "1"),
            ("X-Rate-Limit-Limit", steady or f"{self._steady}.00"),
            ("X-Rate-Limit-Request-Forwarded-For", request.forwarded_for),
            ("X-Rate-Limit-Request-Remote-Addr", f"{request.address}:{request.port}"),
        )

    @staticmethod
    def _audited(
        request: Request,
        found: Outcome,
        headers: tuple[tuple[str, str], ...],
        *,
        state: AgentState,
        at: datetime,
        path: str,
    ) -> Answer:
        line = audit.line(
            at=at,
            status=found.status,
            remote=f"{request.address}:{request.port}",
            path=path,
            user_agent=request.user_agent,
            task_arn=found.task_arn,
            role_type=found.role_type,
            cluster=state.instance.cluster,
            instance_arn=state.instance.arn,
        )
        return Answer(status=found.status, headers=headers, body=found.body, audit_line=line)

    # --- versions 3 and 4 ---------------------------------------------------------------------------

    async def _of_endpoint(self, state: AgentState, version: int, endpoint_id: str, what: str, address: str) -> _Found:
        caller = self._callers.of_endpoint(state, endpoint_id, address=address)
        if caller is None:
            return _unknown(version, endpoint_id, what)
        if caller.container.in_flight is ContainerStatus.RUNNING and not what.endswith("stats"):
            # It runs, else it could not ask; Docker has not said so yet.
            state = await self._sources.state_when(partial(_is_started, caller), within_s=STARTED_WITHIN_S)
            caller = self._callers.of_endpoint(state, endpoint_id, address=address)
            if caller is None:
                return _unknown(version, endpoint_id, what)
        task, container = caller.task, caller.container
        match what:
            case "task":
                return _Found(body=self._views.task(state, task, version=version))
            case "taskWithTags":
                return await self._with_tags(state, task, version=version, asker=container.name)
            case "stats":
                return await self._container_stats(container.docker_id, version=version)
            case "task/stats":
                return await self._task_stats(task, version=version)
            case _:
                return self._container(state, caller, version=version)

    def _container(self, state: AgentState, caller: Caller, *, version: int) -> _Found:
        task, container = caller.task, caller.container
        if not metadata.networks(task, container, version=version):
            unable = "Unable" if version == 3 else "unable"
            words = f"{unable} to generate network response for container '{container.docker_id}'"
            return _Found(status=500, body=go_json.encode(words))
        return _Found(body=self._views.container(state, task, container, version=version))

    async def _container_stats(self, docker_id: DockerId, *, version: int) -> _Found:
        found = await self._sources.stats((docker_id,))
        if docker_id not in found:
            words = f"Unable to get container stats for: {docker_id}"
            return _Found(status=500 if version == 4 else 400, body=go_json.encode(words))
        return _Found(body=stats.container_body(found[docker_id], version=version))

    async def _task_stats(self, task: Task, *, version: int) -> _Found:
        docker_ids = [container.docker_id for container in task.containers if container.docker_id]
        found = await self._sources.stats(docker_ids)
        return _Found(body=stats.task_body({each: found.get(each) for each in docker_ids}, version=version))

    async def _with_tags(self, state: AgentState, task: Task, *, version: int, asker: str = "") -> _Found:
        kept: dict[str, Mapping[str, str]] = {}
        errors = []
        for field, arn in (("ContainerInstanceTags", state.instance.arn), ("TaskTags", task.arn)):
            try:
                kept[field] = await self._tags(arn, asker if version == 4 else "")
            except AwsCallFailed as failed:
                failure = failed.failure
                errors.append(
                    metadata.TagError(
                        error_field=field,
                        error_code=failure.code,
                        error_message=failure.message,
                        status_code=failure.status,
                        request_id=failure.request_id,
                        resource_arn=arn,
                    )
                )
        tags = metadata.Tags(
            task=kept.get("TaskTags", {}),
            container_instance=kept.get("ContainerInstanceTags", {}),
            errors=tuple(errors),
        )
        return _Found(body=self._views.task_with_tags(state, task, tags, version=version))

    async def _tags(self, arn: str, asker: str) -> Mapping[str, str]:
        answer = await self._sources.ecs(
            "ListTagsForResource", {"resourceArn": arn}, on_behalf=f"container/{asker}" if asker else ""
        )
        return {tag["key"]: tag.get("value", "") for tag in answer.get("tags") or ()}

    def _association(self, state: AgentState, version: int, endpoint_id: str, rest: str, address: str) -> _Found:
        """No task that runs here has any. Source: task-metadata-api.md §13."""
        kind, slash, name = rest.partition("/")
        handler = f"V{version} container associations handler"
        if slash and not name:
            return _refused(f"{handler}: unable to get association name from request")
        if self._callers.of_endpoint(state, endpoint_id, address=address) is None:
            looked_up = "task arn" if slash else "container id"
            words = "task Arn" if slash else "docker ID"
            return _refused(
                f"{handler}: unable to get {looked_up} from request: unable to get {words} from v3 endpoint ID:"
                f" {endpoint_id}"
            )
        if not slash:
            return _Found(body=b'{"Associations":null}')
        return _refused(
            "Unable to write container association response: unable to get association from association type"
            f" {kind} and association name {name}"
        )

    # --- version 2 ----------------------------------------------------------------------------------

    async def _of_address(self, state: AgentState, what: str, docker_id: str, address: str) -> _Found:
        """Difference: a container is shown to its own task only."""
        task = task_of_address(state, address)
        if task is None:
            return _refused(f"Unable to get task arn from request: unable to associate '{address}' with task")
        container = next((c for c in task.containers if c.docker_id and c.docker_id == docker_id), None)
        if what == "metadataWithTags":
            return await self._with_tags(state, task, version=2)
        if what == "metadata":
            if not docker_id:
                return _Found(body=self._views.task(state, task, version=2))
            if container is None:
                return _refused(f"Unable to generate metadata for container '{docker_id}'")
            return _Found(body=self._views.container(state, task, container, version=2))
        if not docker_id:
            return await self._task_stats(task, version=2)
        if container is None:
            return _refused(f"Unable to get container stats for: {docker_id}")
        return await self._container_stats(container.docker_id, version=2)

    # --- the agent API ------------------------------------------------------------------------------

    async def _protection(self, state: AgentState, endpoint_id: str, request: Request) -> _Found:
        """Source: task-metadata-api.md §14."""
        if request.method not in ("GET", "PUT"):
            return _Found(status=405, content_type="")
        is_change = request.method == "PUT"
        wish = protection.Wish()
        if is_change:
            try:
                wish = protection.wish_of(request.body)
            except protection.Undecodable:
                words = "UpdateTaskProtection: failed to decode request"
                return _Found(status=400, body=protection.error_body("InvalidParameterException", words))
        caller = self._callers.of_endpoint(state, endpoint_id, address=request.address)
        if caller is None:
            words = "Failed to find a task for the request"
            return _Found(status=404, body=protection.error_body("ResourceNotFoundException", words))
        task = caller.task
        if is_change and wish.protection_enabled is None:
            words = "Invalid request: does not contain 'ProtectionEnabled' field"
            body = protection.error_body("InvalidParameterException", words, task_arn=task.arn)
            return _Found(status=400, body=body)
        credentials = state.credentials.get(task.credentials_id)
        if credentials is None:
            words = "Invalid Request: no task IAM role credentials available for task"
            return _Found(status=403, body=protection.error_body("AccessDeniedException", words, task_arn=task.arn))
        asked: dict[str, Any] = {"cluster": state.instance.cluster, "tasks": [task.arn]}
        if is_change:
            asked["protectionEnabled"] = wish.protection_enabled
            if wish.expires_in_minutes is not None:
                asked["expiresInMinutes"] = wish.expires_in_minutes
        operation = "UpdateTaskProtection" if is_change else "GetTaskProtection"
        status, body = await self._protected(operation, asked, credentials, task)
        return _Found(status=status, body=body)

    async def _protected(
        self, operation: str, asked: Mapping[str, Any], credentials: TaskCredentials, task: Task
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(protection.TIME_LIMIT_S):
                answer = await self._sources.ecs(operation, asked, credentials=credentials)
        except TimeoutError:
            words = "Timed out calling ECS Task Protection API"
            return 504, protection.error_body("RequestCanceled", words, task_arn=task.arn)
        except AwsCallFailed as failed:
            return protection.refused(failed.failure, task_arn=task.arn)
        return protection.answered(answer, task_arn=task.arn)

    def _fault(self, state: AgentState, endpoint_id: str, request: Request, path: str, now_s: float) -> _Found:
        """Faults cannot be injected here, so no task has it enabled. Source: task-metadata-api.md §15."""
        if request.method != "POST":
            return _Found(status=405, content_type="")
        headers = self._limit_headers(request, _FAULT_RATE)
        if not self._fault_limit.allows(request.address, path, now_s=now_s):
            return _Found(status=429, content_type=_TEXT, body=_TOO_MANY_FAULTS, headers=headers)
        caller = self._callers.of_endpoint(state, endpoint_id, address=request.address)
        if caller is None:
            words = f"unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {endpoint_id}"
            return _Found(status=404, body=go_json.encode({"Error": words}), headers=headers)
        words = f"enableFaultInjection is not enabled for task: {caller.task.arn}"
        return _Found(status=400, body=go_json.encode({"Error": words}), headers=headers)


def _unknown(version: int, endpoint_id: str, what: str) -> _Found:
    """Source: task-metadata-api.md §7."""
    kind = {"": "container metadata", "stats": "container stats", "task/stats": "task stats"}.get(what, "task metadata")
    looked_up = "unable to get task arn from request: unable to get task Arn"
    if not what:
        looked_up = "unable to get container ID from request: unable to get docker ID"
    status = 404 if version == 4 else 400 if "stats" in what else 500
    words = f"V{version} {kind} handler: {looked_up} from v3 endpoint ID: {endpoint_id}"
    return _Found(status=status, body=go_json.encode(words))


def _refused(words: str) -> _Found:
    return _Found(status=400, body=go_json.encode(words))


def _is_started(caller: Caller, state: AgentState) -> bool:
    task = state.tasks.get(caller.task.arn)
    container = task.container(caller.container.name) if task is not None else None
    return container is None or container.in_flight is not ContainerStatus.RUNNING


def _without_ids(state: AgentState, path: str) -> str:
    """What is audited of a path that was mistyped, and has the secret in another place."""
    for task in state.tasks.values():
        endpoint_ids = (container.endpoint_id for container in task.containers)
        for known in (task.credentials_id, task.execution_credentials_id, *endpoint_ids):
            if known:
                path = path.replace(known, "…")
    return path


def _credentials(state: AgentState, path: str, query: bytes, address: str) -> Outcome | None:
    """``None``: the path is of nothing that is served."""
    if path == "/v1/credentials":
        given = targets.first_values(query).get(b"id", b"")
        return outcome(state, given.decode("utf-8", "replace"), version=1, address=address)
    prefix = "/v2/credentials/"
    if path.startswith(prefix):
        return outcome(state, path.removeprefix(prefix), version=2, address=address)
    return None
