"""``aws ecs …`` lines, carried out by the AWS CLI where the tests have one, else by botocore, which the CLI uses."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.config import Config

from tests import aws

ROOT = Path(__file__).parents[2]
CLI = ROOT / "build" / "clients" / "python" / "bin" / "aws"
OF_THE_CLI = {"query", "output", "cli_input_json"}
"""Options that are no members of a request."""


class AwsLine:
    """One line, read. Raises ``AssertionError`` for an operation, a waiter or an option that does not exist."""

    def __init__(self, line: str) -> None:
        program, service, operation, *rest = shlex.split(line)
        assert (program, service) == ("aws", "ecs"), line
        client = a_client({})
        self.waiter = ""
        if operation == "wait":
            self.waiter = rest.pop(0).replace("-", "_")
            assert self.waiter in client.waiter_names, line
            operation = xform_name(client._get_waiter_config()["waiters"][_camel(self.waiter)]["operation"], "-")
        self.method = operation.replace("-", "_")
        assert self.method in client.meta.method_to_api_mapping, line
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[self.method]).input_shape
        members = {xform_name(name): name for name in shape.members}
        self.members: dict[str, Any] = {}
        self.takes_cluster = "cluster" in members
        for name, values in _options(rest).items():
            if name == "cli_input_json":
                self.members |= json.loads((ROOT / values[0].removeprefix("file://")).read_text())
            elif name not in OF_THE_CLI:
                assert name in members, f"{line}: {name}"
                kind = shape.members[members[name]].type_name
                self.members[members[name]] = _value(kind, values)

    def carry_out(self, line: str, exported: Mapping[str, str], cluster: str) -> None:
        """In that cluster, where the operation knows clusters. Raises when ECS refuses it."""
        if CLI.exists():
            option = ["--cluster", cluster] if self.takes_cluster else []
            environment = {"PATH": os.environ["PATH"], "AWS_PAGER": "", **exported}
            done = subprocess.run(
                [str(CLI), *shlex.split(line)[1:], *option],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}: {done.stderr}"
            return
        client = a_client(exported)
        members = {**self.members, **({"cluster": cluster} if self.takes_cluster else {})}
        if self.waiter:
            client.get_waiter(self.waiter).wait(**members, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        else:
            getattr(client, self.method)(**members)


def a_client(exported: Mapping[str, str]) -> Any:
    """From the variables that ``ecscope up`` tells to export; without them one that can only be asked what it knows."""
    return aws.a_client(
        "ecs",
        region_name=exported.get("AWS_REGION", "us-east-1"),
        endpoint_url=exported.get("AWS_ENDPOINT_URL_ECS"),
        aws_access_key_id=exported.get("AWS_ACCESS_KEY_ID", "none"),
        aws_secret_access_key=exported.get("AWS_SECRET_ACCESS_KEY", "none"),
        config=Config(retries={"total_max_attempts": 1}),
    )


def _options(words: list[str]) -> dict[str, list[str]]:
    """Name with underscores → its values; ``…`` stands for something that was left out."""
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            found[word[2:].replace("-", "_")] = values = []
        elif word != "…":
            values.append(word)
    if any(name.startswith("no_") for name in found):
        raise AssertionError("a flag with no-: teach this reader")
    return found


def _value(kind: str, values: list[str]) -> Any:
    match kind:
        case "boolean":
            return True
        case "integer" | "long":
            return int(values[0])
        case "list":
            return values
        case "string":
            return values[0]
        case _:
            raise AssertionError(f"an option of the kind {kind}: teach this reader")


def _camel(name: str) -> str:
    return re.sub(r"(?:^|_)(\w)", lambda match: match[1].upper(), name)
