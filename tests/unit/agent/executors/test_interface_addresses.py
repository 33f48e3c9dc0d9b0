"""The kernel's interfaces are read as they stand, and what goes away meanwhile is left out."""

from __future__ import annotations

from pathlib import Path

from ecscope.agent.executors.interface_addresses import mac_addresses


def test_every_interface_with_an_address_counts(tmp_path: Path) -> None:
    for name, text in (("eth0", "0E:00:00:00:00:01\n"), ("eth1", "0e:00:00:00:00:02\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "address").write_text(text)
    (tmp_path / "gone" / "address").mkdir(parents=True)
    (tmp_path / "bonding_masters").touch()
    assert mac_addresses(tmp_path) == {"0e:00:00:00:00:01", "0e:00:00:00:00:02"}


def test_without_a_kernel_that_shows_them_there_are_none(tmp_path: Path) -> None:
    assert mac_addresses(tmp_path / "none") == frozenset()
