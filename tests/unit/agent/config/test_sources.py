"""Files are read as they stand, missing ones are fine, and every origin and mistake says where it was found."""

from pathlib import Path

import pytest

from ecscope.agent.config.sources import (
    Mistake,
    Origin,
    OriginKind,
    port_range_of_host,
    read_environment_file,
    read_json_file,
    read_text_file,
    read_user_data,
)
from tests.tables import each_row


def test_a_text_file_is_read_and_a_missing_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes("größe".encode())
    assert read_text_file(str(file)) == "größe"
    assert read_text_file(str(tmp_path / "no")) is None
    assert read_text_file(str(file / "below")) is None


def test_a_file_that_is_there_and_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_text_file(str(tmp_path))
    (tmp_path / "latin").write_bytes(b"\xe4")
    with pytest.raises(UnicodeDecodeError):
        read_text_file(str(tmp_path / "latin"))


def test_the_lines_of_an_environment_file() -> None:
    text = '\n# ECS_A=1\n  ECS_B = x y \r\nECS_C="quoted"\nECS_D=a=b\nnonsense\nECS_E=\nECS_B2=1\nECS_B2=2'
    assert read_environment_file(text) == {
        "ECS_B": " x y",
        "ECS_C": '"quoted"',
        "ECS_D": "a=b",
        "ECS_E": "",
        "ECS_B2": "2",
    }


def test_the_keys_of_the_json_file_are_lowered() -> None:
    assert read_json_file('{"Cluster": "a", "AWSRegion": null}') == {"cluster": "a", "awsregion": None}
    assert read_json_file(" \n") == {}
    assert read_json_file("null") == {}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ('{"ECSAgentConfiguration":{"Cluster":"a","AWSRegion":null}}', {"cluster": "a", "awsregion": None}),
        ('{"ecsagentconfiguration":{}}', {}),
        ('{"ECSAgentConfiguration":"x"}', {}),
        ("#cloud-config\n", {}),
        ("", {}),
    ],
)
def test_user_data(text: str, settings: dict[str, object]) -> None:
    assert read_user_data(text) == settings


@pytest.mark.parametrize("text", ["{", "[1]", "{'a': 1}", "[" * 100_000, "\ud800"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON|not a JSON object"):
        read_json_file(text)


@each_row(
    "text, ports",
    [
        ("32768\t60999\n", (32768, 60999)),
        ("1 65535", (1, 65535)),
        (None, None),
        ("", None),
        ("x y", None),
        ("2 1", None),
        ("0 5", None),
        ("1 65536", None),
    ],
)
def test_the_port_range_of_the_kernel(text: str | None, ports: tuple[int, int] | None) -> None:
    assert port_range_of_host(text) == ports


@each_row(
    "origin, text",
    [
        (Origin(kind=OriginKind.DEFAULT), "default"),
        (Origin(kind=OriginKind.DERIVED, place="--tasks"), "derived from --tasks"),
        (Origin(kind=OriginKind.JSON_FILE, place="/a.json", name="Cluster"), "/a.json"),
        (Origin(kind=OriginKind.ENVIRONMENT_FILE, place="/e", name="ECS_A"), "/e"),
        (Origin(kind=OriginKind.ENVIRONMENT, name="ECS_A"), "environment"),
        (Origin(kind=OriginKind.USER_DATA, name="Cluster"), "EC2 user data"),
        (Origin(kind=OriginKind.IMDS, name="region"), "instance metadata service"),
        (Origin(kind=OriginKind.COMMAND_LINE, name="--log-level"), "command line"),
    ],
)
def test_an_origin_in_words(origin: Origin, text: str) -> None:
    assert str(origin) == text


def test_a_mistake_in_words() -> None:
    assert str(Mistake(name="A", value="1", origin="environment", reason="no")) == "A=1 (environment): no"
    assert str(Mistake(name="A", value="", origin="environment", reason="no")) == "A (environment): no"
    assert str(Mistake(name="A", value="", origin="", reason="no")) == "A: no"
