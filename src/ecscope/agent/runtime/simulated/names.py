"""Names and IDs as a simulated engine makes them."""

from __future__ import annotations

import hashlib

from ecscope.model.image_reference import InvalidImageReference, parse_image_reference


def tagged(reference: str) -> str:
    """With its tag; what is not a reference stays as it is."""
    try:
        return parse_image_reference(reference).tagged
    except InvalidImageReference:
        return reference


def digest_of(*parts: str) -> str:
    """64 hex digits, always the same for the same ``parts``."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
