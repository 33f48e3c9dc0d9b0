"""An image reference taken apart: ``host/namespace/name:tag@digest``.

The grammar is the one Docker uses, so that nothing but an image reference ever gets into
the path of a request. No rules about *what* to do with an image.

Source: engine.md §4.3, §4.4.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

DEFAULT_TAG = "latest"
ECR = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)/.+")
"""An image in Amazon ECR: its registry's account and region."""

_HUB_HOSTS = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io"})

_HOST = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]+)?", re.ASCII)
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}", re.ASCII)


class InvalidImageReference(ValueError):
    """The text is not an image reference."""

    def __init__(self, text: str, part: str) -> None:
        super().__init__(text, part)
        self.text = text
        self.part = part

    def __str__(self) -> str:
        return (
            f"invalid reference format: {self.text!r} has a bad {self.part}; "
            "write host/name:tag or host/name@sha256:…, the name in lower case"
        )


class ImageReference(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a reference, as written: nothing is filled in."""

    host: str = ""
    """Registry host with its port; ``""``: none was written, which means Docker Hub."""
    path: str
    tag: str = ""
    digest: str = ""
    """``sha256:…``; ``""``: none was written."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    @property
    def name(self) -> str:
        """Host and path, without tag and digest."""
        return f"{self.host}/{self.path}" if self.host else self.path

    @property
    def is_hub(self) -> bool:
        """Whether the image comes from Docker Hub. Source: engine.md §4.4."""
        return self.host in _HUB_HOSTS

    @property
    def repository(self) -> str:
        """Registry and path in their one full spelling: ``docker.io/library/nginx`` for ``nginx``."""
        if not self.is_hub:
            return self.name
        return f"docker.io/{self.path}" if "/" in self.path else f"docker.io/library/{self.path}"

    @property
    def tag_or_digest(self) -> str:
        """What selects the image within its repository: digest, else tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def tagged(self) -> str:
        """The reference with ``:latest`` where neither tag nor digest was written. Source: engine.md §4.3."""
        return str(self) if self.tag or self.digest else f"{self.name}:{DEFAULT_TAG}"

    def with_digest(self, digest: str) -> str:
        """``name@digest``, which always names the same image."""
        return f"{self.name}@{digest}"


@lru_cache(maxsize=256)
def parse_image_reference(text: str) -> ImageReference:
    """Take ``text`` apart.

    Raises:
        InvalidImageReference: Docker would refuse it too.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidImageReference(text, "digest")
    slash, colon = rest.rfind("/"), rest.rfind(":")
    tag = ""
    if colon > slash:
        rest, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise InvalidImageReference(text, "tag")
    first, separator, path = rest.partition("/")
    # Docker's rule: the first part is a host only when it cannot be a namespace.
    if separator and ("." in first or ":" in first or first == "localhost"):
        if not _HOST.fullmatch(first):
            raise InvalidImageReference(text, "registry host")
    else:
        first, path = "", rest
    if not _PATH.fullmatch(path):
        raise InvalidImageReference(text, "name")
    return ImageReference(host=first, path=path, tag=tag, digest=digest)
