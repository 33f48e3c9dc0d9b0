"""Which record a client means: by short name, ID or ARN, in the long and in the old short format.

``find_…`` returns ``None`` for what does not exist in any status; the others raise what ECS answers. These are
the only ways to a record: actions and authorization find the same one. A name or an ID has no slash, so one
that has finds nothing.

Source: control-plane.md §1.1, §2, §3.5.
"""

from __future__ import annotations

import re

from ecscope.control.core.capacity import FARGATE
from ecscope.control.core.errors import client_error, cluster_not_found, invalid, service_not_found
from ecscope.control.core.records import Cluster, Instance, Service, Task, TaskDefinition
from ecscope.control.core.statuses import ClusterStatus, TaskDefinitionStatus
from ecscope.control.core.step import Step
from ecscope.model.arn import TaskArn, cluster_name

DEFAULT_CLUSTER = "default"
_ARN = re.compile(r"arn:[a-z-]+:ecs:[a-z0-9-]*:[0-9]*:([a-z-]+)/(.+)")
_FAMILY_AND_REVISION = re.compile(r"([A-Za-z0-9_-]{1,255})(?::([0-9]{1,9}))?")

Tagged = Cluster | Instance | Service | Task | TaskDefinition
"""What has an ARN and can have tags."""


def arn_of(step: Step, kind: str, *parts: object) -> str:
    """The ARN of something of ours: ``kind`` is ``cluster``, ``task``, ``service``, …; ``parts`` come after it."""
    path = "/".join(str(part) for part in (kind, *parts))
    return f"arn:aws:ecs:{step.settings.region}:{step.settings.account}:{path}"


def arn_in(in_cluster: Cluster, kind: str, reference: str) -> str:
    """How a failure names an unknown reference: an ARN as it is, an ID completed to an ARN."""
    return reference if is_arn(reference) else _in_cluster(in_cluster, kind, reference)


def find_cluster(step: Step, reference: str | None) -> Cluster | None:
    """``None`` and ``""`` mean ``default``."""
    reference = reference or DEFAULT_CLUSTER
    if not is_arn(reference):
        return step.clusters.get(reference)
    found = step.clusters.get(cluster_name(reference))
    return found if found is not None and found.arn == reference else None


def cluster(step: Step, reference: str | None) -> Cluster:
    """Only one that is ACTIVE. Raises ``ClusterNotFoundException``."""
    found = find_cluster(step, reference)
    if found is None or found.status != ClusterStatus.ACTIVE:
        raise cluster_not_found()
    return found


def find_task(step: Step, in_cluster: Cluster, reference: str) -> Task | None:
    arn = _in_cluster(in_cluster, "task", reference)
    return step.tasks.get(TaskArn(arn)) if arn else None


def find_instance(step: Step, in_cluster: Cluster, reference: str) -> Instance | None:
    arn = _in_cluster(in_cluster, "container-instance", reference)
    return step.instances.get(arn) if arn else None


def find_service(step: Step, in_cluster: Cluster, reference: str) -> Service | None:
    arn = _in_cluster(in_cluster, "service", reference)
    return step.services.get(arn) if arn else None


def service(step: Step, in_cluster: Cluster, reference: str) -> Service:
    """In whatever status. Raises ``ServiceNotFoundException``."""
    found = find_service(step, in_cluster, reference)
    if found is None:
        raise service_not_found()
    return found


def find_provider(step: Step, reference: str) -> str | None:
    """The name of a capacity provider."""
    return next((name for name in FARGATE if reference in (name, arn_of(step, "capacity-provider", name))), None)


def find_by_arn(step: Step, arn: str) -> Tagged | None:
    """Whatever has this ARN. One in the old format names no cluster, so it may be of any.

    A task definition's may lack the revision, as in ``find_task_definition``.
    """
    parts = arn.split(":", 5)  # arn:partition:service:region:account:resource
    if len(parts) != 6 or not is_arn(arn):
        return None
    kind, _, path = parts[5].partition("/")
    if kind == "cluster":
        return find_cluster(step, arn)
    if kind == "task-definition":
        return find_task_definition(step, arn)
    find = {"service": find_service, "task": find_task, "container-instance": find_instance}.get(kind)
    if find is None:
        return None
    named = path.partition("/")[0] if "/" in path else None
    clusters = (cluster for cluster in step.clusters if named in (None, cluster.name))
    return next((found for cluster in clusters if (found := find(step, cluster, arn)) is not None), None)


def find_task_definition(step: Step, reference: str) -> TaskDefinition | None:
    """``family`` (its newest ACTIVE revision), ``family:revision``, or either as ARN."""
    arn = _ARN.fullmatch(reference)
    if arn is not None and (arn[1] != "task-definition" or not reference.startswith(arn_of(step, arn[1], ""))):
        return None
    named = _FAMILY_AND_REVISION.fullmatch(arn[2] if arn is not None else reference)
    if named is None:
        return None
    family, revision = named[1], named[2]
    if revision is not None:
        return step.task_definitions.get(arn_of(step, "task-definition", f"{family}:{int(revision)}"))
    for number in range(step.newest_revision(family), 0, -1):
        found = step.task_definitions.get(arn_of(step, "task-definition", f"{family}:{number}"))
        if found is not None and found.status == TaskDefinitionStatus.ACTIVE:
            return found
    return None


def task_definition_to_run(step: Step, reference: str) -> TaskDefinition:
    """For a new task or service: it must be ACTIVE. Raises ``ClientException``."""
    found = find_task_definition(step, reference)
    if found is None or found.status == TaskDefinitionStatus.DELETE_IN_PROGRESS:
        raise client_error("TaskDefinition not found.")
    if found.status != TaskDefinitionStatus.ACTIVE:
        raise client_error("TaskDefinition is inactive")
    return found


def exact_task_definition(step: Step, reference: str) -> TaskDefinition:
    """With its revision, in whatever status. Raises ``InvalidParameterException``, ``ClientException``."""
    _, colon, revision = reference.rsplit("/", 1)[-1].partition(":")
    if not colon or not revision:
        raise invalid("Revision is missing.")
    if not (revision.isascii() and revision.isdigit()):
        raise invalid(f"Invalid revision number. Number: {revision[:100]}")
    found = find_task_definition(step, reference)
    if found is None:
        raise client_error("Unable to describe task definition.")
    return found


def is_arn(reference: str) -> bool:
    """Anything else is a name or an ID."""
    return reference.startswith("arn:")


def _in_cluster(in_cluster: Cluster, kind: str, reference: str) -> str:
    """The long ARN; ``""``: the reference is of another kind, or of another cluster, account or region."""
    prefix = in_cluster.arn.replace(":cluster/", f":{kind}/", 1)
    if not is_arn(reference):
        return f"{prefix}/{reference}"
    arn = _ARN.fullmatch(reference)
    if arn is None or arn[1] != kind:
        return ""
    if "/" in arn[2]:
        return reference if reference.startswith(f"{prefix}/") else ""
    is_ours = reference == f"{prefix.rsplit('/', 1)[0]}/{arn[2]}"  # the old format, without a cluster
    return f"{prefix}/{arn[2]}" if is_ours else ""
