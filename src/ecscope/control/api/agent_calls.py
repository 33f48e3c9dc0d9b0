"""What agents call: registration, where ACS and TCS are, and what became of tasks.

Source: control-plane.md §4, §6.3; agent-protocol.md §3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.api.attributes import check_name, check_value
from ecscope.control.core import tasks
from ecscope.control.core.errors import client_error, invalid
from ecscope.control.core.records import Cluster, Instance, Json, Task
from ecscope.control.core.statuses import InstanceStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tags import not_respelled, tags_of
from ecscope.control.core.tasks import ContainerReport, Report
from ecscope.model.arn import TaskArn
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from ecscope.model.status import ReportedStatus

ACKNOWLEDGED: Json = {"acknowledgment": "ACK"}
_INSTANCE_TYPE = "ecs.instance-type"
_FROM_DOCUMENT = {
    "ecs.ami-id": "imageId",
    _INSTANCE_TYPE: "instanceType",
    shapes.ARCHITECTURE: "architecture",
}
"""Attribute that the server adds → member of the identity document; of EC2 instances only."""
_RESERVED_NAMES = ("ecs.", "com.amazonaws.ecs.")
"""Capabilities and what ECS itself says of an instance; every other attribute is a user's."""


# --- registration ---------------------------------------------------------------------------------


def register_container_instance(step: Step, body: Json) -> Json:
    """A known ARN, or a client token that comes again, means the same instance, whose user's attributes stay.

    One that is unknown here is taken at its word when it is of this cluster: the server's memory may be the shorter.
    """
    cluster = lookup.cluster(step, body.get("cluster"))
    document = _document(body.get("instanceIdentityDocument") or "")
    known = known_instance(step, cluster, body)
    arn = known.arn if known is not None else _new_arn(step, cluster, body.get("containerInstanceArn") or "")
    sent = [Attribute(name=given["name"], value=given.get("value")) for given in body.get("attributes", ())]
    reported = {attribute.name: attribute.value for attribute in sent if attribute.name.startswith(_RESERVED_NAMES)}
    reported.update(_added(step, document, reported))
    own = {attribute.name: attribute.value for attribute in sent if not attribute.name.startswith(_RESERVED_NAMES)}
    for name, value in own.items():
        check_name(name)
        check_value(name, value or None)
    before = known.custom_attributes if known is not None else {}
    tags: Mapping[str, str] = known.tags if known is not None else {}
    if known is not None and (was := known.attributes.get(_INSTANCE_TYPE)) != reported.get(_INSTANCE_TYPE, was):
        raise client_error("Container instance type changes are not supported.")
    instance = Instance(
        arn=arn,
        cluster=cluster.name,
        status=known.status if known is not None and known.status != InstanceStatus.INACTIVE else InstanceStatus.ACTIVE,
        ec2_instance_id=_instance_id(step, document, known),
        registered_at=known.registered_at if known is not None else step.at,
        resources=_resources(body.get("totalResources", ())),
        reported_attributes=tuple(Attribute(name=name, value=value) for name, value in reported.items()),
        custom_attributes={name: value for name, value in {**before, **own}.items() if name not in reported},
        tags=tags_of(not_respelled(body.get("tags", ()), tags), before=tags),
        client_token=body.get("clientToken") or "",
        version_info=body.get("versionInfo") or (known.version_info if known is not None else {}),
        connection_id=known.connection_id if known is not None else "",
        connectivity_at=known.connectivity_at if known is not None else None,
        health=known.health if known is not None else (),
        version=known.version + 1 if known is not None else 1,
    )
    step.instances.put(arn, instance)
    return {"containerInstance": shapes.instance(step, instance)}


def discover_poll_endpoint(step: Step, body: Json) -> Json:
    """The same for every instance; whether it may connect is decided when it does."""
    base = step.settings.endpoint.rstrip("/")
    return {"endpoint": f"{base}/acs/", "telemetryEndpoint": f"{base}/tcs/"}


def known_instance(step: Step, cluster: Cluster, body: Json) -> Instance | None:
    """Which one registers again; ``None``: it is new here."""
    arn, token = body.get("containerInstanceArn") or "", body.get("clientToken") or ""
    if arn:
        return lookup.find_instance(step, cluster, arn)
    if not token:
        return None
    here = (instance for instance in step.instances if instance.cluster == cluster.name)
    return next((i for i in here if i.client_token == token and i.status != InstanceStatus.INACTIVE), None)


def _new_arn(step: Step, cluster: Cluster, claimed: str) -> str:
    if not claimed:
        return lookup.arn_of(step, "container-instance", cluster.name, step.new_id())
    prefix = lookup.arn_of(step, "container-instance", cluster.name, "")
    instance_id = claimed.removeprefix(prefix)
    if not claimed.startswith(prefix) or not instance_id.isalnum():
        raise client_error(
            f"The container instance {claimed} is not of the cluster {cluster.name} of this region and account. "
            "Remove the agent's saved state to register it again."
        )
    return claimed


