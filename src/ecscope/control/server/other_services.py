"""Requests to the services that ecscope does not have: checked as those to ECS are, then answered by moto.

Signature and rights are decided here, so that moto sees nothing that may not be done; what it gets has no signature.
STS is answered here, since only this side knows whose keys there are. The rights: ``core/service_rights.py``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import IO, Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4
from xml.etree import ElementTree as ET

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

from ecscope.control.core import service_rights
from ecscope.control.core.errors import ApiError
from ecscope.control.core.iam import Request
from ecscope.control.core.records import Json
from ecscope.control.core.service_rights import Call, Question, S3Call
from ecscope.control.moto.process import MotoFailed, MotoMissing, MotoProcess
from ecscope.control.server import operations
from ecscope.control.server.aws_chunked import STREAMING, ChunkedBody
from ecscope.control.server.aws_errors import Form, answer_of
from ecscope.control.server.http import ApiServer, Caller, sent_headers
from ecscope.control.server.signatures import S3, UNSIGNED, Signed, service_of

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 2**20
"""Of a request to any service but S3."""
MAX_OBJECT_BYTES = 5 * 2**30
"""The largest that S3 takes in one request."""
_IN_MEMORY_BYTES = 4 * 2**20
"""What is longer waits in a file until all of it is known to be signed."""
_SILENCE_S = 30.0
"""So long a client may send nothing of a body."""
_ANSWER_S = 900.0
_PIECE_BYTES = 256 * 1024
_TRIES = 3
_CHANGES_HEADER = "X-Ecscope-Changes"
"""As ``moto/serve.py`` has it."""

_NAMES: Mapping[str, tuple[str, str]] = {
    "kms": ("KMS", "KMS"),
    "s3": ("S3", "S3"),
    "secretsmanager": ("Secrets Manager", "SECRETS_MANAGER"),
    "ssm": ("SSM", "SSM"),
}
"""Service → its name, and the end of the variable for its endpoint."""
_MOTOS_OWN = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/")
_IN_XML = frozenset({"cloudfront", "route53"})
_OF_SIGNATURE = frozenset(
    {
        "authorization", "x-amz-security-token", "x-amz-content-sha256", "x-amz-date", "content-length",
        "transfer-encoding", "connection", "expect", "keep-alive", "te", "upgrade", "x-amz-trailer",
        "x-amz-decoded-content-length", _CHANGES_HEADER.lower(),
    }
)  # fmt: skip
"""Headers that do not go on."""
_IN_QUERY = frozenset(
    {
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
        "X-Amz-Security-Token", "X-Amz-Content-Sha256",
    }
)  # fmt: skip
_IN_QUERY_OF_VERSION_2 = frozenset({"AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token"})
_NOT_PASSED_BACK = frozenset(
    {"server", "date", "connection", "transfer-encoding", "content-length", "access-control-allow-origin"}
)
_BUCKET_OF_AWS = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-].*amazonaws\.com(\.cn)?")


class OtherServices:
    """See the module docstring."""

    def __init__(self, *, api: ApiServer, moto: MotoProcess, account: str, region: str) -> None:
        """``region``: for requests that name none."""
        self._api = api
        self._moto = moto
        self._account = account
        self._region = region
        self._session: ClientSession | None = None
        self._socket = ""

    async def close(self) -> None:
        """End moto. May be repeated."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._moto.stop()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that is signed for one of them."""
        service = service_of(request.headers.get("Authorization", ""), request.raw_path.partition("?")[2])
        request_id = str(uuid4())
        form = _form_of(service, request)
        try:
            return await (self._serve_s3(request) if service == S3 else self._serve(request, service, request_id))
        except ApiError as error:
            refusal = error
        except MotoMissing:
            refusal = ApiError("NotImplemented", _what_to_install(service, self._region))
        except MotoFailed as failed:
            logger.error("moto, which answers for %s, cannot be used: %s", service, failed)  # noqa: TRY400
            refusal = ApiError("ServiceUnavailable", f"moto, which answers for {service}, cannot be used: {failed}")
        except (TimeoutError, ConnectionError, ClientError, web.RequestPayloadError) as error:
            logger.warning("%s: a request to %s was cut off: %r", request_id, service, error)
            refusal = ApiError("ServiceUnavailable", "Please try again.")
        except Exception:  # a bug: the client gets an answer, the log the reason
            logger.exception("request %s (%s) met a bug of ecscope; please report it", request_id, service)
            refusal = ApiError("ServiceUnavailable", "Please try again later.")
        answer = answer_of(refusal, form, request_id)
        response = web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        if request.content.at_eof() is False:
            response.force_close()  # what of the body is unread is not a request
        return response

    # --- all but S3 ----------------------------------------------------------------------------------

    async def _serve(self, request: web.Request, service: str, request_id: str) -> web.StreamResponse:
        body = await _read(request, MAX_BODY_BYTES)
        caller = self._api.authenticate(request, body, service=service)
        region = _region_of(request) or self._region
        path, _, query = request.raw_path.partition("?")
        _refuse_motos_own(path)
        members = _members(request, body)
        named = operations.of_target(request.headers.get("X-Amz-Target", "")) or str(members.get("Action", ""))
        if service == "sts":
            return _sts(caller, named, self._account, request_id)
        if caller.rights is not None:
            operation = named or operations.of_path(service, request.method, path, dict(parse_qsl(query, True)))
            call = Call(service=service, operation=operation, region=region, account=self._account, body=members)
            arns = {name: arn for name in service_rights.named(call) if (arn := await self._arn_of(call, name))}
            _authorize(caller, region, service_rights.questions(call, arns))
        changes = operations.may_change(named, request.method) and not path.endswith("/invocations")
        headers = _passed_on(request, service, region, changes=changes)
        return await self._pass_on(request, _target(path, query), headers, body)

    async def _arn_of(self, call: Call, name: str) -> str:
        """``""``: there is no such thing."""
        secrets = call.service == "secretsmanager"
        target, member = (
            ("secretsmanager.DescribeSecret", "SecretId") if secrets else ("TrentService.DescribeKey", "KeyId")
        )
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": target,
            **_unsigned(call.service, call.region),
        }
        async with await self._asked("POST", "/", headers, msgspec.json.encode({member: name})) as answer:
            if answer.status != 200:
                return ""
            found = msgspec.json.decode(await answer.read())
        return str(found["ARN"] if secrets else found["KeyMetadata"]["Arn"])

    # --- S3 --------------------------------------------------------------------------------------------

    async def _serve_s3(self, request: web.Request) -> web.StreamResponse:
        of_host = bucket_of_host(request.host)
        caller, signed = self._api.authenticate_s3(request, bucket_of_host=of_host)
        path, _, query = request.raw_path.partition("?")
        if of_host:
            path = f"/{of_host}{path}"
        _refuse_motos_own(path)
        bucket, _, key = path.removeprefix("/").partition("/")
        call = S3Call(
            method=request.method,
            bucket=unquote(bucket),
            key=unquote(key),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            copy_source=unquote(request.headers.get("x-amz-copy-source", "")),
        )
        region = signed.region or self._region
        deletes = request.method == "POST" and "delete" in call.query and not key
        if caller.rights is not None and not deletes:
            _authorize(caller, region, service_rights.s3_questions(call))
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as body:
            more = await _read_signed(request, signed, body)
            if caller.rights is not None and deletes:
                call = msgspec.structs.replace(call, deleted=_deleted(body))
                _authorize(caller, region, service_rights.s3_questions(call))
            headers = _passed_on(request, S3, region, changes=operations.may_change("", request.method)) | more
            if request.content_type == "application/x-www-form-urlencoded":
                headers["content-type"] = "binary/octet-stream"  # curl's own; moto would take the object for a form
            if not headers.get("content-encoding"):
                headers.pop("content-encoding", None)
            return await self._pass_on(request, _target(path, query), headers, body)

    # --- moto -------------------------------------------------------------------------------------------

    async def _pass_on(
        self, request: web.Request, target: str, headers: Mapping[str, str], body: bytes | IO[bytes]
    ) -> web.StreamResponse:
        async with await self._asked(request.method, target, headers, body) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_PASSED_BACK:
                    response.headers.add(name, value)
            if (length := answer.headers.get("Content-Length")) is not None:
                response.content_length = int(length)
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                await response.write(piece)
            await response.write_eof()
            return response

    async def _asked(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | IO[bytes]
    ) -> ClientResponse:
        """The answer, to be used in ``async with``.

        A moto that dies meanwhile is started again, with its data, and asked again: it knows what it has done already.
        """
        for _ in range(_TRIES):
            session = await self._connected()
            try:
                return await session.request(
                    method,
                    URL(f"http://moto{target}", encoded=True),
                    headers={**headers, "Content-Length": str(_size(body))},
                    data=body if isinstance(body, bytes) else _pieces(body),
                    skip_auto_headers=("User-Agent", "Content-Type"),
                    allow_redirects=False,
                )
            except (ClientError, ConnectionError):
                if not await self._moto.has_ended():
                    raise
        raise MotoFailed(f"it died {_TRIES} times over this request")

    async def _connected(self) -> ClientSession:
        path = await self._moto.socket()
        if self._session is None or self._session.closed:
            self._session = ClientSession(
                connector=UnixConnector(path=path, force_close=True),
                auto_decompress=False,
                timeout=ClientTimeout(total=None, sock_read=_ANSWER_S),
            )
        return self._session


