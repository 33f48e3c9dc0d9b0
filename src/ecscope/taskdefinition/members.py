"""The members of a task definition: which there are, and what each may hold on its own.

A table, and the few kinds of rule it is written in. Rules between members (a mount point
and its volume) are in ``rules``. Every rule adds its mistakes to a
``Report`` and continues, so that a person sees all of them at once.

Reasons never quote a value other than a word from a fixed set or a name: environment
values, commands and options may be secrets.

Source: RegisterTaskDefinition of the ECS API (2014-11-13); control-plane.md §5.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ecscope.model import refused
from ecscope.model.refused import Feature
from ecscope.taskdefinition.positions import Member, Node, kind

LEAST_STORAGE_GIB, MOST_STORAGE_GIB = 21, 200
"""What can be asked for as ``ephemeralStorage``."""
_MOST_MISTAKES = 100
"""No person reads more, and each becomes a line in the log, which a file of something else must not fill."""


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a task definition."""

    line: int
    column: int
    path: str
    """E.g. ``containerDefinitions[0].portMappings[1].hostPort``; ``""``: the text as a whole."""
    reason: str
    """One sentence, without a full stop."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}: {self.reason}" if self.path else f"line {self.line}: {self.reason}"


class Report:
    """Gathers mistakes, at most one for each value: later ones mostly follow from the first."""

    def __init__(self) -> None:
        self._mistakes: dict[tuple[str, int, int], Mistake] = {}

    def add(self, at: Node | Member, path: str, reason: str) -> None:
        """``at`` is the position of the mistake: a value, or a member's key."""
        self.add_at(at.line, at.column, path, reason)

    def add_at(self, line: int, column: int, path: str, reason: str) -> None:
        """As ``add``, for a place that is neither a value nor a key that is kept."""
        mistake = Mistake(line=line, column=column, path=path, reason=reason)
        self._mistakes.setdefault((path, line, column), mistake)

    def mistakes(self) -> tuple[Mistake, ...]:
        """In the order of the text; of very many only the first, and one that counts the rest."""
        found = sorted(self._mistakes.values(), key=lambda mistake: (mistake.line, mistake.column))
        if len(found) > _MOST_MISTAKES:
            first = found[_MOST_MISTAKES - 1]
            rest = f"and {len(found) - _MOST_MISTAKES + 1} more mistakes from here on"
            found[_MOST_MISTAKES - 1 :] = [Mistake(line=first.line, column=first.column, path="", reason=rest)]
        return tuple(found)


class Rule:
    """What one value may be."""

    def check(self, node: Node, path: str, report: Report) -> None:
        """Add what is wrong with ``node`` to ``report``."""
        raise NotImplementedError


class Text(Rule):
    """A string."""

    def __init__(
        self,
        *,
        pattern: str = "",
        words: str = "",
        shortest: int = 0,
        longest: int | None = None,
        choices: tuple[str, ...] = (),
        refused: Mapping[str, Feature] | None = None,
        number_hint: bool = False,
    ) -> None:
        """``words`` says in words what ``pattern`` wants; ``refused`` maps a choice to the feature that it needs."""
        self._pattern = pattern
        self._words = words
        self._shortest = shortest
        self._longest = longest
        self._choices = choices
        self._refused = refused or {}
        self._number_hint = number_hint

    def check(self, node: Node, path: str, report: Report) -> None:
        value = node.value
        if not isinstance(value, str):
            hint = "; write the number in quotes" if self._number_hint and type(value) in (int, float) else ""
            report.add(node, path, f"must be a string, not {kind(node)}{hint}")
        elif "\0" in value:
            report.add(node, path, "must not contain a NUL character")
        elif value in self._refused:
            report.add(node, path, self._refused[value].why)
        elif self._choices and value not in self._choices:
            report.add(node, path, f"must be one of {', '.join(self._choices)}{_did_you_mean(value, self._choices)}")
        elif len(value) < self._shortest:
            report.add(node, path, "must not be empty")
        elif self._longest is not None and len(value) > self._longest:
            report.add(node, path, f"must have at most {self._longest} characters, not {len(value)}")
        elif self._pattern and re.fullmatch(self._pattern, value) is None:
            report.add(node, path, f"must be {self._words}")


