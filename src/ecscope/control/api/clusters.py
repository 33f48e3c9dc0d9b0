"""Clusters and their capacity providers.

Source: control-plane.md §3.1, §3.2; CreateCluster and related actions of the ECS API (2014-11-13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.account_settings import effective
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.api.placement import strategy_items
from ecscope.control.core.capacity import FARGATE
from ecscope.control.core.errors import ApiError, Failure, invalid, missing
from ecscope.control.core.records import Cluster, Json
from ecscope.control.core.statuses import ClusterStatus, InstanceStatus, ServiceStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MOST_DESCRIBED = 100
_EVERYTHING = ("CONFIGURATIONS", "SETTINGS", "TAGS")
_INSIGHTS = ("enabled", "disabled", "enhanced")


def create_cluster(step: Step, body: Json) -> Json:
    """A cluster of that name that is there already is the answer, as it is."""
    name = body.get("clusterName") or lookup.DEFAULT_CLUSTER
    if _NAME.fullmatch(name) is None:
        raise invalid("The cluster name must have from 1 to 255 letters, digits, hyphens and underscores.")
    cluster = lookup.find_cluster(step, name)
    if cluster is None or cluster.status != ClusterStatus.ACTIVE:
        cluster = Cluster(
            name=name,
            arn=lookup.arn_of(step, "cluster", name),
            tags=tags_of(body.get("tags", ())),
            settings=_settings(body.get("settings", ()), {"containerInsights": effective(step, "containerInsights")}),
            configuration=body.get("configuration", {}),
            service_connect_defaults=body.get("serviceConnectDefaults", {}),
            **_providers(step, body.get("capacityProviders", ()), body.get("defaultCapacityProviderStrategy", ())),
        )
        step.clusters.put(name, cluster)
    return {"cluster": shapes.cluster(step, cluster, _EVERYTHING)}


def describe_clusters(step: Step, body: Json) -> Json:
    references = body.get("clusters") or [lookup.DEFAULT_CLUSTER]
    if len(references) > _MOST_DESCRIBED:
        raise invalid(f"Clusters cannot have more than {_MOST_DESCRIBED} elements.")
    clusters, failures = [], []
    for reference in references:
        cluster = lookup.find_cluster(step, reference)
        if cluster is not None:
            clusters.append(shapes.cluster(step, cluster, body.get("include", ())))
        else:
            is_arn = reference.startswith("arn:")
            failures.append(missing(reference if is_arn else lookup.arn_of(step, "cluster", reference)))
    return {"clusters": clusters, "failures": _failures(failures)}


def list_clusters(step: Step, body: Json) -> Json:
    arns = [cluster.arn for cluster in step.clusters if cluster.status == ClusterStatus.ACTIVE]
    return page("ListClusters", body, "clusterArns", arns, key=str, show=str)


def delete_cluster(step: Step, body: Json) -> Json:
    """It stays visible as INACTIVE for a day, unless one of the same name is created."""
    cluster = lookup.cluster(step, body["cluster"])
    if any(
        instance.cluster == cluster.name and instance.status != InstanceStatus.INACTIVE for instance in step.instances
    ):
        raise _still_contains("ContainerInstances", "Container Instances are active or draining")
    if any(service.cluster == cluster.name and service.status != ServiceStatus.INACTIVE for service in step.services):
        raise _still_contains("Services", "Services are active")
    if any(task.cluster == cluster.name and not task.is_stopped for task in step.tasks.values()):
        raise _still_contains("Tasks", "Tasks are active")
    cluster = _put(step, cluster, status=ClusterStatus.INACTIVE, deleted_at=step.at)
    return {"cluster": shapes.cluster(step, cluster, _EVERYTHING)}


def update_cluster(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body["cluster"])
    cluster = _put(
        step,
        cluster,
        settings=_settings(body.get("settings", ()), cluster.settings),
        configuration=body.get("configuration", cluster.configuration),
        service_connect_defaults=_namespace(body.get("serviceConnectDefaults"), cluster.service_connect_defaults),
    )
    return {"cluster": shapes.cluster(step, cluster, _EVERYTHING)}


def update_cluster_settings(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body["cluster"])
    cluster = _put(step, cluster, settings=_settings(body["settings"], cluster.settings))
    return {"cluster": shapes.cluster(step, cluster, _EVERYTHING)}


def put_cluster_capacity_providers(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body["cluster"])
    cluster = _put(
        step, cluster, **_providers(step, body["capacityProviders"], body["defaultCapacityProviderStrategy"])
    )
    return {"cluster": shapes.cluster(step, cluster, _EVERYTHING)}


def describe_capacity_providers(step: Step, body: Json) -> Json:
    asked: list[str] = body.get("capacityProviders") or list(FARGATE)
    of_cluster = lookup.cluster(step, body["cluster"]).capacity_providers if body.get("cluster") else FARGATE
    found, failures = [], []
    for reference in asked:
        name = lookup.find_provider(step, reference)
        if name is None:
            arn = reference if lookup.is_arn(reference) else lookup.arn_of(step, "capacity-provider", reference)
            failures.append(missing(arn))
        elif name in of_cluster:
            found.append(name)
    answer = page(
        "DescribeCapacityProviders",
        body,
        "capacityProviders",
        found,
        key=str,
        show=lambda name: {
            "capacityProviderArn": lookup.arn_of(step, "capacity-provider", name),
            "name": name,
            "status": "ACTIVE",
            "type": name,
            "tags": [],
        },
    )
    return {**answer, "failures": _failures(failures)}


ACTIONS: Mapping[str, Action] = {
    "CreateCluster": Action(create_cluster),
    "DescribeClusters": Action(describe_clusters, is_reader=True),
    "ListClusters": Action(list_clusters, is_reader=True),
    "DeleteCluster": Action(delete_cluster),
    "UpdateCluster": Action(update_cluster),
    "UpdateClusterSettings": Action(update_cluster_settings),
    "PutClusterCapacityProviders": Action(put_cluster_capacity_providers),
    "DescribeCapacityProviders": Action(describe_capacity_providers, is_reader=True),
}


def _put(step: Step, cluster: Cluster, **changes: Any) -> Cluster:
    return step.clusters.put(cluster.name, msgspec.structs.replace(cluster, **changes))


def _still_contains(what: str, words: str) -> ApiError:
    return ApiError(f"ClusterContains{what}Exception", f"The Cluster cannot be deleted while {words}.")


def _failures(failures: Iterable[Failure]) -> list[Any]:
    return [msgspec.to_builtins(failure) for failure in failures]


def _settings(given: Iterable[Json], before: Mapping[str, str]) -> dict[str, str]:
    settings = dict(before)
    for setting in given:
        value = setting.get("value", "")
        if "name" not in setting or value not in _INSIGHTS:
            raise invalid(f"The cluster setting containerInsights must be one of {', '.join(_INSIGHTS)}.")
        settings[setting["name"]] = value
    return settings


def _namespace(given: Json | None, before: Json) -> Json:
    """An empty namespace takes it away."""
    if given is None:
        return before
    return given if given["namespace"] else {}


def _providers(step: Step, names: Iterable[str], strategy: Iterable[Json]) -> dict[str, Any]:
    """The members of a cluster. Raises ``InvalidParameterException``."""
    providers = tuple(dict.fromkeys(_provider(step, name) for name in names))
    return {"capacity_providers": providers, "default_strategy": strategy_items(strategy, providers)}


def _provider(step: Step, reference: str) -> str:
    """Its name. Raises ``InvalidParameterException``."""
    found = lookup.find_provider(step, reference)
    if found is None:
        known = " and ".join(FARGATE)
        raise invalid(f"The specified capacity provider '{reference[:200]}' was not found. Here are only {known}.")
    return found
