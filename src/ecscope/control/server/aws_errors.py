"""An error in the form that the SDK of a service reads: JSON, or the XML of S3, of EC2 or of the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from xml.sax.saxutils import escape

import msgspec

from ecscope.control.core.errors import ApiError


class Form(Enum):
    """How a service is spoken to."""

    JSON = "json"
    QUERY = "query"
    EC2 = "ec2"
    S3 = "s3"


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_XML_CODES: Mapping[str, tuple[str, str, int]] = {
    "AccessDeniedException": ("AccessDenied", "AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", "ExpiredToken", 400),
    "IncompleteSignatureException": ("AuthorizationHeaderMalformed", "IncompleteSignature", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", "SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("AccessDenied", "MissingAuthenticationToken", 403),
    "UnrecognizedClientException": ("InvalidAccessKeyId", "InvalidClientTokenId", 403),
}
"""Code of JSON → code of S3, code of the others, status. Source: the services' lists of common errors."""
_STATUSES = {"NotImplemented": 501, "ServiceUnavailable": 503, "EntityTooLarge": 413}


def answer_of(error: ApiError, form: Form, request_id: str) -> ErrorAnswer:
    """``error`` has the code that the JSON services use."""
    if form is Form.JSON:
        status = _STATUSES.get(error.code, 400)
        member = "Message" if error.code == "AccessDeniedException" else "message"
        return ErrorAnswer(
            status=status,
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amzn-ErrorType": error.code,
                "x-amzn-RequestId": request_id,
            },
            body=msgspec.json.encode({"__type": error.code, member: error.message}),
        )
    of_s3, of_others, status = _XML_CODES.get(error.code, (error.code, error.code, _STATUSES.get(error.code, 400)))
    code, said = escape(of_s3 if form is Form.S3 else of_others), escape(error.message)
    match form:
        case Form.S3:
            text = f"<Error><Code>{code}</Code><Message>{said}</Message><RequestId>{request_id}</RequestId></Error>"
        case Form.EC2:
            text = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{said}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            )
        case _:
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{said}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
    return ErrorAnswer(
        status=status,
        headers={"Content-Type": "application/xml", "x-amzn-RequestId": request_id, "x-amz-request-id": request_id},
        body=f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(),
    )
