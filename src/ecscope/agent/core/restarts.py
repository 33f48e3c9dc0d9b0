"""Whether a container that ended by itself is started again.

Source: engine.md §10.2.
"""

from __future__ import annotations

from datetime import datetime

from ecscope.model.container import Container
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.status import ContainerStatus


def refusal(container: Container, *, exit_code: int | None, now: datetime) -> str | None:
    """Why the container is not restarted; ``None``: restart it.

    Quirk: ``restartAttemptPeriod`` is a minimum run time, counted from the last restart by
    policy or else from the first start. Source: engine.md, "Seen running" 14.
    """
    policy = container.definition.restart_policy
    if policy is None or not policy.enabled:
        return "restart policy is not enabled"
    if container.desired is ContainerStatus.STOPPED:
        return "container's desired status is stopped"
    if exit_code is None:
        return "exit code is not known"
    if exit_code in policy.ignored_exit_codes:
        return f"exit code {exit_code} should be ignored"
    since = container.last_restarted_at or parse_docker_time(container.started_at)
    if since is None:
        return "container has never been started"
    ran_s = (now - since).total_seconds()
    if ran_s < policy.restart_attempt_period_s:
        return f"it ran {max(ran_s, 0):.0f} s, less than restartAttemptPeriod {policy.restart_attempt_period_s} s"
    return None
