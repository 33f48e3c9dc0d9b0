"""What README.md tells to type can be typed: commands, options and files exist; its session with ECS is carried out."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from ecscope.cli.main import build_parser
from tests.contract.aws_lines import ROOT, AwsLine
from tests.e2e.agents import eventually
from tests.e2e.ups import an_up

README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([\w.]+):", (ROOT / "Makefile").read_text(), re.M))
ELSEWHERE = ("aws iam", "echo", "systemctl", "curl")
"""Of other people, and not of ECS."""
OUR_COMMAND = ".venv/bin/ecscope"


def lines() -> list[str]:
    """What a reader can copy: indented, or after a ``$`` in a fence."""
    copied = re.findall(r"^(?:    |\$ )(\S.*)$", README, re.M)
    return [
        line.split("  # ")[0].split("      # ")[0].strip() for line in copied if not line.startswith(('"', "{", "}"))
    ]


def session() -> list[str]:
    """The lines of the section about ``ecscope up``."""
    section = README.split("## ECS on this machine")[1].split("\n## ")[0]
    return [line for line in lines() if f"    {line}" in section]


def without_variables(line: str) -> list[str]:
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    return words


@pytest.mark.parametrize("line", lines())
def test_each_line_can_be_typed(line: str) -> None:
    words = without_variables(line)
    if words[0] == "make":
        assert words[1] in TARGETS
    elif words[0] == OUR_COMMAND:
        build_parser().parse_args(words[1:])
    elif words[0].startswith("scripts/"):
        assert os.access(ROOT / words[0], os.X_OK)
    elif line.startswith("aws ecs"):
        AwsLine(line)
    else:
        assert line.startswith(ELSEWHERE), "neither ours nor known: try it, or add it to ELSEWHERE"
    for path in re.findall(r"\b(?:examples|packaging|docs)/[\w./-]*", line):
        assert (ROOT / path).exists(), path
    for port in re.findall(r"localhost:(\d+)", line):
        assert port == "51678"


def test_each_command_of_the_table_is_there() -> None:
    table = README.split("## Command line")[1].split("\n## ")[0]
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    named = {}
    for cell in re.findall(r"^\| `ecscope ([^`]+)`", table, re.M):
        name = cell.split()[0]
        named[name] = set(re.findall(r"--[\w-]+", cell))
        assert named[name] <= set(commands[name]._option_string_actions), cell
    assert set(named) == set(commands)


def test_what_it_refers_to_is_there() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.timeout(240)
def test_the_session_with_ecs(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    """In a cluster of its own, and on ports of its own; all the rest is as it is told."""
    told = [line for line in session() if line.startswith("aws ecs")]
    assert len(told) > 5
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        exported = dict(re.findall(r"(AWS_\w+)=(\S+)", up.output()))
        for line in told:
            AwsLine(line).carry_out(line, exported, up.cluster)
            if "wait services-stable" in line:
                eventually(lambda: len(up.containers()), lambda count: count == 3, "one task, and two of the service")
        eventually(lambda: len(up.containers()), lambda count: count == 1, "the service's tasks to be gone")
        assert up.end() == 0
        assert up.containers() == []