def _document(text: str) -> Mapping[str, object]:
    """The instance's identity document; empty: it has none, or none that can be read."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):  # "" is what instances outside EC2 send
        return {}
    return document if isinstance(document, dict) else {}


def _instance_id(step: Step, document: Mapping[str, object], known: Instance | None) -> str:
    instance_id = document.get("instanceId")
    if isinstance(instance_id, str) and instance_id:
        return instance_id
    return known.ec2_instance_id if known is not None else f"mi-{step.new_id()[:17]}"


def _added(step: Step, document: Mapping[str, object], reported: Mapping[str, str | None]) -> dict[str, str | None]:
    """What the server says of an instance beside what its agent does."""
    zone = document.get("availabilityZone")
    added: dict[str, str | None] = {shapes.ZONE: zone if isinstance(zone, str) else step.settings.availability_zone}
    for name, member in _FROM_DOCUMENT.items():
        value = document.get(member)
        if isinstance(value, str):
            added[name] = value
    return {name: value for name, value in added.items() if name not in reported}


def _resources(given: Iterable[Json]) -> HostResources:
    by_name = {resource.get("name"): resource for resource in given}

    def number(name: str) -> int:
        return by_name.get(name, {}).get("integerValue") or 0

    def ports(name: str) -> frozenset[int]:
        texts = by_name.get(name, {}).get("stringSetValue") or ()
        if wrong := [text for text in texts if not (text.isascii() and text.isdigit())]:
            raise invalid(f"Invalid resource {name}: {wrong[0]!r} is not a port.")
        return frozenset(map(int, texts))

    return HostResources(
        cpu_units=number("CPU"), memory_mib=number("MEMORY"), ports_tcp=ports("PORTS"), ports_udp=ports("PORTS_UDP")
    )


# --- state changes --------------------------------------------------------------------------------


def submit_task_state_change(step: Step, body: Json) -> Json:
    """Taken over however late; refused for good when the task is unknown, so that the agent forgets it."""
    task = _task(step, body)
    status = body.get("status")
    tasks.report(
        step,
        task,
        Report(
            status=_status(status) if status else None,
            reason=body.get("reason") or "",
            containers=tuple(
                _container(given, given.get("containerName") or "") for given in body.get("containers", ())
            ),
            pull_started_at=_moment(body.get("pullStartedAt")),
            pull_stopped_at=_moment(body.get("pullStoppedAt")),
            execution_stopped_at=_moment(body.get("executionStoppedAt")),
        ),
    )
    return ACKNOWLEDGED


def submit_container_state_change(step: Step, body: Json) -> Json:
    container = _container(body, body.get("containerName") or "")
    tasks.report(step, _task(step, body), Report(containers=(container,)))
    return ACKNOWLEDGED


def submit_attachment_state_changes(step: Step, body: Json) -> Json:
    """No attachment exists here that could change, so nothing is recorded."""
    lookup.cluster(step, body.get("cluster"))
    return ACKNOWLEDGED


ACTIONS: Mapping[str, Action] = {
    "RegisterContainerInstance": Action(register_container_instance),
    "DiscoverPollEndpoint": Action(discover_poll_endpoint, is_reader=True),
    "SubmitTaskStateChange": Action(submit_task_state_change),
    "SubmitContainerStateChange": Action(submit_container_state_change),
    "SubmitAttachmentStateChanges": Action(submit_attachment_state_changes, is_reader=True),
}


def _task(step: Step, body: Json) -> Task:
    cluster = lookup.cluster(step, body.get("cluster"))
    reference = body.get("task") or ""
    task = lookup.find_task(step, cluster, reference)
    if task is None and (elsewhere := step.tasks.get(TaskArn(reference))) is not None and elsewhere.is_on_fargate:
        task = elsewhere  # of any cluster, and yet on this agent's instance
    if task is None:
        raise invalid("The referenced task was not found.")
    return task


def _container(given: Json, name: str) -> ContainerReport:
    return ContainerReport(
        name=name,
        status=_status(given["status"]) if given.get("status") else None,
        runtime_id=given.get("runtimeId") or "",
        exit_code=given.get("exitCode"),
        reason=given.get("reason") or "",
        image_digest=given.get("imageDigest") or "",
        network_bindings=tuple(given.get("networkBindings", ())),
    )


def _status(text: str) -> ReportedStatus:
    try:
        return ReportedStatus(text)
    except ValueError:
        raise invalid(f"Invalid status {text!r}: it is PENDING, RUNNING or STOPPED.") from None


def _moment(epoch_seconds: float | None) -> datetime | None:
    if epoch_seconds is None:
        return None
    try:
        return datetime.fromtimestamp(epoch_seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise invalid(f"Invalid timestamp {epoch_seconds}.") from None
