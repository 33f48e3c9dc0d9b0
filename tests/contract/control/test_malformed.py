"""Requests drawn from the model, over the wire: a modelled error for each that is malformed, and never a fault.

``ECSCOPE_EXAMPLES=100`` draws a hundred times as many for each action.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.control.drawn import STATE, broken_bodies, good_bodies
from tests.control_server import MODEL, Answer, ControlServer
from tests.examples import examples

EXAMPLES = examples(12)
ACTIONS = sorted(MODEL.operations)
OF_THE_FRONT = {"SerializationException", "InvalidParameterException", "ClientException"}

drawing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with ControlServer() as server:
        yield server


def is_told(answer: Answer) -> bool:
    """In the form of AWS."""
    return answer.headers["x-amzn-errortype"] == answer.code and isinstance(answer.body["message"], str)


@pytest.mark.timeout(max(120, EXAMPLES))
@pytest.mark.parametrize("action", ACTIONS)
def test_a_malformed_request_is_refused_and_changes_nothing(server: ControlServer, action: str) -> None:
    server.writer.state = STATE

    @drawing
    @given(body=broken_bodies(action))
    def refused(body: bytes) -> None:
        answer = server.send(action, body)
        assert answer.status == 400, answer.sent
        assert answer.code in OF_THE_FRONT
        assert answer.code in MODEL.errors(action) | {"SerializationException"}
        assert is_told(answer)
        assert server.state is STATE

    refused()


@pytest.mark.timeout(max(120, EXAMPLES))
@pytest.mark.parametrize("action", ACTIONS)
def test_a_request_that_keeps_the_model_is_no_fault_and_refused_whole(server: ControlServer, action: str) -> None:
    @drawing
    @given(bodies=st.lists(good_bodies(action), min_size=1, max_size=2))
    def answered(bodies: list[bytes]) -> None:
        server.writer.state = STATE
        for body in bodies:
            before = server.state
            answer = server.send(action, body)
            assert answer.status in (200, 400), answer.sent
            if answer.status == 400:
                assert answer.code in MODEL.errors(action) | {"UnsupportedFeatureException"}, answer.sent
                assert is_told(answer)
                assert server.state is before

    answered()
