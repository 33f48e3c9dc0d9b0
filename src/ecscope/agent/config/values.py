"""The forms a setting's value can have, in the environment and in the JSON file.

A form reads text (environment, ``ecs.config``, command line) or a JSON value, and writes text as
the environment would carry it. It knows no setting and no source.

``None`` means "not set": an empty, zero or unreadable value lets the next source decide.
Only booleans and log levels can be switched off explicitly.

Source: configuration.md §2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Network
from typing import TypeVar

import msgspec

from ecscope.model.duration import format_go_duration, parse_go_duration
from ecscope.model.image_reference import InvalidImageReference, parse_image_reference

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_PORT_RANGE = re.compile(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", re.ASCII)
_RATES = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_USERINFO = re.compile(r"//[^/@\s]*@")
_BRIDGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_SHORTEST_PREFIX, _LONGEST_PREFIX = 8, 28
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Source: CreateCluster of the ECS API (2014-11-13)."""
_LAST_PORT = 65535
_NOT_JSON = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104 - who is answered there is decided for each connection
_EnumT = TypeVar("_EnumT", bound=Enum)


class Secret(msgspec.Struct, frozen=True):
    """A text that is never printed: ``repr`` and ``str`` hide it."""

    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)

    def __repr__(self) -> str:
        return "Secret(set)" if self.text else "Secret()"

    __str__ = __repr__


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How values of one type are read and written. Readers raise ``ValueError`` with what would be right."""

    name: str
    """In the words of the reference: ``duration``, ``list``."""
    read_text: Callable[[str], object | None]
    read_json: Callable[[object], object | None]
    write: Callable[[object], str] = str
    """As the environment would carry it; ``""`` where nothing is set."""


def without_userinfo(text: str) -> str:
    """``text`` with the user and password of any URL in it hidden."""
    return _USERINFO.sub("//(hidden)@", text)


# Readers of text


def _read_text(text: str) -> str | None:
    return text or None


def _read_trimmed(text: str) -> str | None:
    return text.strip() or None


def _read_cluster(text: str) -> str | None:
    cluster = text.strip()
    name = cluster.rpartition("/")[2] if cluster.startswith("arn:") else cluster
    if cluster and not _CLUSTER_NAME.fullmatch(name):
        raise ValueError("a cluster has up to 255 letters, digits, hyphens and underscores, or is given by its ARN")
    return cluster or None


def _read_bridge(text: str) -> str | None:
    name = text.strip()
    if name and not _BRIDGE_NAME.fullmatch(name):
        raise ValueError("the name of an interface has up to 15 letters, digits, hyphens, underscores and dots")
    return name or None


def _read_subnet(text: str) -> str | None:
    if not text.strip():
        return None
    try:
        subnet = IPv4Network(text.strip())
    except ValueError:
        subnet = None
    if subnet is None or not _SHORTEST_PREFIX <= subnet.prefixlen <= _LONGEST_PREFIX:
        raise ValueError("write an IPv4 subnet with 8 to 28 bits, such as 10.213.0.0/20")
    return str(subnet)


def _read_url(text: str) -> str | None:
    url = text.strip()
    if not url:
        return None
    return url if "://" in url else f"https://{url}"


def _read_docker_host(text: str) -> str | None:
    if not text:
        return None
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"unix", "tcp"} or not rest:
        raise ValueError("write unix:///path/to/docker.sock or tcp://host:port")
    return text


def _read_bool(text: str) -> bool | None:
    trimmed = text.strip()
    if trimmed in _TRUE:
        return True
    if trimmed in _FALSE:
        return False
    if not trimmed:
        return None
    raise ValueError("write true or false (1, t, T, TRUE, True and 0, f, F, FALSE, False do as well)")


def _read_duration(text: str) -> float | None:
    if not text:
        return None
    seconds = parse_go_duration(text)
    if seconds < 0:
        raise ValueError("a duration cannot be negative here")
    return seconds or None


def _read_integer(text: str) -> int | None:
    trimmed = text.strip()
    if not trimmed:
        return None
    if not _INTEGER.fullmatch(trimmed):
        raise ValueError("write a whole number, such as 5")
    return int(trimmed) or None


def _read_number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError("write a number, such as 5 or 0.5") from None
    if not 0 <= number < float("inf"):
        raise ValueError("write a number that is not negative, such as 5 or 0.5")
    return number or None


def _decode(text: str, advice: str) -> object | None:
    if not text.strip():
        return None
    try:
        decoded: object = msgspec.json.decode(text)
    except _NOT_JSON:
        raise ValueError(f"not JSON: {advice}") from None
    return decoded


_TEXT_LIST_ADVICE = 'write a JSON list of texts, such as ["json-file","awslogs"]'
_PORT_LIST_ADVICE = "write a JSON list of port numbers from 0 to 65535, such as [22,80]"
_MAP_ADVICE = 'write a JSON object of texts, such as {"stack":"prod"}'


def _read_text_list(text: str) -> tuple[str, ...] | None:
    return _texts_from_json(_decode(text, _TEXT_LIST_ADVICE))


def _read_comma_list(text: str) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) or None


def _read_port_list(text: str) -> tuple[int, ...] | None:
    return _ports_from_json(_decode(text, _PORT_LIST_ADVICE))


def _read_map(text: str) -> Mapping[str, str] | None:
    return _map_from_json(_decode(text, _MAP_ADVICE))


def _read_image_map(text: str) -> Mapping[str, str] | None:
    found = _read_map(text)
    for reference in (part for pair in (found or {}).items() for part in pair):
        try:
            parse_image_reference(reference)
        except InvalidImageReference as error:
            raise ValueError(str(error)) from None
    return found


def _read_port_range(text: str) -> tuple[int, int] | None:
    if not text.strip():
        return None
    found = _PORT_RANGE.fullmatch(text)
    if found is not None:
        first, last = int(found[1]), int(found[2])
        if 0 < first <= last <= _LAST_PORT:
            return first, last
    raise ValueError("write the first and the last port, such as 49153-65535")


def _read_rates(text: str) -> tuple[int, int] | None:
    if not text.strip():
        return None
    found = _RATES.fullmatch(text)
    if found is None:
        raise ValueError("write two whole numbers, steady rate and burst, such as 40,60")
    steady, burst = int(found[1]), int(found[2])
    if steady <= 0 or burst <= 0:
        raise ValueError("both rates must be above 0, as in 40,60")
    return steady, burst


def _read_addresses(text: str) -> tuple[str, ...] | None:
    from socket import AF_INET, AF_INET6, inet_pton  # noqa: PLC0415 - only where the variable is set

    parts = _read_comma_list(text)
    if parts is None:
        return None
    if parts == ("*",):
        return EVERY_INTERFACE
    for part in parts:
        try:
            inet_pton(AF_INET6 if ":" in part else AF_INET, part)
        except OSError:
            raise ValueError(
                f"{part!r} is not an IP address: write a comma-separated list such as 127.0.0.1,::1, or * for all"
            ) from None
    return tuple(dict.fromkeys(parts))


def _read_secret(text: str) -> Secret | None:
    return Secret(text) if text else None


def _read_secret_object(text: str) -> Secret | None:
    if not text.strip():
        return None
    try:
        decoded = msgspec.json.decode(text)
    except _NOT_JSON:
        decoded = None  # raised below, without the cause: its text could quote the secret
    if not isinstance(decoded, dict):
        raise ValueError("write a JSON object, registry to credentials")  # noqa: TRY004 - it is the value that is bad
    return Secret(text) if decoded else None


# Readers of JSON


def _wrong(advice: str) -> ValueError:
    return ValueError(advice)


def _only_text(read: Callable[[str], object | None]) -> Callable[[object], object | None]:
    def read_json(value: object) -> object | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise _wrong('write a text in quotes: "…"')
        return read(value)

    return read_json


def _bool_from_json(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _wrong("write true, false or null, without quotes")


def _duration_from_json(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("write a whole number of nanoseconds, without quotes: 30000000000 for 30s")
    if value < 0:
        raise _wrong("a duration cannot be negative here")
    return value / 1_000_000_000 or None


def _integer_from_json(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("write a whole number, without quotes")
    return value or None


def _texts_from_json(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong(_TEXT_LIST_ADVICE)
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) != len(value):
        raise _wrong(_TEXT_LIST_ADVICE)
    return tuple(texts) or None


def _ports_from_json(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong(_PORT_LIST_ADVICE)
    ports = [item for item in value if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= _LAST_PORT]
    if len(ports) != len(value):
        raise _wrong(_PORT_LIST_ADVICE)
    return tuple(ports) or None


def _map_from_json(value: object) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong(_MAP_ADVICE)
    texts = {key: text for key, text in value.items() if isinstance(text, str)}
    if len(texts) != len(value):
        raise _wrong(_MAP_ADVICE)
    return texts or None


def _rates_from_json(value: object) -> tuple[int, int] | None:
    """``value`` is the pair of both keys' values."""
    assert isinstance(value, tuple)
    if value == (None, None):
        return None
    numbers = [number for number in value if isinstance(number, int) and not isinstance(number, bool)]
    if len(numbers) != len(value):
        raise _wrong("write both rates as whole numbers, without quotes")
    steady, burst = numbers
    if steady <= 0 or burst <= 0:
        return None  # the defaults are used, as for an unset value
    return steady, burst


