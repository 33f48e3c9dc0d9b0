"""A checksum names its kind and notices any change."""

from __future__ import annotations

from ecscope.sqlitefile.checksum import checksum_of, names


def test_it_names_the_kind() -> None:
    checksum = checksum_of("task", b"{}")
    assert checksum.startswith("task:")
    assert names(checksum.encode(), "task")
    assert not names(checksum.encode(), "tas")
    assert not names(None, "task")


def test_each_part_and_the_kind_count() -> None:
    sums = {
        checksum_of("task", b"ab", b"c"),
        checksum_of("task", b"a", b"bc"),
        checksum_of("task", b"abc"),
        checksum_of("task", b"abd"),
    }
    assert len(sums) == 4
    assert checksum_of("task", b"abc").split(":")[1] != checksum_of("image", b"abc").split(":")[1]
