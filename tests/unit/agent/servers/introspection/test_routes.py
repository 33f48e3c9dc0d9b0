"""Every route, the errors with their log lines, and that finished answers never outlive state, second or bound."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.introspection import answers, v1
from ecscope.agent.servers.introspection.answers import Answer
from ecscope.agent.servers.introspection.routes import KEPT_BYTES, Routes
from ecscope.log import LogfmtFormatter
from ecscope.model.container_instance import ContainerInstance
from tests.builders import a_container, a_task, an_arn, an_obstacle
from tests.tables import each_row

COMMANDS = b'{"AvailableCommands":["/v1/metadata","/v1/tasks","/license"]}'


class World:
    """A state that tests replace, and a clock that they move."""

    def __init__(self, state: AgentState) -> None:
        self.state = state
        self.now = 1795445354.25
        self.asked = 0

    def read(self) -> AgentState:
        self.asked += 1
        return self.state


def a_state(*numbers: int) -> AgentState:
    tasks = [a_task(a_container(docker_id=f"{number:064x}"), number=number) for number in numbers]
    instance = ContainerInstance(cluster="default", arn="arn:instance", agent_version="Amazon ECS Agent - v1 (a)")
    return AgentState(instance=instance, tasks={task.arn: task for task in tasks})


def routes_over(
    world: World,
    folder: Path = Path("/nonexistent"),
    *,
    runtime_stats: bool = False,
    hide_version: bool = False,
) -> Routes:
    return Routes(
        world.read,
        license_dir=folder,
        runtime_stats=runtime_stats,
        hide_version=hide_version,
        clock=lambda: world.now,
    )


def answered(
    target: bytes,
    method: bytes = b"GET",
    state: AgentState | None = None,
    *,
    runtime_stats: bool = False,
    hide_version: bool = False,
) -> Answer:
    routes = routes_over(World(state or a_state()), runtime_stats=runtime_stats, hide_version=hide_version)
    answer = routes.answer(method, target)
    assert answer is not None
    return answer


@each_row(
    "target",
    [b"/", b"/v1", b"/v1/", b"/v1/tasks/", b"/V1/tasks", b"/favicon.ico", b"/debug/pprof/heap", b"/v1%2Ftasks", b"/?x"],
)
def test_every_other_path_is_the_list_of_commands(target: bytes) -> None:
    answer = answered(target)
    assert (answer.status, answer.body, answer.headers, answer.sniffed) == (
        200,
        COMMANDS,
        b"",
        answers.SNIFFED_TEXT,
    )


def test_profiling_lengthens_the_list() -> None:
    assert answered(b"/nope", runtime_stats=True).body == (
        b'{"AvailableCommands":["/v1/metadata","/v1/tasks","/license","/debug/pprof/","/debug/pprof/cmdline",'
        b'"/debug/pprof/profile","/debug/pprof/symbol","/debug/pprof/trace"]}'
    )


def test_profiling_without_its_slash_is_redirected_there() -> None:
    answer = answered(b"/debug/pprof?debug=1", runtime_stats=True)
    assert (answer.status, answer.headers) == (301, answers.HTML + b"Location: /debug/pprof/?debug=1\r\n")
    assert answer.body == b'<a href="/debug/pprof/?debug=1">Moved Permanently</a>.\n\n'
    assert answered(b"/debug/pprof/", runtime_stats=True).status == 200
    assert answered(b"/debug/pprof").body == COMMANDS


@pytest.mark.parametrize("target", [b"/v1/metadata", b"/v1/metadata?x=y", b"/v1/%6Detadata", b"http://h/v1/metadata"])
def test_metadata(target: bytes) -> None:
    answer = answered(target)
    assert answer.body.startswith(b'{"Cluster":"default"')
    assert answer.headers == answers.JSON


def test_a_hidden_version() -> None:
    assert b"Version" not in answered(b"/v1/metadata", hide_version=True).body


@each_row(
    "target, status",
    [
        (b"/v1/tasks", 200),
        (b"/v1/tasks?foo=bar", 200),
        (b"/v1/tasks?TaskArn=x", 200),
        (b"/v1/tasks?taskarn=a;dockerid=b", 200),
        (b"/v1/tasks?taskarn=%zz", 200),
        (b"/v1/tasks?taskarn=" + an_arn(1).encode(), 200),
        (b"/v1/tasks?taskarn=" + an_arn(1).encode().replace(b":", b"%3A"), 200),
        (b"/v1/tasks?taskarn=" + an_arn(1).encode() + b"&taskarn=x", 200),
        (b"/v1/tasks?taskarn", 404),
        (b"/v1/tasks?taskarn=", 404),
        (b"/v1/tasks?taskarn=%FF", 404),
        (b"/v1/tasks?dockerid=%FF", 404),
        (b"/v1/tasks?dockerid", 400),
        (b"/v1/tasks?dockerid=" + b"0" * 63 + b"2", 200),
        (b"/v1/tasks?dockerid=" + b"0" * 63, 404),
        (b"/v1/tasks?dockerid&taskarn", 400),
        (b"/v1/tasks?dockerid=x&taskarn=x", 400),
    ],
)
def test_task_queries(target: bytes, status: int) -> None:
    answer = answered(target, state=a_state(1, 2))
    assert answer.status == status
    assert answer.headers == answers.JSON
    if status != 200:
        assert answer.body == v1.EMPTY_TASK
        assert not answer.is_lasting


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"//v1//tasks?taskarn=x", b"/v1/tasks?taskarn=x"),
        (b"/v1/x/../metadata", b"/v1/metadata"),
        (b"//evil.example/", b"/evil.example/"),
        (b"http://host", b"/"),
        (b"/a/./b{}?", b"/a/b%7B%7D"),
    ],
)
def test_paths_are_cleaned_by_redirect(target: bytes, location: bytes) -> None:
    answer = answered(target)
    assert answer.status == 301
    assert answer.headers == b"Content-Type: text/html; charset=utf-8\r\nLocation: " + location + b"\r\n"
    assert answer.body == b'<a href="' + location + b'">Moved Permanently</a>.\n\n'


def test_a_redirect_is_escaped_for_html() -> None:
    assert b'"/?a=1&amp;b=&#39;&lt;&gt;&#34;"' in answered(b"//?a=1&b='<>\"").body


def test_a_redirect_has_a_body_for_get_only_and_a_type_for_get_and_head() -> None:
    head, post = answered(b"//", b"HEAD"), answered(b"//", b"POST")
    assert (head.body, head.headers) == (b"", answers.HTML + b"Location: /\r\n")
    assert (post.body, post.headers) == (b"", b"Location: /\r\n")


def test_connect_is_not_cleaned() -> None:
    assert answered(b"//v1//tasks", b"CONNECT").body == COMMANDS


def test_an_asterisk_is_a_bad_request() -> None:
    assert answered(b"*", b"GET") is answers.BAD_TARGET
    assert answered(b"*", b"OPTIONS") is answers.ASTERISK_OPTIONS


@pytest.mark.parametrize("target", [b"/%zz", b"nowhere"])
def test_an_unreadable_target_is_for_the_protocol_to_refuse(target: bytes) -> None:
    routes = routes_over(World(a_state()))
    assert routes.answer(b"GET", target) is None
    assert routes.finished(target) == b""


def test_license_is_read_on_every_request(tmp_path: Path) -> None:
    routes = routes_over(World(a_state()), tmp_path)
    for name in ("LICENSE", "NOTICE", "THIRD-PARTY"):
        (tmp_path / name).write_text(name)
    assert b"\r\n\r\nLICENSE\n===" in routes.finished(b"/license")
    (tmp_path / "LICENSE").write_text("other")
    assert b"\r\n\r\nother\n===" in routes.finished(b"/license")
    (tmp_path / "NOTICE").unlink()
    assert routes.answer(b"GET", b"/license") == Answer(status=500, headers=answers.PLAIN)


# --- failures and the log -----------------------------------------------------------------------


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_two_error_lines_for_a_failed_lookup(caplog: pytest.LogCaptureFixture) -> None:
    answered(b"/v1/tasks?taskarn=no%0Asuch")
    first, second = errors(caplog)
    assert "no task has this ARN" in first
    assert vars(caplog.records[0])["taskARN"] == "no\nsuch"
    assert "404" in second
    assert "introspection/tasks" in second
    assert v1.EMPTY_TASK.decode() in second
    assert "JSON" in second


def test_what_was_asked_for_is_a_field_even_when_it_is_no_text(caplog: pytest.LogCaptureFixture) -> None:
    answered(b"/v1/tasks?dockerid=%FF")
    line = LogfmtFormatter().format(caplog.records[0])
    assert "dockerId=" in line
    assert "\n" not in line


def test_two_error_lines_for_a_missing_licence(caplog: pytest.LogCaptureFixture) -> None:
    answered(b"/license")
    first, second = errors(caplog)
    assert "LICENSE" in first
    assert "500" in second
    assert "introspection/license" in second
    assert "plaintext: <empty>" in second


@pytest.mark.parametrize("target", [b"/v1/tasks", b"/v1/metadata"])
def test_what_cannot_be_encoded_is_an_empty_object(target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    instance = ContainerInstance(cluster="default", arn="x", agent_version=object())  # type: ignore[arg-type]
    broken = a_task(a_container(docker_name="x", image_id=object()))
    answer = answered(target, state=AgentState(instance=instance, tasks={broken.arn: broken}))
    assert (answer.status, answer.body, answer.headers) == (500, b"{}", answers.JSON)
    assert len(errors(caplog)) == 2


def test_a_crash_costs_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    def state() -> AgentState:
        raise RuntimeError("no state")

    routes = Routes(state, license_dir=Path("/"))
    assert routes.answer(b"GET", b"/v1/tasks") is answers.CRASHED
    assert "crashed" in errors(caplog)[0]
    assert routes.answer(b"GET", b"/") is not answers.CRASHED


def test_debugging_is_looked_up_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    world = World(a_state())
    routes = routes_over(world)
    routes.tick()
    assert not routes.is_debugging
    with caplog.at_level(logging.DEBUG, "ecscope.introspection"):
        routes.tick()
        assert not routes.is_debugging
        world.now += 1
        routes.tick()
        assert routes.is_debugging
        routes.log_request(b"GET", ("127.0.0.1", 5))
    assert "GET" in caplog.text
    assert "127.0.0.1" in caplog.text


# --- finished answers ---------------------------------------------------------------------------


def test_a_finished_answer_is_kept_for_one_state_and_one_second() -> None:
    world = World(a_state(1))
    routes = routes_over(world)
    first = routes.finished(b"/v1/tasks")
    assert b"Date: Mon, 23 Nov 2026 14:49:14 GMT\r\n" in first
    assert routes.finished(b"/v1/tasks") is first
    world.now += 0.5
    assert routes.finished(b"/v1/tasks") is first
    world.now += 0.5
    later = routes.finished(b"/v1/tasks")
    assert b"14:49:15" in later
    world.state = msgspec.structs.replace(world.state)
    assert routes.finished(b"/v1/tasks") is not later
    assert routes.finished(b"/v1/tasks") == later
    world.state = a_state(1, 2)
    assert an_arn(2).encode() in routes.finished(b"/v1/tasks")


def test_failures_are_not_kept() -> None:
    routes = routes_over(World(a_state(1)))
    first = routes.finished(b"/v1/tasks?dockerid=f")
    assert first.startswith(b"HTTP/1.1 404")
    assert routes.finished(b"/v1/tasks?dockerid=f") is not first


def test_what_is_kept_is_bounded() -> None:
    routes = routes_over(World(a_state()))
    targets = [b"/" + b"%d" % number + b"x" * 100_000 for number in range(KEPT_BYTES // 100_000 + 10)]
    first = [routes.finished(target) for target in targets]
    again = [routes.finished(target) for target in targets]
    kept = sum(one is other for one, other in zip(first, again, strict=True))
    assert KEPT_BYTES // 101_000 - 1 <= kept <= KEPT_BYTES // 100_000


TARGETS = (
    b"/",
    b"/v1/metadata",
    b"/v1/tasks",
    b"//v1//tasks",
    b"/v1/tasks?dockerid=",
    b"/v1/tasks?dockerid=" + b"0" * 63 + b"3",
    b"/v1/tasks?taskarn=" + an_arn(3).encode(),
    b"/v1/tasks?dockerid=&taskarn=",
)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(TARGETS),
            st.sampled_from([0.2, 0.9, 3.0]),
            st.lists(st.integers(1, 4), max_size=4, unique=True),
        ),
        max_size=40,
    )
)
def test_kept_bytes_equal_fresh_ones(steps: list[bytes | float | list[int]]) -> None:
    """A target is asked for, the clock goes on, or the state is replaced: in any order."""
    world = World(a_state())
    routes = routes_over(world)
    for step in steps:
        match step:
            case bytes():
                assert routes.finished(step) == routes_over(world).finished(step)
            case float():
                world.now += step
            case _:
                world.state = a_state(*step)


# --- an obstacle --------------------------------------------------------------------------------


def test_what_stands_between_a_saved_registration_and_ecs_changes_no_answer() -> None:
    state = a_state(1)
    for target in (b"/v1/metadata", b"/v1/tasks"):
        obstructed = msgspec.structs.replace(state, obstacle=an_obstacle())
        assert answered(target, state=obstructed) == answered(target, state=state)
