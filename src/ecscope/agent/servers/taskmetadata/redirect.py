"""The way from 169.254.170.2, which containers know, to the server on loopback: rules in the host's firewall.

Each rule carries a comment by which it is found again, so that rules of others, also equal ones, stay as they are, and
what an agent left that was killed is taken over by the next.

Source: task-metadata-api.md §1.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path

from ecscope.agent.servers.bridge import BRIDGE

_log = logging.getLogger("ecscope.taskmetadata")

ADDRESS = "169.254.170.2"
"""Of the server, as containers know it, at port 80."""
COMMENT = "ecscope"
COMMENT_WITH_SETTING = "ecscope set route_localnet"
"""Of the filter rule, when ``route_localnet`` is to be switched off with it."""


_OWN_ROUTES = "169"
"""Routing protocol that marks a route as ours; the kernel gives it no meaning."""


class RedirectFailed(Exception):
    """The rules cannot be set; the message says why."""


class _Rules:
    """Sets and takes away single rules."""

    def __init__(self, iptables: Sequence[str]) -> None:
        self._iptables = tuple(iptables)

    async def _add(self, rule: _Rule, how: str) -> None:
        if not await self._is_set(rule):
            await self._change(rule, how)

    async def _take_away(self, rule: _Rule) -> None:
        if await self._is_set(rule):
            await self._change(rule, "-D")

    async def _is_set(self, rule: _Rule) -> bool:
        exit_code, _ = await self._run(rule, "-C")
        return exit_code == 0

    async def _change(self, rule: _Rule, how: str) -> None:
        exit_code, said = await self._run(rule, how)
        if exit_code:
            raise RedirectFailed(" ".join(said.split()) or f"{self._iptables[0]} ended with exit code {exit_code}")

    async def _run(self, rule: _Rule, how: str) -> tuple[int, str]:
        command = (*self._iptables, "-w", "5", "-t", rule.table, how, rule.chain, *rule.specification)
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
        except OSError as error:
            raise RedirectFailed(f"{self._iptables[0]}: {error.strerror}") from None
        _, said = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode("utf-8", "replace")


class Redirect(_Rules):
    """Sets and takes away the rules. Needs the right to do so (``CAP_NET_ADMIN``) and the program ``iptables``."""

    def __init__(
        self, *, port: int, iptables: Sequence[str] = ("iptables",), settings: Path = Path("/proc/sys/net/ipv4/conf")
    ) -> None:
        """``settings``: where the kernel keeps those of each interface."""
        super().__init__(iptables)
        self._setting = settings / BRIDGE / "route_localnet"
        match = ("-p", "tcp", "-d", ADDRESS, "--dport", "80", *_comment(COMMENT))
        self._ways = (
            _Rule("nat", "PREROUTING", (*match, "-j", "DNAT", "--to-destination", f"127.0.0.1:{port}")),
            _Rule("nat", "OUTPUT", (*match, "-j", "REDIRECT", "--to-ports", str(port))),
        )

    async def put(self) -> None:
        """Idempotent. Raises ``RedirectFailed``: not all could be set; what could stays for ``remove``."""
        failure: RedirectFailed | None = None
        try:
            await self._open_bridge()
        except RedirectFailed as error:
            failure = error
        for rule in self._ways:
            await self._add(rule, "-A")
        await self._make_route()
        if failure is not None:
            raise failure

    async def remove(self) -> None:
        """Take away what ``put`` set, in this process or an earlier one. What cannot be taken away is logged."""
        await self._ip("route", "flush", "proto", _OWN_ROUTES)
        try:
            for rule in self._ways:
                await self._take_away(rule)
            if self._setting.exists() and await self._is_set(_filter(COMMENT_WITH_SETTING)):
                self._switch("0")
            for comment in (COMMENT, COMMENT_WITH_SETTING):
                await self._take_away(_filter(comment))
        except RedirectFailed as error:
            _log.warning("rules of the firewall are left behind: %s", error)

    async def _make_route(self) -> None:
        """On a host without a network nothing has a way to the address, and the rule for this host's own is never met.

        Docker's log driver ``awslogs`` asks there from the host. What fails is left: then only it is affected.
        """
        if await self._ip("route", "get", ADDRESS):
            await self._ip("route", "add", f"{ADDRESS}/32", "dev", "lo", "proto", _OWN_ROUTES)

    async def _ip(self, *arguments: str) -> int:
        """Exit code; 127: there is no such program."""
        try:
            process = await asyncio.create_subprocess_exec(
                "ip", "-4", *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
            )
        except OSError:
            return 127
        return await process.wait()

    async def _open_bridge(self) -> None:
        """Let packets of containers be turned to loopback; but only those, so that they reach no other port there.

        The filter comes before what it guards.
        """
        if await self._is_set(_filter(COMMENT_WITH_SETTING)):
            self._switch("1")
        elif self._value() == "0":
            await self._add(_filter(COMMENT_WITH_SETTING), "-I")
            try:
                self._switch("1")
            except RedirectFailed:
                await self._take_away(_filter(COMMENT_WITH_SETTING))
                raise
        else:
            await self._add(_filter(COMMENT), "-I")

    def _value(self) -> str:
        try:
            return self._setting.read_text().strip()
        except FileNotFoundError:
            raise RedirectFailed(f"there is no network interface {BRIDGE}, which network mode bridge has") from None
        except OSError as error:
            raise RedirectFailed(f"{self._setting}: {error.strerror}") from None

    def _switch(self, value: str) -> None:
        try:
            self._setting.write_text(value)
        except OSError as error:
            raise RedirectFailed(f"{self._setting}: {error.strerror}") from None


class BridgeRedirect(_Rules):
    """The way from the bridge of awsvpc tasks to the server on this host's address there: a rule for that bridge alone.

    It comes before that for all bridges, which may be another agent's.
    """

    def __init__(self, *, bridge: str, address: str, port: int, iptables: Sequence[str] = ("iptables",)) -> None:
        """``address``: of this host, on the bridge."""
        super().__init__(iptables)
        match = ("-i", bridge, "-p", "tcp", "-d", ADDRESS, "--dport", "80", *_comment(f"{COMMENT} {bridge}"))
        self._way = _Rule("nat", "PREROUTING", (*match, "-j", "DNAT", "--to-destination", f"{address}:{port}"))

    async def put(self) -> None:
        """Idempotent. Raises ``RedirectFailed``."""
        await self._add(self._way, "-I")

    async def remove(self) -> None:
        """Take away what ``put`` set, in this process or an earlier one. What cannot be taken away is logged."""
        try:
            await self._take_away(self._way)
        except RedirectFailed as error:
            _log.warning("a rule of the firewall is left behind: %s", error)


class _Rule:
    def __init__(self, table: str, chain: str, specification: tuple[str, ...]) -> None:
        self.table = table
        self.chain = chain
        self.specification = specification


def _comment(text: str) -> tuple[str, ...]:
    return ("-m", "comment", "--comment", text)


def _filter(comment: str) -> _Rule:
    """Drops what would reach loopback from outside and was not turned there by a rule."""
    return _Rule(
        "filter",
        "INPUT",
        (
            *("-i", BRIDGE, "-d", "127.0.0.0/8"),
            *("-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED,DNAT"),
            *_comment(comment),
            *("-j", "DROP"),
        ),
    )
