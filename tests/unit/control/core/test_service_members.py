"""Every field of a service is a member of the API's model; what is not given is what ECS takes for it."""

from __future__ import annotations

import msgspec

from ecscope.control.core.service_members import ServiceMembers, Threshold
from tests.control_builders import MODEL, a_service


def test_every_field_is_a_member_of_the_model() -> None:
    """One that is mistyped would never be read."""
    assert unknown(ServiceMembers, "CreateServiceRequest") == []


def unknown(kind: type[msgspec.Struct], shape: str) -> list[str]:
    while (found := MODEL.shape(shape)).member is not None:
        shape = found.member.shape
    missing = []
    for field in msgspec.structs.fields(kind):
        reference = found.members.get(field.encode_name)
        if reference is None:
            missing.append(f"{kind.__name__}.{field.name}")
            continue
        for inner in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                missing += unknown(inner, reference.shape)
    return missing


def test_a_service_that_says_nothing() -> None:
    members = a_service().members
    breaker = members.deployment_configuration.deployment_circuit_breaker
    assert (members.launch_type, members.propagate_tags, members.health_check_grace_period_seconds) == (
        "EC2",
        "NONE",
        0,
    )
    assert (breaker.enable, breaker.rollback, breaker.reset_on_healthy_task) == (False, False, True)
    assert breaker.threshold_configuration == Threshold(type="BOUNDED_PERCENT", value=50)


def test_what_a_service_says_is_read() -> None:
    body = {
        "launchType": "EXTERNAL",
        "enableECSManagedTags": True,
        "roleArn": "only shown",
        "deploymentConfiguration": {
            "maximumPercent": 150,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True, "thresholdConfiguration": {"value": 9}},
        },
    }
    members = a_service(body=body).members
    configuration = members.deployment_configuration
    assert (members.launch_type, members.enable_ecs_managed_tags) == ("EXTERNAL", True)
    assert (configuration.maximum_percent, configuration.minimum_healthy_percent) == (150, None)
    assert configuration.deployment_circuit_breaker.threshold_configuration.value == 9
