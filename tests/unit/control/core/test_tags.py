"""Tags have bounds, and AWS's own are not for everybody."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.tags import not_respelled, tags_of
from tests.tables import each_row


def test_tags_are_added_to_those_before() -> None:
    given = [{"key": "a", "value": "1"}, {"key": "b"}]
    assert tags_of(given, before={"a": "0", "c": "3"}) == {"a": "1", "b": "", "c": "3"}
    assert tags_of(()) == {}


@each_row(
    "given, words",
    [
        ([{"value": "1"}], "from 1 to 128"),
        ([{"key": "k" * 129}], "from 1 to 128"),
        ([{"key": "k", "value": "v" * 257}], "at most 256"),
        ([{"key": "aws:x"}], "for AWS alone"),
        ([{"key": "AWS:x"}], "for AWS alone"),
        ([{"key": "a"}, {"key": "a"}], "Duplicate tag keys"),
        ([{"key": "Team"}, {"key": "team"}], "Duplicate tag keys found: 'team' and 'Team' differ in case only"),
        ([{"key": "É"}, {"key": "é"}], "differ in case only"),
        ([{"key": f"k{number}"} for number in range(51)], "at most 50 tags"),
    ],
)
def test_what_is_no_tag(given: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        tags_of(given)
    assert caught.value.code == "InvalidParameterException"


def test_a_key_is_not_added_in_another_case() -> None:
    with pytest.raises(ApiError, match="'team' and 'Team' differ in case only"):
        tags_of([{"key": "team", "value": "1"}], before={"Team": "0"})
    assert tags_of([{"key": "Team", "value": "1"}], before={"Team": "0"}) == {"Team": "1"}


def test_what_had_such_keys_before_can_still_be_tagged() -> None:
    before = {"Team": "0", "team": "1"}
    given = [{"key": "Team", "value": "2"}, {"key": "other"}]
    assert tags_of(given, before=before) == {"Team": "2", "team": "1", "other": ""}


def test_an_agents_tags_are_not_respelled() -> None:
    given = [{"key": "team", "value": "1"}, {"key": "Rack", "value": "2"}, {"key": "new"}, {}]
    assert not_respelled(given, {"Team": "0", "Rack": "0"}) == given[1:]


def test_tags_of_aws_do_not_count() -> None:
    before = {"aws:ecs:clusterName": "default"} | {f"k{number}": "" for number in range(49)}
    assert len(tags_of([{"key": "last"}], before=before)) == 51
    with pytest.raises(ApiError, match="at most 50"):
        tags_of([{"key": "one"}, {"key": "two"}], before=before)
