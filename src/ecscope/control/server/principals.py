"""Users and roles: their keys, and what their policies allow; from a file when there is one, and always two of ours.

The file has the form of ``aws iam get-account-authorization-details``, with the keys beside. It is looked at before
each request and read again when it has changed, so that an action can be taken away while agents are connected. With
a mistake in it at the start nothing starts; with one later, the last good one stays in force and the log says why.

The administrator and the container instances' role always exist. Their keys are made by chance at the first start and
kept in the data directory, readable by its owner only: anyone who can call this API can run privileged containers, and
other users of this machine can reach its port. A file that names one of the two decides what it may do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ecscope.control.core.iam import Mistake, Policy, Request, allows_everything, authorize, parse_policy
from ecscope.control.core.role_sessions import RoleSession
from ecscope.control.server.signatures import AccessKey
from ecscope.owned_files import UnsafeFile, read_owned, write_owned

logger = logging.getLogger(__name__)

ADMINISTRATOR = "administrator"
INSTANCE_ROLE = "ecsInstanceRole"
SESSION = "ecscope"
"""Name of a role's session when the file gives none."""
_KEYS_FILE = "keys.json"

_ALL: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
MANAGED_POLICIES: Mapping[str, Mapping[str, Any]] = {
    "arn:aws:iam::aws:policy/AdministratorAccess": _ALL,
    "arn:aws:iam::aws:policy/AmazonECS_FullAccess": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": "*",
                "Condition": {"StringLike": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            },
        ],
    },
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeTags",
                    "ecs:CreateCluster",
                    "ecs:DeregisterContainerInstance",
                    "ecs:DiscoverPollEndpoint",
                    "ecs:Poll",
                    "ecs:RegisterContainerInstance",
                    "ecs:StartTelemetrySession",
                    "ecs:UpdateContainerInstancesState",
                    "ecs:Submit*",
                    "ecr:GetAuthorizationToken",
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchGetImage",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                ],
                "Resource": "*",
            },
            {
                "Effect": "Allow",
                "Action": "ecs:TagResource",
                "Resource": "*",
                "Condition": {"StringEquals": {"ecs:CreateAction": ["CreateCluster", "RegisterContainerInstance"]}},
            },
            {
                "Effect": "Allow",
                "Action": "ecs:ListTagsForResource",
                "Resource": ["arn:aws:ecs:*:*:task/*/*", "arn:aws:ecs:*:*:container-instance/*/*"],
            },
        ],
    },
}
"""AWS's managed policies that concern ECS. Source: AWS Managed Policy Reference."""

_IGNORED = {
    "Arn", "CreateDate", "UserId", "RoleId", "Tags", "InstanceProfileList", "AssumeRolePolicyDocument",
    "RoleLastUsed", "PolicyId", "UpdateDate", "AttachmentCount", "IsAttachable", "DefaultVersionId",
    "PermissionsBoundaryUsageCount", "VersionId", "Description",
}  # fmt: skip
"""Members that AWS writes beside, and that decide nothing here."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user, or a role in a session."""

    arn: str
    name: str
    path: str = "/"
    is_role: bool
    key: AccessKey
    policies: tuple[Policy, ...]
    is_unrestricted: bool

    def context(self, *, account: str, region: str, source_ip: str) -> Mapping[str, tuple[str, ...]]:
        """Condition keys of the caller."""
        context = {
            "aws:principalarn": (_role_arn(account, self.path, self.name) if self.is_role else self.arn,),
            "aws:principalaccount": (account,),
            "aws:principaltype": ("AssumedRole" if self.is_role else "User",),
            "aws:requestedregion": (region,),
            "aws:securetransport": ("false",),
            "aws:userid": (self.key.access_key_id,),
        }
        if source_ip:
            context["aws:sourceip"] = (source_ip,)
        if not self.is_role:
            context["aws:username"] = (self.name,)
        return context

    def authorize(self, request: Request) -> None:
        """Raises ``ApiError`` in AWS's words."""
        authorize(self.arn, self.policies, request)


