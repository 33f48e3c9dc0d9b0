"""What users see of a deployment and its counts."""

from __future__ import annotations

import msgspec

from ecscope.control.api.service_shapes import service_deployment_status
from ecscope.control.core.deployments import completed, primary, with_deployment, with_primary
from ecscope.control.core.records import Service
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step
from tests.control_builders import a_request, a_service
from tests.tables import each_row


def a_step(number: int) -> Step:
    return Step(ControlState(), a_request("UpdateService", number))


def after(state: str, rolls_back: str | None = None) -> tuple[Service, str]:
    """A service whose first deployment came to that state, and what the second one is then shown as."""
    service = with_deployment(a_step(1), a_service(), definition_arn="d:1", settings={})
    service = completed(a_step(1), service) if state == "COMPLETED" else with_primary(service, rollout_state=state)
    first = primary(service)
    if rolls_back is not None:
        service = with_deployment(a_step(2), service, definition_arn="d:0", settings={}, rolls_back=first.id)
        service = with_primary(service, rollout_state=rolls_back)
    return service, first.id


@each_row(
    "state, rollback, expected",
    [
        ("IN_PROGRESS", None, "IN_PROGRESS"),
        ("COMPLETED", None, "SUCCESSFUL"),
        ("FAILED", None, "STOPPED"),
        ("FAILED", "IN_PROGRESS", "ROLLBACK_IN_PROGRESS"),
        ("FAILED", "COMPLETED", "ROLLBACK_SUCCESSFUL"),
        ("FAILED", "FAILED", "ROLLBACK_FAILED"),
    ],
)
def test_the_status_of_a_service_deployment(state: str, rollback: str | None, expected: str) -> None:
    service, first = after(state, rollback)
    deployment = next(one for one in service.deployments if one.id == first)
    assert service_deployment_status(service, deployment) == expected


def test_what_gave_way_before_it_was_done_was_stopped() -> None:
    service, _ = after("IN_PROGRESS")
    service = with_deployment(a_step(2), service, definition_arn="d:2", settings={})
    assert service_deployment_status(service, service.deployments[1]) == "STOPPED"
    gone = msgspec.structs.replace(service.deployments[1], status="INACTIVE")
    assert service_deployment_status(service, gone) == "STOPPED"
