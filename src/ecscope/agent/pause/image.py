"""The image of the pause program, as the archive that ``docker load`` takes. The same bytes each time.

Source: Docker image specification v1.2.
"""

from __future__ import annotations

import io
import tarfile
from hashlib import sha256

import msgspec

from ecscope.agent.pause.program import ARCHITECTURES, program
from ecscope.model.names import PAUSE_IMAGE, PAUSE_IMAGE_LABEL

_PATH = "pause"
_CREATED = "2026-12-01T00:00:00Z"


class NoPauseProgram(Exception):
    """There is none for the engine's architecture; the message says so."""


def image_archive(architecture: str) -> bytes:
    """A tar archive with the image ``PAUSE_IMAGE``. Raises ``NoPauseProgram``.

    ``architecture``: as the kernel names it.
    """
    name = ARCHITECTURES.get(architecture)
    if name is None:
        known = " and ".join(dict.fromkeys(ARCHITECTURES.values()))
        raise NoPauseProgram(f"there is no pause program for {architecture or 'this engine'}, only for {known}")
    layer = _tar({_PATH: program(name)}, mode=0o755)
    config = msgspec.json.encode(
        {
            "architecture": name,
            "os": "linux",
            "created": _CREATED,
            "config": {"Entrypoint": [f"/{_PATH}"], "Labels": {PAUSE_IMAGE_LABEL: "pause"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
            "history": [{"created": _CREATED, "created_by": "ecscope"}],
        }
    )
    config_name = f"{sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    return _tar({config_name: config, "layer.tar": layer, "manifest.json": msgspec.json.encode(manifest)}, mode=0o644)


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()