def _secret_object_from_json(value: object) -> Secret | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong("write a JSON object, registry to credentials")
    return Secret(msgspec.json.encode(value).decode()) if value else None


def _never_in_json(value: object) -> object | None:
    raise AssertionError(f"a setting without a JSON key was read from JSON: {value!r}")


# Writers


def _write_bool(value: object) -> str:
    return "true" if value else "false"


def _write_duration(value: object) -> str:
    assert isinstance(value, float | int)
    return format_go_duration(value)


def _write_number(value: object) -> str:
    assert isinstance(value, float | int)
    return f"{value:g}"


def _write_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _write_commas(value: object) -> str:
    assert isinstance(value, tuple)
    return ",".join(map(str, value))


def _write_range(value: object) -> str:
    assert isinstance(value, tuple)
    return "-".join(map(str, value))


def _write_addresses(value: object) -> str:
    return "*" if value == EVERY_INTERFACE else _write_commas(value)


def _write_secret(value: object) -> str:
    return "(set)" if value else ""


def _write_url(value: object) -> str:
    return without_userinfo(str(value))


def _write_proxy(value: object) -> str:
    """Hides the password even where it is not a URL: without a scheme, or with a slash in the password."""
    before, at, host = str(value).rpartition("@")
    scheme = f"{before.partition('://')[0]}://" if "://" in before else ""
    return f"{scheme}(hidden)@{host}" if at else host


