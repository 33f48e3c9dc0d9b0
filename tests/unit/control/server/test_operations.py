"""Which operation a request asks for, and whether it belongs in the journal."""

from __future__ import annotations

from ecscope.control.server.operations import may_change, of_path, of_target
from tests.tables import each_row


@each_row(
    "service, method, path, query, expected",
    [
        ("lambda", "GET", "/2015-03-31/functions", {}, "ListFunctions"),
        ("lambda", "GET", "/2015-03-31/functions/", {}, "ListFunctions"),
        ("lambda", "GET", "/2015-03-31/functions/f", {}, "GetFunction"),
        ("lambda", "POST", "/2015-03-31/functions/f/invocations", {}, "Invoke"),
        ("email", "POST", "/v2/email/outbound-emails", {}, "SendEmail"),
        ("apigateway", "POST", "/v2/apis", {}, "CreateApi"),
        ("cloudwatch", "POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", {}, "PutMetricData"),
        ("lambda", "GET", "/nowhere", {}, "UnknownOperation"),
        ("mars", "GET", "/", {}, "UnknownOperation"),
    ],
)
def test_of_a_path(service: str, method: str, path: str, query: dict[str, str], expected: str) -> None:
    assert of_path(service, method, path, query) == expected


@each_row(
    "operation, method, expected",
    [
        ("CreateSecret", "POST", True),
        ("ReceiveMessage", "POST", True),
        ("GetSecretValue", "POST", False),
        ("DescribeKey", "POST", False),
        ("Encrypt", "POST", False),
        ("Invoke", "POST", False),
        ("SubmitJob", "POST", False),
        ("", "PUT", True),
        ("", "GET", False),
        ("CreateSecret", "GET", False),
    ],
)
def test_what_changes_something(operation: str, method: str, *, expected: bool) -> None:
    assert may_change(operation, method) is expected


def test_of_a_target() -> None:
    assert (of_target("TrentService.Encrypt"), of_target("")) == ("Encrypt", "")
