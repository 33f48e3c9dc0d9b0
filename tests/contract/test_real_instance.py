"""What ``docs/real-instance.md`` tells holds: the policy covers the calls, names exist, the unit is a valid one."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ecscope.agent.config.setting_type import UNSUPPORTED
from ecscope.agent.config.settings import SETTINGS
from ecscope.cli.exit_codes import EXIT_TERMINAL, EXIT_USAGE
from ecscope.model.container_instance import ObstacleKind

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ecscope"
DOCS = ROOT / "docs"
GUIDE = (DOCS / "real-instance.md").read_text()
POLICY = json.loads((DOCS / "iam" / "container-instance-policy.json").read_text())
UNIT = (ROOT / "packaging" / "ecscope.service").read_text()
DOCKERFILE = (ROOT / "packaging" / "Dockerfile").read_text()
README = (ROOT / "README.md").read_text()

CALLS = {
    "CreateCluster": "ecs:CreateCluster",
    "DeregisterContainerInstance": "ecs:DeregisterContainerInstance",
    "DiscoverPollEndpoint": "ecs:DiscoverPollEndpoint",
    "ListTagsForResource": "ecs:ListTagsForResource",
    "RegisterContainerInstance": "ecs:RegisterContainerInstance",
    "SubmitAttachmentStateChanges": "ecs:SubmitAttachmentStateChanges",
    "SubmitContainerStateChange": "ecs:SubmitContainerStateChange",
    "SubmitTaskStateChange": "ecs:SubmitTaskStateChange",
    "UpdateContainerInstancesState": "ecs:UpdateContainerInstancesState",
    "DescribeTags": "ec2:DescribeTags",
    "GetAuthorizationToken": "ecr:GetAuthorizationToken",
    "GetParameters": "",
    "GetObject": "s3:GetObject",
    "GetSecretValue": "",
}
"""Every call that an agent may make (agent-protocol.md §3) → its action; ``""``: made with a role of the task."""

WITHOUT_A_CALL = {
    "ecs:Poll": "the connection to ACS",
    "ecs:StartTelemetrySession": "the connection to TCS",
    "ecs:TagResource": "RegisterContainerInstance with tags",
    "ecr:BatchCheckLayerAvailability": "Docker's pull",
    "ecr:BatchGetImage": "Docker's pull",
    "ecr:GetDownloadUrlForLayer": "Docker's pull",
    "logs:CreateLogStream": "Docker's log driver",
    "logs:PutLogEvents": "Docker's log driver",
}

IN_THE_MAKING: set[str] = set()
"""Allowed already, and not called yet: to be emptied as the calls come."""

OTHER_VARIABLES = {
    "AWS_ENDPOINT_URL_ECS",
    "ECS_AGENT_CONFIG_FILE_PATH",
    "ECSCOPE_ENDPOINT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
}


def calls_in_the_code() -> set[str]:
    """The names of calls that stand as a text somewhere in the agent."""
    texts = set()
    for module in (path for part in ("agent", "wire") for path in (SOURCE / part).rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts & CALLS.keys()


def actions() -> set[str]:
    found: set[str] = set()
    for statement in POLICY["Statement"]:
        listed = statement["Action"]
        found |= {listed} if isinstance(listed, str) else set(listed)
    return found


def test_the_policy_allows_what_is_called_and_nothing_else() -> None:
    called = {CALLS[name] for name in calls_in_the_code() | IN_THE_MAKING} - {""}
    assert actions() == called | WITHOUT_A_CALL.keys()


def test_what_is_called_is_not_in_the_making_any_more() -> None:
    assert not calls_in_the_code() & IN_THE_MAKING, "take these out of IN_THE_MAKING"


def test_the_policy_names_resources_wherever_iam_knows_any() -> None:
    knows_none = ("ecs:DiscoverPollEndpoint", "ecr:GetAuthorizationToken")
    for statement in POLICY["Statement"]:
        assert statement["Effect"] == "Allow"
        assert (statement["Resource"] == "*") == (statement["Action"] in knows_none), statement["Sid"]
        assert "*" not in str(statement["Action"])


def test_each_action_has_its_reason_in_the_guide() -> None:
    table = GUIDE.split("## 1. A role for the instance")[1].split("## 2.")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {action for cell in rows for action in re.findall(r"`([^`]+)`", cell)} == actions()


def test_the_unit_starts_no_agent_again_that_cannot_run() -> None:
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", UNIT, re.MULTILINE)
    assert {int(code) for code in codes.split()} == {EXIT_USAGE, EXIT_TERMINAL}
    assert "\nRestart=on-failure\n" in UNIT
    assert "\nType=notify\n" in UNIT
    assert re.search(r"^WatchdogSec=[1-9]", UNIT, re.MULTILINE)


@pytest.mark.parametrize(("name", "service"), [("trust-policy", "ec2"), ("trust-policy-external", "ssm")])
def test_who_may_take_the_role(name: str, service: str) -> None:
    (statement,) = json.loads((DOCS / "iam" / f"{name}.json").read_text())["Statement"]
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
    assert f"iam/{name}.json" in GUIDE


@pytest.mark.parametrize(
    ("place", "text"), [("guide", GUIDE), ("unit", UNIT), ("Dockerfile", DOCKERFILE), ("README", README)]
)
def test_every_variable_named_exists_and_has_an_effect(place: str, text: str) -> None:
    named = set(re.findall(r"\b(?:ECS|ECSCOPE|AWS|DOCKER|HTTPS?|NO|SSL)_[A-Z_]+\b", text))
    works = {setting.variable for setting in SETTINGS if not setting.waits_for} | OTHER_VARIABLES
    assert named
    assert named <= works, f"{place}: {named - works}"
    assert not named & {name for names in UNSUPPORTED.values() for name in names}


@pytest.mark.parametrize("page", ["real-instance.md", "diagnostics.md"])
def test_every_reason_is_told(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / page).read_text(), re.M)
    assert {kind.value for kind in ObstacleKind} <= set(rows)


def test_files_named_in_the_guide_exist() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", GUIDE):
        assert (DOCS / target).exists(), target
    for path in re.findall(r"\b(?:docs|packaging|requirements)/[\w./-]+\w", GUIDE):
        assert (ROOT / path).exists(), path


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "ecscope.service"
    unit.write_text(UNIT.replace("/opt/ecscope/bin/ecscope", "/bin/true"))
    done = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "ecscope" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


def test_the_image_is_built_from_the_locked_libraries() -> None:
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "://" not in DOCKERFILE
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    for path in " ".join(copied).split():
        assert (ROOT / path).exists(), path
    kept = (ROOT / "packaging" / "Dockerfile.dockerignore").read_text().split("!")
    assert {line.split()[0] for line in kept[1:]} == {path.split("/")[0] for path in " ".join(copied).split()}
