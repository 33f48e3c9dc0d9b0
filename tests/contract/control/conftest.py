"""A whole control plane for each module, and other people's clients, installed when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clients
from tests.contract.control.live import LivePlane, Programs


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlane]:
    """With two agents that have joined the cluster ``default``, and nothing else."""
    with LivePlane(tmp_path_factory.mktemp("live"), agents=2) as live:
        yield live


@pytest.fixture
def ecs(live: LivePlane) -> Any:
    """boto3's client of ``live``."""
    return live.client()


@pytest.fixture
def programs(live: LivePlane, tmp_path: Path) -> Programs:
    """``aws``, ``ecs``, ``ecs-doctor``, ``lazy-ecs`` and the ``python`` that has them, as users of ``live``."""
    try:
        folder = clients.python()
    except clients.Unavailable as error:
        pytest.fail(str(error), pytrace=False)
    return Programs(folder, live.environment(home=tmp_path), home=tmp_path)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder in which ``node`` finds @aws-sdk/client-ecs; a visible skip where that, or node, cannot be had.

    Where ``CI=true`` that fails instead.
    """
    try:
        return clients.node()
    except clients.Unavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"@aws-sdk/client-ecs cannot be tried: {error}", pytrace=False)
        pytest.skip(f"@aws-sdk/client-ecs is not tried: {error}")
