"""Service deployments and revisions: what a service was made to run, how that went, and the way back.

Each deployment of a service is one service deployment, and made one service revision; the last twenty are kept.

Source: control-plane.md §3.2; the service model of ECS (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ecscope.control.api import lookup, service_shapes
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.api.shapes import moment
from ecscope.control.core import breaker
from ecscope.control.core.deployments import primary
from ecscope.control.core.errors import ApiError, Failure, invalid, missing, unsupported
from ecscope.control.core.records import Deployment, Json, Service
from ecscope.control.core.service_events import say
from ecscope.control.core.statuses import RolloutState, ServiceStatus
from ecscope.control.core.step import Step

_DESCRIBED_MOST = 20
STOPPED_BY_USER = "ECS deployment stopped by user."

Found = tuple[Service, Deployment]
_Name = Callable[[Step, Service, Deployment], str]


def find_deployment(step: Step, arn: str) -> Found | None:
    """By the ARN of a service deployment; ``None``: it does not exist."""
    return _find(step, arn, service_shapes.deployment_arn)


def find_revision(step: Step, arn: str) -> Found | None:
    """By the ARN of a service revision; ``None``: it does not exist."""
    return _find(step, arn, service_shapes.revision_arn)


def describe_service_deployments(step: Step, body: Json) -> Json:
    return _described(
        step,
        body["serviceDeploymentArns"],
        "serviceDeployments",
        find_deployment,
        service_shapes.service_deployment,
    )


def describe_service_revisions(step: Step, body: Json) -> Json:
    return _described(step, body["serviceRevisionArns"], "serviceRevisions", find_revision, service_shapes.revision)


def list_service_deployments(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    service = lookup.service(step, cluster, body["service"])
    statuses, created = body.get("status"), body.get("createdAt", {})
    found = [
        one
        for one in service_shapes.all_deployments(service)
        if (not statuses or service_shapes.service_deployment_status(service, one) in statuses)
        and _is_between(one, created.get("after"), created.get("before"))
    ]
    return page(
        "ListServiceDeployments",
        body,
        "serviceDeployments",
        found,
        key=lambda one: one.id,
        show=lambda one: service_shapes.service_deployment_brief(step, service, one),
    )


def stop_service_deployment(step: Step, body: Json) -> Json:
    """Only by going back: to stop a deployment where it is would leave a service between two revisions."""
    arn: str = body["serviceDeploymentArn"]
    if body.get("stopType", "ROLLBACK") != "ROLLBACK":
        raise unsupported("stopType is not supported, except for ROLLBACK.")
    found = find_deployment(step, arn)
    if found is None:
        raise ApiError("ServiceDeploymentNotFoundException", "The service deployment was not found.")
    service, deployment = found
    is_current = service.status == ServiceStatus.ACTIVE and deployment == primary(service)
    if not is_current or deployment.rollout_state != RolloutState.IN_PROGRESS:
        raise invalid("The service deployment cannot be stopped: it is not in progress.")
    given_up = breaker.failed(step, service, STOPPED_BY_USER)
    back = breaker.rolled_back(step, say(step, given_up, f"(deployment {deployment.id}) deployment stopped by user."))
    if primary(back).id == deployment.id:
        raise invalid("The service deployment cannot be rolled back: no deployment of the service was completed.")
    step.touched_services[service.arn] = None
    step.services.put(service.arn, back)
    return {"serviceDeploymentArn": arn}


def _described(
    step: Step,
    arns: list[str],
    member: str,
    find: Callable[[Step, str], Found | None],
    show: Callable[[Step, Service, Deployment], dict[str, object]],
) -> Json:
    if not 1 <= len(arns) <= _DESCRIBED_MOST:
        raise invalid(f"From 1 to {_DESCRIBED_MOST} ARNs can be described at a time.")
    shown, failures = list[object](), list[Failure]()
    for arn in arns:
        found = find(step, arn)
        if found is None:
            failures.append(missing(arn))
        else:
            shown.append(show(step, *found))
    return {member: shown, "failures": [msgspec.to_builtins(failure) for failure in failures]}


def _find(step: Step, arn: str, name: _Name) -> Found | None:
    """By an ARN that ``name`` gives: ``…:<kind>/<cluster>/<service>/<digits>``."""
    parts = arn.split("/")
    if len(parts) != 4:
        return None
    service = step.services.get(lookup.arn_of(step, "service", parts[1], parts[2]))
    if service is None:
        return None
    deployments = service_shapes.all_deployments(service)
    return next(((service, one) for one in deployments if name(step, service, one) == arn), None)


def _is_between(one: Deployment, after: float | None, before: float | None) -> bool:
    at = moment(one.created_at)
    return (after is None or at >= after) and (before is None or at <= before)


ACTIONS: Mapping[str, Action] = {
    "DescribeServiceDeployments": Action(describe_service_deployments, is_reader=True),
    "DescribeServiceRevisions": Action(describe_service_revisions, is_reader=True),
    "ListServiceDeployments": Action(list_service_deployments, is_reader=True),
    "StopServiceDeployment": Action(stop_service_deployment),
}
