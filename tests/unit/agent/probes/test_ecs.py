"""What ECS is asked with the caller's credentials, and what is made of its answers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ecscope.agent.probes.ecs import Where, cluster_of, service_names, service_seen, services, stopped_by

ARN = "arn:aws:ecs:eu-west-1:1:task/prod/0123"
OWN = {"AWS_ACCESS_KEY_ID": "AKIDOWN", "AWS_SECRET_ACCESS_KEY": "secret"}
SERVICE = {
    "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web",
    "serviceName": "web",
    "status": "ACTIVE",
    "desiredCount": 2,
    "runningCount": 1,
    "events": [{"id": "1", "createdAt": 1764590400.5, "message": "(service web) has started 1 tasks"}],
    "deployments": [
        {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": "web:2", "rolloutState": "IN_PROGRESS"},
        {"id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": "web:1", "rolloutState": "FAILED"},
    ],
}
TASK = {
    "taskArn": ARN,
    "lastStatus": "STOPPED",
    "group": "service:web",
    "startedBy": "ecs-svc/1",
    "stopCode": "ServiceSchedulerInitiated",
    "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/2)",
    "stoppedAt": 1764590401.0,
    "containerInstanceArn": "arn:i",
}
ANSWERS = {
    "DescribeTasks": {"tasks": [TASK]},
    "DescribeServices": {"services": [SERVICE]},
    "DescribeContainerInstances": {"containerInstances": [{"status": "DRAINING"}]},
    "ListServices": {"serviceArns": [SERVICE["serviceArn"]]},
    "ListTasks": {"taskArns": [ARN]},
    "DescribeTaskDefinition": {"taskDefinition": {"containerDefinitions": [{"portMappings": [{"hostPort": 80}]}]}},
}


@contextmanager
def an_ecs(answers: Mapping[str, Any] = ANSWERS) -> Iterator[tuple[Where, list[str]]]:
    """Where it is, and the keys with which it was asked."""
    keys: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
            answer = answers.get(self.headers["X-Amz-Target"].rpartition(".")[2])
            body = json.dumps(answer if answer is not None else {"__type": "AccessDeniedException"}).encode()
            self.send_response(200 if answer is not None else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield Where(region="eu-west-1", cluster="prod", environ=OWN, endpoint=url), keys
        finally:
            server.shutdown()


def test_the_cluster_of_a_task() -> None:
    assert cluster_of(ARN) == ("eu-west-1", "prod")
    assert cluster_of("arn:aws:ecs:eu-west-1:1:task/0123") == ("eu-west-1", "default")
    assert cluster_of("0123") == ("", "")


async def test_a_stop_with_its_service_and_instance() -> None:
    with an_ecs() as (where, keys):
        said = await stopped_by(ARN, where)
    assert said is not None
    assert (said.deployment, said.primary, said.desired_count) == ("ecs-svc/1", "ecs-svc/2", 2)
    assert (said.rollout_state, said.instance_status) == ("FAILED", "DRAINING")
    assert set(keys) == {"AKIDOWN"}


async def test_a_stop_of_which_only_the_task_is_shown() -> None:
    with an_ecs({"DescribeTasks": ANSWERS["DescribeTasks"]}) as (where, _):
        said = await stopped_by(ARN, where)
    assert said is not None
    assert (said.stop_code, said.primary, said.instance_status) == ("ServiceSchedulerInitiated", "", "")
    with an_ecs({}) as (where, _):
        assert await stopped_by(ARN, where) is None


async def test_a_service_and_a_deployment() -> None:
    with an_ecs() as (where, _):
        by_name = await service_seen("web", where)
        by_deployment = await service_seen("ecs-svc/1", where)
        assert await service_seen("ecs-svc/9", where) is None
        assert list(await service_names(where)) == [SERVICE["serviceArn"]]
        assert [one.service_name for one in await services(where) or ()] == ["web"]
    assert by_name is not None and by_deployment is not None
    assert (by_name.service.running_count, by_name.wanted_ports, by_name.deployment) == (1, (80,), "")
    assert by_name.tasks[0].stopped_reason.startswith("Scaling activity")
    assert by_deployment.deployment == "ecs-svc/1"
    with an_ecs({}) as (where, _):
        assert await service_seen("web", where) is None
        assert list(await service_names(where)) == []
        assert await services(where) is None