class Whole(Rule):
    """A whole number."""

    def __init__(self, minimum: int, maximum: int = 2**31 - 1, *, unit: str = "", hint: str = "") -> None:
        self._minimum = minimum
        self._maximum = maximum
        self._unit = f" {unit}" if unit else ""
        self._hint = f"; {hint}" if hint else ""

    def check(self, node: Node, path: str, report: Report) -> None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
                report.add(node, path, "must be a whole number, not a string; remove the quotes")
            elif isinstance(value, float):
                report.add(node, path, "must be a whole number without a decimal point or exponent")
            else:
                report.add(node, path, f"must be a whole number, not {kind(node)}")
        elif value < self._minimum and self._maximum == 2**31 - 1:
            report.add(node, path, f"must be at least {self._minimum}{self._unit}, not {value}{self._hint}")
        elif not self._minimum <= value <= self._maximum:
            report.add(node, path, f"must be from {self._minimum} to {self._maximum}{self._unit}{self._hint}")


class Flag(Rule):
    """True or false."""

    def check(self, node: Node, path: str, report: Report) -> None:
        if not isinstance(node.value, bool):
            hint = "; remove the quotes" if node.value in ("true", "false") else ""
            report.add(node, path, f"must be true or false, not {kind(node)}{hint}")


class Items(Rule):
    """A list."""

    def __init__(self, item: Rule, *, fewest: int = 0, most: int | None = None) -> None:
        self._item = item
        self._fewest = fewest
        self._most = most

    def check(self, node: Node, path: str, report: Report) -> None:
        if not isinstance(node.value, list):
            report.add(node, path, f"must be a list, not {kind(node)}")
            return
        if len(node.value) < self._fewest:
            report.add(node, path, f"must have at least {self._fewest} {'entry' if self._fewest == 1 else 'entries'}")
        elif self._most is not None and len(node.value) > self._most:
            report.add(node, path, f"must have at most {self._most} entries, not {len(node.value)}")
        for index, item in enumerate(node.value):
            self._item.check(item, f"{path}[{index}]", report)


class Names(Rule):
    """An object with free names as keys and strings as values."""

    def __init__(self, value: Rule | None = None) -> None:
        self._value = value or Text()

    def check(self, node: Node, path: str, report: Report) -> None:
        if not isinstance(node.value, dict):
            report.add(node, path, f"must be an object of names and strings, not {kind(node)}")
            return
        for name, member in node.value.items():
            member_path = f"{path}.{name}"
            if not name:
                report.add(member, member_path, "must not have an empty name")
            else:
                self._value.check(member.node, member_path, report)


class Members(Rule):
    """An object with fixed member names."""

    def __init__(self, members: Mapping[str, Rule], *, required: tuple[str, ...] = ()) -> None:
        self._members = members
        self._required = required

    def check(self, node: Node, path: str, report: Report) -> None:
        if not isinstance(node.value, dict):
            report.add(node, path, f"must be an object, not {kind(node)}")
            return
        for name, member in node.value.items():
            member_path = f"{path}.{name}" if path else name
            rule = self._members.get(name)
            if rule is None:
                report.add(member, member_path, f"is not a member of a task definition here{self._suggestion(name)}")
            elif member.node.value is None:
                report.add(member.node, member_path, "must not be null; leave the member out instead")
            else:
                rule.check(member.node, member_path, report)
        for name in self._required:
            if name not in node.value:
                report.add(node, f"{path}.{name}" if path else name, "is required and missing")

    def _suggestion(self, name: str) -> str:
        return _did_you_mean(name, tuple(self._members))


class Refused(Rule):
    """A feature that this agent does not have: anything but a value that asks for nothing is a mistake."""

    def __init__(self, feature: Feature) -> None:
        self._reason = feature.why

    def check(self, node: Node, path: str, report: Report) -> None:
        if node.value is False or node.value in ("", []):
            return
        report.add(node, path, self._reason)


class Ignored(Rule):
    """What ``describe-task-definition`` adds to a definition: taken, and without effect."""

    def check(self, node: Node, path: str, report: Report) -> None:
        return


def _did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """``""`` when nothing known is near."""
    folded = word.casefold().replace("_", "").replace("-", "")
    for name in known:
        if name.casefold().replace("_", "").replace("-", "") == folded:
            return f"; did you mean {name}?"
    from difflib import get_close_matches  # noqa: PLC0415  # only needed after a typing mistake

    lowered = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


# --- the table ------------------------------------------------------------------------------------

NAME = r"[A-Za-z0-9_-]{1,255}"
_NAME = Text(pattern=NAME, words="1 to 255 letters, digits, underscores and hyphens")
_PATH = Text(pattern=r"/[^:]*", words="an absolute path without a colon")
_SOME_TEXT = Text(shortest=1)
_ADDRESS = r"[0-9A-Fa-f:.]+(%[0-9A-Za-z]+)?"
_PORT_RANGE = Text(pattern=r"[0-9]{1,5}-[0-9]{1,5}", words='two port numbers with a hyphen between, like "8000-8010"')

