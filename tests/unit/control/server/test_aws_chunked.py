"""Bodies in pieces, with AWS's own example as the judge of their signatures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.server.aws_chunked import ChunkedBody
from ecscope.control.server.signatures import AccessKey, ChunkSigner, verify_s3

SIGNED, UNSIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KEY = AccessKey(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
# Amazon S3 API Reference, "Signature calculations: transferring payload in multiple chunks"
HEADERS = [
    ("Host", "s3.amazonaws.com"),
    ("x-amz-date", "20130524T000000Z"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("x-amz-content-sha256", SIGNED),
    ("Content-Encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
    ("Content-Length", "66824"),
    (
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    ),
]
PIECES = [
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]
BODY = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), sign.encode(), data) for data, sign in PIECES)


def the_signer() -> ChunkSigner:
    signed = verify_s3(
        lambda key_id: KEY if key_id == KEY.access_key_id else None,
        method="PUT",
        path="/examplebucket/chunkObject.txt",
        query="",
        headers=HEADERS,
        bucket_of_host="",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert signed.payload == SIGNED
    assert signed.chunks is not None
    return signed.chunks


def taken(kind: str, body: bytes, *, step: int, signer: ChunkSigner | None = None) -> tuple[bytes, dict[str, str]]:
    chunked = ChunkedBody(kind, signer)
    found = b"".join(part for at in range(0, len(body), step) for part in chunked.feed(body[at : at + step]))
    chunked.end()
    return found, chunked.trailer


def refusal(kind: str, body: bytes, signer: ChunkSigner | None = None) -> str:
    with pytest.raises(ApiError) as refused:
        taken(kind, body, step=len(body), signer=signer)
    return refused.value.code


@pytest.mark.parametrize("step", [1000, 65536, len(BODY)])
def test_the_example_of_aws(step: int) -> None:
    assert taken(SIGNED, BODY, step=step, signer=the_signer()) == (b"a" * 66560, {})


def test_a_piece_that_was_changed_left_out_or_cut_off() -> None:
    signer = the_signer()
    first = BODY.index(b"400;chunk")
    assert refusal(SIGNED, BODY.replace(b"aaaa\r\n400", b"aaab\r\n400"), signer) == "InvalidSignatureException"
    assert refusal(SIGNED, BODY[first:], signer) == "InvalidSignatureException"
    assert refusal(SIGNED, BODY[: BODY.index(b"0;chunk-signature=b6c6")], signer) == "IncompleteBody"
    assert refusal(SIGNED, b"4\r\naaaa\r\n0\r\n\r\n", signer) == "InvalidRequest", "not signed"


@pytest.mark.parametrize("step", [1, 7, 100])
def test_unsigned_pieces_with_a_trailer(step: int) -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Amz-Checksum-Crc32:DUoRhQ==\r\n\r\n"
    assert taken(UNSIGNED, body, step=step) == (b"hello world", {"x-amz-checksum-crc32": "DUoRhQ=="})


@pytest.mark.parametrize("body", [b"z\r\n", b"5\r\nhello6\r\n", b"-5\r\n", b"x" * 20000, b"0\r\n" + b"y" * 20000])
def test_what_is_in_no_such_form(body: bytes) -> None:
    assert refusal(UNSIGNED, body) == "InvalidRequest"


def test_a_kind_that_is_not_known() -> None:
    assert refusal("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", b"0\r\n\r\n") == "NotImplemented"
    assert refusal(SIGNED, BODY) == "NotImplemented", "signed pieces of a request that was signed in another way"
