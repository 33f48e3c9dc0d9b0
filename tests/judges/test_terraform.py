"""Terraform itself, with its AWS provider: applies, plans nothing, changes, runs a task, and destroys.

Neither is in a package registry, so both must be on the machine: ``terraform`` in PATH and the provider in a
filesystem mirror (``ECSCOPE_TERRAFORM_MIRROR``, one of Terraform's implied local mirror directories, or below /opt).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.control.live import LivePlane
from tests.contract.control.planes import IMAGE

JUDGE = "Terraform, AWS provider"
pytestmark = pytest.mark.timeout(600)

PROVIDER = "registry.terraform.io/hashicorp/aws"
MAIN = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  endpoints { ecs = "ENDPOINT" }
}
variable "desired_count" { default = 2 }
resource "aws_ecs_cluster" "this" {
  name = "tf"
  tags = { team = "web" }
}
resource "aws_ecs_task_definition" "web" {
  family = "tf-web"
  container_definitions = jsonencode([{
    name = "app", image = "IMAGE", cpu = 10, memory = 16, essential = true
    environment = [{ name = "GREETING", value = "hello" }]
    linuxParameters = { capabilities = { add = [], drop = ["ALL"] } }
    healthCheck = { command = ["CMD-SHELL", "true"], interval = 30, timeout = 5, retries = 3 }
  }])
}
resource "aws_ecs_service" "web" {
  name            = "web"
  cluster         = "default"
  task_definition = aws_ecs_task_definition.web.arn
  desired_count   = var.desired_count
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}
resource "aws_ecs_task_definition" "fargate" {
  family                   = "tf-fargate"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 256
  memory                   = 512
  runtime_platform { operating_system_family = "LINUX" }
  ephemeral_storage { size_in_gib = 25 }
  container_definitions = jsonencode([{
    name = "app", image = "IMAGE", essential = true
    portMappings = [{ containerPort = 80, hostPort = 80, protocol = "tcp" }]
  }])
}
resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}
resource "aws_ecs_service" "fargate" {
  name             = "fargate"
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.fargate.arn
  desired_count    = 1
  launch_type      = "FARGATE"
  platform_version = "1.4.0"
  propagate_tags   = "SERVICE"
  tags             = { team = "web" }
  network_configuration {
    subnets          = ["subnet-1", "subnet-2"]
    security_groups  = ["sg-1"]
    assign_public_ip = true
  }
}
resource "aws_ecs_service" "spot" {
  name            = "spot"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.fargate.arn
  desired_count   = 1
  capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    weight            = 1
  }
  network_configuration { subnets = ["subnet-1"] }
  depends_on = [aws_ecs_cluster_capacity_providers.this]
}
data "aws_ecs_task_execution" "migration" {
  cluster         = "default"
  task_definition = aws_ecs_task_definition.web.arn
  overrides {
    container_overrides {
      name    = "app"
      command = ["migrate"]
      environment {
        key   = "STEP"
        value = "1"
      }
    }
  }
}
output "task_arns" { value = data.aws_ecs_task_execution.migration.task_arns }
"""


def mirror() -> Path | None:
    """The folder whose ``registry.terraform.io`` has the provider; ``None``: there is none."""
    named = os.environ.get("ECSCOPE_TERRAFORM_MIRROR")
    home = Path.home()
    folders = [
        *([Path(named)] if named else []),
        home / ".terraform.d" / "plugins",
        home / ".local" / "share" / "terraform" / "plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        *sorted(Path("/opt").glob("*")),
    ]
    return next((folder for folder in folders if (folder / PROVIDER).is_dir()), None)


class Terraform:
    """In one folder, with a state of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def __call__(self, *arguments: str, expected: int = 0) -> str:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == expected, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def plan_is_empty(self, *targets: str) -> bool:
        """Fails with the plan where there is something to do: exit code 2 of ``-detailed-exitcode``."""
        chosen = [f"-target={target}" for target in targets]
        self("plan", "-no-color", "-input=false", "-detailed-exitcode", "-lock=false", *chosen)
        return True


@pytest.fixture
def terraform(live: LivePlane, tmp_path: Path, judge_version: Callable[[str], None]) -> Terraform:
    found = mirror()
    if shutil.which("terraform") is None or found is None:
        pytest.skip("NOT RUN: no terraform in PATH, or no mirror with its AWS provider (ECSCOPE_TERRAFORM_MIRROR)")
    (tmp_path / "main.tf").write_text(MAIN.replace("ENDPOINT", live.plane.url).replace("IMAGE", IMAGE))
    settings = tmp_path / "terraform.rc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{found}" }}\n}}\n')
    environment = live.environment(home=tmp_path)
    environment |= {"TF_CLI_CONFIG_FILE": str(settings), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    terraform = Terraform(tmp_path, environment)
    terraform("init", "-input=false")
    told = json.loads(terraform("version", "-json"))
    judge_version(f"{told['terraform_version']}, {told['provider_selections'][PROVIDER]}")
    return terraform


def counts(ecs: Any) -> tuple[int, int]:
    (service,) = ecs.describe_services(services=["web"])["services"]
    return service["desiredCount"], service["runningCount"]


def test_apply_plan_change_execute_and_destroy(live: LivePlane, ecs: Any, terraform: Terraform) -> None:
    """Cluster, task definition, service, a task execution with overrides: apply, an empty plan, a change, destroy."""
    live.behave("migrate", run_for_s=0.2)
    terraform("apply", "-auto-approve", "-input=false")
    (arn,) = json.loads(terraform("output", "-json", "task_arns"))
    (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    (override,) = task["overrides"]["containerOverrides"]
    assert override["command"] == ["migrate"]
    assert override["environment"] == [{"name": "STEP", "value": "1"}]
    (container,) = task["containers"]
    assert (container["cpu"], container["memory"]) == ("10", "16"), "zeros override nothing"
    live.until(lambda: counts(ecs) == (2, 2), "the service to run")

    # A data source that runs a task runs one with each plan; everything else is as it was written.
    assert terraform.plan_is_empty("aws_ecs_cluster.this", "aws_ecs_service.web")
    on_fargate = ("aws_ecs_service.fargate", "aws_ecs_service.spot", "aws_ecs_cluster_capacity_providers.this")
    assert terraform.plan_is_empty(*on_fargate)

    terraform("apply", "-auto-approve", "-input=false", "-var=desired_count=1", "-target=aws_ecs_service.web")
    live.until(lambda: counts(ecs) == (1, 1), "the service to be smaller")

    terraform("destroy", "-auto-approve", "-input=false")
    (service,) = ecs.describe_services(services=["web"])["services"]
    assert service["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["tf"])["clusters"][0]["status"] == "INACTIVE"