_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = (
    rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*(?::[0-9]+)?/)?"
    rf"{_PATH_PART}(?:/{_PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[A-Fa-f0-9]{64})?"
)


# fmt: off
_CAPABILITIES = (
    "ALL", "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
    "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD",
    "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
    "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
)
_ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)
# fmt: on
_TMPFS_OPTIONS = (
    "defaults|ro|rw|suid|nosuid|dev|nodev|exec|noexec|sync|async|dirsync|remount|mand|nomand|atime|noatime|diratime"
    "|nodiratime|bind|rbind|unbindable|runbindable|private|rprivate|shared|rshared|slave|rslave|relatime|norelatime"
    "|strictatime|nostrictatime|(?:mode|uid|gid|nr_inodes|nr_blocks|mpol)(?:=[^,]*)?"
)
# fmt: off
_WINDOWS_FAMILIES = (
    "WINDOWS_SERVER_2004_CORE", "WINDOWS_SERVER_2016_FULL", "WINDOWS_SERVER_2019_CORE", "WINDOWS_SERVER_2019_FULL",
    "WINDOWS_SERVER_2022_CORE", "WINDOWS_SERVER_2022_FULL", "WINDOWS_SERVER_2025_CORE", "WINDOWS_SERVER_2025_FULL",
    "WINDOWS_SERVER_20H2_CORE",
)
# fmt: on

_PORT_MAPPING = Members(
    {
        "containerPort": Whole(1, 65535),
        "hostPort": Whole(0, 65535),
        "protocol": Text(choices=("tcp", "udp")),
        "name": Text(
            pattern=r"[a-z0-9_][a-z0-9_-]{0,63}", words="1 to 64 lower-case letters, digits, underscores and hyphens"
        ),
        "appProtocol": Text(choices=("http", "http2", "grpc")),
        "containerPortRange": _PORT_RANGE,
    }
)

_LINUX_PARAMETERS = Members(
    {
        "capabilities": Members(
            {"add": Items(Text(choices=_CAPABILITIES)), "drop": Items(Text(choices=_CAPABILITIES))},
        ),
        "devices": Items(
            Members(
                {
                    "hostPath": _PATH,
                    "containerPath": _PATH,
                    "permissions": Items(Text(choices=("read", "write", "mknod"))),
                },
                required=("hostPath",),
            )
        ),
        "initProcessEnabled": Flag(),
        "sharedMemorySize": Whole(0, unit="MiB"),
        "tmpfs": Items(
            Members(
                {
                    "containerPath": _PATH,
                    "size": Whole(1, unit="MiB"),
                    "mountOptions": Items(Text(pattern=_TMPFS_OPTIONS, words="a mount option that ECS knows")),
                },
                required=("containerPath", "size"),
            )
        ),
        "maxSwap": Whole(0, unit="MiB"),
        "swappiness": Whole(0, 100),
    }
)

_LOG_CONFIGURATION: Mapping[str, Rule] = {
    "logDriver": Text(
        choices=("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk"),
        refused={"awsfirelens": refused.FIRELENS},
    ),
    "options": Names(),
}

_SECRETS = Items(Members({"name": _SOME_TEXT, "valueFrom": _SOME_TEXT}, required=("name", "valueFrom")))

_HEALTH_CHECK = Members(
    {
        "command": Items(Text(), fewest=2),
        "interval": Whole(5, 300, unit="seconds"),
        "timeout": Whole(2, 60, unit="seconds"),
        "retries": Whole(1, 10),
        "startPeriod": Whole(0, 300, unit="seconds"),
    },
    required=("command",),
)

