"""Refusals carry the shape's name and AWS's words."""

from __future__ import annotations

import pytest

from ecscope.control.core import errors
from ecscope.control.core.errors import ApiError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.cluster_not_found(), "ClusterNotFoundException", "Cluster not found."),
        (errors.service_not_found(), "ServiceNotFoundException", "Service not found."),
        (errors.invalid("no"), "InvalidParameterException", "no"),
        (errors.client_error("no"), "ClientException", "no"),
        (errors.unsupported("no"), "UnsupportedFeatureException", "no"),
    ],
)
def test_each_refusal_has_its_code_and_its_words(error: ApiError, code: str, message: str) -> None:
    assert (error.code, error.message, str(error), error.members) == (code, message, message, {})


def test_what_is_missing_is_a_failure_and_no_refusal() -> None:
    assert errors.missing("arn:x") == errors.Failure(arn="arn:x", reason="MISSING")
