"""Who stopped a task of ``ecscope up``, as its control plane keeps it; also after it has ended."""

from __future__ import annotations

from pathlib import Path

from ecscope.agent.diagnosis.why.story import StoppedBy
from ecscope.control.core.records import Deployment
from ecscope.control.store.reader import read_task


def stopped_by(data_dir: Path, arn: str) -> StoppedBy | None:
    """``None``: nobody did, or the task is not known. ``data_dir``: of ``ecscope up``; blocking."""
    found = read_task(data_dir, arn)
    if found is None or not found.task.stop_code:
        return None
    task, service = found.task, found.service
    deployments = service.deployments if service is not None else ()
    past = service.past_deployments if service is not None else ()
    return StoppedBy(
        stop_code=task.stop_code.value,
        reason=task.stopped_reason,
        by=task.stop_asked_by.rpartition(":")[2].replace("/", " ", 1),
        deployment=task.deployment_id,
        primary=deployments[0].id if deployments else "",
        desired_count=service.desired_count if service is not None else None,
        service_status=service.status.value if service is not None else "",
        rollout_state=_rollout_state(task.deployment_id, (*deployments, *past)),
        instance_status=found.instance.status.value if found.instance is not None else "",
    )


def _rollout_state(deployment_id: str, deployments: tuple[Deployment, ...]) -> str:
    return next((one.rollout_state.value for one in deployments if one.id == deployment_id), "")
