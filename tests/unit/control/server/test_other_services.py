"""How a bucket may be named by a host. All else of it: ``contract/control/test_other_services.py``."""

from __future__ import annotations

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.server.other_services import _refuse_motos_own, bucket_of_host
from tests.tables import each_row


@each_row("path", ["/moto-api/reset", "/%6doto-api/reset", "/moto%2Dapi/seed", "/latest/meta-data/iam", "/favicon.ico"])
def test_what_moto_keeps_for_itself_is_refused(path: str) -> None:
    with pytest.raises(ApiError, match="moto keeps this path for itself"):
        _refuse_motos_own(path)


@each_row(
    "host, bucket",
    [
        ("127.0.0.1:51677", ""),
        ("172.17.0.1", ""),
        ("[::1]:51677", ""),
        ("localhost:51677", ""),
        ("my.bucket.localhost:51677", "my.bucket"),
        ("mine.s3.localhost", "mine"),
        ("mine.s3.eu-west-1.amazonaws.com", "mine"),
        ("my.s3.bucket.s3.amazonaws.com", "my.s3.bucket"),
        ("s3.eu-west-1.amazonaws.com", ""),
        ("s3.amazonaws.com", ""),
        ("host.docker.internal:51677", ""),
    ],
)
def test_the_bucket_of_a_host(host: str, bucket: str) -> None:
    assert bucket_of_host(host) == bucket