def choice(kind: type[_EnumT], *, numbers: Mapping[int, _EnumT] | None = None, otherwise: _EnumT | None = None) -> Form:
    """One word of an enum; the JSON file carries it as one of ``numbers``, or not at all.

    ``otherwise`` is used for every other word; ``None``: another word is a mistake.
    """
    words = {str(member.value): member for member in kind}
    advice = f"write one of {', '.join(words)}"

    def read_text(text: str) -> _EnumT | None:
        trimmed = text.strip()
        if not trimmed:
            return None
        if trimmed in words:
            return words[trimmed]
        if otherwise is not None:
            return otherwise
        raise ValueError(advice)

    def read_json(value: object) -> _EnumT | None:
        if value is None:
            return None
        if numbers is None or isinstance(value, bool) or not isinstance(value, int) or value not in numbers:
            raise _wrong(f"write one of {', '.join(f'{n} ({m.value})' for n, m in (numbers or {}).items())}")
        return numbers[value]

    def write(value: object) -> str:
        assert isinstance(value, kind)
        return str(value.value)

    return Form(name=" ".join(f"`{word}`" for word in words), read_text=read_text, read_json=read_json, write=write)


def integer_between(first: int, last: int) -> Form:
    """A whole number; one outside of the limits is a mistake, not a number to correct."""

    def check(value: int | None) -> int | None:
        if value is not None and not first <= value <= last:
            raise ValueError(f"write a whole number from {first} to {last}")
        return value

    return Form(
        name="int",
        read_text=lambda text: check(_read_integer(text)),
        read_json=lambda value: check(_integer_from_json(value)),
    )


