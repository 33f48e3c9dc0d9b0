"""Runs in a container of a task, with other people's libraries: what they find out there, as one line of JSON."""

import json
import os

import boto3
import newrelic.common.utilization
from ecs_metadata import fetch_container_ips, fetch_container_metadata
from opentelemetry.sdk.extension.aws.resource.ecs import AwsEcsResourceDetector

credentials = boto3.Session().get_credentials().get_frozen_credentials()
ecs = boto3.client("ecs")
print(
    json.dumps(
        {
            "opentelemetry": dict(AwsEcsResourceDetector(raise_on_error=True).detect().attributes),
            "ecs-metadata": {"name": fetch_container_metadata()["Name"], "addresses": fetch_container_ips()},
            "newrelic": newrelic.common.utilization.ECSUtilization.detect(),
            "boto3": {
                "key": credentials.access_key,
                "method": boto3.Session().get_credentials().method,
                "tasks": ecs.list_tasks(cluster=os.environ["TEST_CLUSTER"])["taskArns"],
            },
        }
    ),
    flush=True,
)
