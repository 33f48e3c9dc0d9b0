"""Unit tests of the way from a request to its answer: the recordings are the judge."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.targets import BadTarget
from ecscope.agent.servers.taskmetadata.routes import Answer, Request, Routes
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerKind, ContainerNetwork
from ecscope.model.credentials import RoleType
from ecscope.model.network import NetworkMode, TaskInterface
from ecscope.model.stats import LatestStats
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import a_container, a_task, some_credentials
from tests.tables import each_row
from tests.unit.agent.servers.taskmetadata.recorded import (
    APP,
    RecordedSources,
    Recording,
    a_recorded_state,
    in_the_order_of,
    recordings,
    refused,
)
from tests.unit.agent.servers.taskmetadata.scenes import RECORDED_ID, STATE, TASK

AT = datetime(2026, 11, 27, tzinfo=UTC)
RECORDED = a_recorded_state()
PROTECTED_UNTIL = {
    "agent-api-protection-put-app": 1795446166.4232097,
    "agent-api-protection-put-negative": 1795445506.9967155,
}


def the_routes(sources: RecordedSources | None = None, *, steady: int = 40, burst: int = 60) -> Routes:
    return Routes(steady=steady, burst=burst, sources=sources or RecordedSources(STATE))


def ask(target: str, routes: Routes | None = None, *, state: AgentState = STATE, **fields: Any) -> Answer:
    request = msgspec.structs.replace(Request(target=target, address="127.0.0.1", port=59256), **fields)
    return asyncio.run((routes or the_routes()).answer(request, state, at=AT, now_s=0.0))


@each_row("recording", recordings(), name=lambda recording: recording.name)
def test_answers_are_the_recorded_ones(recording: Recording) -> None:
    state = in_the_order_of(RECORDED, recording.body)
    sources = RecordedSources(state, recording.body)
    if recording.name in PROTECTED_UNTIL:
        sources.protection = {"protectionEnabled": True, "expirationDate": PROTECTED_UNTIL[recording.name]}
    routes = the_routes(sources, burst=1 if recording.status == 429 else 60)
    port = next((int(value.rpartition(":")[2]) for name, value in recording.headers if name.endswith("-Addr")), 0)
    for _ in range(2 if recording.status == 429 else 1):
        answer = ask(recording.target, routes, state=state, method=recording.method, body=recording.sent, port=port)
    assert answer.status == recording.status
    assert answer.body.decode() == recording.body or recording.method == "HEAD"
    assert sorted(answer.headers) == sorted(recording.headers)


def test_there_are_recordings_of_every_kind() -> None:
    assert len(recordings()) == 87


@each_row(
    "target, status",
    [
        (f"/v1/credentials?id={RECORDED_ID}&id=other", 200),
        (f"/v2/credentials/{RECORDED_ID[:-1]}%35", 200),
        (f"/v2/credentials/{RECORDED_ID}?x=y", 200),
        (f"/v2/credentials/{RECORDED_ID}/", 400),
        ("/v2/credentials/a/b", 400),
        ("/v1/credentials/", 404),
        ("/v4/x", 404),
        ("/v4/x/", 404),
        ("http://169.254.170.2/v2/credentials/", 400),
    ],
)
def test_odd_targets(target: str, status: int) -> None:
    assert ask(target).status == status


def test_a_path_is_led_to_its_plain_form_with_its_query() -> None:
    answer = ask("/v2/./credentials//a?b=c")
    assert (answer.status, answer.headers, answer.body) == (301, (("Location", "/v2/credentials/a?b=c"),), b"")
    assert answer.audit_line == ""


def test_a_path_is_decoded_before_it_is_cleaned() -> None:
    assert ask("/v2/credentials/a%2F..%2Fb%25").headers == (("Location", "/v2/credentials/b%25"),)


def test_an_unreadable_target_is_no_request() -> None:
    with pytest.raises(BadTarget):
        ask("*")


def test_who_asked_is_audited_without_the_id() -> None:
    line = ask(f"/v2/credentials/{RECORDED_ID}", user_agent="Boto3").audit_line
    assert line == (
        f'2026-11-27T00:00:00Z 200 127.0.0.1:59256 "/v2/credentials" "Boto3" {TASK.arn} GetCredentials 2 default'
        " arn:aws:ecs:us-west-2:012345678910:container-instance/default/1"
    )
    assert ask("/v2/credentials/other").audit_line == '2026-11-27T00:00:00Z 400 127.0.0.1:59256 "/v2/credentials" "" -'
    assert ask("/other").audit_line == ""


def test_too_many_requests_are_refused_and_audited() -> None:
    routes = the_routes(steady=1, burst=2)
    answers = [ask("/other", routes, forwarded_for="9.9.9.9") for _ in range(3)]
    assert [answer.status for answer in answers] == [404, 404, 429]
    last = answers[-1]
    assert last.body == b"You have reached maximum request limit."
    assert dict(last.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Rate-Limit-Duration": "1",
        "X-Rate-Limit-Limit": "1.00",
        "X-Rate-Limit-Request-Forwarded-For": "9.9.9.9",
        "X-Rate-Limit-Request-Remote-Addr": "127.0.0.1:59256",
    }
    assert last.audit_line == '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/other" "" -'
    assert ask("//other", routes).status == 301


def test_an_id_in_a_mistyped_path_is_not_audited() -> None:
    routes = the_routes(steady=1, burst=1)
    lines = [ask(f"/v2/credential/{RECORDED_ID}", routes).audit_line for _ in range(2)]
    assert lines == ["", '2026-11-27T00:00:00Z 429 127.0.0.1:59256 "/v2/credential/…" "" -']


def test_secrets_are_in_no_repr() -> None:
    assert "secret" not in repr(ask(f"/v2/credentials/{RECORDED_ID}"))


# --- tasks with addresses of their own --------------------------------------------------------------

OWN, NEIGHBOUR, BRIDGE = "10.213.0.5", "10.213.0.6", "172.17.0.2"
INTERFACE = TaskInterface(
    eni_id="eni-1",
    mac="0a:1b:2c:3d:4e:5f",
    ipv4=OWN,
    gateway="10.213.0.1/20",
    private_dns_name="ip-10-213-0-5.ec2.internal",
    domain_name_servers=("10.213.0.2",),
    domain_names=("ec2.internal",),
)
ROLE, EXECUTION = "role-1", "execution-1"


def an_awsvpc_state() -> AgentState:
    """Two tasks with addresses of their own, and one on the bridge."""
    own = a_task(
        a_container("~pause", kind=ContainerKind.CNI_PAUSE, docker_id=DockerId("p1"), docker_name="ecs-pause"),
        a_container("web", endpoint_id="e-own", docker_id=DockerId("d1"), docker_name="ecs-web"),
        network_mode=NetworkMode.AWSVPC,
        interface=INTERFACE,
        known=TaskStatus.RUNNING,
        credentials_id=ROLE,
        execution_credentials_id=EXECUTION,
    )
    neighbour = a_task(
        a_container("web", endpoint_id="e-neighbour", docker_id=DockerId("d2"), docker_name="ecs-web-2"),
        number=2,
        network_mode=NetworkMode.AWSVPC,
        interface=msgspec.structs.replace(INTERFACE, ipv4=NEIGHBOUR),
        known=TaskStatus.RUNNING,
    )
    networks = (ContainerNetwork(name="bridge", ipv4=BRIDGE),)
    bridged = a_task(
        a_container("b", endpoint_id="e-bridge", docker_id=DockerId("d3"), docker_name="ecs-b", networks=networks),
        number=3,
    )
    given = (
        some_credentials(task_arn=own.arn, credentials_id=ROLE),
        some_credentials(task_arn=own.arn, credentials_id=EXECUTION, role_type=RoleType.TASK_EXECUTION),
    )
    return AgentState(
        instance=STATE.instance,
        tasks={task.arn: task for task in (own, neighbour, bridged)},
        credentials={one.credentials_id: one for one in given},
    )


def ask_from(address: str, target: str, *, state: AgentState | None = None, **fields: Any) -> Answer:
    state = state or an_awsvpc_state()
    sources = RecordedSources(state)
    sources.samples = {DockerId("d1"): LatestStats(document={"id": "d1"})}
    return ask(target, the_routes(sources), state=state, address=address, **fields)


@each_row(
    "target, method, status",
    [
        ("/v4/e-own", "GET", 404),
        ("/v4/e-own/task", "GET", 404),
        ("/v4/e-own/taskWithTags", "GET", 404),
        ("/v4/e-own/stats", "GET", 404),
        ("/v4/e-own/task/stats", "GET", 404),
        ("/v4/e-own/associations/gpu", "GET", 400),
        ("/v3/e-own", "GET", 500),
        ("/v3/e-own/task", "GET", 500),
        ("/v3/e-own/stats", "GET", 400),
        ("/api/e-own/task-protection/v1/state", "GET", 404),
        (f"/v2/credentials/{ROLE}", "GET", 400),
        (f"/v1/credentials?id={ROLE}", "GET", 400),
        (f"/v2/credentials/{EXECUTION}", "GET", 400),
    ],
)
def test_what_is_a_tasks_own_is_given_to_its_own_address_only(target: str, method: str, status: int) -> None:
    assert ask_from(OWN, target, method=method).status == 200
    for other in (NEIGHBOUR, BRIDGE):
        answer = ask_from(other, target, method=method)
        assert answer.status == status
        guessed = ask_from(other, target.replace("e-own", "guess").replace(ROLE, "guess"), method=method)
        assert answer.body.replace(b"e-own", b"guess") == guessed.body, "it is not told from a guess"


def test_docker_gets_the_credentials_of_an_execution_role() -> None:
    for address in ("127.0.0.1", "192.168.1.4"):
        assert ask_from(address, f"/v2/credentials/{EXECUTION}").status == 200
        assert ask_from(address, f"/v2/credentials/{ROLE}").status == 400


def test_on_the_bridge_the_id_alone_decides_as_officially() -> None:
    for address in (BRIDGE, "172.17.0.9", "127.0.0.1"):
        assert ask_from(address, "/v4/e-bridge").status == 200


def test_the_network_of_an_awsvpc_task() -> None:
    expected = {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [OWN],
        "AttachmentIndex": 0,
        "MACAddress": "0a:1b:2c:3d:4e:5f",
        "IPv4SubnetCIDRBlock": "10.213.0.0/20",
        "DomainNameServers": ["10.213.0.2"],
        "DomainNameSearchList": ["ec2.internal"],
        "PrivateDNSName": "ip-10-213-0-5.ec2.internal",
        "SubnetGatewayIpv4Address": "10.213.0.1/20",
    }
    containers = json.loads(ask_from(OWN, "/v4/e-own/task").body)["Containers"]
    assert [container["Networks"] for container in containers] == [[expected]] * 2
    assert list(containers[1]["Networks"][0]) == list(expected)
    short = {"NetworkMode": "awsvpc", "IPv4Addresses": [OWN]}
    for target in ("/v3/e-own", "/v2/metadata/d1"):
        assert json.loads(ask_from(OWN, target).body)["Networks"] == [short]


def test_version_2_knows_a_task_by_its_address() -> None:
    task = json.loads(ask_from(OWN, "/v2/metadata").body)
    assert list(task) == ["Cluster", "TaskARN", "Family", "Revision", "DesiredStatus", "KnownStatus", "Containers"]
    assert [container["Name"] for container in task["Containers"]] == ["~pause", "web"]
    assert json.loads(ask_from(OWN, "/v2/metadata/").body) == task
    tagged = json.loads(ask_from(OWN, "/v2/metadataWithTags").body)
    assert tagged.pop("TaskTags") == {"tag-of": task["TaskARN"].rpartition("/")[2]}
    assert tagged == task
    assert json.loads(ask_from(OWN, "/v2/stats/d1").body)["id"] == "d1"
    stats = json.loads(ask_from(OWN, "/v2/stats").body)
    assert (stats["p1"], stats["d1"]["id"]) == (None, "d1")


@each_row(
    "target, words",
    [
        ("/v2/metadata/d2", "Unable to generate metadata for container 'd2'"),
        ("/v2/metadata/d3", "Unable to generate metadata for container 'd3'"),
        ("/v2/stats/d2", "Unable to get container stats for: d2"),
        ("/v2/stats/p1", "Unable to get container stats for: p1"),
    ],
)
def test_version_2_shows_no_neighbour(target: str, words: str) -> None:
    answer = ask_from(OWN, target)
    assert (answer.status, json.loads(answer.body)) == (400, words)


def test_the_address_of_a_task_that_stopped_is_nobodys() -> None:
    state = an_awsvpc_state()
    stopped = {arn: msgspec.structs.replace(task, known=TaskStatus.STOPPED) for arn, task in state.tasks.items()}
    answer = ask_from(OWN, "/v2/metadata", state=msgspec.structs.replace(state, tasks=stopped))
    assert (answer.status, json.loads(answer.body)) == (
        400,
        f"Unable to get task arn from request: unable to associate '{OWN}' with task",
    )


# --- what changes while it is asked -----------------------------------------------------------------


def test_a_container_that_asks_before_docker_has_said_that_it_runs_waits_for_that() -> None:
    starting = a_container(
        endpoint_id="e", docker_id=DockerId("d"), docker_name="ecs-app", in_flight=ContainerStatus.RUNNING
    )
    networks = (ContainerNetwork(name="bridge", ipv4=BRIDGE),)
    started = msgspec.structs.replace(starting, in_flight=None, known=ContainerStatus.RUNNING, networks=networks)
    before = msgspec.structs.replace(STATE, tasks={TASK.arn: a_task(starting)})
    after = msgspec.structs.replace(STATE, tasks={TASK.arn: a_task(started)})
    answer = ask("/v4/e", the_routes(RecordedSources(after)), state=before)
    assert json.loads(answer.body)["Networks"] == [{"NetworkMode": "bridge", "IPv4Addresses": [BRIDGE]}]
    for version, words in ((3, "Unable to generate"), (4, "unable to generate")):
        answer = ask(f"/v{version}/e", the_routes(RecordedSources(before)), state=before)
        assert (answer.status, json.loads(answer.body)) == (500, f"{words} network response for container 'd'")
    gone = msgspec.structs.replace(STATE, tasks={})
    assert ask("/v4/e", the_routes(RecordedSources(gone)), state=before).status == 404
    task = json.loads(ask("/v4/e/task", the_routes(RecordedSources(after)), state=before).body)
    assert task["Containers"][0]["KnownStatus"] == "RUNNING"


@each_row("version, status", [(3, 400), (4, 500)])
def test_a_container_that_ended_has_no_stats(version: int, status: int) -> None:
    answer = ask(f"/v{version}/{APP}/stats", the_routes(RecordedSources(RECORDED)), state=RECORDED)
    docker_id = "c64f0a185e440798a79e1159329301dcdb3af82a22420a8cabfa6da4928ba86a"
    assert (answer.status, json.loads(answer.body)) == (status, f"Unable to get container stats for: {docker_id}")
    task = ask(f"/v{version}/{APP}/task/stats", the_routes(RecordedSources(RECORDED)), state=RECORDED)
    assert set(map(str, json.loads(task.body).values())) == {"{}" if version == 4 else "None"}


def test_too_many_requests_of_one_client_harm_no_other() -> None:
    routes = the_routes(RecordedSources(RECORDED), burst=2)
    answers = [ask(f"/v4/{APP}", routes, state=RECORDED, address=BRIDGE) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert APP not in answers[-1].audit_line, "a reader of the audit log could ask as that container"
    assert ask(f"/v4/{APP}", routes, state=RECORDED, address="172.17.0.3").status == 200
    assert ask(f"/v4/{APP}/task", routes, state=RECORDED, address=BRIDGE).status == 200


# --- what is asked of ECS ---------------------------------------------------------------------------


def test_tags_that_ecs_refuses_are_told_in_version_4_only() -> None:
    sources = RecordedSources(RECORDED)
    sources.failure = refused(code="AccessDeniedException", message="not authorized", request_id="r-1")
    found = json.loads(ask(f"/v4/{APP}/taskWithTags", the_routes(sources), state=RECORDED).body)
    assert [error["ErrorField"] for error in found["Errors"]] == ["ContainerInstanceTags", "TaskTags"]
    assert found["Errors"][1] == {
        "ErrorField": "TaskTags",
        "ErrorCode": "AccessDeniedException",
        "ErrorMessage": "not authorized",
        "StatusCode": 400,
        "RequestId": "r-1",
        "ResourceARN": found["TaskARN"],
    }
    answer = ask(f"/v3/{APP}/taskWithTags", the_routes(sources), state=RECORDED)
    assert answer.status == 200
    assert b"Errors" not in answer.body
    assert [call[3] for call in sources.calls] == ["container/app", "container/app", "", ""]


def test_protection_is_asked_for_with_the_tasks_own_role() -> None:
    sources = RecordedSources(RECORDED)
    target = f"/api/{APP}/task-protection/v1/state"
    body = b'{"ProtectionEnabled":true,"ExpiresInMinutes":5}'
    ask(target, the_routes(sources), state=RECORDED, method="PUT", body=body)
    ask(target, the_routes(sources), state=RECORDED)
    (change, look) = sources.calls
    arn = "arn:aws:ecs:us-west-2:012345678910:task/default/aa00000000000000000000000000c001"
    assert change[:2] == (
        "UpdateTaskProtection",
        {"cluster": "default", "tasks": [arn], "protectionEnabled": True, "expiresInMinutes": 5},
    )
    assert look[:2] == ("GetTaskProtection", {"cluster": "default", "tasks": [arn]})
    assert change[2] is look[2] is RECORDED.credentials[RECORDED_ID]


def test_what_ecs_says_about_protection_is_passed_on() -> None:
    sources = RecordedSources(RECORDED)
    target = f"/api/{APP}/task-protection/v1/state"
    sources.failure = refused(code="AccessDeniedException", message="no", status=403, request_id="r-1")
    answer = ask(target, the_routes(sources), state=RECORDED)
    assert (answer.status, json.loads(answer.body)["requestID"]) == (403, "r-1")
    sources.failure = TimeoutError()
    answer = ask(target, the_routes(sources), state=RECORDED)
    assert (answer.status, json.loads(answer.body)["error"]["Code"]) == (504, "RequestCanceled")


def test_faults_have_a_limit_of_their_own() -> None:
    routes = the_routes(RecordedSources(RECORDED))
    target = f"/api/{APP}/fault/v1/network-latency/start"
    answers = [ask(target, routes, state=RECORDED, method="POST") for _ in range(2)]
    assert [answer.status for answer in answers] == [400, 429]
    assert answers[1].body == b"You have reached maximum request limit"
    assert [value for name, value in answers[1].headers if name == "X-Rate-Limit-Limit"] == ["40.00", "0.20"]
    assert ask(target, routes, state=RECORDED).status == 405
    unknown = ask("/api/x/fault/v1/network-packet-loss/stop", routes, state=RECORDED, method="POST")
    assert unknown.status == 404
