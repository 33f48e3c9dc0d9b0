"""IAM is asked about the ARN that AWS names in its denials."""

from __future__ import annotations

from ecscope.control.logs.actions import Place
from ecscope.control.logs.authorization import question
from ecscope.control.logs.catalog import Catalog, LogGroup
from tests.tables import each_row

PLACE = Place(region="eu-west-1", account="111122223333")
ARN = "arn:aws:logs:eu-west-1:111122223333:log-group"
ROWS = [
    ("CreateLogGroup", {"logGroupName": "g"}, (f"{ARN}:g:log-stream:",)),
    ("CreateLogStream", {"logGroupName": "g", "logStreamName": "s"}, (f"{ARN}:g:log-stream:",)),
    ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s"}, (f"{ARN}:g:log-stream:s",)),
    ("GetLogEvents", {"logGroupIdentifier": f"{ARN}:g", "logStreamName": "s"}, (f"{ARN}:g:log-stream:s",)),
    ("FilterLogEvents", {"logGroupName": "g"}, (f"{ARN}:g:log-stream:",)),
    ("DescribeLogGroups", {}, (f"{ARN}::log-stream:",)),
    ("TagResource", {"resourceArn": f"{ARN}:g", "tags": {"a": "b"}}, (f"{ARN}:g",)),
    (
        "StartLiveTail",
        {"logGroupIdentifiers": [f"{ARN}:g", f"{ARN}:h"]},
        (f"{ARN}:g:log-stream:", f"{ARN}:h:log-stream:"),
    ),
    ("ListLogGroups", {}, ("*",)),
]


@each_row("action, body, resources", ROWS)
def test_each_action_is_asked_about_its_resource(
    action: str, body: dict[str, object], resources: tuple[str, ...]
) -> None:
    asked = question(PLACE, Catalog(), action, body, {})
    assert (asked.action, asked.resources) == (f"logs:{action}", resources)


def test_tags_are_conditions() -> None:
    catalog = Catalog()
    catalog.apply([LogGroup(id=1, name="g", created_at_ms=0, tags={"Team": "a"})])
    asked = question(PLACE, catalog, "FilterLogEvents", {"logGroupName": "g"}, {})
    assert asked.resource_contexts == {f"{ARN}:g:log-stream:": {"aws:resourcetag/team": ("a",)}}
    asked = question(PLACE, catalog, "TagLogGroup", {"logGroupName": "g", "tags": {"Team": "b"}}, {"k": ("v",)})
    assert asked.context == {"k": ("v",), "aws:tagkeys": ("Team",), "aws:requesttag/team": ("b",)}
