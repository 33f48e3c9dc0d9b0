"""References are taken apart as Docker does it, and nothing else passes for one."""

from __future__ import annotations

import pytest

from ecscope.model.image_reference import ImageReference, InvalidImageReference, parse_image_reference
from tests.tables import each_row

DIGEST = "sha256:" + "ab" * 32


@each_row(
    "text, host, path, tag, digest",
    [
        ("busybox", "", "busybox", "", ""),
        ("busybox:1.36", "", "busybox", "1.36", ""),
        ("amazon/amazon-ecs-agent:latest", "", "amazon/amazon-ecs-agent", "latest", ""),
        ("docker.io/library/busybox", "docker.io", "library/busybox", "", ""),
        ("localhost/app", "localhost", "app", "", ""),
        ("localhost:5000/a/b:t", "localhost:5000", "a/b", "t", ""),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", "", ""),
        ("[::1]:5000/app:t", "[::1]:5000", "app", "t", ""),
        (f"host.example/ns/app@{DIGEST}", "host.example", "ns/app", "", DIGEST),
        (f"host.example:443/ns/app:t@{DIGEST}", "host.example:443", "ns/app", "t", DIGEST),
        ("sha256:" + "ab" * 32, "", "sha256", "ab" * 32, ""),
    ],
)
def test_the_parts(text: str, host: str, path: str, tag: str, digest: str) -> None:
    reference = parse_image_reference(text)
    assert reference == ImageReference(host=host, path=path, tag=tag, digest=digest)
    assert str(reference) == text


@each_row(
    "text, part",
    [
        ("", "name"),
        ("UPPER", "name"),
        ("a//b", "name"),
        ("../containers/json", "registry host"),
        ("..", "name"),
        ("a/../b", "name"),
        ("a b", "name"),
        ("a?x=1", "name"),
        ("a#b", "name"),
        ("app\n", "name"),
        ("host.example/", "name"),
        ("-host.example/app", "registry host"),
        ("host.example:port/app", "registry host"),
        ("a.b__c/app", "registry host"),
        ("app:", "tag"),
        ("app:-t", "tag"),
        ("app:" + "t" * 129, "tag"),
        ("app@", "digest"),
        ("app@sha256:short", "digest"),
    ],
)
def test_what_is_no_reference(text: str, part: str) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        parse_image_reference(text)
    assert str(caught.value) == (
        f"invalid reference format: {text!r} has a bad {part}; "
        "write host/name:tag or host/name@sha256:…, the name in lower case"
    )


@each_row(
    "text, is_hub",
    [
        ("busybox", True),
        ("amazon/app:1", True),
        ("docker.io/app", True),
        ("index.docker.io/ns/app", True),
        ("registry-1.docker.io/app", True),
        ("localhost/app", False),
        ("registry.example/app", False),
        ("docker.io.example/app", False),
    ],
)
def test_who_is_the_hub(text: str, is_hub: bool) -> None:
    assert parse_image_reference(text).is_hub is is_hub


@pytest.mark.parametrize(
    ("text", "tagged", "selector"),
    [
        ("app", "app:latest", "latest"),
        ("h.example/app", "h.example/app:latest", "latest"),
        ("app:1", "app:1", "1"),
        (f"app@{DIGEST}", f"app@{DIGEST}", DIGEST),
        (f"app:1@{DIGEST}", f"app:1@{DIGEST}", DIGEST),
    ],
)
def test_what_selects_the_image(text: str, tagged: str, selector: str) -> None:
    reference = parse_image_reference(text)
    assert (reference.tagged, reference.tag_or_digest) == (tagged, selector)
    assert reference.with_digest(DIGEST) == f"{reference.name}@{DIGEST}"


@each_row(
    "text, repository",
    [
        ("busybox", "docker.io/library/busybox"),
        ("docker.io/busybox:1", "docker.io/library/busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox"),
        ("team/app:1", "docker.io/team/app"),
        ("localhost:5000/busybox", "localhost:5000/busybox"),
        (f"registry.example/team/app@{DIGEST}", "registry.example/team/app"),
    ],
)
def test_a_repository_has_one_spelling(text: str, repository: str) -> None:
    assert parse_image_reference(text).repository == repository
