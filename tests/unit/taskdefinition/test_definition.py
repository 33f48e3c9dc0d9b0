"""Every field of a definition is a member that the rules know, and says what the document says."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.model.network import NetworkMode
from ecscope.taskdefinition.definition import ContainerDefinition, Definition, PortMapping, definition_of
from ecscope.taskdefinition.members import TASK_DEFINITION_TO_REGISTER, Items, Members, Rule

from .definitions import FULL, container, task


def test_every_field_is_a_member_that_the_rules_know() -> None:
    """One that is mistyped would never be read."""
    assert list(unknown(Definition, TASK_DEFINITION_TO_REGISTER)) == []


def unknown(kind: type[msgspec.Struct], rule: Rule) -> list[str]:
    while isinstance(rule, Items):
        rule = rule._item
    assert isinstance(rule, Members)
    found = []
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in rule._members:
            found.append(f"{kind.__name__}.{field.name}")
            continue
        for inner in structs_in(field.type):
            found += unknown(inner, rule._members[field.encode_name])
    return found


def structs_in(kind: object) -> list[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [found for inner in getattr(kind, "__args__", ()) for found in structs_in(inner)]


def test_a_whole_definition_is_read() -> None:
    """All that is given reads as something else than what is not given."""
    read = definition_of(FULL)
    web = read.container_definitions[0]
    nothing = ContainerDefinition(name="web", image="")
    same = {name for name in ContainerDefinition.__struct_fields__ if getattr(web, name) == getattr(nothing, name)}
    assert same == {"name", "essential", "secrets", "repository_credentials"}  # not in a file
    assert [volume.name for volume in read.volumes] == ["logs", "data", "scratch"]
    assert (read.network_mode, read.cpu, read.memory, read.runtime_platform.cpu_architecture) == (
        NetworkMode.BRIDGE, "512", "1GB", "X86_64",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mapping", "network_mode", "port"),
    [
        (PortMapping(container_port=80), "bridge", 0),
        (PortMapping(container_port=80, host_port=8080), "bridge", 8080),
        (PortMapping(container_port=80, host_port=80), "host", 80),
        (PortMapping(container_port=80), "host", 80),
        (PortMapping(container_port_range="80-90"), "host", 0),
    ],
)
def test_the_host_port_that_is_asked_for(mapping: PortMapping, network_mode: str, port: int) -> None:
    assert mapping.host_port_in(NetworkMode(network_mode)) == port


def test_what_is_no_definition_is_none() -> None:
    with pytest.raises(msgspec.ValidationError, match="containerDefinitions"):
        definition_of(task(container("app", memory="64")))
