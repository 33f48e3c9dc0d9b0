"""Tags have bounds, and AWS's own are not for everybody."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.tags import tags_of


def test_tags_are_added_to_those_before() -> None:
    given = [{"key": "a", "value": "1"}, {"key": "b"}]
    assert tags_of(given, before={"a": "0", "c": "3"}) == {"a": "1", "b": "", "c": "3"}
    assert tags_of(()) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"value": "1"}], "from 1 to 128"),
        ([{"key": "k" * 129}], "from 1 to 128"),
        ([{"key": "k", "value": "v" * 257}], "at most 256"),
        ([{"key": "aws:x"}], "for AWS alone"),
        ([{"key": "AWS:x"}], "for AWS alone"),
        ([{"key": "a"}, {"key": "a"}], "Duplicate tag keys"),
        ([{"key": f"k{number}"} for number in range(51)], "at most 50 tags"),
    ],
)
def test_what_is_no_tag(given: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        tags_of(given)
    assert caught.value.code == "InvalidParameterException"


def test_tags_of_aws_do_not_count() -> None:
    before = {"aws:ecs:clusterName": "default"} | {f"k{number}": "" for number in range(49)}
    assert len(tags_of([{"key": "last"}], before=before)) == 51
    with pytest.raises(ApiError, match="at most 50"):
        tags_of([{"key": "one"}, {"key": "two"}], before=before)
