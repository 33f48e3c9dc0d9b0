"""Users and roles come from a file in IAM's own words, wholly or with all its mistakes; ours have keys of their own."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.iam import KEYS, Request
from ecscope.control.core.role_sessions import RoleSession, role_arn, role_key
from ecscope.control.server.principals import (
    ADMINISTRATOR,
    INSTANCE_ROLE,
    MANAGED_POLICIES,
    IamFileError,
    Principal,
    Principals,
)
from ecscope.control.server.signatures import AccessKey

ACCOUNT = "000000000000"
ALLOW_RUN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:RunTask", "Resource": "*"}]}


def a_user(name: str = "alice", **members: Any) -> dict[str, Any]:
    return {
        "UserName": name,
        "AccessKeys": [{"AccessKeyId": f"AKIA{name}", "SecretAccessKey": "secret"}],
        "UserPolicyList": [{"PolicyName": "run", "PolicyDocument": ALLOW_RUN}],
        **members,
    }


def a_role(name: str = "deployer", **members: Any) -> dict[str, Any]:
    key = {"AccessKeyId": f"ASIA{name}", "SecretAccessKey": "s", "SessionToken": "t", "RoleSessionName": "ci"}
    return {"RoleName": name, "AccessKeys": [key], "RolePolicyList": [], **members}


class Folder:
    """A data directory and an IAM file."""

    def __init__(self, path: Path) -> None:
        self.data_dir = path / "data"
        self.file = path / "iam.json"
        self._writes = 0

    def write(self, **members: Any) -> None:
        self.write_text(json.dumps(members))

    def write_text(self, text: str) -> None:
        self.file.write_text(text)
        self._writes += 1  # two writes may fall into one tick of the file system's clock
        os.utime(self.file, ns=(self._writes * 10**9, self._writes * 10**9))

    def read(self) -> Principals:
        return Principals(account=ACCOUNT, data_dir=self.data_dir, iam_file=self.file if self._writes else None)

    def mistakes(self) -> list[str]:
        with pytest.raises(IamFileError) as caught:
            self.read()
        assert str(caught.value).startswith(f"{self.file}: {len(caught.value.mistakes)} mistake")
        return [str(mistake) for mistake in caught.value.mistakes]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def may(principal: Principal, action: str, resource: str = "*") -> bool:
    try:
        principal.authorize(Request(action=f"ecs:{action}", resources=(resource,)))
    except ApiError:
        return False
    return True


def found(principals: Principals, access_key_id: str) -> Principal:
    principal = principals.of_key(access_key_id)
    assert principal is not None
    return principal


def test_without_a_file_there_are_an_administrator_and_the_instances_role(folder: Folder) -> None:
    principals = folder.read()
    administrator = found(principals, principals.administrator.access_key_id)
    assert administrator.arn == f"arn:aws:iam::{ACCOUNT}:user/{ADMINISTRATOR}"
    assert administrator.is_unrestricted
    role = found(principals, principals.instance_role.access_key_id)
    assert role.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{INSTANCE_ROLE}/ecscope"
    assert not role.is_unrestricted
    for action in ("Poll", "StartTelemetrySession", "SubmitTaskStateChange", "DiscoverPollEndpoint", "CreateCluster"):
        assert may(role, action), action
    for action in ("RunTask", "StopTask", "DescribeTasks", "TagResource", "ListTagsForResource"):
        assert not may(role, action), action
    assert may(role, "ListTagsForResource", f"arn:aws:ecs:us-east-1:{ACCOUNT}:container-instance/default/1")
    assert principals.of_key("AKIAOTHER") is None


def a_session(role: str = "role/path/app", task_id: str = "1" * 32) -> RoleSession:
    return RoleSession(
        role_arn=f"arn:aws:iam::{ACCOUNT}:{role}", session_name=task_id, key=role_key("credentials of " + task_id)
    )


def test_a_task_may_do_everything_without_a_file(folder: Folder) -> None:
    task = folder.read().of_session(a_session())
    assert task.is_unrestricted
    assert may(task, "UpdateTaskProtection", f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/default/{'2' * 32}")


def test_a_task_whose_role_is_not_in_the_file_may_see_to_its_own_protection(folder: Folder) -> None:
    folder.write(RoleDetailList=[])
    task = folder.read().of_session(a_session())
    assert task.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/app/{'1' * 32}"
    assert (task.key.access_key_id, task.key.session_token) == (
        a_session().key.access_key_id,
        a_session().key.session_token,
    )
    for action in ("GetTaskProtection", "UpdateTaskProtection"):
        assert may(task, action, f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/default/{'1' * 32}")
        assert not may(task, action, f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/default/{'2' * 32}")
    assert not may(task, "RunTask")


def test_a_task_may_do_what_the_file_allows_its_role_and_no_more(folder: Folder) -> None:
    role = a_role("app", AccessKeys=[], RolePolicyList=a_user()["UserPolicyList"], Path="/path/")
    folder.write(RoleDetailList=[role])
    principals = folder.read()
    task = principals.of_session(a_session())
    assert may(task, "RunTask")
    assert not may(task, "UpdateTaskProtection", f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/default/{'1' * 32}")
    assert may(principals.of_session(a_session(f"role/{INSTANCE_ROLE}")), "Poll")


@pytest.mark.parametrize(
    "named",
    [
        "x/app",
        "path/app",
        f"arn:aws:iam::{ACCOUNT}:role/x/app",
        f"arn:aws:iam::{ACCOUNT}:user/app",
        "arn:aws:iam::999999999999:role/app",
        "arn:aws-cn:iam::000000000000:role/app",
        "arn:app",
        "APP",
    ],
)
def test_a_role_of_another_arn_is_another_role(folder: Folder, named: str) -> None:
    """Else who may not pass ``role/app`` would pass it under a name of his own."""
    folder.write(RoleDetailList=[a_role("app", AccessKeys=[], RolePolicyList=a_user()["UserPolicyList"])])
    session = msgspec.structs.replace(a_session(), role_arn=role_arn(ACCOUNT, named))
    assert not may(folder.read().of_session(session), "RunTask")
    session = msgspec.structs.replace(a_session(), role_arn=role_arn(ACCOUNT, "app"))
    assert may(folder.read().of_session(session), "RunTask")


def test_a_path_is_part_of_an_arn(folder: Folder) -> None:
    folder.write(
        UserDetailList=[a_user(Path="/people/")],
        RoleDetailList=[a_role(Path="/robots/")],
        Policies=[{"PolicyName": "p", "Path": "/x/", "PolicyVersionList": [{"Document": ALLOW_RUN}]}],
    )
    principals = folder.read()
    assert found(principals, "AKIAalice").arn == f"arn:aws:iam::{ACCOUNT}:user/people/alice"
    role = found(principals, "ASIAdeployer")
    assert role.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci"
    context = role.context(account=ACCOUNT, region="a", source_ip="")
    assert context["aws:principalarn"] == (f"arn:aws:iam::{ACCOUNT}:role/robots/deployer",)
    folder.write(UserDetailList=[a_user(Path="people")])
    assert folder.mistakes() == ["UserDetailList[0].Path: must begin and end with a slash"]
    folder.write(RoleDetailList=[a_role("x/app")])
    assert folder.mistakes() == ["RoleDetailList[0].RoleName: 'x/app' has a slash: what precedes the name is its Path"]


def test_our_keys_are_made_once_and_for_their_owner_only(folder: Folder) -> None:
    principals, again = folder.read(), folder.read()
    assert principals.administrator == again.administrator
    assert principals.instance_role == again.instance_role
    assert principals.administrator.access_key_id.startswith("AKIA")
    assert principals.administrator.session_token == ""
    assert principals.instance_role.access_key_id.startswith("ASIA")
    assert principals.instance_role.session_token
    files = list(folder.data_dir.iterdir())
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600]


def test_a_first_start_that_was_cut_off_does_not_stop_the_next(folder: Folder) -> None:
    folder.data_dir.mkdir()
    (folder.data_dir / "keys.new").write_text("half")
    assert folder.read().administrator == folder.read().administrator


@pytest.mark.parametrize("content", [b"{", b'"\xff"', b"{}", b'{"administrator": {"access_key_id": 1}}'])
def test_damaged_keys_are_told(folder: Folder, content: bytes) -> None:
    folder.data_dir.mkdir()
    (folder.data_dir / "keys.json").write_bytes(content)
    (folder.data_dir / "keys.json").chmod(0o600)
    with pytest.raises(IamFileError, match=r"is damaged .*delete it, and new keys are made"):
        folder.read()


def test_keys_that_cannot_be_read_or_written_are_told(folder: Folder) -> None:
    (folder.data_dir / "keys.json").mkdir(parents=True)
    with pytest.raises(
        IamFileError,
        match=r"cannot be used: it is not a regular file; remove it\. Where there is none, new keys are made",
    ):
        folder.read()
    (folder.data_dir / "keys.json").rmdir()
    (folder.data_dir / "keys.new").mkdir()
    with pytest.raises(IamFileError, match=r"cannot be written: .*give another --data-dir"):
        folder.read()


def test_keys_that_others_may_know_are_not_taken(folder: Folder) -> None:
    key = folder.read().administrator
    (folder.data_dir / "keys.json").chmod(0o640)
    with pytest.raises(IamFileError, match=r"other users may read it \(mode 0640\)"):
        folder.read()
    (folder.data_dir / "keys.json").unlink()
    assert folder.read().administrator != key


def test_a_file_that_others_may_write_changes_no_rights(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.write(UserDetailList=[a_user()])
    principals = folder.read()
    folder.write(UserDetailList=[a_user(), a_user("mallory")])
    folder.file.chmod(0o666)
    principals.refresh()
    assert principals.of_key("AKIAmallory") is None
    assert principals.of_key("AKIAalice") is not None
    assert "other users may write it (mode 0666)" in caplog.text


def test_a_file_adds_users_and_roles(folder: Folder) -> None:
    folder.write(UserDetailList=[a_user()], RoleDetailList=[a_role()])
    principals = folder.read()
    alice = found(principals, "AKIAalice")
    assert alice.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert may(alice, "RunTask")
    assert not may(alice, "StopTask")
    role = found(principals, "ASIAdeployer")
    assert role.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci"
    assert not may(role, "RunTask")
    assert found(principals, principals.administrator.access_key_id).is_unrestricted


def test_a_file_may_take_rights_from_ours(folder: Folder) -> None:
    administrator = a_user(ADMINISTRATOR, AccessKeys=[])
    role = a_role(INSTANCE_ROLE, AccessKeys=[])
    folder.write(UserDetailList=[administrator], RoleDetailList=[role])
    principals = folder.read()
    ours = found(principals, principals.administrator.access_key_id)
    assert may(ours, "RunTask")
    assert not may(ours, "StopTask")
    assert not may(found(principals, principals.instance_role.access_key_id), "Poll")


def test_managed_policies_are_attached_by_their_arn(folder: Folder) -> None:
    mine = f"arn:aws:iam::{ACCOUNT}:policy/mine"
    versions = [{"Document": {}, "IsDefaultVersion": False}, {"Document": ALLOW_RUN, "IsDefaultVersion": True}]
    folder.write(
        Policies=[{"PolicyName": "mine", "PolicyVersionList": versions}],
        UserDetailList=[
            a_user("a", UserPolicyList=[], AttachedManagedPolicies=[{"PolicyArn": mine, "PolicyName": "mine"}]),
            a_user(
                "b",
                UserPolicyList=[],
                AttachedManagedPolicies=[{"PolicyArn": "arn:aws:iam::aws:policy/AmazonECS_FullAccess"}],
            ),
        ],
    )
    principals = folder.read()
    assert may(found(principals, "AKIAa"), "RunTask")
    assert not may(found(principals, "AKIAa"), "StopTask")
    assert may(found(principals, "AKIAb"), "StopTask")


def test_what_aws_writes_beside_is_passed_over(folder: Folder) -> None:
    beside = {"Path": "/", "UserId": "AIDA", "Arn": "arn:…", "CreateDate": "2024-01-01T00:00:00Z", "GroupList": []}
    folder.write(UserDetailList=[a_user(**beside)], RoleDetailList=[], GroupDetailList=[], Policies=[])
    assert found(folder.read(), "AKIAalice")


def test_all_mistakes_are_told_with_their_place(folder: Folder) -> None:
    bad = {"Version": "2012-10-17", "Statement": [{"Effect": "allow", "Action": "ecs:*", "Resource": "*"}]}
    folder.write(
        UserDetailList=[
            a_user(UserPolicyList=[{"PolicyName": "p", "PolicyDocument": bad}]),
            a_user(),
            {"UserName": "", "Secret": "x"},
            "bob",
            a_user("carol", AccessKeys={}, PermissionsBoundary={}),
        ],
        RoleDetailList=[a_role(AttachedManagedPolicies=[{"PolicyArn": "arn:aws:iam::aws:policy/Other"}])],
        Policies=[{"PolicyName": "none", "PolicyVersionList": []}],
        GroupDetailList=[{}],
        Users=[],
    )
    told = folder.mistakes()
    for place, reason in (
        ("UserDetailList[0].UserPolicyList[0].PolicyDocument.Statement[0].Effect", "must be Allow or Deny"),
        ("UserDetailList[1].UserName", "'alice' is there twice"),
        ("UserDetailList[2].UserName", "must be a string that is not empty"),
        ("UserDetailList[2].Secret", "not understood here; known are AccessKeys, AttachedManagedPolicies"),
        ("UserDetailList[3]", "must be a JSON object"),
        ("UserDetailList[4].AccessKeys", "must be a list"),
        ("UserDetailList[4].PermissionsBoundary", "not understood here"),
        ("RoleDetailList[0].AttachedManagedPolicies[0].PolicyArn", "arn:aws:iam::aws:policy/Other is not known here"),
        ("Policies[0].PolicyVersionList", "must have one version with IsDefaultVersion true"),
        ("GroupDetailList", "groups are not understood here"),
        ("Users", "not understood here; known are GroupDetailList"),
        ("AccessKeys", "the access key 'AKIAalice' is there twice"),
    ):
        assert any(each.startswith(f"{place}: {reason}") for each in told), place
    assert not any("secret" in each for each in told)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800"])
def test_a_file_that_is_no_json_is_told(folder: Folder, text: str) -> None:
    folder.write()
    folder.file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert [each.partition(": ")[0] for each in folder.mistakes()] == ["file"]


def test_a_file_that_is_a_list_is_told(folder: Folder) -> None:
    folder.write_text("[]")
    assert folder.mistakes() == ["the file: must be a JSON object"]


def test_a_file_that_is_not_there_is_told(folder: Folder) -> None:
    folder.write()
    folder.file.unlink()
    assert folder.mistakes() == ["file: cannot be read: No such file or directory"]


def test_a_change_of_the_file_counts_at_once(folder: Folder) -> None:
    folder.write(UserDetailList=[a_user()])
    principals = folder.read()
    folder.write(UserDetailList=[a_user(UserPolicyList=[])])
    assert may(found(principals, "AKIAalice"), "RunTask")
    principals.refresh()
    assert not may(found(principals, "AKIAalice"), "RunTask")
    folder.write(UserDetailList=[])
    principals.refresh()
    assert principals.of_key("AKIAalice") is None


def test_a_faulty_change_leaves_the_old_rules_and_is_logged_once(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write(UserDetailList=[a_user()])
    principals = folder.read()
    folder.write_text("{")
    for _ in range(3):
        principals.refresh()
    assert may(found(principals, "AKIAalice"), "RunTask")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "The rules read before stay in force." in errors[0].getMessage()
    assert errors[0].exc_info is None
    folder.file.unlink()
    principals.refresh()
    folder.write(UserDetailList=[a_user("bob")])
    principals.refresh()
    assert found(principals, "AKIAbob")


def a_principal(*, is_role: bool) -> Principal:
    return Principal(
        arn="arn:session" if is_role else "arn:user",
        name="me",
        is_role=is_role,
        key=AccessKey(access_key_id="AKIA", secret_access_key="s"),
        policies=(),
        is_unrestricted=False,
    )


def test_the_callers_keys_are_told() -> None:
    context = a_principal(is_role=False).context(account=ACCOUNT, region="eu-west-3", source_ip="127.0.0.1")
    assert context["aws:username"] == ("me",)
    assert context["aws:principalarn"] == ("arn:user",)
    assert context["aws:requestedregion"] == ("eu-west-3",)
    assert context["aws:sourceip"] == ("127.0.0.1",)
    context = a_principal(is_role=True).context(account=ACCOUNT, region="a", source_ip="")
    assert context["aws:principalarn"] == (f"arn:aws:iam::{ACCOUNT}:role/me",)
    assert "aws:username" not in context
    assert "aws:sourceip" not in context


def test_the_example_is_a_good_one(folder: Folder) -> None:
    folder.write_text((Path(__file__).parents[4] / "docs" / "iam" / "users-and-roles.json").read_text())
    principals = folder.read()
    assert may(found(principals, "AKIAALICE"), "ListTasks")
    role = found(principals, principals.instance_role.access_key_id)
    assert may(role, "Poll")
    assert not may(role, "StartTelemetrySession")


def test_the_documentation_names_every_key_and_managed_policy() -> None:
    told = (Path(__file__).parents[4] / "docs" / "iam.md").read_text().lower()
    for key in KEYS:
        assert f"`{key}`" in told, key
    for arn in MANAGED_POLICIES:
        assert arn.removeprefix("arn:aws:iam::aws:policy/").lower() in told, arn
