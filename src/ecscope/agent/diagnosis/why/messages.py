"""Errors of Docker and its registries by their text: which cause each is, and what it names.

The texts are those of engines 20.10 to 28.5 and of the registries they ask. First fit wins, so what is special stands
before what is general.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """One text and the cause that it proves. Groups of the expression fill the sentence and the culprit."""

    code: str
    expression: re.Pattern[str]
    sentence: str
    """``{image}``, ``{container}`` and the names of groups are filled in."""
    actions: tuple[str, ...] = ()

    @property
    def is_vague(self) -> bool:
        """The text only points to the cause: it is likely, not proven."""
        return self.code in _VAGUE


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that fits, with what its groups hold."""

    pattern: Pattern
    groups: Mapping[str, str]


def _p(code: str, expression: str, sentence: str, *actions: str) -> Pattern:
    return Pattern(code=code, expression=re.compile(expression, re.I | re.S), sentence=sentence, actions=actions)


PULL: Final = (
    _p(
        "image.reference_invalid",
        r"invalid reference format|invalid tag format|not a valid repository/tag",
        "{image} is not a valid image reference",
        "correct `image` of container {container}: REGISTRY/NAME:TAG in lower case",
    ),
    _p(
        "image.rate_limited",
        r"toomanyrequests|too many requests|pull rate limit|HTTP status: 429\b",
        "the registry of {image} refuses more pulls: rate limit",
        "log in to the registry (ECS_ENGINE_AUTH_DATA), or pull from a mirror",
    ),
    _p(
        "image.role_denied",
        r"not authorized to perform: (?P<action>ecr:\w+)",
        "the role may not pull {image}: {action} is denied",
        "allow {action} for the role, as the policy AmazonECSTaskExecutionRolePolicy does",
    ),
    _p(
        "image.auth_expired",
        r"authorization token has expired",
        "the login for the registry of {image} has expired",
        "log in again; for ECR the agent renews it from the role",
    ),
    _p(
        "image.disk_full",
        r"no space left on device|disk quota exceeded",
        "the disk is full: {image} cannot be stored",
        "docker system df",
        "docker system prune",
    ),
    _p(
        "image.digest_not_found",
        r"(?:manifest unknown|not found).*sha256:|sha256:[0-9a-f]{64}.*(?:manifest unknown|not found)",
        "the registry has no image with the digest of {image}",
        "the tag may have moved, or a lifecycle policy removed it: push it again or correct the digest",
    ),
    _p(
        "image.tag_not_found",
        r"manifest unknown|manifest for \S+ not found|: not found\s*$|failed to resolve reference .*: not found",
        "the registry has no {image}: the tag does not exist",
        "docker manifest inspect {image}",
    ),
    _p(
        "image.auth_required",
        r"incorrect username or password|invalid username/password|unauthorized: .*(?:bad|wrong|invalid) credential",
        "the registry of {image} refuses the login that the agent has for it",
        "renew ECS_ENGINE_AUTH_DATA, or the secret of repositoryCredentials",
    ),
    _p(
        "image.auth_required",
        r"no basic auth credentials|unauthorized|authentication required|401 unauthorized",
        "the registry of {image} wants a login, and the agent has none for it",
        "set ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA, or repositoryCredentials in the definition",
    ),
    _p(
        "image.repository_not_found",
        r"repository .*(?:not found|does not exist)|requested access to the resource is denied|name unknown"
        r"|pull access denied",
        "the repository of {image} does not exist, or needs a login",
        "check the name; `docker pull {image}` on this host shows the same",
    ),
    _p(
        "image.corrupt",
        r"failed to register layer|unexpected EOF|filesystem layer verification failed|invalid checksum",
        "a layer of {image} cannot be unpacked",
        "docker pull {image}, and push the image again if that fails too",
    ),
    _p(
        "image.registry_tls",
        r"x509:|server gave HTTP response to HTTPS client|tls: |TLS handshake",
        "the registry of {image} cannot be trusted: its TLS certificate or protocol is refused",
        "install its CA under /etc/docker/certs.d/HOST/, or list it in insecure-registries of daemon.json",
    ),
    _p(
        "image.registry_unreachable",
        r"dial tcp|no such host|connection refused|i/o timeout|network is unreachable|no route to host"
        r"|request canceled while waiting for connection|Client\.Timeout|EOF$",
        "the registry of {image} cannot be reached",
        "check DNS, proxy and route of the host: `ecscope doctor`",
    ),
    _p(
        "image.registry_error",
        r"received unexpected HTTP status: 5\d\d|5\d\d (?:internal server error|bad gateway|service unavailable)",
        "the registry of {image} answers with an error of its own",
        "try again; the registry's own log has the cause",
    ),
    _p(
        "image.platform_missing",
        r"no matching manifest for (?P<platform>\S+)|no match for platform",
        "{image} has no variant for this host",
        "build it for this platform: docker buildx build --platform …",
    ),
    _p(
        "image.pull_stalled",
        r"inactivity time exceeded|timed out after waiting",
        "the registry of {image} stopped sending",
        "check the network to the registry; ECS_IMAGE_PULL_INACTIVITY_TIMEOUT sets the limit",
    ),
)

