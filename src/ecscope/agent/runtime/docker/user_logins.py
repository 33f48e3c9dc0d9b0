"""Reads a user's Docker logins from ``config.json``, and asks the programs that it names for those that they keep.

Everything is read anew for each pull: a login that was made meanwhile counts. A program runs as the owner of the file,
where this process may choose, and for a bounded time. What fails is logged once, and the image is pulled without a
login. No message has a secret. The rules: ``core/user_logins.py``.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pwd
import re
import signal
import stat
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ecscope.agent.core.user_logins import LoginPlaces, helper_for, key_in_file, server_of
from ecscope.agent.runtime.docker.auth import parse_engine_auth
from ecscope.agent.runtime.interface import RegistryAuth

_log = logging.getLogger("ecscope.registry_logins")

_LARGEST_FILE = 1 << 20
_HELPER_S = 10.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_FOUND = b"credentials not found"
_BY_TOKEN = "<token>"  # noqa: S105  # the user name that says what the secret is
_OURS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED")
"""Of this agent; a program such as ``docker-credential-ecr-login`` would take them for the user's."""


class _Config(msgspec.Struct, rename="camel"):
    auths: dict[str, msgspec.Raw] = {}
    creds_store: str = ""
    cred_helpers: dict[str, str] = {}


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Answer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


class _Unusable(Exception):
    """Why there is no login; the message has no secret."""


class UserLogins:
    """See the module docstring."""

    def __init__(self, path: Path, *, helper_s: float = _HELPER_S, environment: Mapping[str, str] = os.environ) -> None:
        """``path``: of ``config.json``, which may not be there; ``helper_s``: so long a program may take."""
        self._path = path
        self._helper_s = helper_s
        self._environment = environment
        self._said: set[str] = set()

    async def of(self, image: str) -> RegistryAuth | None:
        """The login for an image; ``None``: there is none, or it is not available. May be cancelled."""
        server = server_of(image)
        try:
            read = await asyncio.to_thread(_read, self._path)
            if read is None or not server:
                return None
            config, owner = read
            places = LoginPlaces(helpers=config.cred_helpers, store=config.creds_store)
            if helper := helper_for(server, places):
                return await self._asked(helper, server, owner) or _in_file(config, server)
            return _in_file(config, server)
        except _Unusable as problem:
            if (said := str(problem)) not in self._said:
                self._said.add(said)
                _log.warning("images of %s are pulled without a login: %s", server, said)
            return None

    async def _asked(self, helper: str, server: str, owner: int) -> RegistryAuth | None:
        if not _HELPER_NAME.fullmatch(helper):
            raise _Unusable(f"{self._path} names the program {helper[:40]!r}, which is not a name")
        program = f"docker-credential-{helper}"
        try:
            process = await asyncio.create_subprocess_exec(
                *(program, "get"), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True, cwd="/",
                **self._as_owner(owner),
            )  # fmt: skip
        except OSError as error:
            raise _Unusable(f"{program}, which {self._path} names, cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._helper_s):
                answer, _ = await process.communicate(server.encode())
        except TimeoutError:
            raise _Unusable(f"{program}, which {self._path} names, gives no answer in {self._helper_s:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            if _NOT_FOUND in answer:
                return None
            raise _Unusable(f"{program}, which {self._path} names, ended with code {process.returncode}")
        try:
            found = msgspec.json.decode(answer, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _Unusable(f"{program}, which {self._path} names, answered with something else than a login") from None
        if found.username == _BY_TOKEN:
            return RegistryAuth(identity_token=found.secret, server_address=server)
        return RegistryAuth(username=found.username, password=found.secret, server_address=server)

    def _as_owner(self, owner: int) -> dict[str, Any]:
        environment = {name: value for name, value in self._environment.items() if name not in _OURS}
        if owner == os.geteuid() or os.geteuid() != 0:
            return {"env": environment}
        try:
            user = pwd.getpwuid(owner)
        except KeyError:
            raise _Unusable(f"{self._path} belongs to user {owner}, who is not known here") from None
        runtime = f"/run/user/{owner}"
        theirs = {"PATH": environment.get("PATH", os.defpath), "HOME": user.pw_dir, "USER": user.pw_name}
        theirs |= {"LOGNAME": user.pw_name, "XDG_RUNTIME_DIR": runtime}
        theirs |= {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        return {"env": theirs, "user": owner, "group": user.pw_gid, "extra_groups": groups}


def _read(path: Path) -> tuple[_Config, int] | None:
    """The file and its owner; ``None``: it is not there. Raises ``_Unusable``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENXIO):
            return None
        raise _Unusable(f"{path} cannot be read: {error.strerror}") from None
    with open(fd, "rb") as file:  # noqa: PTH123  # by its descriptor
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _Unusable(f"{path} is not a file")
        content = file.read(_LARGEST_FILE)
    try:
        return msgspec.json.decode(content, type=_Config), found.st_uid
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Unusable(f"{path} is not a config.json of Docker") from None


def _in_file(config: _Config, server: str) -> RegistryAuth | None:
    key = key_in_file(server, config.auths)
    if key is None:
        return None
    try:
        entry = msgspec.json.decode(config.auths[key], type=_Entry)
    except msgspec.DecodeError:
        raise _Unusable(f"the login under {key!r} cannot be read") from None
    if entry.identitytoken:
        return RegistryAuth(identity_token=entry.identitytoken, server_address=server)
    if entry.auth:
        form, value = "dockercfg", {"auth": entry.auth}
    elif entry.username:
        form, value = "docker", {"username": entry.username, "password": entry.password}
    else:
        return None  # a program keeps it
    known = parse_engine_auth(form, msgspec.json.encode({key: value}).decode())
    if known.warnings:
        raise _Unusable(f"the login under {key!r} cannot be read")
    (login,) = known.credentials.values()
    return msgspec.structs.replace(login, server_address=server)
