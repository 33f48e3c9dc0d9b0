"""``ecscope config`` shows every setting with its source, tells mistakes, and keeps secrets."""

import json
from pathlib import Path

import pytest

from ecscope.agent.config.settings import SETTINGS
from ecscope.cli.config import run
from ecscope.cli.main import build_parser


def config_run(*words: str) -> int:
    return run(build_parser().parse_args(["config", *words]))


@pytest.fixture(autouse=True)
def no_settings_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Only what a test sets; gives the path of the JSON file."""
    for setting in SETTINGS:
        if setting.variable:
            monkeypatch.delenv(setting.variable, raising=False)
    path = tmp_path / "agent.json"
    monkeypatch.setenv("ECS_AGENT_CONFIG_FILE_PATH", str(path))
    return path


def rows(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in out.splitlines()}


def test_every_setting_with_its_source(
    monkeypatch: pytest.MonkeyPatch, no_settings_of_this_host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECS_CLUSTER", "prod")
    no_settings_of_this_host.write_text('{"DockerStopTimeout": 5000000000}')
    assert config_run("--tasks", "x", "--log-level", "debug") == 0
    out, err = capsys.readouterr()
    shown = rows(out)
    assert set(shown) == {setting.name for setting in SETTINGS} | {"SETTING"}
    assert shown["ECS_CLUSTER"] == ["prod", "environment"]
    assert shown["ECS_CONTAINER_STOP_TIMEOUT"] == ["5s", f"{no_settings_of_this_host}:", "DockerStopTimeout"]
    assert shown["ECS_LOGLEVEL"] == ["debug", "--log-level"]
    assert shown["ECS_DATADIR"] == ["/var/lib/ecscope", "derived", "from", "--tasks"]
    assert shown["ECS_IMAGE_PULL_BEHAVIOR"] == ["default", "default"]
    assert err == ""


def test_secrets_are_only_said_to_be_set(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("ECS_ENGINE_AUTH_DATA", '{"r":{"password":"hunter2"}}')
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@proxy:1")
    for words in ((), ("--json",)):
        assert config_run("--tasks", "x", *words) == 0
        out, err = capsys.readouterr()
        assert "hunter2" not in out + err
        assert out.count("(set)") >= 2


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("ECS_CLUSTER", "a b", "error: ECS_CLUSTER=a b (environment): a cluster has up to 255 letters"),
        ("ECS_CHECKPOINT", "maybe", "warning: ECS_CHECKPOINT=maybe (environment): write true or false"),
        (
            "ECS_CONTAINER_STOP_TIMEOUT",
            "5ms",
            "warning: ECS_CONTAINER_STOP_TIMEOUT=5ms (environment): must be at least",
        ),
        ("ECSCOPE_NO_SUCH", "1", "warning: ECSCOPE_NO_SUCH (environment): unknown setting"),
        ("ECS_ENGINE_AUTH_DATA", '{"auths":{}}', "(hidden) (environment): ECS_ENGINE_AUTH_DATA: the registries are"),
    ],
)
def test_a_wrong_setting_is_named_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, shown: str
) -> None:
    monkeypatch.setenv("ECS_ENGINE_AUTH_TYPE", "dockercfg")
    monkeypatch.setenv(variable, value)
    assert config_run("--tasks", "x") == 2
    assert shown in capsys.readouterr().err


def test_what_has_no_effect_yet_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_ENABLE_GPU_SUPPORT", "true")
    assert config_run("--tasks", "x") == 0


def test_mistakes_are_listed_and_end_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECS_CHECKPOINT", "maybe\x1b[2J")
    monkeypatch.setenv("ECS_INSTANCE_ATTRIBUTES", "{")
    assert config_run("--tasks", "x") == 2
    out, err = capsys.readouterr()
    assert rows(out)["ECS_CHECKPOINT"][0] == "true"
    assert "warning: ECS_CHECKPOINT=maybe\\x1b[2J (environment): " in err
    assert "error: ECS_INSTANCE_ATTRIBUTES={ (environment): " in err
    assert "\x1b" not in err


def test_joining_a_cluster_needs_a_region(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for variable, sentence in (
        ("ECS_EXTERNAL", "AWS_DEFAULT_REGION has to be set when running on external capacity"),
        ("AWS_EC2_METADATA_DISABLED", "Missing required fields: AWSRegion"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "true")
            assert config_run() == 2
        assert sentence in capsys.readouterr().err


def test_what_ec2_may_add_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert config_run("--cluster", "prod") == 0
    out, err = capsys.readouterr()
    assert rows(out)["ECS_CLUSTER"] == ["prod", "--cluster"]
    assert err.startswith("note: EC2 user data")
    assert config_run("--tasks", "x") == 0
    assert capsys.readouterr().err == ""


def test_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ECS_RESERVED_PORTS", "[22]")
    monkeypatch.setenv("ECS_CONTAINER_STOP_TIMEOUT", "1ms")
    assert config_run("--tasks", "x", "--json", "--data-dir", "/d") == 2
    document = json.loads(capsys.readouterr().out)
    assert list(document["settings"]) == [setting.name for setting in SETTINGS]
    assert document["settings"]["ECS_RESERVED_PORTS"] == {
        "value": "[22]",
        "from": "environment",
        "place": "",
        "name": "ECS_RESERVED_PORTS",
        "raw": "[22]",
    }
    assert document["settings"]["ECS_DATADIR"]["name"] == "--data-dir"
    assert document["warnings"] == ["ECS_CONTAINER_STOP_TIMEOUT=1ms (environment): must be at least 1s. 1s is used"]
    assert document["errors"] == []
