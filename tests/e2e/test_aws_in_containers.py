"""Unchanged boto3 in a container: it finds AWS, signs with its task's role, and may do what the role's policies allow.

The image has no Python: the container has this machine's, with its libraries, bound into it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clients
from tests.e2e.test_task_roles import firewall, said
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(600)  # the first one installs moto

ROLE = "arn:aws:iam::000000000000:role/app"
ALLOWED = [
    {"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*"},
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::mine/*"},
    {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "arn:aws:secretsmanager:us-east-1:000000000000:secret:mine-*",
    },
]
IAM = {
    "RoleDetailList": [
        {
            "RoleName": "app",
            "RolePolicyList": [
                {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": ALLOWED}},
            ],
        }
    ]
}
PROGRAM = """
import sys
sys.stderr = sys.stdout
import json, os, boto3
from botocore.exceptions import ClientError

def denied(call, **members):
    try:
        call(**members)
    except ClientError as error:
        return error.response["Error"]["Code"]

ecs, s3, secrets = (boto3.client(name) for name in ("ecs", "s3", "secretsmanager"))
s3.put_object(Bucket="mine", Key="made/here", Body=b"by a container")
print(json.dumps({
    "tasks": ecs.list_tasks(cluster=os.environ["CLUSTER"])["taskArns"],
    "me": boto3.client("sts").get_caller_identity()["Arn"],
    "secret": secrets.get_secret_value(SecretId="mine")["SecretString"],
    "denied": [
        denied(ecs.list_clusters),
        denied(s3.put_object, Bucket="others", Key="k", Body=b""),
        denied(s3.get_object, Bucket="mine", Key="made/here"),
        denied(secrets.get_secret_value, SecretId="others"),
    ],
}), flush=True)
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    if not firewall():
        pytest.skip("needs root, and iptables: the way from containers to the agent is a rule of the firewall")
    folder = tmp_path_factory.mktemp("up")
    (folder / "iam.json").write_text(json.dumps(IAM))
    with an_up(folder, docker_endpoint) as up:
        try:
            up.environment["ECSCOPE_MOTO_PYTHON"] = str(clients.moto() / "python")
        except clients.Unavailable as error:
            pytest.fail(str(error), pytrace=False)
        up.start("--iam", str(folder / "iam.json"))
        for name in ("mine", "others"):
            up.client("s3").create_bucket(Bucket=name)
            up.client("secretsmanager").create_secret(Name=name, SecretString=f"of {name}")
        yield up
        assert up.end() == 0


@pytest.mark.parametrize("mode", ["bridge", "awsvpc"])
def test_unchanged_boto3(up: Up, mode: str) -> None:
    volumes, mounts = this_machines_python()
    container = {
        "name": "app",
        "image": "ecscope-sample:latest",
        "memory": 128,
        "command": [sys.executable, "-c", PROGRAM],
        "environment": [{"name": "CLUSTER", "value": up.cluster}],
        "mountPoints": mounts,
    }
    up.call(
        "register_task_definition",
        family=up.family,
        networkMode=mode,
        taskRoleArn=ROLE,
        containerDefinitions=[container],
        volumes=volumes,
    )
    members = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}} if mode == "awsvpc" else {}
    (arn,) = up.run_tasks(1, **members)
    text = said(up, arn)
    assert text.startswith("{"), text
    told = json.loads(text)
    assert arn in told["tasks"]
    assert told["me"] == f"arn:aws:sts::000000000000:assumed-role/app/{arn.rsplit('/', 1)[-1]}"
    assert told["secret"] == "of mine"
    assert told["denied"] == ["AccessDeniedException", "AccessDenied", "AccessDenied", "AccessDeniedException"]
    found = up.client("s3").get_object(Bucket="mine", Key="made/here")
    assert found["Body"].read() == b"by a container"


def this_machines_python() -> tuple[list[Any], list[Any]]:
    """Volumes and mount points for the interpreter, its libraries and those that it links to, read-only."""
    folders = {"/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix}
    volumes, mounts = [], []
    for number, folder in enumerate(sorted(path for path in folders if Path(path).exists())):
        volumes.append({"name": f"v{number}", "host": {"sourcePath": os.path.realpath(folder)}})
        mounts.append({"sourceVolume": f"v{number}", "containerPath": folder, "readOnly": True})
    return volumes, mounts
