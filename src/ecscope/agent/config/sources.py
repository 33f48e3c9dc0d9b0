"""Where settings come from: what each file holds, and how a value's origin is shown.

Reads files through a function, so that tests need none. Judges no value.

Source: configuration.md §1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

JSON_FILE_VARIABLE = "ECS_AGENT_CONFIG_FILE_PATH"
DEFAULT_JSON_FILE = "/etc/ecs_container_agent/config.json"
ENVIRONMENT_FILE = "/etc/ecs/ecs.config"
PORT_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"

FileReader = Callable[[str], str | None]
"""Returns the text of a file, ``None`` if it does not exist; raises ``OSError`` or ``UnicodeDecodeError``."""


class OriginKind(Enum):
    """The sources, the strongest first."""

    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    JSON_FILE = "JSON file"
    ENVIRONMENT_FILE = "ecs.config"
    USER_DATA = "EC2 user data"
    IMDS = "instance metadata service"
    DERIVED = "derived"
    """Worked out from other settings or from the host."""
    DEFAULT = "default"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value came from."""

    kind: OriginKind
    place: str = ""
    """Path of the file; for ``DERIVED`` what it was derived from."""
    name: str = ""
    """Variable, JSON key or command line option."""
    raw: str = ""
    """As found there; ``(set)`` for a secret."""

    def __str__(self) -> str:
        match self.kind:
            case OriginKind.DEFAULT:
                return "default"
            case OriginKind.DERIVED:
                return f"derived from {self.place}"
            case OriginKind.JSON_FILE | OriginKind.ENVIRONMENT_FILE:
                return self.place
            case OriginKind.COMMAND_LINE | OriginKind.ENVIRONMENT | OriginKind.USER_DATA | OriginKind.IMDS:
                return str(self.kind.value)


class InstanceData(msgspec.Struct, frozen=True, kw_only=True):
    """What the instance metadata service was asked for the configuration; ``""``: it gave nothing."""

    user_data: str = ""
    region: str = ""
    instance_id: str = ""


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong with one setting, or with one file."""

    name: str
    """Variable, JSON key, option or path."""
    value: str
    """As found there; ``(hidden)`` for a secret, ``""`` without a value."""
    origin: str
    reason: str
    """What is wrong or what would be right, and what is used instead."""
    is_note: bool = False
    """Nothing is wrong: the setting has no effect here yet, or has a newer name."""

    def __str__(self) -> str:
        shown = f"{self.name}={self.value}" if self.value else self.name
        return f"{shown} ({self.origin}): {self.reason}" if self.origin else f"{shown}: {self.reason}"


def read_text_file(path: str) -> str | None:
    """The ``FileReader`` of a running agent."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - saves the import of pathlib at every start
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_environment_file(text: str) -> dict[str, str]:
    """The variables of a ``KEY=VALUE`` file; lines without ``=`` and comments are left out.

    Quirk: quotes belong to the value, as for Docker's own environment files.
    """
    variables: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        name, equals, value = stripped.partition("=")
        if equals and not stripped.startswith("#"):
            variables[name.strip()] = value
    return variables


def read_json_file(text: str) -> Mapping[str, object]:
    """The settings of the JSON file by key in lower case (Go matches keys so); blank means none.

    Raises:
        ValueError: not a JSON object; the message says where it breaks.
    """
    if not text.strip():
        return {}
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}): correct it, or empty the file") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ValueError('not a JSON object: write {"Cluster": "…", …}')  # noqa: TRY004 - it is the value that is bad
    return {key.lower(): value for key, value in document.items()}


def read_user_data(text: str) -> Mapping[str, object]:
    """The settings in EC2 user data, ``{"ECSAgentConfiguration": {…}}``, as ``read_json_file`` gives them.

    User data is most often something else, a script for instance: then there are none.
    """
    try:
        document = read_json_file(text)
    except ValueError:
        return {}
    settings = document.get("ecsagentconfiguration")
    if not isinstance(settings, dict):
        return {}
    return {key.lower(): value for key, value in settings.items()}


def port_range_of_host(text: str | None) -> tuple[int, int] | None:
    """What ``/proc/sys/net/ipv4/ip_local_port_range`` says; ``None`` when it says nothing that can be used."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
        return None
    first, last = map(int, words)
    return (first, last) if 0 < first <= last <= 65535 else None