REGISTRY_SECRET: Final = (
    _p(
        "image.registry_secret_missing",
        r"",
        "the secret with the login for the registry of {image} cannot be read",
        "aws secretsmanager describe-secret: does it exist, and may the execution role read it?",
    ),
)

CREATE: Final = (
    _p(
        "image.default_platform_entry_missing",
        r"no command specified",
        "{image} has neither an entry point nor a command, and container {container} gives none",
        "set `command` or `entryPoint` of container {container}",
    ),
    _p(
        "image.not_cached",
        r"no such image",
        "{image} is not on this host, and was not pulled",
        "docker pull {image}, or another ECS_IMAGE_PULL_BEHAVIOR",
    ),
    _p(
        "create.name_conflict",
        r"container name .* is already in use by container \"?(?P<other>[0-9a-f]{12,64})",
        "another container has the name of {container}",
        "docker inspect {other}",
    ),
    _p(
        "start.mount_source_missing",
        r"(?:error while creating mount source path|bind source path does not exist:?) ?'?(?P<path>/[^':]*)",
        "the host path {path} that container {container} mounts does not exist, and cannot be created",
        "ls -ld {path}",
    ),
    _p(
        "create.docker_timeout",
        r"could not transition to created; timed out",
        "Docker did not create container {container} in time",
        "ecscope doctor",
    ),
    _p(
        "create.storage_driver",
        r"no space left on device|devmapper|thin pool|error creating overlay mount",
        "Docker's storage has no room for container {container}",
        "docker system df",
    ),
    _p(
        "resource.docker_config",
        r"error retrieving docker port map",
        "container {container} cannot be described to Docker",
    ),
    _p(
        "create.invalid_config",
        r"minimum memory(?:swap)? limit|conflicting options|range of CPUs|unknown (?:capability|runtime|log opt)"
        r"|invalid (?:ulimit|mount|volume|hostname|port|IP|container name|isolation|value|argument|restart policy)"
        r"|is not allowed|invalid .* for",
        "Docker refuses the settings of container {container}",
        "correct what the message names in the task definition",
    ),
)

_LIMITS: Final = (
    _p(
        "exit.oom_container",
        r"container init was OOM-killed|memory limit too low",
        "the memory limit of container {container} is too low even to start it",
        "raise memory of container {container}",
    ),
    _p(
        "create.invalid_config",
        r"too many open files",
        "the limit of open files of container {container} is too low to start it",
        "raise the ulimit nofile of container {container}",
    ),
)
"""Limits that are met by the engine itself while it starts a program: what it was doing then is not the cause."""

