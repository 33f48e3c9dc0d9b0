"""``ecscope config``: each setting, its value, and where the value comes from. Never a secret.

With the options of ``ecscope agent`` it shows what that agent would use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

import msgspec

from ecscope.agent.config.load import LoadedConfig, load_config, shown_value
from ecscope.agent.config.settings import SETTINGS
from ecscope.agent.config.sources import Mistake, OriginKind
from ecscope.cli.agent import overrides_of
from ecscope.cli.exit_codes import EXIT_FINE, EXIT_USAGE
from ecscope.cli.table import NO_VALUE, harmless, table, wants_colour

_VALUE_COLUMN = 1
_NOT_ASKED = (
    "EC2 user data and the region of the instance metadata service come after all of these; the agent asks for them "
    "when it starts, this command does not"
)


def run(args: argparse.Namespace) -> int:
    """``args``: ``tasks``, ``cluster``, ``data_dir``, ``log_level`` (text or ``None``), ``json``."""
    loaded = load_config(os.environ, standalone=args.tasks is not None, overrides=overrides_of(args))
    loaded = msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *_registry_mistakes(loaded)))
    if args.json:
        print(json_of(loaded))
    else:
        print("\n".join(lines_of(loaded)))
        for kind, mistakes in (("warning", loaded.warnings), ("error", loaded.errors)):
            for mistake in mistakes:
                print(f"{kind}: {harmless(str(mistake))}", file=sys.stderr)
        if loaded.asks_imds:
            print(f"note: {_NOT_ASKED}", file=sys.stderr)
    is_wrong = loaded.errors or any(not warning.is_note for warning in loaded.warnings)
    return EXIT_USAGE if is_wrong else EXIT_FINE


def _registry_mistakes(loaded: LoadedConfig) -> list[Mistake]:
    """What of the registry credentials cannot be used; the agent itself warns when it starts."""
    from ecscope.agent.runtime.docker.auth import parse_engine_auth  # noqa: PLC0415 - only where there are some

    config = loaded.config
    if not (config.engine_auth_type and config.engine_auth_data):
        return []
    found = parse_engine_auth(config.engine_auth_type, config.engine_auth_data.text)
    origin = loaded.origins["engine_auth_data"]
    return [
        Mistake(name=origin.name, value="(hidden)", origin=str(origin), reason=warning) for warning in found.warnings
    ]


def lines_of(loaded: LoadedConfig) -> list[str]:
    """The table; values that were set carry where, by name."""
    rows = []
    for setting in SETTINGS:
        origin = loaded.origins[setting.field]
        where = str(origin)
        if origin.kind is OriginKind.JSON_FILE:
            where = f"{where}: {origin.name}"
        elif origin.kind is OriginKind.COMMAND_LINE:
            where = origin.name
        rows.append((setting.name, shown_value(loaded, setting) or NO_VALUE, where))
    return table(
        ("SETTING", "VALUE", "FROM"),
        rows,
        colour=wants_colour(sys.stdout),
        width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
        shrink=(_VALUE_COLUMN,),
    )


def json_of(loaded: LoadedConfig) -> str:
    """Values as the environment would carry them, ``(set)`` for secrets."""
    settings = {}
    for setting in SETTINGS:
        origin = loaded.origins[setting.field]
        settings[setting.name] = {
            "value": shown_value(loaded, setting),
            "from": origin.kind.value,
            "place": origin.place,
            "name": origin.name,
            "raw": origin.raw,
        }
    document = {
        "settings": settings,
        "warnings": [str(mistake) for mistake in loaded.warnings],
        "errors": [str(mistake) for mistake in loaded.errors],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
