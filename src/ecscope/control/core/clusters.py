"""Clusters that were deleted: seen for a while, then forgotten.

Source: DeleteCluster of the ECS API (2014-11-13).
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from ecscope.control.core.statuses import ClusterStatus
from ecscope.control.core.step import Step

INACTIVE_KEPT = timedelta(days=1)
"""How long a deleted cluster is shown. ECS does not say how long it does."""


def expire(step: Step) -> None:
    """Forget clusters that were deleted a day ago; of one that an older release deleted, the day begins now."""
    for cluster in tuple(step.clusters):
        if cluster.status != ClusterStatus.INACTIVE:
            continue
        if cluster.deleted_at is None:
            step.clusters.put(cluster.name, msgspec.structs.replace(cluster, deleted_at=step.at))
        elif cluster.deleted_at + INACTIVE_KEPT <= step.at:
            step.clusters.drop(cluster.name)
