"""What this test session may call its own in an engine that other sessions use at the same time."""

from __future__ import annotations

import json
import secrets

import dockerengine

TEST_PREFIX = f"ecscope-test-{secrets.token_hex(3)}-"
"""Tests give this prefix to the names of their containers and volumes, to families and to their clusters' names.

It differs from session to session: sessions that run side by side would else remove each other's.
"""
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"


def containers(engine: dockerengine.Engine) -> list[str]:
    """IDs of this session's, by name or by the cluster of the task they belong to."""
    by_name = engine.containers(name=[f"^/{TEST_PREFIX}"])
    labelled = json.loads(
        engine.request("GET", "/containers/json", all="1", filters=json.dumps({"label": [CLUSTER_LABEL]}))
    )
    by_cluster = [found["Id"] for found in labelled if found["Labels"][CLUSTER_LABEL].startswith(TEST_PREFIX)]
    return sorted({*by_name, *by_cluster})


def volumes(engine: dockerengine.Engine) -> list[str]:
    """Names of this session's, made by a test or for a task of one of its families."""
    found = json.loads(engine.request("GET", "/volumes"))["Volumes"] or []
    return [volume["Name"] for volume in found if volume["Name"].startswith((TEST_PREFIX, f"ecs-{TEST_PREFIX}"))]
