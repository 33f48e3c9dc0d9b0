"""A batch knows whether there is anything to save."""

from __future__ import annotations

import pytest

from ecscope.agent.store.interface import Batch
from tests.builders import a_task, an_arn, an_entry


def test_a_new_batch_is_empty_and_shares_nothing() -> None:
    first, second = Batch(), Batch()
    assert first.is_empty
    first.tasks[an_arn()] = a_task()
    assert not first.is_empty
    assert second.is_empty


@pytest.mark.parametrize(
    "batch",
    [
        Batch(tasks={an_arn(): None}),
        Batch(images={"busybox": None}),
        Batch(sources={"/x": None}),
        Batch(metadata={"a": ""}),
        Batch(history=[an_entry()]),
    ],
)
def test_a_deletion_alone_is_something_to_save(batch: Batch) -> None:
    assert not batch.is_empty
