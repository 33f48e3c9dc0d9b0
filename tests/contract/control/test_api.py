"""boto3 against the front: signatures, rights and the model, as a user's client meets them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ecscope.control.server.signatures import AccessKey
from ecscope.model.container_instance import Attribute
from tests.control_builders import PREFIX, a_cluster, a_control_task, a_state, a_task_definition, an_instance
from tests.control_server import ControlServer
from tests.control_world import HandClock

ROLES = (Attribute(name="com.amazonaws.ecs.capability.task-iam-role"),)
"""What an instance must have for tasks with roles."""


@pytest.fixture
def server() -> Iterator[ControlServer]:
    with ControlServer() as server:
        yield server


def error_of(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert len(caught.value.response["ResponseMetadata"]["RequestId"]) == 36
    return error["Code"], error["Message"]


def test_a_client_makes_and_finds_a_cluster(server: ControlServer) -> None:
    ecs = server.client()
    made = ecs.create_cluster(clusterName="a", tags=[{"key": "k", "value": "v"}])["cluster"]
    assert made["clusterArn"] == "arn:aws:ecs:us-east-1:000000000000:cluster/a"
    assert ecs.list_clusters()["clusterArns"] == [made["clusterArn"]]
    assert ecs.describe_clusters(clusters=["a", "b"])["failures"][0]["reason"] == "MISSING"
    assert list(server.state.clusters) == ["a"]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3"])
def test_any_region_is_taken(server: ControlServer, region: str) -> None:
    assert server.client(region=region).list_clusters()["clusterArns"] == []


def test_wrong_keys_are_told_as_aws_does(server: ControlServer) -> None:
    administrator = server.principals.administrator
    unknown = AccessKey(access_key_id="AKIDNOBODY", secret_access_key="x")
    assert error_of(server.client(unknown).list_clusters) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid. (This is ecscope, which knows its own keys only:"
        " use those that `ecscope up` printed. They are in keys.json of its data directory.)",
    )
    wrong = msgspec.structs.replace(administrator, secret_access_key="x")
    code, message = error_of(server.client(wrong).list_clusters)
    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_a_wrong_clock_is_told_as_aws_does() -> None:
    clock = HandClock(datetime.now(UTC) + timedelta(minutes=6))
    with ControlServer(clock=clock) as server:
        code, message = error_of(server.client().list_clusters)
        assert (code, message.partition(":")[0]) == ("InvalidSignatureException", "Signature expired")
        clock.advance(-720)
        code, message = error_of(server.client().list_clusters)
        assert (code, message.partition(":")[0]) == ("InvalidSignatureException", "Signature not yet current")


def test_a_client_that_does_not_check_is_checked(server: ControlServer) -> None:
    key = server.principals.administrator
    ecs = boto3.client(
        "ecs",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )
    assert error_of(ecs.describe_tasks) == ("InvalidParameterException", "Tasks cannot be empty.")
    code, message = error_of(ecs.create_cluster, clusterName=["a"])
    assert code == "SerializationException"
    code, message = error_of(ecs.run_task, taskDefinition="a", launchType="CLOUD")
    assert code == "InvalidParameterException"
    assert "Value 'CLOUD' at 'launchType'" in message
    code, message = error_of(ecs.register_task_definition, family="a", networkMode="none")
    assert (code, message) == ("ClientException", "Container list cannot be empty.")


def test_what_is_not_implemented_says_so(server: ControlServer) -> None:
    code, message = error_of(server.client().create_express_gateway_service, executionRoleArn="a",
                             infrastructureRoleArn="b", primaryContainer={"image": "c"})  # fmt: skip
    assert code == "UnsupportedFeatureException"
    assert message.startswith("CreateExpressGatewayService ")


class IamFile:
    """One user whose policy may be changed while the server runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = AccessKey(access_key_id="AKIAALICE", secret_access_key="secret")
        self._writes = 0

    def allow(self, *statements: dict[str, Any]) -> None:
        key = {"AccessKeyId": self.key.access_key_id, "SecretAccessKey": self.key.secret_access_key}
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Resource": "*", **s} for s in statements],
        }
        policy = {"PolicyName": "p", "PolicyDocument": document}
        user = {"UserName": "alice", "AccessKeys": [key], "UserPolicyList": [policy]}
        self.path.write_text(json.dumps({"UserDetailList": [user]}))
        self._writes += 1
        os.utime(self.path, ns=(self._writes * 10**9, self._writes * 10**9))


def test_an_action_can_be_taken_away_while_clients_are_there(tmp_path: Path) -> None:
    iam = IamFile(tmp_path / "iam.json")
    iam.allow({"Action": "ecs:*"})
    with ControlServer(iam_file=iam.path) as server:
        ecs = server.client(iam.key)
        ecs.create_cluster(clusterName="a")
        iam.allow({"Action": "ecs:List*"})
        assert error_of(ecs.create_cluster, clusterName="b") == (
            "AccessDeniedException",
            "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ecs:CreateCluster on resource: "
            "arn:aws:ecs:us-east-1:000000000000:cluster/b because no identity-based policy allows the "
            "ecs:CreateCluster action",
        )
        assert len(ecs.list_clusters()["clusterArns"]) == 1
        iam.allow({"Action": "*"}, {"Effect": "Deny", "Action": "ecs:CreateCluster"})
        _, message = error_of(ecs.create_cluster, clusterName="b")
        assert message.endswith("cluster/b with an explicit deny in an identity-based policy")
        assert list(server.state.clusters) == ["a"]


