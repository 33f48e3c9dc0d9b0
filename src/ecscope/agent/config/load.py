"""How a ``Config`` is loaded: the sources, their order, the bounds, and what is reported about a bad value.

``load_config`` takes the first source that sets a value: command line, environment, JSON file,
``/etc/ecs/ecs.config``, EC2 user data, the instance metadata service (region only), default; then
bounds are enforced. All mistakes are found in one go. It makes no network call: the answers of the
instance metadata service are an argument.

Source: configuration.md §1-§4.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from ecscope.agent.config.setting_type import UNSUPPORTED, UNSUPPORTED_KEYS, OutOfBounds, Setting
from ecscope.agent.config.settings import SETTINGS, Config
from ecscope.agent.config.sources import (
    DEFAULT_JSON_FILE,
    ENVIRONMENT_FILE,
    JSON_FILE_VARIABLE,
    PORT_RANGE_FILE,
    FileReader,
    InstanceData,
    Mistake,
    Origin,
    OriginKind,
    port_range_of_host,
    read_environment_file,
    read_json_file,
    read_text_file,
    read_user_data,
)
from ecscope.agent.config.values import without_userinfo
from ecscope.log import LogLevel

_T = TypeVar("_T")

STANDALONE_DATA_DIR = "/var/lib/ecscope"
_OUR_PREFIX = "ECSCOPE_"
_OTHER_OWN_VARIABLES = frozenset({"ECSCOPE_ENDPOINT"})
"""Read by the command line, not here."""
_LONGEST_SHOWN = 200
"""Characters of a bad value that a message quotes."""


_DEFAULTS = Config()
_FIELDS = {setting.field: setting for setting in SETTINGS}


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, where each of its values came from, and what was wrong on the way."""

    config: Config
    origins: Mapping[str, Origin]
    """By field, every field."""
    warnings: tuple[Mistake, ...] = ()
    errors: tuple[Mistake, ...] = ()
    """Not empty: the agent must not start. ``config`` then holds defaults where the errors are."""
    asks_imds: bool = False
    """Not complete yet: ask the instance metadata service, and load again with its ``InstanceData``."""


def load_config(
    environ: Mapping[str, str],
    *,
    standalone: bool = False,
    overrides: Mapping[str, tuple[str, str]] = types.MappingProxyType({}),
    file_reader: FileReader = read_text_file,
    instance_data: InstanceData | None = None,
) -> LoadedConfig:
    """Read all sources. Never raises for what a user wrote: see ``LoadedConfig.errors``.

    Args:
        environ: the process environment.
        standalone: tasks come from files (``--tasks``), no cluster is joined: a region is not needed, state is
            kept by default, and in another directory.
        overrides: field → (command line option, its text), in the syntax of the environment.
        file_reader: reads the JSON file, ``ecs.config`` and the kernel's port range.
        instance_data: what the instance metadata service said; ``None``: it has not been asked. Then a missing region
            is not a mistake as long as it may be asked: see ``LoadedConfig.asks_imds``.
    """
    return _Loading(environ, standalone, overrides, file_reader, instance_data).load()


