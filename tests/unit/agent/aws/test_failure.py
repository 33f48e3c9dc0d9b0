"""The words for each way in which a connection does not come about."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from ecscope.agent.aws.failure import NotConnected, first_line, no_connection, why

KEY = ConnectionKey("ecs.example", 443, True, True, None, None, None)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 443)")
EXPIRED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
EXPIRED.verify_message = "certificate has expired"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), "no connection to https://e through it: Connection refused"),
        (aiohttp.ClientProxyConnectionError(KEY, REFUSED), "the proxy http://p cannot be reached: Connection refused"),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
            "the name ecs.example cannot be resolved: Name or service not known",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL] wrong version number")),
            "no TLS connection to https://e through it: [SSL] wrong version number",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, EXPIRED),
            "the certificate of https://e is refused: certificate has expired",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ValueError("another name")),
            "the certificate of https://e is refused: another name",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_way_has_its_words(error: NotConnected, words: str) -> None:
    assert no_connection(error, endpoint="https://e", proxy="http://p", through=" through it") == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (REFUSED, "Connection refused"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "Temporary failure"),
        (ssl.SSLError(1, "wrong version"), "wrong version"),
        (OSError("no number"), "no number"),
        (OSError(), "OSError"),
        (ValueError("two\nlines"), "two lines"),
        (ValueError(), "ValueError"),
    ],
    ids=repr,
)
def test_why_is_told_in_the_system_s_words(error: Exception, words: str) -> None:
    assert why(error) == words


def test_a_line_is_cut() -> None:
    assert first_line("a\n b " * 200) == ("a b " * 50)