_CONTAINER_MEMBERS: Mapping[str, Rule] = {
    "name": _NAME,
    "image": Text(
        pattern=_IMAGE, words='an image reference like "name:tag" or "host/name@sha256:…", its name in lower case'
    ),
    "cpu": Whole(0, unit="CPU units"),
    "memory": Whole(6, unit="MiB", hint="leave it out for no limit"),
    "memoryReservation": Whole(6, unit="MiB", hint="leave it out for no reservation"),
    "links": Items(Text(pattern=rf"{NAME}(:[^:\s]+)?", words='a container name, or "name:alias"')),
    "portMappings": Items(_PORT_MAPPING),
    "essential": Flag(),
    "restartPolicy": Members(
        {
            "enabled": Flag(),
            "ignoredExitCodes": Items(Whole(0, 255), most=50),
            "restartAttemptPeriod": Whole(60, 1800, unit="seconds"),
        },
        required=("enabled",),
    ),
    "entryPoint": Items(Text()),
    "command": Items(Text()),
    "environment": Items(
        Members(
            {
                "name": Text(pattern=r"[^=]+", words='a variable name, not empty and without "="'),
                "value": Text(),
            },
            required=("name", "value"),
        )
    ),
    "environmentFiles": Refused(refused.ENVIRONMENT_FILES),
    "mountPoints": Items(
        Members(
            {"sourceVolume": _SOME_TEXT, "containerPath": _PATH, "readOnly": Flag()},
            required=("sourceVolume", "containerPath"),
        )
    ),
    "volumesFrom": Items(
        Members({"sourceContainer": _SOME_TEXT, "readOnly": Flag()}, required=("sourceContainer",)),
    ),
    "linuxParameters": _LINUX_PARAMETERS,
    "dependsOn": Items(
        Members(
            {
                "containerName": _SOME_TEXT,
                "condition": Text(choices=("START", "COMPLETE", "SUCCESS", "HEALTHY")),
            },
            required=("containerName", "condition"),
        )
    ),
    "startTimeout": Whole(0, unit="seconds"),
    "stopTimeout": Whole(0, unit="seconds"),
    "versionConsistency": Text(choices=("enabled", "disabled")),
    "hostname": Text(
        pattern=rf"(?=.{{1,63}}$){_HOST_PART}(?:\.{_HOST_PART})*",
        words="a host name of at most 63 letters, digits, hyphens and dots",
    ),
    "user": _SOME_TEXT,
    "workingDirectory": Text(pattern=r"/.*", words="an absolute path"),
    "disableNetworking": Flag(),
    "privileged": Flag(),
    "readonlyRootFilesystem": Flag(),
    "dnsServers": Items(Text(pattern=_ADDRESS, words="an IP address")),
    "dnsSearchDomains": Items(_SOME_TEXT),
    "extraHosts": Items(
        Members(
            {
                "hostname": Text(pattern=r"[^:\s]+", words="a host name"),
                "ipAddress": Text(pattern=rf"{_ADDRESS}|host-gateway", words="an IP address"),
            },
            required=("hostname", "ipAddress"),
        )
    ),
    "dockerSecurityOptions": Items(_SOME_TEXT),
    "interactive": Flag(),
    "pseudoTerminal": Flag(),
    "dockerLabels": Names(),
    "ulimits": Items(
        Members(
            {
                "name": Text(choices=_ULIMITS),
                "softLimit": Whole(-1, 2**63 - 1),
                "hardLimit": Whole(-1, 2**63 - 1),
            },
            required=("name", "softLimit", "hardLimit"),
        )
    ),
    "healthCheck": _HEALTH_CHECK,
    "systemControls": Items(
        Members({"namespace": _SOME_TEXT, "value": Text(number_hint=True)}, required=("namespace", "value")),
    ),
    "resourceRequirements": Items(
        Members(
            {
                "type": Text(
                    choices=("GPU", "InferenceAccelerator", "NeuronDevice"),
                    refused={
                        "GPU": refused.GPU,
                        "InferenceAccelerator": refused.INFERENCE,
                        "NeuronDevice": refused.NEURON,
                    },
                ),
                "value": Text(number_hint=True),
            },
            required=("type", "value"),
        )
    ),
    "firelensConfiguration": Refused(refused.FIRELENS),
    "credentialSpecs": Refused(refused.CREDENTIAL_SPECS),
}

_CONTAINER = Members(
    {
        **_CONTAINER_MEMBERS,
        "logConfiguration": Members(
            {**_LOG_CONFIGURATION, "secretOptions": Refused(refused.SECRETS_OF_A_FILE)}, required=("logDriver",)
        ),
        "repositoryCredentials": Refused(refused.REGISTRY_CREDENTIALS_OF_A_FILE),
        "secrets": Refused(refused.SECRETS_OF_A_FILE),
    },
    required=("name", "image"),
)
"""In a task file."""

_CONTAINER_TO_REGISTER = Members(
    {
        **_CONTAINER_MEMBERS,
        "logConfiguration": Members({**_LOG_CONFIGURATION, "secretOptions": _SECRETS}, required=("logDriver",)),
        "repositoryCredentials": Members({"credentialsParameter": _SOME_TEXT}, required=("credentialsParameter",)),
        "secrets": _SECRETS,
    },
    required=("name", "image"),
)
"""With a control plane, which hands out the credentials of execution roles."""

