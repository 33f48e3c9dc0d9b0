"""docs/control-plane.md lists what is refused, all of it, what people miss most first, and nothing that works."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ecscope.control.api import service_input
from ecscope.taskdefinition.members import TASK_DEFINITION_TO_REGISTER, Items, Members, Refused, Rule
from tests.e2e.agents import ROOT

OF_A_SERVICE = {*service_input._REFUSED, "serviceConnectConfiguration"}


def refused_members(rule: Rule, name: str = "") -> Iterator[str]:
    match rule:
        case Refused():
            yield name
        case Items():
            yield from refused_members(rule._item, name)
        case Members():
            for inner, of_inner in rule._members.items():
                yield from refused_members(of_inner, inner)


def bullets() -> list[str]:
    page = (ROOT / "docs" / "control-plane.md").read_text()
    section = page.partition("## What is refused\n")[2].partition("\n## ")[0]
    return section.split("\n* ")[1:]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([a-z]\w+[A-Z]\w+|[a-z]+)`", text)) - {"docker", "exec"}


def test_the_list_is_what_is_refused() -> None:
    listed = {name for bullet in bullets() for name in names(bullet)}
    assert listed == {*refused_members(TASK_DEFINITION_TO_REGISTER)} | OF_A_SERVICE


def test_load_balancers_cloud_map_and_service_connect_come_first() -> None:
    first = bullets()[0]
    assert first.startswith("load balancers (`loadBalancers`")
    assert first.index("Cloud Map (`serviceRegistries`)") < first.index("Service Connect")
    assert len(bullets()) <= 6, "one short list"