def bucket_of_host(host: str) -> str:
    """The bucket that a host names, as ``bucket.localhost:51677`` does; ``""``: none, the path does."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        return ""
    if name.endswith(".localhost"):
        return name.removesuffix(".localhost").removesuffix(".s3")
    of_aws = _BUCKET_OF_AWS.fullmatch(name)
    return (of_aws["bucket"] or "") if of_aws is not None else ""


def _refuse_motos_own(path: str) -> None:
    """moto answers there itself, for whatever service; one of these forgets all data."""
    if unquote(path).startswith(_MOTOS_OWN):
        raise ApiError("NotImplemented", f"Nothing is at {path[:120]} here: moto keeps this path for itself.")


def _form_of(service: str, request: web.Request) -> Form:
    if service == S3:
        return Form.S3
    if service == "ec2":
        return Form.EC2
    is_form = request.content_type == "application/x-www-form-urlencoded" or "Action=" in request.query_string
    return Form.QUERY if service in _IN_XML or (is_form and "X-Amz-Target" not in request.headers) else Form.JSON


def _what_to_install(service: str, region: str) -> str:
    name, variable = _NAMES.get(service, (service, re.sub(r"\W", "_", service).upper()))
    return (
        f"{name} is answered by moto, which is not installed: run `pip install 'ecscope[aws]'` in the environment of"
        f" ecscope, or set AWS_ENDPOINT_URL_{variable} to where {name} is, such as"
        f" https://{service}.{region}.amazonaws.com"
    )


def _region_of(request: web.Request) -> str:
    """Of the credential scope, which has been verified."""
    text = f"{request.headers.get('Authorization', '')} Credential={request.query.get('X-Amz-Credential', '')}"
    found = re.search(r"Credential=[^/,\s]+/[^/]*/([^/,\s]+)/", text)
    return found[1] if found is not None else ""


def _members(request: web.Request, body: bytes) -> Json:
    """Of a JSON object or a form; ``{}`` for anything else."""
    if request.content_type == "application/x-www-form-urlencoded" or not body:
        text = body.decode("utf-8", "replace") or request.query_string
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _authorize(caller: Caller, region: str, questions: tuple[Question, ...]) -> None:
    rights = caller.rights
    assert rights is not None
    for question in questions:
        rights.authorize(
            Request(
                action=question.action,
                resources=question.resources,
                context={**rights.context, **question.context, "aws:requestedregion": (region,)},
            )
        )


def _sts(caller: Caller, operation: str, account: str, request_id: str) -> web.Response:
    if operation != "GetCallerIdentity":
        raise ApiError(
            "NotImplemented",
            f"sts:{operation or 'UnknownOperation'} is not available here: keys are made by `ecscope up` only, for its"
            " administrator, for task roles and for the principals of its --iam file",
        )
    who = "".join(
        f"<{name}>{value}</{name}>"
        for name, value in (
            ("Arn", caller.principal.arn),
            ("UserId", caller.principal.key.access_key_id),
            ("Account", account),
        )
    )
    text = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult>{who}</GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
    return web.Response(text=text, content_type="text/xml", headers={"x-amzn-RequestId": request_id})


def _unsigned(service: str, region: str) -> dict[str, str]:
    """By which moto finds the service, the region and, as the key is none of its own, our account."""
    scope = f"AKIAIOSFODNN7EXAMPLE/20260101/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def _passed_on(request: web.Request, service: str, region: str, *, changes: bool) -> dict[str, str]:
    """In lower case."""
    headers = {name.lower(): value for name, value in sent_headers(request) if name.lower() not in _OF_SIGNATURE}
    return headers | _unsigned(service, region) | ({_CHANGES_HEADER: uuid4().hex} if changes else {})


def _target(path: str, query: str) -> str:
    """Path and query without the signature."""
    pairs = [(pair.partition("=")[0], pair) for pair in query.split("&") if pair]
    dropped = _IN_QUERY | (_IN_QUERY_OF_VERSION_2 if "AWSAccessKeyId" in dict(pairs) else frozenset())
    kept = "&".join(pair for name, pair in pairs if name not in dropped)
    return f"{path}?{kept}" if kept else path


async def _read(request: web.Request, most: int) -> bytes:
    body = bytearray()
    async for piece in _pieces_of(request):
        body += piece
        if len(body) > most:
            raise ApiError("EntityTooLarge", f"A request has {most} bytes at most.")
    return bytes(body)


async def _pieces_of(request: web.Request) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(_SILENCE_S):
            piece = await request.content.readany()
        if not piece:
            return
        yield piece


async def _read_signed(request: web.Request, signed: Signed, body: IO[bytes]) -> dict[str, str]:
    """Into ``body``, which then is at its beginning; headers that came behind it. Raises ``ApiError``."""
    chunked = ChunkedBody(signed.payload, signed.chunks) if signed.payload.startswith(STREAMING) else None
    digest = sha256()
    size = 0
    async for piece in _pieces_of(request):
        for part in chunked.feed(piece) if chunked is not None else (piece,):
            size += len(part)
            if size > MAX_OBJECT_BYTES:
                raise ApiError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            digest.update(part)
            body.write(part)
    body.seek(0)
    if chunked is None:
        if signed.payload not in {UNSIGNED, digest.hexdigest()}:
            raise ApiError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        return {}
    chunked.end()
    claimed = request.headers.get("x-amz-decoded-content-length", "")
    if claimed and claimed != str(size):
        raise ApiError("IncompleteBody", "The request body terminated unexpectedly")
    encodings = [each.strip() for each in request.headers.get("Content-Encoding", "").split(",")]
    kept = ",".join(each for each in encodings if each != "aws-chunked")
    return {"content-encoding": kept, **chunked.trailer}


def _deleted(body: IO[bytes]) -> tuple[tuple[str, str], ...]:
    """Keys and versions of a request to delete several."""
    text = body.read(_IN_MEMORY_BYTES)
    body.seek(0)
    if b"<!" in text:
        raise ApiError("MalformedXML", "The XML you provided was not well-formed")
    try:
        root = ET.fromstring(text)  # noqa: S314  # no declarations, so nothing to expand
    except ET.ParseError:
        raise ApiError("MalformedXML", "The XML you provided was not well-formed") from None
    found = []
    for each in root.iter():
        if each.tag.rpartition("}")[2] == "Object":
            parts = {child.tag.rpartition("}")[2]: child.text or "" for child in each}
            found.append((parts.get("Key", ""), parts.get("VersionId", "")))
    return tuple(found)


def _size(body: bytes | IO[bytes]) -> int:
    if isinstance(body, bytes):
        return len(body)
    size = body.seek(0, 2)
    body.seek(0)
    return size


async def _pieces(body: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := body.read(_PIECE_BYTES):
        yield piece
