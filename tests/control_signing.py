"""Requests signed by botocore: what a client that is not ours sends."""

from __future__ import annotations

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ecscope.control.server.signatures import AccessKey

USER_KEY = AccessKey(access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
ROLE_KEY = AccessKey(access_key_id="ASIAEXAMPLE", secret_access_key="secret", session_token="a+token/with==signs")
TARGET = "AmazonEC2ContainerServiceV20141113."


def signed_headers(
    key: AccessKey,
    *,
    method: str = "POST",
    url: str = "http://127.0.0.1:51677/",
    body: bytes = b"",
    action: str = "",
    region: str = "us-east-1",
    service: str = "ecs",
    more: dict[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Signed now, by the machine's clock."""
    request = AWSRequest(method=method, url=url, data=body)
    request.headers["Host"] = url.split("/")[2]
    if action:
        request.headers["X-Amz-Target"] = TARGET + action
        request.headers["Content-Type"] = "application/x-amz-json-1.1"
    for name, value in (more or {}).items():
        request.headers[name] = value
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token or None)
    SigV4Auth(credentials, service, region).add_auth(request)
    return [(name, value) for name, value in request.headers.items()]
