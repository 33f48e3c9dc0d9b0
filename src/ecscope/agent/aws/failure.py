"""The words for a connection that could not be made. No password of a proxy is in them."""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp

NotConnected = aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorError


def no_connection(error: NotConnected, *, endpoint: str, proxy: str, through: str = "") -> str:
    """A sentence without its full stop.

    Args:
        endpoint: who was to be reached, as messages name it.
        proxy: the same for the proxy; shown only if it is the proxy that could not be reached.
        through: `` through the proxy …``, or ``""``.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            refused = error.certificate_error
            reason = refused.verify_message if isinstance(refused, ssl.SSLCertVerificationError) else str(refused)
            return f"the certificate of {endpoint} is refused: {reason}"
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy {proxy} cannot be reached: {why(error.os_error)}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved: {why(error.os_error)}"
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS connection to {endpoint}{through}: {why(error.os_error)}"
        case _:
            return f"no connection to {endpoint}{through}: {why(error.os_error)}"


def why(error: BaseException) -> str:
    """In the system's words; asyncio's own repeat host and port. TLS and names have numbers of their own."""
    if not isinstance(error, OSError):
        return first_line(str(error) or type(error).__name__)
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return first_line(error.strerror or str(error) or type(error).__name__)


def first_line(text: str) -> str:
    """On one line, and cut."""
    return " ".join(text.split())[:200]