def test_rights_go_by_resource_tag_and_condition(tmp_path: Path) -> None:
    iam = IamFile(tmp_path / "iam.json")
    mine = {"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}
    tagged = {"StringEquals": {"aws:RequestTag/owner": "${aws:username}"}, "Null": {"aws:TagKeys": "false"}}
    iam.allow(
        {"Action": "ecs:DescribeClusters", "Resource": "arn:aws:ecs:*:*:cluster/team-*"},
        {"Action": "ecs:DeleteCluster", "Condition": mine},
        {"Action": ["ecs:CreateCluster", "ecs:TagResource"], "Condition": tagged},
    )
    with ControlServer(iam_file=iam.path) as server:
        ecs, administrator = server.client(iam.key), server.client()
        administrator.create_cluster(clusterName="team-a")
        assert error_of(ecs.create_cluster, clusterName="team-b")[0] == "AccessDeniedException"
        ecs.create_cluster(clusterName="team-b", tags=[{"key": "owner", "value": "alice"}])
        assert len(ecs.describe_clusters(clusters=["team-a", "team-b"])["clusters"]) == 2
        assert error_of(ecs.describe_clusters, clusters=["team-a", "other"])[0] == "AccessDeniedException"
        assert error_of(ecs.delete_cluster, cluster="team-a")[0] == "AccessDeniedException"
        assert ecs.delete_cluster(cluster="team-b")["cluster"]["status"] == "INACTIVE"


def test_a_deny_is_not_got_past_by_another_name(tmp_path: Path) -> None:
    """On the wire; every action and every name are in ``test_authorized_records.py``."""
    task = a_control_task(cluster="prod")
    old = f"{PREFIX}:task/{task.arn.rsplit('/', 1)[-1]}"
    definition = a_task_definition("admin")
    definition = msgspec.structs.replace(definition, body={**definition.body, "taskRoleArn": "admin"})
    state = a_state(a_cluster("prod"), an_instance(cluster="prod", reported_attributes=ROLES), task, definition)
    iam = IamFile(tmp_path / "iam.json")
    untouchable = [f"{PREFIX}:cluster/prod", f"{PREFIX}:task/prod/*", "arn:aws:iam::*:role/admin"]
    team = {"StringEquals": {"aws:RequestTag/Team": "prod"}}
    iam.allow(
        {"Action": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": untouchable},
        {"Effect": "Deny", "Action": "*", "Condition": team},
    )
    with ControlServer(state=state, iam_file=iam.path) as server:
        ecs = server.client(iam.key)
        settings = [{"name": "containerInsights", "value": "enabled"}]
        for call, parameters in (
            (ecs.delete_cluster, {}),
            (ecs.update_cluster_settings, {"settings": settings}),
            (ecs.list_container_instances, {}),
        ):
            assert error_of(call, cluster="prod", **parameters)[0] == "AccessDeniedException"
            assert error_of(call, cluster="anything/prod", **parameters)[0] == "ClusterNotFoundException"
        (failure,) = ecs.describe_clusters(clusters=["anything/prod"])["failures"]
        assert failure == {"arn": f"{PREFIX}:cluster/anything/prod", "reason": "MISSING"}
        denied, message = error_of(ecs.stop_task, cluster="prod", task=old)
        assert (denied, task.arn in message) == ("AccessDeniedException", True)
        for overrides in ({}, {"taskRoleArn": ""}, {"executionRoleArn": "admin", "taskRoleArn": "other"}):
            denied, message = error_of(ecs.run_task, cluster="prod", taskDefinition="admin", overrides=overrides)
            assert (denied, "iam:PassRole on resource: arn:aws:iam::000000000000:role/admin " in message) == (
                "AccessDeniedException",
                True,
            )
        tags = [{"key": "Team", "value": "prod"}, {"key": "team", "value": "dev"}]
        assert error_of(ecs.create_cluster, clusterName="new", tags=tags)[0] == "AccessDeniedException"
        assert server.state.tasks == {task.arn: task}
        ecs.run_task(cluster="prod", taskDefinition="admin", overrides={"taskRoleArn": "other"})
        assert len(server.state.tasks) == 2


def test_the_instances_role_may_do_what_agents_do_and_no_more(server: ControlServer) -> None:
    ecs = server.client(server.principals.instance_role)
    ecs.create_cluster(clusterName="default")
    for call, parameters in (
        (ecs.run_task, {"taskDefinition": "a"}),
        (ecs.list_clusters, {}),
        (ecs.register_task_definition, {"family": "a", "containerDefinitions": []}),
    ):
        assert error_of(call, **parameters)[0] == "AccessDeniedException"
