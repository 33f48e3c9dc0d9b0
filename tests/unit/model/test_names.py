"""Docker objects get the names that the official agent gives them, to the letter."""

from __future__ import annotations

import pytest

from ecscope.model.names import container_docker_name, volume_docker_name

SUFFIX = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("app", "app"),
        ("my_app", "myapp"),
        ("my-app.2", "my-app2"),
        ("Größe", "Gre"),
        ("~internal~ecs~pause", "internalecspause"),
    ],
)
def test_a_container_is_named_after_its_family_version_and_cleaned_name(name: str, cleaned: str) -> None:
    """engine.md §6.1."""
    named = container_docker_name(family="web", version="7", container_name=name, suffix=SUFFIX)
    assert named == f"ecs-web-7-{cleaned}-{SUFFIX}"


def test_a_task_volume_keeps_its_own_name_as_it_is() -> None:
    """engine.md §6.1."""
    named = volume_docker_name(family="web", version="7", volume_name="my_data", suffix=SUFFIX)
    assert named == f"ecs-web-7-my_data-{SUFFIX}"