def words(*allowed: str) -> Form:
    """One of a few words, in the environment and in the JSON file alike."""

    def read_text(text: str) -> str | None:
        trimmed = text.strip()
        if not trimmed:
            return None
        if trimmed not in allowed:
            raise ValueError(f"write one of {', '.join(allowed)}")
        return trimmed

    return Form(name=" ".join(f"`{word}`" for word in allowed), read_text=read_text, read_json=_only_text(read_text))


def known_words(*allowed: str) -> Form:
    """A list of which every item must be known."""

    def check(items: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for item in items or ():
            if item not in allowed:
                raise ValueError(f"{item!r} is not known; known are {', '.join(allowed)}")
        return items

    return Form(
        name="list",
        read_text=lambda text: check(_read_text_list(text)),
        read_json=lambda value: check(_texts_from_json(value)),
        write=_write_json,
    )


TEXT = Form(name="text", read_text=_read_text, read_json=_only_text(_read_text))
TRIMMED = Form(name="text", read_text=_read_trimmed, read_json=_only_text(_read_trimmed))
BRIDGE = Form(name="name of an interface", read_text=_read_bridge, read_json=_never_in_json)
SUBNET = Form(name="IPv4 subnet in CIDR notation", read_text=_read_subnet, read_json=_never_in_json)
CLUSTER = Form(name="cluster name or ARN", read_text=_read_cluster, read_json=_only_text(_read_cluster))
URL = Form(name="URL", read_text=_read_url, read_json=_only_text(_read_url), write=_write_url)
PROXY = Form(name="URL", read_text=_read_text, read_json=_never_in_json, write=_write_proxy)
DOCKER_HOST = Form(name="URL", read_text=_read_docker_host, read_json=_only_text(_read_docker_host), write=_write_url)
BOOL = Form(name="bool", read_text=_read_bool, read_json=_bool_from_json, write=_write_bool)
DURATION = Form(name="duration", read_text=_read_duration, read_json=_duration_from_json, write=_write_duration)
INTEGER = Form(name="int", read_text=_read_integer, read_json=_integer_from_json)
NUMBER = Form(name="number", read_text=_read_number, read_json=_never_in_json, write=_write_number)
PORT_LIST = Form(name="list of ports", read_text=_read_port_list, read_json=_ports_from_json, write=_write_json)
COMMA_LIST = Form(name="comma list", read_text=_read_comma_list, read_json=_texts_from_json, write=_write_commas)
TEXT_MAP = Form(name="map", read_text=_read_map, read_json=_map_from_json, write=_write_json)
IMAGE_MAP = Form(name="map", read_text=_read_image_map, read_json=_never_in_json, write=_write_json)
PORT_RANGE = Form(name="`a-b`", read_text=_read_port_range, read_json=_never_in_json, write=_write_range)
RATES = Form(name="`steady,burst`", read_text=_read_rates, read_json=_rates_from_json, write=_write_commas)
ADDRESSES = Form(
    name="comma list of IP addresses", read_text=_read_addresses, read_json=_never_in_json, write=_write_addresses
)
SECRET = Form(name="text", read_text=_read_secret, read_json=_never_in_json, write=_write_secret)
SECRET_OBJECT = Form(
    name="JSON", read_text=_read_secret_object, read_json=_secret_object_from_json, write=_write_secret
)
