"""botocore with the models of AWS read once: each session would take 0.1 s of CPU to read them again."""

from __future__ import annotations

import functools
from typing import Any

from botocore.session import Session


@functools.cache
def _session() -> Session:
    return Session()


def a_client(service: str, **arguments: Any) -> Any:
    """As ``Session.create_client``."""
    return _session().create_client(service, **arguments)
