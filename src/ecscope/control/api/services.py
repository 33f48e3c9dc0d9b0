"""Services as users make, change, see and delete them. What becomes of their tasks is ``core/services.py``'s.

Source: control-plane.md §3.1, §8.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.api import lookup, service_input, service_shapes, tokens
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.api.placement import Launch, launch_of, network_of
from ecscope.control.api.shapes import includes
from ecscope.control.core.deployments import primary, with_deployment
from ecscope.control.core.errors import ApiError, Failure, invalid, missing, service_not_found
from ecscope.control.core.records import Cluster, Json, Service, TaskDefinition
from ecscope.control.core.statuses import SchedulingStrategy, ServiceStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of

_DESCRIBED_MOST = 10
_OF_CAPACITY = ("launchType", "capacityProviderStrategy", "networkConfiguration", "platformVersion", "platformFamily")
_NOT_IDEMPOTENT = "Creation of service was not idempotent."


def create_service(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    service_input.refuse_what_is_not_here(body)
    name = service_input.name(body)
    again = _made_before(step, body)
    if again is not None:
        return {"service": service_shapes.service(step, again, with_tags=True)}
    strategy = SchedulingStrategy(body.get("schedulingStrategy", SchedulingStrategy.REPLICA))
    desired = service_input.desired_count(body, strategy)
    if desired is None and strategy != SchedulingStrategy.DAEMON:
        raise invalid("desiredCount must be given for the REPLICA scheduling strategy.")
    if not body.get("taskDefinition"):
        raise invalid("Task definition can not be null or empty.")
    definition = lookup.task_definition_to_run(step, body["taskDefinition"])
    launch = launch_of(body, cluster, definition)
    if launch.is_fargate and strategy == SchedulingStrategy.DAEMON:
        raise invalid("The daemon scheduling strategy does not support the Fargate launch type.")
    network = network_of(body, definition, launch)
    kept: dict[str, object] = {
        **_capacity(launch, network, launch.platform_version),
        "deploymentConfiguration": service_input.deployment_configuration(body, strategy),
        "placementConstraints": service_input.placement_constraints(body),
        "placementStrategy": service_input.placement_strategy(body, strategy),
        "propagateTags": "NONE",
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
    }
    service = Service(
        arn=lookup.arn_of(step, "service", cluster.name, name),
        name=name,
        cluster=cluster.name,
        scheduling_strategy=strategy,
        desired_count=desired or 0,
        created_at=step.at,
        created_by=step.principal_arn,
        client_token=body.get("clientToken", ""),
        body={
            **kept,
            "availabilityZoneRebalancing": service_input.rebalancing(kept, strategy),
            **service_input.as_given(body),
            **({"roleArn": body["role"]} if body.get("role") else {}),
        },
        tags=tags_of(body.get("tags", ())),
    )
    service = with_deployment(step, service, definition_arn=definition.arn, settings=_settings(launch, network, body))
    standing = step.services.get(service.arn)
    if standing is not None and standing.status == ServiceStatus.DRAINING:
        raise invalid("Unable to Start a service that is still Draining.")
    if standing is not None and standing.status == ServiceStatus.ACTIVE:
        if not _is_same(standing, service):
            raise invalid(_NOT_IDEMPOTENT)
        service = standing
    tokens.remember(step, "CreateService", body, (service.arn,))
    return {"service": service_shapes.service(step, _put(step, service), with_tags=True)}


def update_service(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    service = lookup.service(step, cluster, body["service"])
    if service.status != ServiceStatus.ACTIVE:
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    service_input.refuse_what_is_not_here(body)
    strategy = service.scheduling_strategy
    changes: dict[str, object] = service_input.as_given(body)
    if "deploymentConfiguration" in body:
        before = service.body.get("deploymentConfiguration")
        changes["deploymentConfiguration"] = service_input.deployment_configuration(body, strategy, before)
    if "placementConstraints" in body:
        changes["placementConstraints"] = service_input.placement_constraints(body)
    if "placementStrategy" in body:
        changes["placementStrategy"] = service_input.placement_strategy(body, strategy)
    desired = service_input.desired_count(body, strategy)
    deployment = primary(service)
    definition_arn = deployment.definition_arn
    if body.get("taskDefinition"):
        definition_arn = lookup.task_definition_to_run(step, body["taskDefinition"]).arn
    settings, kept = deployment.settings, service.body
    if (definition := step.task_definitions.get(definition_arn)) is not None:
        asked = _with_what_it_has(service, body, cluster, definition)
        launch = launch_of(asked, cluster, definition)
        if launch.is_fargate and service.is_daemon:
            raise invalid("The daemon scheduling strategy does not support the Fargate launch type.")
        network = network_of(asked, definition, launch)
        settings = _settings(launch, network, body, deployment.settings)
        kept = {name: value for name, value in kept.items() if name not in _OF_CAPACITY}
        kept |= _capacity(launch, network, launch.platform_version)
    service = msgspec.structs.replace(
        service,
        body={**kept, **changes},
        desired_count=service.desired_count if desired is None else desired,
    )
    is_another = (definition_arn, settings) != (deployment.definition_arn, deployment.settings)
    if body.get("forceNewDeployment") or is_another:
        service = with_deployment(step, service, definition_arn=definition_arn, settings=settings)
    return {"service": service_shapes.service(step, _put(step, service), with_tags=True)}


def delete_service(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    service = lookup.service(step, cluster, body["service"])
    if service.status == ServiceStatus.INACTIVE:
        raise service_not_found()
    may_run = body.get("force") or service.is_daemon
    if service.status == ServiceStatus.ACTIVE and service.desired_count > 0 and not may_run:
        raise invalid("The service cannot be stopped while it is scaled above 0.")
    service = msgspec.structs.replace(service, status=ServiceStatus.DRAINING, desired_count=0)
    return {"service": service_shapes.service(step, _put(step, service), with_tags=True)}


def describe_services(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    references: list[str] = body["services"]
    if not references:
        raise invalid("Services cannot be empty.")
    if len(references) > _DESCRIBED_MOST:
        raise invalid(f"At most {_DESCRIBED_MOST} services can be described at a time.")
    services, failures = list[object](), list[Failure]()
    for reference in references:
        found = lookup.find_service(step, cluster, reference)
        if found is None:
            failures.append(missing(_arn_of(step, cluster, reference)))
        else:
            services.append(service_shapes.service(step, found, with_tags=includes(body, "TAGS")))
    return {"services": services, "failures": [msgspec.to_builtins(failure) for failure in failures]}


def list_services(step: Step, body: Json) -> Json:
    """Those that are deleted are not in it, though DescribeServices still shows them."""
    cluster = lookup.cluster(step, body.get("cluster"))
    launch_type, strategy = body.get("launchType"), body.get("schedulingStrategy")
    is_ours = body.get("resourceManagementType", "CUSTOMER") == "CUSTOMER"
    services = [
        service
        for service in step.services
        if is_ours
        and service.cluster == cluster.name
        and service.status == ServiceStatus.ACTIVE
        and launch_type in (None, primary(service).launch_type)
        and strategy in (None, service.scheduling_strategy)
    ]
    return page("ListServices", body, "serviceArns", services, key=_arn, show=_arn)


def list_services_by_namespace(step: Step, body: Json) -> Json:
    """No service is in a namespace: that takes Service Connect, which CreateService refuses."""
    message = f"There is no namespace {body['namespace']}: this machine has no AWS Cloud Map."
    raise ApiError("NamespaceNotFoundException", message)


def _with_what_it_has(service: Service, body: Json, cluster: Cluster, definition: TaskDefinition) -> Json:
    """An update with what it leaves as it is. The launch type changes only by a capacity provider strategy.

    An empty strategy gives that up for the default of the cluster, or else for the launch type.
    """
    settings, strategy = primary(service).settings, body.get("capacityProviderStrategy")
    gives_up = strategy is not None and not strategy and "capacityProviderStrategy" in settings
    asked = dict(body)
    if strategy is None and settings.get("capacityProviderStrategy"):
        asked["capacityProviderStrategy"] = settings["capacityProviderStrategy"]
    elif not strategy and not (gives_up and cluster.default_strategy):
        asked["launchType"] = primary(service).launch_type
    if definition.members.network_mode.has_task_address and not body.get("networkConfiguration"):
        asked["networkConfiguration"] = settings.get("networkConfiguration")
    if not body.get("platformVersion") and not strategy:
        asked["platformVersion"] = service.body.get("platformVersion")
    for member in ("placementConstraints", "placementStrategy"):
        asked.setdefault(member, service.body.get(member, ()))
    return asked


def _made_before(step: Step, body: Json) -> Service | None:
    """What this very request made, as long as it is there. Raises ``InvalidParameterException``."""
    try:
        arns = tokens.resources_of(step, "CreateService", body)
    except ApiError:  # CreateService has no ConflictException
        raise invalid(_NOT_IDEMPOTENT) from None
    service = step.services.get(arns[0]) if arns else None
    return service if service is not None and service.status == ServiceStatus.ACTIVE else None


def _is_same(standing: Service, wanted: Service) -> bool:
    """Whether a service is as another request would make it."""
    return (
        standing.scheduling_strategy == wanted.scheduling_strategy
        and (standing.desired_count == wanted.desired_count or wanted.is_daemon)
        and primary(standing).definition_arn == primary(wanted).definition_arn
        and primary(standing).settings == primary(wanted).settings
        and standing.body == wanted.body
        and standing.tags == wanted.tags
    )


def _capacity(launch: Launch, network: Json, platform_version: str) -> dict[str, object]:
    """What a service and its deployments show of where their tasks run."""
    shown: dict[str, object] = {"launchType": launch.launch_type}
    if launch.strategy:
        shown = {"capacityProviderStrategy": list(launch.strategy)}
    if network:
        shown["networkConfiguration"] = network
    if launch.is_fargate:
        shown |= {"platformVersion": platform_version, "platformFamily": "Linux"}
    return shown


def _settings(launch: Launch, network: Json, body: Json, before: Json | None = None) -> Json:
    """Of a deployment; what is not given of Service Connect is as ``before``."""
    connect = body.get("serviceConnectConfiguration", (before or {}).get("serviceConnectConfiguration"))
    shown = {} if connect is None else {"serviceConnectConfiguration": connect}
    return {**_capacity(launch, network, launch.current_version), **shown}


def _put(step: Step, service: Service) -> Service:
    step.touched_services[service.arn] = None
    return step.services.put(service.arn, service)


def _arn(service: Service) -> str:
    return service.arn


def _arn_of(step: Step, cluster: Cluster, reference: str) -> str:
    """An entry of ``failures``."""
    return reference if reference.startswith("arn:") else lookup.arn_of(step, "service", cluster.name, reference)


ACTIONS: Mapping[str, Action] = {
    "CreateService": Action(create_service),
    "DeleteService": Action(delete_service),
    "DescribeServices": Action(describe_services, is_reader=True),
    "ListServices": Action(list_services, is_reader=True),
    "ListServicesByNamespace": Action(list_services_by_namespace, is_reader=True),
    "UpdateService": Action(update_service),
}
