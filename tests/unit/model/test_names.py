"""Docker names are built as ECS builds them. Source: engine.md §6.1."""

import pytest

from ecscope.model.names import container_docker_name, volume_docker_name

SUFFIX = "ec80bea9819d9cb37700"


@pytest.mark.parametrize(
    ("name", "cleaned"), [("simple-app", "simple-app"), ("simple_app.2", "simpleapp2"), ("Büro", "Bro"), ("_", "")]
)
def test_a_container_name_is_cleaned(name: str, cleaned: str) -> None:
    built = container_docker_name(family="sample_1", version="6", container_name=name, suffix=SUFFIX)
    assert built == f"ecs-sample_1-6-{cleaned}-{SUFFIX}"


def test_a_volume_name_is_taken_as_it_is() -> None:
    built = volume_docker_name(family="sample", version="6", volume_name="my_vol.1", suffix=SUFFIX)
    assert built == f"ecs-sample-6-my_vol.1-{SUFFIX}"