class _Loading:
    """One run of ``load_config``: collects values, origins and mistakes."""

    def __init__(
        self,
        environ: Mapping[str, str],
        standalone: bool,
        overrides: Mapping[str, tuple[str, str]],
        file_reader: FileReader,
        instance_data: InstanceData | None,
    ) -> None:
        self._environ = environ
        self._standalone = standalone
        self._overrides = overrides
        self._read_file = file_reader
        self._instance_data = instance_data
        self._values: dict[str, object] = {}
        self._origins: dict[str, Origin] = {}
        self._warnings: list[Mistake] = []
        self._errors: list[Mistake] = []
        self._file_variables: Mapping[str, str] = {}
        self._json: Mapping[str, object] = {}
        self._user_data: Mapping[str, object] = {}
        self._json_path = DEFAULT_JSON_FILE

    def load(self) -> LoadedConfig:
        self._file_variables = self._read(ENVIRONMENT_FILE, read_environment_file) or {}
        self._json_path = (
            self._environ.get(JSON_FILE_VARIABLE)
            or self._file_variables.get(JSON_FILE_VARIABLE, "").strip()
            or DEFAULT_JSON_FILE
        )
        self._json = self._read(self._json_path, read_json_file) or {}
        if self._instance_data is not None:
            self._user_data = read_user_data(self._instance_data.user_data)
        for setting in SETTINGS:
            self._take_first_set(setting)
        self._derive()
        for setting in SETTINGS:
            self._enforce_bounds(setting)
        self._look_for_unsupported()
        config = msgspec.structs.replace(_DEFAULTS, **self._values, cluster_is_configured=self._is_set("cluster"))
        asks_imds = not self._standalone and config.may_ask_imds and self._instance_data is None
        if not self._standalone and not config.region and not asks_imds:
            self._errors.append(_no_region(config))
        return LoadedConfig(
            config=config,
            asks_imds=asks_imds,
            origins={s.field: self._origins.get(s.field, Origin(kind=OriginKind.DEFAULT)) for s in SETTINGS},
            warnings=tuple(dict.fromkeys(self._warnings)),
            errors=tuple(dict.fromkeys(self._errors)),
        )

    def _read(self, path: str, parse: Callable[[str], Mapping[str, _T]]) -> Mapping[str, _T] | None:
        reason = ""
        try:
            text = self._read_file(path)
            if text is not None:
                return parse(text)
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error}): let the agent's user read it, or take it away"
        except UnicodeDecodeError:
            reason = "is not UTF-8 text: save it as UTF-8"
        except ValueError as error:
            reason = f"is {error}"
        if reason:
            self._errors.append(Mistake(name=path, value="", origin="", reason=reason))
        return None

    def _take_first_set(self, setting: Setting) -> None:
        given = self._overrides.get(setting.field)
        if given is not None:
            option, text = given
            origin = Origin(kind=OriginKind.COMMAND_LINE, name=option, raw=_raw(setting, text))
            # A mistake on the command line is never what was meant.
            if self._take_text(setting, text, origin, is_fatal=True):
                return
        text = self._environ.get(setting.variable, "") if setting.variable else ""
        origin = Origin(kind=OriginKind.ENVIRONMENT, name=setting.variable, raw=_raw(setting, text))
        if text and self._take_text(setting, text, origin, is_fatal=setting.is_fatal):
            return
        if setting.json_keys and self._take_json(setting):
            return
        text = self._file_variables.get(setting.variable, "") if setting.variable else ""
        origin = Origin(
            kind=OriginKind.ENVIRONMENT_FILE, place=ENVIRONMENT_FILE, name=setting.variable, raw=_raw(setting, text)
        )
        if text and self._take_text(setting, text, origin, is_fatal=setting.is_fatal):
            return
        self._take_from_instance(setting)

    def _take_from_instance(self, setting: Setting) -> None:
        """What EC2 knows. Nothing in it is fatal: it was rarely written for the agent. Source: configuration.md §1."""
        raw = tuple(self._user_data.get(key.lower()) for key in setting.json_keys)
        if any(value is not None for value in raw):
            value = raw if len(raw) > 1 else raw[0]
            origin = Origin(
                kind=OriginKind.USER_DATA,
                name=" and ".join(setting.json_keys),
                raw=_raw(setting, _shown_json(value)),
            )
            try:
                if self._take(setting, setting.form.read_json(value), origin):
                    return
            except ValueError as error:
                self._note(setting, origin, str(error), is_fatal=False)
        if setting.field == "region" and self._instance_data is not None and self._instance_data.region:
            region = self._instance_data.region
            self._take(setting, region, Origin(kind=OriginKind.IMDS, name="region", raw=region))

    def _take_text(self, setting: Setting, text: str, origin: Origin, *, is_fatal: bool) -> bool:
        try:
            value = setting.form.read_text(text)
        except ValueError as error:
            self._note(setting, origin, str(error), is_fatal=is_fatal)
            return False
        return self._take(setting, value, origin)

    def _take_json(self, setting: Setting) -> bool:
        if self._take_json_keys(setting, setting.json_keys):
            return True
        if not setting.deprecated_key or not self._take_json_keys(setting, (setting.deprecated_key,)):
            return False
        self._warnings.append(
            Mistake(
                name=setting.deprecated_key,
                value="",
                origin=self._json_path,
                reason=f"deprecated: write {setting.json_keys[0]} instead. It is used all the same",
                is_note=True,
            )
        )
        return True

    def _take_json_keys(self, setting: Setting, keys: tuple[str, ...]) -> bool:
        raw = tuple(self._json.get(key.lower()) for key in keys)
        if all(value is None for value in raw):
            return False
        value = raw if len(raw) > 1 else raw[0]
        origin = Origin(
            kind=OriginKind.JSON_FILE,
            place=self._json_path,
            name=" and ".join(keys),
            raw=_raw(setting, _shown_json(value)),
        )
        try:
            return self._take(setting, setting.form.read_json(value), origin)
        except ValueError as error:
            # As in Go, one value of a wrong type makes the file a bad one.
            self._note(setting, origin, str(error), is_fatal=True)
            return False

    def _take(self, setting: Setting, value: object | None, origin: Origin) -> bool:
        if value is None:
            return False
        self._values[setting.field] = value
        self._origins[setting.field] = origin
        return True

    def _note(self, setting: Setting, origin: Origin, reason: str, *, is_fatal: bool) -> None:
        where = str(origin)
        if not is_fatal:
            reason = f"{reason}. It is ignored"
        mistake = Mistake(
            name=origin.name,
            value="(hidden)" if setting.is_secret else _cut(origin.raw),
            origin=where,
            reason=reason,
        )
        (self._errors if is_fatal else self._warnings).append(mistake)

    def _value(self, field: str) -> object:
        return self._values.get(field, getattr(_DEFAULTS, field))

    def _is_set(self, field: str) -> bool:
        return field in self._values

    def _take_derived(self, field: str, value: object, place: str) -> None:
        if not self._is_set(field):
            self._take(_FIELDS[field], value, Origin(kind=OriginKind.DERIVED, place=place))

    def _derive(self) -> None:
        """Defaults that depend on other settings or on the host."""
        if self._standalone:
            self._take_derived("checkpoint", True, "--tasks")
            self._take_derived("data_dir", STANDALONE_DATA_DIR, "--tasks")
        data_dir = self._origins.get("data_dir")
        if data_dir is not None and data_dir.kind in {
            OriginKind.ENVIRONMENT,
            OriginKind.ENVIRONMENT_FILE,
            OriginKind.COMMAND_LINE,
        }:
            self._take_derived("checkpoint", True, data_dir.name)
        if self._value("external"):
            self._take_derived("no_iid", True, "ECS_EXTERNAL")
        if self._environ.get("ECS_LOG_DRIVER") or self._file_variables.get("ECS_LOG_DRIVER"):
            self._take_derived("log_level_on_instance", LogLevel.NONE, "ECS_LOG_DRIVER")
        if self._is_set("log_level"):
            self._take_derived("log_level_on_instance", self._value("log_level"), "ECS_LOGLEVEL")
        docker_host = str(self._value("docker_host"))
        if docker_host.startswith("tcp://") and not self._is_set("no_proxy"):
            host = docker_host.removeprefix("tcp://").rpartition(":")[0]
            self._take_derived("no_proxy", f"{_DEFAULTS.no_proxy},{host}", "DOCKER_HOST")
        if not self._is_set("dynamic_host_port_range"):
            self._derive_port_range()

    def _derive_port_range(self) -> None:
        try:
            ports = port_range_of_host(self._read_file(PORT_RANGE_FILE))
        except (OSError, UnicodeDecodeError):
            return  # not a mistake of the user's: the default is kept
        if ports is not None:
            self._take_derived("dynamic_host_port_range", ports, PORT_RANGE_FILE)

    def _enforce_bounds(self, setting: Setting) -> None:
        bounds = setting.bounds
        value = self._values.get(setting.field)
        if bounds is None or not isinstance(value, int | float):
            return
        if bounds.only_with and not self._value(bounds.only_with):
            return
        low, high = value < bounds.minimum, bounds.maximum is not None and value > bounds.maximum
        if not low and not high:
            return
        limit = bounds.maximum if high and bounds.maximum is not None else bounds.minimum
        limit_text = setting.form.write(limit)
        reason = f"must be at {'most' if high else 'least'} {limit_text}"
        origin = self._origins[setting.field]
        if bounds.is_fatal_in_file and origin.kind is OriginKind.JSON_FILE:
            self._errors.append(Mistake(name=origin.name, value=origin.raw, origin=str(origin), reason=reason))
            return
        instead = limit if bounds.beyond is OutOfBounds.CLAMP else getattr(_DEFAULTS, setting.field)
        self._warnings.append(
            Mistake(
                name=origin.name,
                value=_cut(origin.raw),
                origin=str(origin),
                reason=f"{reason}. {setting.form.write(instead)} is used",
            )
        )
        self._values[setting.field] = instead

    def _look_for_unsupported(self) -> None:
        """One line for all that are known by name and not supported yet, one for unknown names of our own."""
        known = [name for names in UNSUPPORTED.values() for name in names]
        known += [s.variable for s in SETTINGS if s.waits_for and s.variable.startswith("ECS_")]
        keys = [*UNSUPPORTED_KEYS, *(key for s in SETTINGS if s.waits_for for key in s.json_keys)]
        found: list[tuple[str, list[str]]] = [
            ("environment", [name for name in known if self._environ.get(name)]),
            (self._json_path, [key for key in keys if self._json.get(key.lower()) is not None]),
            (ENVIRONMENT_FILE, [name for name in known if self._file_variables.get(name)]),
        ]
        for place, names in found:
            if names:
                self._warnings.append(
                    Mistake(
                        name=", ".join(names),
                        value="",
                        origin=place,
                        reason="known but not supported yet; without effect",
                        is_note=True,
                    )
                )
        own = {s.variable for s in SETTINGS} | _OTHER_OWN_VARIABLES
        for place, variables in (("environment", self._environ), (ENVIRONMENT_FILE, self._file_variables)):
            unknown = sorted(name for name in variables if name.startswith(_OUR_PREFIX) and name not in own)
            if unknown:
                self._warnings.append(
                    Mistake(
                        name=", ".join(unknown),
                        value="",
                        origin=place,
                        reason="unknown setting; docs/reference/config.md lists the known ones",
                    )
                )


def _no_region(config: Config) -> Mistake:
    """Source: agent-protocol.md §2.1, configuration.md §2."""
    advice = "Set this variable to the region of the cluster, such as eu-west-1"
    if config.external:
        reason = f"AWS_DEFAULT_REGION has to be set when running on external capacity. {advice}"
    else:
        asked = "is not to be asked" if config.imds_disabled else "gave none"
        reason = (
            f"Missing required fields: AWSRegion. {advice}, or AWSRegion in the JSON file (the instance metadata "
            f"service {asked}); to run tasks from files without a cluster, give --tasks PATH instead"
        )
    return Mistake(name="AWS_DEFAULT_REGION", value="", origin="", reason=reason)


def shown_value(loaded: LoadedConfig, setting: Setting) -> str:
    """The value as the environment would carry it; ``(set)`` for a secret, ``""`` where nothing is set."""
    return setting.form.write(getattr(loaded.config, setting.field))


def _raw(setting: Setting, text: str) -> str:
    if setting.is_secret:
        return "(set)" if text else ""
    return without_userinfo(text)


def _shown_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
