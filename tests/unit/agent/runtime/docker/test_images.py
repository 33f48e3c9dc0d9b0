"""The output of a pull tells progress and errors; a manifest tells its digest."""

from __future__ import annotations

import json

import msgspec
import pytest

from ecscope.agent.runtime.docker.images import (
    MANIFEST_TRIES,
    PULL_TRIES,
    TAG_TRIES,
    PullReader,
    distribution_digest,
)
from ecscope.model.runtime import PullProgress

DIGEST = "sha256:" + "ab" * 32


def said(status: str, layer: str = "", current: int = 0, total: int = 0) -> bytes:
    line: dict[str, object] = {"status": status, "progressDetail": {}}
    if layer:
        line["id"] = layer
    if total:
        line["progressDetail"] = {"current": current, "total": total}
    return json.dumps(line).encode() + b"\r\n"


def progress(total: int, done: int, bytes_total: int, bytes_done: int) -> PullProgress:
    return PullProgress(layers_total=total, layers_done=done, bytes_total=bytes_total, bytes_done=bytes_done)


def test_progress_from_the_first_layer_to_the_last() -> None:
    reader = PullReader()
    assert reader.progress == progress(0, 0, 0, 0)
    reader.feed(said("Pulling from ns/app", "latest"))
    assert reader.progress == progress(0, 0, 0, 0)
    reader.feed(said("Pulling fs layer", "a") + said("Pulling fs layer", "b") + said("Already exists", "c"))
    assert reader.progress == progress(3, 1, 0, 0)
    reader.feed(said("Waiting", "b") + said("Downloading", "a", 40, 100))
    reader.feed(said("Downloading", "a", 60, 100) + said("Downloading", "b", 5, 50))
    assert reader.progress == progress(3, 1, 150, 65)
    reader.feed(said("Download complete", "a"))
    assert reader.progress == progress(3, 1, 150, 105)
    reader.feed(said("Extracting", "a", 10, 100) + said("Pull complete", "a") + said("Pull complete", "b"))
    reader.feed(said(f"Digest: {DIGEST}") + said("Status: Downloaded newer image for ns/app:latest"))
    reader.close()
    assert reader.progress == progress(3, 3, 150, 150)
    assert reader.error == ""


def test_a_layer_of_unknown_size_counts_no_bytes() -> None:
    reader = PullReader()
    reader.feed(said("Pulling fs layer", "a") + b'{"status":"Downloading","id":"a"}\n')
    assert reader.progress == progress(1, 0, 0, 0)


def test_the_first_error_counts() -> None:
    reader = PullReader()
    reader.feed(b'{"errorDetail":{"message":"first"},"error":"first"}\n{"error":"second"}\n')
    assert reader.error == "first"


def test_an_error_without_a_line_end_counts() -> None:
    reader = PullReader()
    reader.feed(b'{"error":"cut"}')
    assert reader.error == ""
    reader.close()
    assert reader.error == "cut"


def test_lines_that_cannot_be_read_are_skipped() -> None:
    reader = PullReader()
    reader.feed(b"nonsense\n[]\n" + said("Pulling fs layer", "a"))
    assert reader.progress == progress(1, 0, 0, 0)
    assert reader.error == ""


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/vnd.docker.distribution.manifest.v2+json", DIGEST),
        ("application/vnd.oci.image.index.v1+json", DIGEST),
        ("application/vnd.docker.distribution.manifest.v1+json", ""),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", ""),
    ],
)
def test_the_digest_of_a_manifest(media_type: str, expected: str) -> None:
    body = json.dumps({"Descriptor": {"mediaType": media_type, "digest": DIGEST, "size": 1}, "Platforms": []})
    assert distribution_digest(body.encode()) == expected


def test_what_is_no_manifest() -> None:
    with pytest.raises(msgspec.DecodeError):
        distribution_digest(b"{}")


def test_the_policies_are_those_of_the_sheet() -> None:
    none = float
    assert list(MANIFEST_TRIES.waits(none)) == pytest.approx([0.01, 0.03, 0.09, 0.27, 0.81, 2.43, 5.0, 5.0])
    assert list(PULL_TRIES.waits(none)) == pytest.approx([1.1, 2.2, 4.4, 5.0])
    assert list(TAG_TRIES.waits(none)) == pytest.approx([0.1] * 4)


def test_an_error_without_its_old_spelling_is_read_too() -> None:
    """API 1.52 leaves ``error`` out."""
    reader = PullReader()
    reader.feed(b'{"errorDetail":{"message":"manifest unknown"}}\n')
    assert reader.error == "manifest unknown"
