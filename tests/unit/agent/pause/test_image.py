"""The image is the same each time, says whose it is, and holds the program of the engine's architecture."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256

import pytest

from ecscope.agent.pause.image import NoPauseProgram, image_archive
from ecscope.agent.pause.program import program


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize(("engine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_what_is_in_it(engine: str, architecture: str) -> None:
    archive = image_archive(engine)
    assert archive == image_archive(engine)
    content = files(archive)
    (image,) = json.loads(content["manifest.json"])
    assert image["RepoTags"] == ["ecscope-pause:1"]
    config = content[image["Config"]]
    assert image["Config"] == f"{sha256(config).hexdigest()}.json"
    described = json.loads(config)
    assert (described["architecture"], described["os"]) == (architecture, "linux")
    assert described["config"] == {"Entrypoint": ["/pause"], "Labels": {"ecscope.image": "pause"}}
    (layer,) = (content[name] for name in image["Layers"])
    assert described["rootfs"]["diff_ids"] == [f"sha256:{sha256(layer).hexdigest()}"]
    assert files(layer) == {"pause": program(architecture)}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert [member.mode for member in tar] == [0o755]


def test_an_engine_that_there_is_no_program_for() -> None:
    with pytest.raises(NoPauseProgram, match="no pause program for riscv64, only for amd64 and arm64"):
        image_archive("riscv64")