def _role_arn(account: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{account}:role{path}{name}"


class IamFileError(Exception):
    """The file cannot be used; the message lists all its mistakes, one a line."""

    def __init__(self, path: Path, mistakes: tuple[Mistake, ...]) -> None:
        self.path = path
        self.mistakes = mistakes
        super().__init__(
            "\n".join(
                (
                    f"{path}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}",
                    *(f"  {each}" for each in mistakes),
                )
            )
        )


class Principals:
    """All principals that may call. Checks the file's age when used, and does not watch it."""

    def __init__(self, *, account: str, data_dir: Path, iam_file: Path | None = None) -> None:
        """Reads the file, and makes our two keys unless they were made before. Raises ``IamFileError``."""
        self._account = account
        self._iam_file = iam_file
        self._ours = _our_keys(data_dir)
        self._mark: object = None
        self._by_key: Mapping[str, Principal] = {}
        self._of_roles: Mapping[str, tuple[Policy, ...]] = {}
        self._load()

    @property
    def administrator(self) -> AccessKey:
        """What a user of this machine exports."""
        return self._ours[ADMINISTRATOR]

    @property
    def instance_role(self) -> AccessKey:
        """What a container instance is given."""
        return self._ours[INSTANCE_ROLE]

    def of_key(self, access_key_id: str) -> Principal | None:
        return self._by_key.get(access_key_id)

    def of_session(self, session: RoleSession) -> Principal:
        """A task in its role: what the file allows the role of that ARN, else what the agent asks for the task.

        Without a file it may do everything.
        """
        full_name = "/" + (session.role_arn.partition(":role/")[2] or session.role_arn.rpartition("/")[2])
        key = AccessKey(
            access_key_id=session.key.access_key_id,
            secret_access_key=session.key.secret_access_key,
            session_token=session.key.session_token,
        )
        policies = self._of_roles.get(session.role_arn)
        if policies is None:
            policies = _everything() if self._iam_file is None else _own_protection(session.session_name)
        return _principal(self._account, full_name, session.session_name, key, policies, is_role=True)

    def refresh(self) -> None:
        """Read the file again if it has changed. A faulty one changes nothing, and is logged once."""
        if self._iam_file is None or self._mark == _mark_of(self._iam_file):
            return
        try:
            self._load()
        except IamFileError as error:
            logger.error("%s\nThe rules read before stay in force.", error)  # noqa: TRY400  # a user's mistake
        else:
            logger.info("%s has changed: %d keys are known now", self._iam_file, len(self._by_key))

    def _load(self) -> None:
        written: object = {}
        if self._iam_file is not None:
            # Marked first: a change while it is read is then seen, and a faulty file is not read at each request.
            self._mark = _mark_of(self._iam_file)
            written = _decoded(self._iam_file)
        found, of_roles, mistakes = _parse(written, account=self._account, ours=self._ours)
        if mistakes:
            assert self._iam_file is not None, "the built-in policies have no mistakes"
            raise IamFileError(self._iam_file, mistakes)
        self._by_key = {principal.key.access_key_id: principal for principal in found}
        self._of_roles = of_roles


def _everything() -> tuple[Policy, ...]:
    return _of_ours("AdministratorAccess", _ALL)


def _own_protection(task_id: str) -> tuple[Policy, ...]:
    """What any task may do: see to its own protection, which it asks of its agent."""
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
                "Resource": f"arn:aws:ecs:*:*:task/*/{task_id}",
            }
        ],
    }
    return _of_ours("OwnProtection", document)


def _of_ours(name: str, document: Mapping[str, Any]) -> tuple[Policy, ...]:
    policy, mistakes = parse_policy(document, name=name, place=name)
    assert policy is not None, mistakes
    return (policy,)


