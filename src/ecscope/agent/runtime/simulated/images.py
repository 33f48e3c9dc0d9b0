"""The images of a simulated engine: what it has, and what its registry has."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import msgspec

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.interface import RegistryAuth
from ecscope.agent.runtime.simulated.engine import refused
from ecscope.agent.runtime.simulated.names import digest_of, tagged
from ecscope.model.container import ImageInspection
from ecscope.model.image_reference import InvalidImageReference, parse_image_reference


class SimulatedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image, in the registry or local."""

    image_id: str
    digest: str
    """``""``: the registry knows none."""
    environment_names: frozenset[str] = frozenset()
    size_bytes: int = 1_000_000
    layers: int = 3
    pull_s: float = 0.0
    username: str = ""
    """Who may pull it; ``""``: everyone."""
    password: str = ""


class _Saved(msgspec.Struct):
    config: str = msgspec.field(name="Config")
    names: list[str] = msgspec.field(name="RepoTags")


class Images:
    """See the module docstring."""

    def __init__(self, *, has_any: bool = False) -> None:
        """``has_any``: every image can be pulled, even one that was not added."""
        self._has_any = has_any
        self._registry: dict[str, SimulatedImage] = {}
        self._local: dict[str, SimulatedImage] = {}

    @property
    def names(self) -> frozenset[str]:
        """All local names, with tag or digest."""
        return frozenset(self._local)

    def add(self, reference: str) -> None:
        """Put an image into the registry and the local store."""
        self._local[tagged(reference)] = self.add_pullable(reference)

    def add_pullable(self, reference: str, **fields: Any) -> SimulatedImage:
        """Put an image into the registry; takes the fields of ``SimulatedImage``."""
        name = tagged(reference)
        fields.setdefault("image_id", f"sha256:{digest_of('image', name)}")
        fields.setdefault("digest", f"sha256:{digest_of('digest', name)}")
        image = SimulatedImage(**fields)
        self._registry[name] = image
        return image

    def add_local(self, reference: str, **fields: Any) -> SimulatedImage:
        """Put an image into the local store only: it cannot be pulled."""
        name = tagged(reference)
        fields.setdefault("image_id", f"sha256:{digest_of('image', name)}")
        fields.setdefault("digest", "")
        image = SimulatedImage(**fields)
        self._local[name] = image
        return image

    def inspect(self, operation: Operation, reference: str) -> ImageInspection | None:
        """The local image, ``None`` when there is none. Raises ``RuntimeFailure`` for a reference that is none."""
        image = self.local(operation, reference)
        if image is None:
            return None
        names = [name for name, other in self._local.items() if other.image_id == image.image_id]
        return ImageInspection(
            image_id=image.image_id,
            repo_tags=tuple(name for name in names if "@" not in name and name != image.image_id),
            repo_digests=tuple(name for name in names if "@" in name),
            environment_names=image.environment_names,
            size_bytes=image.size_bytes,
        )

    def pulled(self, reference: str, image: SimulatedImage) -> None:
        """``image`` is there now, under the name that was asked for and by digest."""
        self._name(tagged(reference), image)
        if image.digest:
            self._local[parse_image_reference(reference).with_digest(image.digest)] = image

    def load(self, archive: bytes) -> None:
        """Raises ``RuntimeFailure`` for anything but an archive of images."""
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                manifest = tar.extractfile("manifest.json")
                assert manifest is not None
                listed = msgspec.json.decode(manifest.read(), type=list[_Saved])
        except (tarfile.TarError, KeyError, msgspec.MsgspecError) as error:
            raise refused(errors.LOAD_IMAGE, 500, f"no archive of images: {error}") from error
        for image in listed:
            for name in image.names:
                self.add_local(name, image_id=f"sha256:{image.config.removesuffix('.json')}")

    def tag(self, source: str, target: str) -> None:
        """Raises ``RuntimeFailure``."""
        image = self.local(errors.TAG, source)
        if image is None:
            raise refused(errors.TAG, 404, f"No such image: {tagged(source)}")
        self._check(errors.TAG, target)
        self._name(tagged(target), image)

    def tags_of(self, image_id: str) -> list[str]:
        """All names of an image but those by digest."""
        return [name for name, other in self._local.items() if other.image_id == image_id and "@" not in name]

    def remove(self, reference: str, image: SimulatedImage) -> None:
        """Take a name away, and the image with its last one."""
        tags = self.tags_of(image.image_id)
        name_of = reference if reference == image.image_id else tagged(reference)
        self._local.pop(name_of, None)
        if not any(name != name_of for name in tags):
            self._local = {name: other for name, other in self._local.items() if other.image_id != image.image_id}

    def local(self, operation: Operation, reference: str) -> SimulatedImage | None:
        """By name or ID. Raises ``RuntimeFailure`` for a reference that is none."""
        self._check(operation, reference)
        if reference.startswith("sha256:"):
            return next((image for image in self._local.values() if image.image_id == reference), None)
        return self._local.get(tagged(reference))

    def in_registry(self, operation: Operation, reference: str, auth: RegistryAuth | None) -> SimulatedImage:
        """Raises ``RuntimeFailure`` where there is none, or it is not for whom ``auth`` names."""
        self._check(operation, reference)
        parsed = parse_image_reference(reference)
        image = self._registry.get(parsed.tagged)
        if parsed.digest:
            same_name = (
                candidate
                for name, candidate in self._registry.items()
                if parse_image_reference(name).name == parsed.name
            )
            image = next((candidate for candidate in same_name if candidate.digest == parsed.digest), None)
        if image is None and self._has_any:
            return self.add_pullable(reference, **({"digest": parsed.digest} if parsed.digest else {}))
        if image is None:
            raise refused(operation, 404, f"manifest for {parsed.tagged} not found: manifest unknown: manifest unknown")
        if image.username and (auth is None or (auth.username, auth.password) != (image.username, image.password)):
            raise refused(operation, 500, f"Head {parsed.name}: no basic auth credentials")
        return image

    def _name(self, name: str, image: SimulatedImage) -> None:
        """``name`` leads to ``image`` from now on. An image that had only this name stays under its ID."""
        before = self._local.get(name)
        self._local[name] = image
        self._local.pop(image.image_id, None)
        if before is not None and all(other.image_id != before.image_id for other in self._local.values()):
            self._local[before.image_id] = before

    def _check(self, operation: Operation, reference: str) -> None:
        try:
            parse_image_reference(reference)
        except InvalidImageReference as error:
            raise errors.unusable(operation, str(error)) from error
