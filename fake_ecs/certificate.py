"""A certificate that nobody vouches for, made by the ``openssl`` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Files in PEM. ``certificate`` is its own authority: who is to trust it is given this file."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def self_signed(directory: Path, *, name: str = "localhost", address: str = "127.0.0.1", days: int = 30) -> Certificate:
    """For ``name`` and ``address``. Raises ``FileNotFoundError`` without openssl."""
    made = Certificate(certificate=directory / "certificate.pem", key=directory / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", made.key, "-out", made.certificate, "-days", str(days), "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name},IP:{address}",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return made
