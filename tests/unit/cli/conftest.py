"""What the tests of the command line share."""

from collections.abc import Iterator

import pytest

from tests.unit.cli.answering import Answers, official_agent, serving


@pytest.fixture
def agent() -> Iterator[Answers]:
    """The official agent, as recorded, on a real socket."""
    with serving(official_agent()) as answers:
        yield answers


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line reads the environment; a test sets what it is about."""
    for name in ("ECSCOPE_ENDPOINT", "NO_COLOR", "ECS_DATADIR", "ECS_AGENT_CONFIG_FILE_PATH"):
        monkeypatch.delenv(name, raising=False)