_VOLUME = Members(
    {
        "name": _NAME,
        "host": Members({"sourcePath": Text(pattern=r"(/[^:]*)?", words="an absolute path without a colon")}),
        "dockerVolumeConfiguration": Members(
            {
                "scope": Text(choices=("task", "shared")),
                "autoprovision": Flag(),
                "driver": _SOME_TEXT,
                "driverOpts": Names(),
                "labels": Names(),
            }
        ),
        "efsVolumeConfiguration": Refused(refused.EFS),
        "s3filesVolumeConfiguration": Refused(refused.S3_FILES),
        "fsxWindowsFileServerVolumeConfiguration": Refused(refused.FSX),
        "configuredAtLaunch": Refused(refused.EBS),
    },
    required=("name",),
)

_TASK_DEFINITION: Mapping[str, Rule] = {
    "family": _NAME,
    "executionRoleArn": Text(),
    "containerDefinitions": Items(_CONTAINER, fewest=1, most=10),
    "volumes": Items(_VOLUME),
    "placementConstraints": Items(
        Members({"type": Text(choices=("memberOf",)), "expression": Text(longest=2000)}, required=("type",)),
        most=10,
    ),
    "requiresCompatibilities": Items(Text(choices=("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"))),
    "cpu": Text(
        pattern=r"[0-9]{1,7}|([0-9]{1,4}(\.[0-9]+)?|\.[0-9]+) *[vV][cC][pP][uU]s?",
        words='CPU units or vCPUs, like "256" or "0.25 vCPU"',
        number_hint=True,
    ),
    "memory": Text(
        pattern=r"[0-9]{1,9}|([0-9]{1,6}(\.[0-9]+)?|\.[0-9]+) *[gG][bB]",
        words='MiB or GB, like "512" or "0.5 GB"',
        number_hint=True,
    ),
    "tags": Items(
        Members(
            {"key": Text(shortest=1, longest=128), "value": Text(longest=256)},
            required=("key",),
        ),
        most=50,
    ),
    "pidMode": Text(choices=("host", "task")),
    "ipcMode": Text(choices=("host", "none", "task")),
    "proxyConfiguration": Refused(refused.APP_MESH),
    "inferenceAccelerators": Refused(refused.INFERENCE),
    "enableFaultInjection": Refused(refused.FAULT_INJECTION),
    "trustedExecutionConfiguration": Refused(refused.TRUSTED_EXECUTION),
}

_CPU_ARCHITECTURE = Text(choices=("X86_64", "ARM64"))
_REQUIRED = ("family", "containerDefinitions")

TASK_DEFINITION = Members(
    {
        **_TASK_DEFINITION,
        "networkMode": Text(choices=("bridge", "host", "none"), refused={"awsvpc": refused.AWSVPC}),
        "ephemeralStorage": Refused(refused.FARGATE_OF_A_FILE),
        "runtimePlatform": Members(
            {
                "cpuArchitecture": _CPU_ARCHITECTURE,
                "operatingSystemFamily": Text(
                    choices=("LINUX",), refused=dict.fromkeys(_WINDOWS_FAMILIES, refused.WINDOWS)
                ),
            }
        ),
        "revision": Whole(1),
        "taskRoleArn": Refused(refused.ROLE_OF_A_FILE),
        # What describe-task-definition adds, so that its output can be used as it is.
        "taskDefinitionArn": Ignored(),
        "status": Ignored(),
        "requiresAttributes": Ignored(),
        "compatibilities": Ignored(),
        "registeredAt": Ignored(),
        "registeredBy": Ignored(),
        "deregisteredAt": Ignored(),
        "deleteRequestedAt": Ignored(),
    },
    required=_REQUIRED,
)
"""In a task file."""

TASK_DEFINITION_TO_REGISTER = Members(
    {
        **_TASK_DEFINITION,
        "taskRoleArn": Text(),
        "containerDefinitions": Items(_CONTAINER_TO_REGISTER, fewest=1, most=10),
        "networkMode": Text(choices=("bridge", "host", "awsvpc", "none")),
        "ephemeralStorage": Members(
            {"sizeInGiB": Whole(LEAST_STORAGE_GIB, MOST_STORAGE_GIB, unit="GiB")}, required=("sizeInGiB",)
        ),
        "runtimePlatform": Members(
            {
                "cpuArchitecture": _CPU_ARCHITECTURE,
                "operatingSystemFamily": Text(choices=("LINUX", *_WINDOWS_FAMILIES)),
            }
        ),
    },
    required=_REQUIRED,
)
"""With a control plane, which hands out the credentials of roles and the addresses of tasks.

What it takes to run one is asked when a task is to run, so every platform can be registered."""
