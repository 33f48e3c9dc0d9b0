"""An error in each form, as botocore's own parsers read it."""

from __future__ import annotations

import pytest
from botocore.parsers import create_parser
from botocore.session import Session

from ecscope.control.core.errors import ApiError
from ecscope.control.server.aws_errors import Form, answer_of


@pytest.mark.parametrize(
    ("form", "service", "operation", "code", "status"),
    [
        (Form.JSON, "ssm", "GetParameter", "AccessDeniedException", 400),
        (Form.QUERY, "iam", "ListUsers", "AccessDenied", 403),
        (Form.EC2, "ec2", "DescribeInstances", "AccessDenied", 403),
        (Form.S3, "s3", "GetObject", "AccessDenied", 403),
    ],
)
def test_a_denial(form: Form, service: str, operation: str, code: str, status: int) -> None:
    answer = answer_of(ApiError("AccessDeniedException", "not <you>"), form, "id-1")
    model = Session().get_service_model(service)
    parsed = create_parser(model.metadata["protocol"]).parse(
        {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body},
        model.operation_model(operation).output_shape,
    )
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == (code, "not <you>")
    assert answer.status == status


def test_what_must_not_be_tried_again_at_once_is_no_fault_of_a_server() -> None:
    """SDKs repeat 500, 502, 503 and 504."""
    statuses = {code: answer_of(ApiError(code, ""), Form.JSON, "").status for code in ("NotImplemented", "X")}
    assert statuses == {"NotImplemented": 501, "X": 400}
    assert answer_of(ApiError("ServiceUnavailable", ""), Form.S3, "").status == 503
