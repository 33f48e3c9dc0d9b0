"""An error knows whether waiting can help."""

from __future__ import annotations

from ecscope.sqlitefile.errors import StoreError


def test_an_error_is_not_about_room_unless_it_says_so() -> None:
    assert not StoreError("x").is_full
    assert StoreError("x", is_full=True).is_full
    assert str(StoreError("there is no room", is_full=True)) == "there is no room"