START: Final = (
    *_LIMITS,
    _p(
        "start.log_driver_missing",
        r"(?:logger: no log driver named|error looking up logging plugin) '?(?P<driver>[\w./-]+)",
        "Docker has no log driver {driver}, which container {container} uses",
        "docker info --format '{{{{.Plugins.Log}}}}'",
        "use another logDriver, or install the plugin",
    ),
    _p(
        "start.log_driver_init",
        r"failed to initialize logging driver",
        "the log driver of container {container} cannot start",
        "check group, region, endpoint and rights that logConfiguration names",
    ),
    _p(
        "start.port_taken",
        r"(?:port is already allocated|address already in use)",
        "a host port of container {container} is taken",
    ),
    _p(
        "start.exec_format",
        r"exec format error",
        "container {container} cannot be run: its program is for another kind of machine, or a script without #!",
        "docker image inspect --format '{{{{.Os}}}}/{{{{.Architecture}}}}' {image}",
    ),
    _p(
        "start.workdir_missing",
        r"chdir to cwd \(\"?(?P<path>[^\")]*)\"?\).*no such file",
        "the working directory of container {container} does not exist in {image}",
        "correct workingDirectory",
    ),
    _p(
        "start.user_unknown",
        r"unable to find user (?P<user>\S+?):|no matching entries in passwd file|unable to find group",
        "the user of container {container} is not known in {image}",
        "correct `user`, or give a number",
    ),
    _p(
        "start.entrypoint_not_executable",
        r"exec: \\?\"?(?P<path>[^\"\\]*)\\?\"?: permission denied|permission denied.*exec",
        "{path} in {image} is not executable",
        "chmod +x {path} in the image, and build it again",
    ),
    _p(
        "start.device_missing",
        r"error gathering device information.*?(?<![\w/])(?P<path>/dev/[\w./-]+)"
        r"|(?<![\w/])(?P<path2>/dev/[\w./-]+)\"?: no such file or directory",
        "a device that container {container} wants is not on this host",
        "ls -l /dev",
    ),
    _p(
        "start.entrypoint_not_found",
        r"exec: \\?\"?(?P<path>[^\"\\]*)\\?\"?: (?:executable file not found|stat [^:]*: no such file|no such file)",
        "{path} is not in {image}, or not in its PATH",
        "docker run --rm --entrypoint sh {image} -c 'command -v {path}; echo $PATH'",
    ),
    _p(
        "start.mount_source_missing",
        r"error mounting \"(?P<path>/[^\"]+)\" to rootfs.*?stat [^:]+: (?:not a directory|no such file)",
        "the host path {path} that container {container} mounts does not exist",
        "ls -ld {path}",
    ),
    _p(
        "start.mount_source_missing",
        r"(?:error while creating mount source path|bind source path does not exist:?) ?'?(?P<path>/[^':]*)",
        "the host path {path} that container {container} mounts does not exist, and cannot be created",
        "ls -ld {path}",
    ),
    _p(
        "start.mount_type",
        r"not a directory.*(?:mount|trying to mount)|(?:mount|trying to mount).*not a directory"
        r"|Are you trying to mount a directory onto a file",
        "container {container} mounts a file onto a directory, or the other way round",
        "compare the host path with containerPath",
    ),
    _p(
        "start.mount_denied",
        r"(?:mount|bind).*permission denied",
        "container {container} may not mount what it wants",
        "see SELinux or AppArmor lines in `dmesg`",
    ),
    _p(
        "start.network",
        r"network \S+ not found|no available (?:IPv4 )?addresses|could not find an available.*address"
        r"|failed to set up container networking",
        "container {container} gets no network",
        "docker network ls",
    ),
    _p(
        "start.security_profile",
        r"seccomp|apparmor|capabilit",
        "a security profile of container {container} cannot be applied",
        "check linuxParameters.capabilities and dockerSecurityOptions",
    ),
    _p(
        "start.cgroup",
        r"cgroup",
        "the limits of container {container} cannot be set",
        "ecscope doctor",
    ),
    _p(
        "start.docker_timeout",
        r"could not transition to started; timed out",
        "Docker did not start container {container} in time",
        "ecscope doctor",
    ),
)

PORT: Final = (
    re.compile(r"Bind for [\d.:\[\]a-f]*?:(?P<port>\d+) failed"),
    re.compile(r"listen (?:tcp|udp)\d? [\d.:\[\]a-f]*?:(?P<port>\d+): bind"),
    re.compile(r":(?P<port>\d{1,5}): (?:bind: )?address already in use"),
)
"""Where an error names the port that is taken."""


_VAGUE = frozenset(
    {"start.security_profile", "start.cgroup", "start.mount_denied", "start.network", "create.storage_driver"}
)
"""Of these a word of the message is all that is known."""


def first_match(patterns: tuple[Pattern, ...], text: str) -> Match | None:
    """The first pattern that fits, or ``None``."""
    for pattern in patterns:
        found = pattern.expression.search(text)
        if found is not None:
            groups = {name.removesuffix("2"): value for name, value in found.groupdict().items() if value}
            return Match(pattern=pattern, groups=groups)
    return None


def repository_not_found(match: Match) -> Match:
    """The same, now that the registry was asked: some say of a repository that they lack what they say of a tag."""
    pattern = next(one for one in PULL if one.code == "image.repository_not_found")
    return Match(pattern=pattern, groups=match.groups)


def port_of(text: str) -> int:
    """The port that an error names as taken; 0: none."""
    return next((int(found["port"]) for pattern in PORT if (found := pattern.search(text))), 0)


def filled(template: str, match: Match, *, image: str, container: str) -> str:
    """A sentence or action with its names filled in."""
    values = {"image": image, "container": container, "path": "the program", "action": "a call", **match.groups}
    return template.format_map(_Named(values))


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return key