def _mark_of(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError as error:
        return error.errno
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _decoded(path: Path) -> object:
    try:
        return msgspec.json.decode(read_owned(path))
    except OSError as error:
        raise IamFileError(path, (Mistake("file", f"cannot be read: {error.strerror}"),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IamFileError(path, (Mistake("file", f"is not JSON: {error}"),)) from None


def _our_keys(data_dir: Path) -> dict[str, AccessKey]:
    path = data_dir / _KEYS_FILE
    try:
        keys = msgspec.json.decode(read_owned(path, is_secret=True), type=dict[str, AccessKey])
    except FileNotFoundError:
        keys = _new_keys()
        try:
            write_owned(path, msgspec.json.encode(keys))
        except OSError as error:
            raise _of_keys(path, f"cannot be written: {error.strerror}; give another --data-dir") from None
    except UnsafeFile as error:
        raise _of_keys(path, f"cannot be used: {error.strerror}. Where there is none, new keys are made") from None
    except OSError as error:
        raise _of_keys(path, f"cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _of_keys(path, f"is damaged ({error}): delete it, and new keys are made") from None
    if not {ADMINISTRATOR, INSTANCE_ROLE} <= keys.keys():
        raise _of_keys(
            path, f"is damaged (it lacks {ADMINISTRATOR} or {INSTANCE_ROLE}): delete it, and new keys are made"
        )
    return keys


def _of_keys(path: Path, reason: str) -> IamFileError:
    return IamFileError(path, (Mistake("file", reason),))


def _new_keys() -> dict[str, AccessKey]:
    return {
        ADMINISTRATOR: _new_key("AKIA"),
        INSTANCE_ROLE: msgspec.structs.replace(_new_key("ASIA"), session_token=secrets.token_urlsafe(96)),
    }


def _new_key(prefix: str) -> AccessKey:
    """In the form of AWS's: clients and redactors know them by it."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    made = prefix + "".join(secrets.choice(letters) for _ in range(16))
    return AccessKey(access_key_id=made, secret_access_key=secrets.token_urlsafe(30))


# --- the file -------------------------------------------------------------------------------------------------


class _Reader:
    """Takes the file apart and gathers what is wrong with it."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.mistakes: list[Mistake] = []
        self.managed: dict[str, tuple[Policy, ...]] = {}

    def wrong(self, place: str, reason: str) -> None:
        self.mistakes.append(Mistake(place, reason))

    def members(self, written: object, place: str, known: set[str]) -> Mapping[str, Any]:
        if not isinstance(written, dict):
            self.wrong(place or "the file", "must be a JSON object")
            return {}
        for member in written:
            if member not in known and member not in _IGNORED:
                path = f"{place}.{member}" if place else member
                self.wrong(path, f"not understood here; known are {', '.join(sorted(known))}")
        return written

    def listed(self, written: Mapping[str, Any], member: str, place: str) -> list[tuple[str, Any]]:
        at = f"{place}.{member}" if place else member
        items = written.get(member, [])
        if not isinstance(items, list):
            self.wrong(at, "must be a list")
            return []
        return [(f"{at}[{index}]", item) for index, item in enumerate(items)]

    def text(self, written: Mapping[str, Any], member: str, place: str, default: str | None = None) -> str:
        value = written.get(member, default)
        if not isinstance(value, str) or (not value and default is None):
            self.wrong(f"{place}.{member}", "must be a string that is not empty")
            return ""
        return value

    def path(self, written: Mapping[str, Any], place: str) -> str:
        """What precedes the name in an ARN."""
        path = self.text(written, "Path", place, default="/")
        if not (path.startswith("/") and path.endswith("/")):
            self.wrong(f"{place}.Path", "must begin and end with a slash")
        return path

    def policy(self, document: object, name: str, place: str) -> tuple[Policy, ...]:
        policy, mistakes = parse_policy(document, name=name, place=place)
        self.mistakes += mistakes
        return (policy,) if policy is not None else ()

    def policies(self, written: Mapping[str, Any], inline: str, place: str) -> tuple[Policy, ...]:
        found: list[Policy] = []
        for at, item in self.listed(written, inline, place):
            each = self.members(item, at, {"PolicyName", "PolicyDocument"})
            name = self.text(each, "PolicyName", at)
            found += self.policy(each.get("PolicyDocument"), name, f"{at}.PolicyDocument")
        for at, item in self.listed(written, "AttachedManagedPolicies", place):
            each = self.members(item, at, {"PolicyName", "PolicyArn"})
            arn = self.text(each, "PolicyArn", at)
            if arn in self.managed:
                found += self.managed[arn]
            elif arn:
                known = ", ".join(sorted(self.managed))
                self.wrong(f"{at}.PolicyArn", f"{arn} is not known here: write it under Policies; known are {known}")
        return tuple(found)

    def managed_policies(self, written: Mapping[str, Any]) -> None:
        for arn, document in MANAGED_POLICIES.items():
            self.managed[arn] = self.policy(document, arn.rsplit("/", 1)[-1], arn)
        for at, item in self.listed(written, "Policies", ""):
            each = self.members(item, at, {"PolicyName", "Arn", "Path", "PolicyVersionList"})
            name, path = self.text(each, "PolicyName", at), self.path(each, at)
            versions = self.listed(each, "PolicyVersionList", at)
            chosen = [(place, v) for place, v in versions if isinstance(v, dict) and v.get("IsDefaultVersion", True)]
            if len(chosen) != 1:
                self.wrong(f"{at}.PolicyVersionList", "must have one version with IsDefaultVersion true")
                continue
            place, version = chosen[0]
            inside = self.members(version, place, {"Document", "IsDefaultVersion"})
            arn = each.get("Arn", f"arn:aws:iam::{self.account}:policy{path}{name}")
            self.managed[str(arn)] = self.policy(inside.get("Document"), name, f"{place}.Document")

    def keys(self, written: Mapping[str, Any], place: str, *, is_role: bool) -> list[tuple[str, AccessKey]]:
        """Each with the name of its session."""
        known = {"AccessKeyId", "SecretAccessKey"} | ({"SessionToken", "RoleSessionName"} if is_role else set())
        keys = []
        for at, item in self.listed(written, "AccessKeys", place):
            each = self.members(item, at, known)
            key = AccessKey(
                access_key_id=self.text(each, "AccessKeyId", at),
                secret_access_key=self.text(each, "SecretAccessKey", at),
                session_token=self.text(each, "SessionToken", at, default="") if is_role else "",
            )
            keys.append((self.text(each, "RoleSessionName", at, default=SESSION) if is_role else "", key))
        return keys


def _parse(
    written: object, *, account: str, ours: Mapping[str, AccessKey]
) -> tuple[list[Principal], dict[str, tuple[Policy, ...]], tuple[Mistake, ...]]:
    """Those with keys, what each role may do by its ARN, and what is wrong."""
    reader = _Reader(account)
    top = reader.members(written, "", {"UserDetailList", "RoleDetailList", "Policies", "GroupDetailList"})
    if top.get("GroupDetailList"):
        reader.wrong("GroupDetailList", "groups are not understood here: give their policies to the users")
    reader.managed_policies(top)
    principals: list[Principal] = []
    of_roles: dict[str, tuple[Policy, ...]] = {}
    names: dict[str, set[str]] = {"UserDetailList": set(), "RoleDetailList": set()}
    for member, kind in (("UserDetailList", "User"), ("RoleDetailList", "Role")):
        is_role = kind == "Role"
        for place, item in reader.listed(top, member, ""):
            known = {f"{kind}Name", "Path", f"{kind}PolicyList", "AttachedManagedPolicies", "AccessKeys", "GroupList"}
            each = reader.members(item, place, known)
            name, path = reader.text(each, f"{kind}Name", place), reader.path(each, place)
            if "/" in name:
                reader.wrong(f"{place}.{kind}Name", f"{name!r} has a slash: what precedes the name is its Path")
            if name in names[member]:
                reader.wrong(f"{place}.{kind}Name", f"{name!r} is there twice")
            names[member].add(name)
            if each.get("GroupList"):
                reader.wrong(f"{place}.GroupList", "groups are not understood here: give their policies to the user")
            policies = reader.policies(each, f"{kind}PolicyList", place)
            if is_role:
                of_roles[_role_arn(account, path, name)] = policies
            keys = reader.keys(each, place, is_role=is_role)
            if name in ours and is_role is (name == INSTANCE_ROLE):
                keys.append((SESSION, ours[name]))
            principals += [
                _principal(account, path + name, session, key, policies, is_role=is_role) for session, key in keys
            ]
    if ADMINISTRATOR not in names["UserDetailList"]:
        everything = reader.managed["arn:aws:iam::aws:policy/AdministratorAccess"]
        principals.append(_principal(account, f"/{ADMINISTRATOR}", "", ours[ADMINISTRATOR], everything, is_role=False))
    if INSTANCE_ROLE not in names["RoleDetailList"]:
        agents = reader.managed["arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"]
        of_roles[_role_arn(account, "/", INSTANCE_ROLE)] = agents
        principals.append(_principal(account, f"/{INSTANCE_ROLE}", SESSION, ours[INSTANCE_ROLE], agents, is_role=True))
    seen: set[str] = set()
    for principal in principals:
        key = principal.key.access_key_id
        if key in seen:
            reader.wrong("AccessKeys", f"the access key {key!r} is there twice")
        seen.add(key)
    return principals, of_roles, tuple(reader.mistakes)


def _principal(
    account: str, full_name: str, session: str, key: AccessKey, policies: tuple[Policy, ...], *, is_role: bool
) -> Principal:
    """``full_name``: with the path, ``/people/alice``."""
    path, _, name = full_name.rpartition("/")
    who = f"sts::{account}:assumed-role/{name}/{session}" if is_role else f"iam::{account}:user{full_name}"
    return Principal(
        arn=f"arn:aws:{who}",
        name=name,
        path=f"{path}/",
        is_role=is_role,
        key=key,
        policies=policies,
        is_unrestricted=allows_everything(policies),
    )
