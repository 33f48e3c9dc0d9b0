"""``ecscope metadata`` shows what an agent says of itself, to people and to programs."""

import json

import pytest

from ecscope.cli.main import build_parser
from ecscope.cli.metadata import run
from tests.unit.cli.answering import Answers, captured, nobody, serving


def metadata_run(*words: str) -> int:
    return run(build_parser().parse_args(["metadata", *words]))


def test_for_people(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert metadata_run("--endpoint", agent.endpoint) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Cluster             default",
        "Container instance  arn:aws:ecs:us-west-2:012345678910:container-instance/default/"
        "adb0bf0be846406d8763ab89f65e712f",
        "Version             Amazon ECS Agent - v1.105.1 (*a8b3e7d3)",
    ]


def test_for_programs(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert metadata_run("--endpoint", agent.endpoint, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(captured("metadata")[1])
    assert list(shown) == ["Cluster", "ContainerInstanceArn", "Version"]


def test_an_agent_that_hides_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    body = b'{"Cluster":"\\u001b[2J","ContainerInstanceArn":null}'
    with serving(Answers({"/v1/metadata": (200, body)})) as answers:
        assert metadata_run("--endpoint", answers.endpoint) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["\\x1b[2J", "-", "-"]


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert metadata_run("--endpoint", nobody()) == 1
    assert capsys.readouterr().err.startswith("ecscope metadata: no agent answers on")
    assert metadata_run("--endpoint", "ftp://x") == 2
    assert "write http://host:port" in capsys.readouterr().err
