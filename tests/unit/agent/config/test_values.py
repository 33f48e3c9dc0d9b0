"""Each form reads what it should, refuses the rest without quoting a secret, and writes what it reads back."""

from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.config import values as form
from ecscope.agent.config.values import Form, Secret, choice, known_words, without_userinfo, words
from tests.examples import examples
from tests.tables import each_row


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


ALL = [
    form.TEXT,
    form.TRIMMED,
    form.URL,
    form.PROXY,
    form.DOCKER_HOST,
    form.BOOL,
    form.DURATION,
    form.INTEGER,
    form.NUMBER,
    form.PORT_LIST,
    form.COMMA_LIST,
    form.TEXT_MAP,
    form.PORT_RANGE,
    form.RATES,
    form.ADDRESSES,
    form.SECRET,
    form.SECRET_OBJECT,
    form.integer_between(0, 10),
    choice(Colour),
    words("a", "b"),
    known_words("a", "b"),
]


@pytest.mark.parametrize("any_form", ALL, ids=lambda f: f.name)
@settings(max_examples=examples(50))
@given(text=st.text())
def test_any_text_is_read_or_refused(any_form: Form, text: str) -> None:
    try:
        value = any_form.read_text(text)
    except ValueError as error:
        assert str(error)
    else:
        assert value is None or any_form.write(value) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize(
    "any_form",
    [f for f in ALL if f not in (form.PROXY, form.NUMBER, form.PORT_RANGE, form.RATES, form.ADDRESSES, form.SECRET)],
    ids=lambda f: f.name,
)
@settings(max_examples=examples(40))
@given(value=JSON)
def test_any_json_is_read_or_refused(any_form: Form, value: object) -> None:
    try:
        any_form.read_json(value)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("any_form", [form.PORT_LIST, form.TEXT_MAP, form.SECRET_OBJECT, known_words("a")])
@pytest.mark.parametrize("text", ["[" * 100_000, '"\ud800"'])
def test_monstrous_json_is_refused(any_form: Form, text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        any_form.read_text(text)


def test_a_secret_hides_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.text == "hunter2"
    assert bool(secret)
    assert not Secret()
    assert repr(Secret()) != repr(secret)
    assert form.SECRET.write(secret) == "(set)"
    assert form.SECRET.write(Secret()) == ""


def test_a_bad_secret_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="registry to credentials") as caught:
        form.SECRET_OBJECT.read_text('{"hunter2"')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@proxy:1/x", "http://(hidden)@proxy:1/x"),
        ("http://proxy:1/a@b", "http://proxy:1/a@b"),
        ("plain", "plain"),
    ],
)
def test_passwords_in_urls_are_hidden(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@proxy:1", "http://(hidden)@proxy:1"),
        ("http://me:hunt/er2@proxy:1", "http://(hidden)@proxy:1"),
        ("me:hunter2@proxy:1", "(hidden)@proxy:1"),
        ("proxy:1", "proxy:1"),
    ],
)
def test_a_proxy_is_shown_without_its_password(text: str, shown: str) -> None:
    assert form.PROXY.write(text) == shown


def test_a_choice_reads_its_words_and_its_numbers() -> None:
    colours = choice(Colour, numbers={0: Colour.RED})
    assert colours.read_text(" blue ") is Colour.BLUE
    assert colours.read_json(0) is Colour.RED
    assert colours.write(Colour.RED) == "red"
    for wrong in (1, "red", True, 0.0):
        with pytest.raises(ValueError, match=r"write one of 0 \(red\)"):
            colours.read_json(wrong)
    with pytest.raises(ValueError, match="write one of red, blue"):
        colours.read_text("green")


def test_a_choice_may_have_a_word_for_all_others() -> None:
    assert choice(Colour, otherwise=Colour.BLUE).read_text("green") is Colour.BLUE


@pytest.mark.parametrize(
    ("text", "value"),
    [("tcp://[::1]:2375", "tcp://[::1]:2375"), ("unix:///a", "unix:///a"), ("", None)],
)
def test_docker_hosts(text: str, value: str | None) -> None:
    assert form.DOCKER_HOST.read_text(text) == value


@each_row("text", ["unix:", "unix://", "ssh://host", "http://host:1", "npipe:////./pipe/x", "tcp:host"])
def test_docker_hosts_of_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write unix:///path/to/docker\.sock or tcp://host:port"):
        form.DOCKER_HOST.read_text(text)


def test_every_interface_is_written_as_it_is_read() -> None:
    assert form.ADDRESSES.write(form.ADDRESSES.read_text("*")) == "*"
    assert form.ADDRESSES.write(("127.0.0.1", "::1")) == "127.0.0.1,::1"


def test_a_form_without_json_says_so_to_its_programmer() -> None:
    with pytest.raises(AssertionError, match="without a JSON key"):
        form.SECRET.read_json("x")
