"""The way to the next ACS connection: its address as recorded, what a refusal means, how long to wait."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.wire.acs import reconnect as acs_reconnect
from ecscope.wire.acs.reconnect import Reconnect, ReconnectTimes, UnusableEndpoint
from tests import traffic
from tests.tables import each_row

INSTANCE = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/i1"


def an_url(endpoint: str, *, send_credentials: bool = True, instance: str = INSTANCE) -> str:
    return acs_reconnect.connect_url(
        endpoint,
        agent_hash="a8b3e7d3",
        agent_version="1.105.1",
        cluster="default",
        container_instance_arn=instance,
        docker_version="20.10.24+dfsg1",
        send_credentials=send_credentials,
    )


# --- the address ----------------------------------------------------------------------------------

CONNECTS = [record for name in traffic.ALL for record in traffic.records(name, "acs-connect")]


@pytest.mark.parametrize("record", CONNECTS, ids=lambda record: str(record["n"]))
def test_the_address_is_the_recorded_one(record: dict[str, dict[str, str]]) -> None:
    query = record["query"]
    url = urlsplit(
        an_url(
            "http://127.0.0.1:18000/acs",
            send_credentials=query["sendCredentials"] == "true",
            instance=query["containerInstanceArn"],
        )
    )
    assert (url.scheme, url.netloc, url.path) == ("ws", "127.0.0.1:18000", record["path"])
    pairs = parse_qsl(url.query, strict_parsing=True)
    assert pairs == sorted(query.items())


def test_the_address_is_quoted_as_signatures_want_it() -> None:
    assert an_url("https://acs.example/", send_credentials=False) == (
        "wss://acs.example/ws?agentHash=a8b3e7d3&agentVersion=1.105.1&clusterArn=default"
        "&containerInstanceArn=arn%3Aaws%3Aecs%3Aus-west-2%3A012345678910%3Acontainer-instance%2Fdefault%2Fi1"
        "&dockerVersion=DockerVersion%3A%2020.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=false&seqNum=1"
    )


@pytest.mark.parametrize("endpoint", ["http://h", "http://h/", "HTTP://h"])
def test_the_slash_before_ws_is_there_once(endpoint: str) -> None:
    assert an_url(endpoint).startswith("ws://h/ws?agentHash=")


@each_row(
    "endpoint",
    ["", "acs.example", "ftp://h", "wss://h", "http://", "http://[", "http:h", "http://:80", "http://h:99999"],
)
def test_another_scheme_is_an_error(endpoint: str) -> None:
    with pytest.raises(UnusableEndpoint, match="ACS endpoint"):
        an_url(endpoint)


# --- refused upgrades -----------------------------------------------------------------------------


@each_row(
    "body, words",
    [
        ('{"type":"InactiveInstanceException","message":{"message":"gone"}}', "gone"),
        ('{"type":"InactiveInstanceException","message":{}}', ""),
        ('{"InactiveInstanceException":"gone"}', "gone"),
        ('{"InactiveInstanceException":""}', ""),
        ('{"type":"InvalidInstanceException","message":{"message":"who?"}}', None),
        ('{"type":"InactiveInstanceException"}', None),
        ('{"InactiveInstanceException":1}', None),
        ('{"ServerException":"InactiveInstanceException"}', None),
        ("InactiveInstanceException", None),
        ("<html>", None),
        ("", None),
        ("[" * 1_000_000, None),
    ],
    name=lambda part: str(part)[:50],
)
def test_only_a_clear_statement_makes_the_instance_inactive(body: str, words: str | None) -> None:
    assert acs_reconnect.inactive_instance(body) == words


@given(st.text())
def test_no_body_raises(body: str) -> None:
    assert acs_reconnect.inactive_instance(body) is None


# --- waiting --------------------------------------------------------------------------------------


def a_reconnect(chance: float = 0.0) -> Reconnect:
    return Reconnect(chance=lambda: chance)


def test_failed_dials_wait_longer_and_longer() -> None:
    reconnect = a_reconnect()
    waits = [reconnect.after_failure() for _ in range(20)]
    assert waits[:4] == pytest.approx([0.25, 0.375, 0.5625, 0.84375])
    assert waits[-1] == 120.0


def test_a_wait_grows_by_at_most_a_fifth_of_itself() -> None:
    reconnect = a_reconnect(chance=1.0)
    assert [reconnect.after_failure() for _ in range(2)] == pytest.approx([0.3, 0.45])
    assert [reconnect.after_failure() for _ in range(20)][-1] == pytest.approx(144.0)


def test_a_clean_end_is_followed_at_once_and_begins_the_back_off_anew() -> None:
    reconnect = a_reconnect()
    reconnect.after_failure()
    reconnect.after_failure()
    assert reconnect.after_end(lived_s=5.0, is_clean=True) == 0.0
    assert reconnect.after_failure() == 0.25


@pytest.mark.parametrize(("chance", "enough_s"), [(0.0, 60.0), (1.0, 120.0)])
def test_a_fault_after_a_good_connection_begins_the_back_off_anew(chance: float, enough_s: float) -> None:
    reconnect = a_reconnect(chance)
    first_s = reconnect.after_failure()
    assert reconnect.after_end(lived_s=enough_s - 0.1, is_clean=False) > first_s
    assert reconnect.after_end(lived_s=enough_s, is_clean=False) == first_s


def test_a_server_that_ends_each_connection_at_once_is_not_dialled_in_a_tight_loop() -> None:
    reconnect = a_reconnect()
    waits = [reconnect.after_end(lived_s=0.1, is_clean=True) for _ in range(6)]
    assert waits == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.375, 0.5625])
    assert reconnect.after_end(lived_s=2.0, is_clean=True) == 0.0
    assert reconnect.after_end(lived_s=0.1, is_clean=True) == 0.0


def test_a_deregistered_instance_asks_again_after_an_hour() -> None:
    reconnect = a_reconnect()
    reconnect.after_failure()
    assert reconnect.after_refusal_for_good() == 3600.0
    assert reconnect.after_failure() == 0.25


def test_times_can_be_given() -> None:
    reconnect = Reconnect(chance=lambda: 0.0, times=ReconnectTimes(first_s=2.0, cap_s=3.0))
    assert [reconnect.after_failure() for _ in range(2)] == [2.0, 3.0]
