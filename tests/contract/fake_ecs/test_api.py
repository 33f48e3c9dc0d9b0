"""The back end's ECS API, called by botocore's client: answers, signatures and refusals as AWS words them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError, SSLError

from fake_ecs import Backend, Principal, self_signed
from tests.contract.fake_ecs.clients import ARN, TOTAL, Ecs

TASK = "arn:aws:ecs:us-west-2:012345678910:task/default/" + "1" * 32


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as started:
        yield started


async def refused(backend: Backend, **keys: Any) -> tuple[str, str]:
    async with Ecs(backend, **keys) as ecs:
        with pytest.raises(ClientError) as caught:
            await ecs.register()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


async def test_a_registration_is_echoed_and_its_arn_stays(backend: Backend) -> None:
    async with Ecs(backend) as ecs:
        attributes = [{"name": "ecs.capability.full-sync"}, {"name": "ecs.os-type", "value": "linux"}]
        answer = await ecs.call(
            "register_container_instance", cluster="default", totalResources=TOTAL, attributes=attributes
        )
        first = answer["containerInstance"]
        assert first["attributes"] == [*attributes, {"name": "ecs.availability-zone", "value": "us-west-2a"}]
        again = await ecs.register(containerInstanceArn=first["containerInstanceArn"])
        assert again == first["containerInstanceArn"]
        assert await ecs.register() != again
    assert await backend.registered(count=3) in backend.operations.instances
    assert [call.principal for call in backend.calls] == [backend.principal.arn] * 3
    assert not backend.problems


async def test_a_cluster_must_exist_before_an_instance_joins_it() -> None:
    async with Backend(clusters=()) as backend, Ecs(backend) as ecs:
        with pytest.raises(ClientError, match=r"\(ClusterNotFoundException\).*Cluster not found\."):
            await ecs.register()
        await ecs.call("create_cluster", clusterName="default")
        assert (await ecs.register()).startswith("arn:aws:ecs:us-west-2:012345678910:container-instance/default/")


async def test_every_operation_of_an_agent_answers(backend: Backend) -> None:
    backend.operations.tags[TASK] = [{"key": "a", "value": "b"}]
    async with Ecs(backend) as ecs:
        arn = await ecs.register()
        found = await ecs.call("discover_poll_endpoint", containerInstance=arn, cluster="default")
        assert (found["endpoint"], found["telemetryEndpoint"]) == (f"{backend.url}/acs/", f"{backend.url}/tcs/")
        done = await ecs.call("submit_task_state_change", cluster="default", task=TASK, status="RUNNING")
        assert done["acknowledgment"] == "ok"
        await ecs.call(
            "submit_container_state_change", cluster="default", task=TASK, containerName="a", status="RUNNING"
        )
        await ecs.call("submit_attachment_state_changes", attachments=[{"attachmentArn": ARN, "status": "ATTACHED"}])
        assert (await ecs.call("list_tags_for_resource", resourceArn=TASK))["tags"] == [{"key": "a", "value": "b"}]
        await ecs.call("update_container_instances_state", containerInstances=[arn], status="DRAINING")
    assert backend.operations.instances[arn].status == "DRAINING"
    change = await backend.state_change(TASK, "RUNNING")
    assert change.body == {"cluster": "default", "task": TASK, "status": "RUNNING"}
    assert list(await backend.running(1)) == [TASK]


async def test_a_state_change_that_ecs_would_refuse_is_refused(backend: Backend) -> None:
    async with Ecs(backend) as ecs:
        for body in (
            {"task": TASK, "status": "RUNING"},
            {"status": "RUNNING"},
            {"task": TASK, "reason": "x" * 1025, "status": "STOPPED"},
        ):
            with pytest.raises(ClientError, match="InvalidParameterException"):
                await ecs.call("submit_task_state_change", **body)
    assert backend.state_changes() == []


async def test_a_member_that_ecs_does_not_know_is_a_problem(backend: Backend) -> None:
    assert list(backend.operations.problems("CreateCluster", {"clusterName": "a", "name": "a"})) == [
        "CreateCluster has members that ECS does not know: name"
    ]


# Signatures


async def test_an_unknown_key_is_refused(backend: Backend) -> None:
    expected = ("UnrecognizedClientException", "The security token included in the request is invalid.")
    assert await refused(backend, key="AKIDNOBODY") == expected
    assert await refused(backend, token="a-token-that-was-never-given") == expected


async def test_a_wrong_secret_is_refused(backend: Backend) -> None:
    code, message = await refused(backend, secret="wrong")
    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


async def test_another_region_is_refused(backend: Backend) -> None:
    assert await refused(backend, region="eu-west-1") == (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region. ",
    )


async def test_a_clock_that_is_off_is_told_and_the_date_shows_by_how_much(backend: Backend) -> None:
    backend.clock_skew_s = 301
    code, message = await refused(backend)
    assert code == "InvalidSignatureException"
    assert message.startswith("Signature expired: ")
    assert " is now earlier than " in message
    assert message.endswith(" - 5 min.)")
    backend.clock_skew_s = -3600
    code, message = await refused(backend)
    assert message.startswith("Signature not yet current: ")
    backend.clock_skew_s = 290
    async with Ecs(backend) as ecs:
        assert await ecs.register()


async def test_a_session_token_expires() -> None:
    principal = Principal(access_key_id="ASIATEMPORARY", secret_access_key="s", session_token="t" * 40)
    async with Backend(principals=[principal]) as backend:
        async with Ecs(backend) as ecs:
            assert await ecs.register()
        principal.expires_at = datetime.now(UTC) - timedelta(seconds=1)
        expected = ("ExpiredTokenException", "The security token included in the request is expired")
        assert await refused(backend) == expected


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Authorization": None}, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, "IncompleteSignatureException"),
        ({"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster"}, "InvalidSignatureException"),
        ({"X-Amz-Added": "later"}, "InvalidSignatureException"),
        ({"body": b'{"clusterName": "other"}'}, "InvalidSignatureException"),
        ({}, None),
    ],
)
async def test_what_is_altered_after_signing_is_found_out(
    backend: Backend, change: dict[str, Any], code: str | None
) -> None:
    target = "AmazonEC2ContainerServiceV20141113.ListTagsForResource"
    request = AWSRequest(
        method="POST",
        url=backend.url + "/",
        data=b'{"resourceArn": "arn"}',
        headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"},
    )
    keys = Credentials(backend.principal.access_key_id, backend.principal.secret_access_key)
    SigV4Auth(keys, "ecs", backend.region).add_auth(request)
    altered = {**dict(request.headers.items()), **change}
    body = altered.pop("body", request.data)
    headers = {name: value for name, value in altered.items() if value is not None}
    async with aiohttp.ClientSession() as session, session.post(backend.url, data=body, headers=headers) as answer:
        answered = await answer.json(content_type=None)
        assert (answer.status, answered.get("__type")) == ((400, code) if code else (200, None))


async def test_an_action_that_is_taken_away_is_denied_in_awss_words(backend: Backend) -> None:
    backend.deny("ecs:RegisterContainerInstance")
    assert await refused(backend) == (
        "AccessDeniedException",
        "User: arn:aws:sts::012345678910:assumed-role/ecsInstanceRole/i-0123456789abcdef0 is not authorized "
        "to perform: ecs:RegisterContainerInstance on resource: arn:aws:ecs:us-west-2:012345678910:cluster/default "
        "because no identity-based policy allows the ecs:RegisterContainerInstance action",
    )
    async with Ecs(backend) as ecs:
        assert await ecs.call("discover_poll_endpoint", containerInstance=ARN)
        backend.allow()
        assert await ecs.register()


# Faults


async def test_answers_can_be_made_wrong_for_a_number_of_calls(backend: Backend) -> None:
    backend.fail("RegisterContainerInstance", code="ThrottlingException", message="Rate exceeded", times=2)
    assert await refused(backend) == ("ThrottlingException", "Rate exceeded")
    assert await refused(backend) == ("ThrottlingException", "Rate exceeded")
    backend.fail("*", status=500, body=b"<html>oops</html>", content_type="text/html")
    async with Ecs(backend) as ecs:
        with pytest.raises(ClientError) as caught:
            await ecs.register()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        backend.heal()
        assert await ecs.register()
    assert [call.status for call in backend.calls] == [400, 400, 500, 200]


async def test_an_answer_can_be_lost_after_the_call_was_taken(backend: Backend) -> None:
    backend.drop("SubmitTaskStateChange")
    async with Ecs(backend) as ecs:
        with pytest.raises(ConnectionClosedError):
            await ecs.call("submit_task_state_change", task=TASK, status="RUNNING")
        assert (await backend.state_change(TASK, "RUNNING")).status is None
        backend.drop("SubmitTaskStateChange", taken=False)
        with pytest.raises(ConnectionClosedError):
            await ecs.call("submit_task_state_change", task=TASK, status="STOPPED")
    assert [call.body["status"] for call in backend.state_changes(TASK)] == ["RUNNING"]


async def test_an_answer_may_never_come(backend: Backend) -> None:
    backend.hang("*", times=1)
    async with Ecs(backend, read_timeout_s=0.2) as ecs:
        with pytest.raises(ReadTimeoutError):
            await ecs.register()
        backend.delay("*", 0.05, times=1)
        assert await ecs.register()


async def test_away_refuses_connections_and_back_has_the_same_port(backend: Backend) -> None:
    url = backend.url
    async with Ecs(backend) as ecs:
        await ecs.register()
        await backend.away()
        with pytest.raises(EndpointConnectionError):
            await ecs.register()
        await backend.back()
        assert await ecs.register()
    assert backend.url == url


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Any) -> None:
    certificate = self_signed(tmp_path)
    async with Backend(certificate=certificate) as backend:
        async with Ecs(backend, verify=True) as ecs:
            with pytest.raises(SSLError):
                await ecs.register()
        async with Ecs(backend, verify=str(certificate.certificate)) as ecs:
            assert await ecs.register()


async def test_waiting_ends_with_what_came_instead(backend: Backend) -> None:
    async with Ecs(backend) as ecs:
        await ecs.register()
    with pytest.raises(TimeoutError, match=r"RUNNING of .* did not come within 0\.01 s; last seen: RegisterContainer"):
        await backend.state_change(TASK, "RUNNING", timeout_s=0.01)
