"""Each request gets an answer in AWS's form: what was asked for, a refusal, or a fault with a request ID."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web

from ecscope.control.api.actions import Function
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.records import Json, Task
from ecscope.control.core.role_sessions import role_key
from ecscope.control.core.step import Step
from ecscope.control.server.http import MAX_BODY_BYTES, Call
from ecscope.control.server.signatures import AccessKey
from tests.control_builders import a_cluster, a_control_task, a_service, a_state, a_task_definition
from tests.control_server import Answer, ControlServer
from tests.control_signing import signed_headers
from tests.control_world import MemoryWriter


def refuse(step: Step, body: Json) -> Json:
    raise ApiError("ConflictException", "It is so.", {"resourceIds": ["a"]})


def break_down(step: Step, body: Json) -> Json:
    raise ZeroDivisionError("the secret cause")


ANSWERS: Mapping[str, Function] = {
    "ListClusters": lambda step, body: {"clusterArns": [step.principal_arn]},
    "CreateCluster": lambda step, body: {"cluster": {"clusterName": body["clusterName"]}},
    "RunTask": refuse,
    "ListServices": break_down,
    "ListTasks": lambda step, body: {"noSuchMember": 1},
}


class Writer(MemoryWriter):
    """Answers by itself."""

    async def ask(self, event: ApiRequest) -> Json:
        self.events.append(event)
        return ANSWERS[event.action](Step(self.state, event), event.body)


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with ControlServer(writer=Writer()) as server:
        yield server


def is_refusal(answer: Answer, code: str, *, status: int = 400) -> str:
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["x-amzn-errortype"] == code
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    return str(answer.body.get("message", answer.body.get("Message")))


def test_what_the_model_knows_is_asked_of_the_writer(server: ControlServer) -> None:
    answer = server.send("ListClusters", b'{"maxResults": 1, "nope": 2}')
    arn = "arn:aws:iam::000000000000:user/administrator"
    event = server.writer.events[-1]
    assert isinstance(event, ApiRequest)
    assert (event.action, event.principal_arn, event.body) == ("ListClusters", arn, {"maxResults": 1})
    assert (answer.status, answer.body) == (200, {"clusterArns": [arn]})
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert "x-amzn-errortype" not in answer.headers


def test_an_event_has_the_id_of_its_request(server: ControlServer) -> None:
    request_ids = [server.send("CreateCluster", b'{"clusterName": "a"}').headers["x-amzn-requestid"] for _ in range(2)]
    assert [event.id for event in server.writer.events[-2:]] == [
        request_id.replace("-", "") for request_id in request_ids
    ]
    assert len(set(request_ids)) == 2


def test_a_refusal_carries_its_members(server: ControlServer) -> None:
    answer = server.send("RunTask", b'{"taskDefinition": "a"}')
    assert is_refusal(answer, "ConflictException") == "It is so."
    assert answer.body["resourceIds"] == ["a"]


def test_the_rules_of_the_model_are_kept(server: ControlServer) -> None:
    assert "'taskDefinition'" in is_refusal(server.send("RunTask", b"{}"), "InvalidParameterException")
    is_refusal(server.send("RunTask", b"{"), "SerializationException")


def test_known_actions_that_are_not_there_name_themselves(server: ControlServer) -> None:
    said = is_refusal(server.send("CreateCapacityProvider", b'{"name": "a"}'), "UnsupportedFeatureException")
    assert said.startswith("CreateCapacityProvider is not available on one machine")


def test_unknown_actions_are_unknown_before_anything_else(server: ControlServer) -> None:
    is_refusal(server.send("DoAsILike", b"{}"), "UnknownOperationException")
    is_refusal(server.request("POST", "/", [], b""), "UnknownOperationException")


def test_who_does_not_sign_is_told_so_before_the_body_is_read(server: ControlServer) -> None:
    target = [("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")]
    is_refusal(server.request("POST", "/", target, b"{"), "MissingAuthenticationTokenException")


def test_a_bug_is_a_fault_with_its_reason_in_the_log(server: ControlServer, caplog: pytest.LogCaptureFixture) -> None:
    answer = server.send("ListServices", b"{}")
    said = is_refusal(answer, "ServerException", status=500)
    assert said == "Service Unavailable. Please try again later."
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.headers["x-amzn-requestid"] in record.getMessage()
    assert record.exc_info is not None
    assert "the secret cause" in str(record.exc_info[1])


def test_an_answer_that_is_not_the_models_is_a_bug_in_tests(
    server: ControlServer, caplog: pytest.LogCaptureFixture
) -> None:
    is_refusal(server.send("ListTasks", b"{}"), "ServerException", status=500)
    assert "noSuchMember" in caplog.text


def test_a_body_has_a_largest_size(server: ControlServer) -> None:
    padding = b'{"cluster": "' + b"a" * MAX_BODY_BYTES + b'"}'
    is_refusal(server.send("ListClusters", padding), "RequestEntityTooLargeException", status=413)
    fits = b'{"nope": "' + b"a" * (MAX_BODY_BYTES - 100) + b'"}'
    assert server.send("ListClusters", fits).status == 200


def test_other_methods_and_paths_are_told_where_the_api_is(server: ControlServer) -> None:
    answer = server.request("GET", "/", [])
    assert is_refusal(answer, "UnknownOperationException", status=405) == "The ECS API is at POST / of this port."
    assert answer.headers["allow"] == "POST"
    assert "/v1/tasks" in is_refusal(server.request("GET", "/v1/tasks", []), "UnknownOperationException", status=404)
    assert server.send("ListClusters", b"").status == 200, "the connection lives on"


def test_headers_that_are_no_text_are_a_wrong_signature(server: ControlServer) -> None:
    headers = signed_headers(server.principals.administrator, url=f"{server.url}/", action="ListClusters")
    odd = [(name, value + "\xff" if name == "Content-Type" else value) for name, value in headers]
    is_refusal(server.request("POST", "/", odd), "InvalidSignatureException")


def test_each_request_is_a_line_at_debug(server: ControlServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="ecscope.control")
    answer = server.send("RunTask", b"{}")
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("ecscope.control")]
    assert line.startswith(f"{answer.headers['x-amzn-requestid']} POST RunTask from 127.0.0.1: 400 ")
    assert "InvalidParameterException" in line


def test_rights_come_before_the_models_rules_and_after_its_types(tmp_path: Path) -> None:
    file = tmp_path / "iam.json"
    file.write_text('{"RoleDetailList": [{"RoleName": "ecsInstanceRole"}]}')
    with ControlServer(iam_file=file) as server:
        role = server.principals.instance_role
        said = is_refusal(server.send("RunTask", b"{}", key=role), "AccessDeniedException")
        assert said == (
            "User: arn:aws:sts::000000000000:assumed-role/ecsInstanceRole/ecscope is not authorized to perform: "
            "ecs:RunTask on resource: arn:aws:ecs:us-east-1:000000000000:task-definition/* "
            "because no identity-based policy allows the ecs:RunTask action"
        )
        is_refusal(server.send("RunTask", b'{"cluster": 1}', key=role), "SerializationException")


def test_upgrades_are_permitted_by_signature_and_right() -> None:
    arn = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/1"
    told: list[str] = []

    async def upgrade(request: web.Request) -> web.Response:
        try:
            server.front.permit(request, request.query["action"], {"cluster": "default", "containerInstance": arn})
        except ApiError as error:
            told.append(f"{error.code}: {error.message}")
        else:
            told.append("permitted")
        return web.Response()

    with ControlServer(routes={"/acs/ws": upgrade}) as server:
        role = server.principals.instance_role
        for action in ("Poll", "RunTask"):
            path = f"/acs/ws?action={quote(action, safe='')}&cluster=default&containerInstance={quote(arn, safe='')}"
            for headers in (signed_headers(role, method="GET", url=server.url + path), []):
                assert server.request("GET", path, headers).status == 200
    assert told[0] == "permitted"
    assert told[1] == told[3] == "MissingAuthenticationTokenException: Missing Authentication Token"
    assert told[2].startswith("AccessDeniedException: User: arn:aws:sts::000000000000:assumed-role/ecsInstanceRole/")


def test_a_task_signs_with_the_credentials_of_its_role_until_it_stops(tmp_path: Path) -> None:
    definition = a_task_definition()
    definition = msgspec.structs.replace(definition, body={**definition.body, "taskRoleArn": "arn:aws:iam::1:role/app"})
    task = a_control_task(credentials_id="id-1", service_arn=a_service().arn)
    other = a_control_task(2, service_arn=a_service().arn)
    made = role_key("id-1")
    key = AccessKey(
        access_key_id=made.access_key_id, secret_access_key=made.secret_access_key, session_token=made.session_token
    )
    file = tmp_path / "iam.json"
    file.write_text("{}")
    state = a_state(a_cluster(), definition, a_service(), task, other)
    with ControlServer(state=state, iam_file=file) as server:

        def protection(arn: str) -> Answer:
            return server.send(
                "GetTaskProtection", msgspec.json.encode({"cluster": "default", "tasks": [arn]}), key=key
            )

        assert protection(task.arn).body["protectedTasks"][0]["protectionEnabled"] is False
        refused = is_refusal(protection(other.arn), "AccessDeniedException")
        assert f"assumed-role/app/{task.arn.rsplit('/', 1)[-1]} is not authorized" in refused
        server.call(lambda: _publish(server, msgspec.structs.replace(task, last_status="STOPPED")))
        is_refusal(protection(task.arn), "UnrecognizedClientException")


def _publish(server: ControlServer, task: Task) -> None:
    state = server.writer.state
    server.writer.state = msgspec.structs.replace(state, tasks=state.tasks | {task.arn: task})


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nbad header SECRET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: SECRET\r\n\r\n",
        b"\x16\x03\x01SECRET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n\r\n",
    ],
)
def test_what_cannot_be_read_is_the_clients_mistake(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with ControlServer() as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(sent)
        assert b" 400 Bad Request" in client.recv(4096).split(b"\r\n")[0]
        assert server.send("ListClusters", b"{}").status == 200
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_bug_in_what_is_not_the_api_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(request: web.Request) -> web.StreamResponse:
        raise RuntimeError("a bug")

    with ControlServer(routes={"/broken": fails}) as server:
        assert server.request("GET", "/broken", []).status == 500
    assert "RuntimeError: a bug" in caplog.text


class _Echo:
    """A service that answers with what it was asked by whom."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server

    async def answer(self, call: Call) -> Json | web.StreamResponse:
        caller = self._server.front.authenticate(call.http, call.body, service="echo")
        if call.target == "Echo.Fail":
            raise ApiError("EchoFault", "no")
        if call.target == "Echo.Stream":
            return web.Response(body=call.body, content_type="application/octet-stream")
        return {"target": call.target, "by": caller.principal.arn}

    def is_fault(self, code: str) -> bool:
        return code == "EchoFault"


def test_a_request_is_for_the_service_that_its_signature_is_scoped_to(server: ControlServer) -> None:
    key = server.principals.administrator

    def send(action: str, service: str) -> Answer:
        headers = signed_headers(
            key, url=f"{server.url}/", body=b"{}", service=service, more={"X-Amz-Target": f"Echo.{action}"}
        )
        return server.request("POST", "/", headers, b"{}")

    is_refusal(send("Say", "ecs"), "UnknownOperationException")
    server.front.add("echo", _Echo(server))
    assert send("Say", "echo").body == {"target": "Echo.Say", "by": "arn:aws:iam::000000000000:user/administrator"}
    is_refusal(send("Fail", "echo"), "EchoFault", status=500)
    assert send("Stream", "echo").sent == b"{}"
    forged = [
        (name, value.replace("/ecs/", "/echo/"))
        for name, value in signed_headers(key, url=f"{server.url}/", body=b"{}", more={"X-Amz-Target": "Echo.Say"})
    ]
    is_refusal(server.request("POST", "/", forged, b"{}"), "InvalidSignatureException")
    is_refusal(send("Say", "other"), "UnknownOperationException")
