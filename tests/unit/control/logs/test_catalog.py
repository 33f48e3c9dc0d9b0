"""A catalog is what its records say, also after they were written anew, and a published one never changes."""

from __future__ import annotations

from ecscope.control.logs.catalog import DAY_MS, Catalog, Deleted, LogGroup, LogStream

GROUP = LogGroup(id=1, name="g", created_at_ms=0)
STREAM = LogStream(id=2, group_id=1, name="s", created_at_ms=0)


def of(*records: LogGroup | LogStream | Deleted) -> Catalog:
    catalog = Catalog()
    catalog.apply(records)
    return catalog


def test_a_group_goes_with_its_streams_and_no_id_comes_again() -> None:
    catalog = of(GROUP, STREAM, Deleted(id=1))
    assert (catalog.groups, catalog.streams, catalog.by_id, catalog.last_id) == ({}, {}, {}, 2)
    again = Catalog()
    again.apply(catalog.records())
    assert again.last_id == 2


def test_records_make_the_same_catalog() -> None:
    catalog = of(GROUP, STREAM, LogStream(id=3, group_id=1, name="t", created_at_ms=1), Deleted(id=2))
    again = Catalog()
    again.apply(catalog.records())
    assert (again.groups, again.streams, again.by_id) == (catalog.groups, catalog.streams, catalog.by_id)
    assert again.group_of(3) == GROUP
    assert again.group_of(2) is None


def test_a_copy_changes_alone() -> None:
    published = of(GROUP, STREAM)
    draft = published.copy()
    draft.apply([LogStream(id=3, group_id=1, name="t", created_at_ms=1), Deleted(id=2)])
    assert list(published.streams[1]) == ["s"]
    assert list(draft.streams[1]) == ["t"]
    assert published.by_id == {1: GROUP, 2: STREAM}


def test_what_is_about_the_unknown_changes_nothing() -> None:
    catalog = of(LogStream(id=9, group_id=8, name="s", created_at_ms=0), Deleted(id=7))
    assert (catalog.groups, catalog.streams, catalog.by_id, catalog.last_id) == ({}, {}, {}, 9)


def test_retention_is_in_days() -> None:
    assert GROUP.expired_before_ms(5 * DAY_MS) == 0
    kept = LogGroup(id=1, name="g", created_at_ms=0, retention_days=3)
    assert kept.expired_before_ms(5 * DAY_MS) == 2 * DAY_MS
