"""Host ports: those asked for are given, the rest is chosen by the agent, and none is given twice."""

from __future__ import annotations

import pytest

from ecscope.agent.core.host_ports import HostPortChooser, NoPortError
from ecscope.model.container import PortMapping


def all_free(port: int, protocol: str) -> bool:
    return True


def dynamic(container_port: int = 80, protocol: str = "tcp") -> PortMapping:
    return PortMapping(container_port=container_port, protocol=protocol)


def a_range(text: str, protocol: str = "tcp") -> PortMapping:
    return PortMapping(container_port_range=text, protocol=protocol)


def test_a_port_that_is_asked_for_is_used_as_it_is() -> None:
    """engine.md §7; also one outside of the dynamic range, and whether it is free or not."""
    chooser = HostPortChooser(40000, 40010)
    mappings = [
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port=53, host_port=53, protocol="udp"),
    ]
    assert chooser.assign(mappings, lambda port, protocol: False) == {"80/tcp": 8080, "53/udp": 53}


def test_dynamic_ports_are_chosen_by_the_agent_upward_from_the_last_one() -> None:
    """engine.md §7 and §15 3."""
    chooser = HostPortChooser(40000, 40010)
    assert chooser.assign([dynamic(80), dynamic(81)], all_free) == {"80/tcp": 40000, "81/tcp": 40001}
    assert chooser.assign([dynamic(80)], all_free) == {"80/tcp": 40002}


def test_a_taken_port_is_passed_over() -> None:
    chooser = HostPortChooser(40000, 40010)
    assert chooser.assign([dynamic()], lambda port, protocol: port != 40000) == {"80/tcp": 40001}


def test_whether_a_port_is_free_is_asked_for_its_protocol() -> None:
    chooser = HostPortChooser(40000, 40010)
    assert chooser.assign([dynamic(53, "udp")], lambda port, protocol: protocol == "udp") == {"53/udp": 40000}
    with pytest.raises(NoPortError):
        chooser.assign([dynamic(53, "tcp")], lambda port, protocol: protocol == "udp")


def test_the_scan_wraps_around_once() -> None:
    chooser = HostPortChooser(40000, 40002)
    for expected in (40000, 40001, 40002, 40000):
        assert chooser.assign([dynamic()], all_free) == {"80/tcp": expected}


def test_no_free_port_is_an_error_with_the_official_text() -> None:
    """engine.md §7."""
    with pytest.raises(NoPortError) as caught:
        HostPortChooser(40000, 40002).assign([dynamic()], lambda port, protocol: False)
    assert str(caught.value.error) == "HostConfigError: error retrieving docker port map: a host port is unavailable"
    assert str(caught.value) == "a host port is unavailable"


def test_one_container_never_gets_a_port_twice() -> None:
    """Nothing listens yet on what was just given, so a small range would wrap around to it."""
    chooser = HostPortChooser(40000, 40001)
    assert chooser.assign([dynamic(80), dynamic(81)], all_free) == {"80/tcp": 40000, "81/tcp": 40001}
    with pytest.raises(NoPortError):
        HostPortChooser(40000, 40000).assign([dynamic(80), dynamic(81)], all_free)


def test_a_dynamic_port_is_none_that_the_container_asks_for_itself() -> None:
    chooser = HostPortChooser(40000, 40001)
    mappings = [dynamic(80), PortMapping(container_port=81, host_port=40000)]
    assert chooser.assign(mappings, all_free) == {"80/tcp": 40001, "81/tcp": 40000}


def test_the_same_number_serves_both_protocols() -> None:
    chooser = HostPortChooser(40000, 40000)
    assert chooser.assign([dynamic(53, "tcp"), dynamic(53, "udp")], all_free) == {"53/tcp": 40000, "53/udp": 40000}


def test_a_range_gets_a_contiguous_block() -> None:
    """engine.md §7."""
    chooser = HostPortChooser(40000, 40010)
    taken = {40001}
    given = chooser.assign([a_range("90-92")], lambda port, protocol: port not in taken)
    assert given == {"90/tcp": 40002, "91/tcp": 40003, "92/tcp": 40004}


def test_a_block_is_given_to_nobody_else_in_the_container() -> None:
    chooser = HostPortChooser(40000, 40002)
    assert chooser.assign([a_range("90-91"), dynamic(80)], all_free) == {
        "90/tcp": 40000,
        "91/tcp": 40001,
        "80/tcp": 40002,
    }
    with pytest.raises(NoPortError):
        HostPortChooser(40000, 40002).assign([a_range("90-91"), a_range("95-96")], all_free)


def test_a_block_does_not_wrap_around_the_end() -> None:
    chooser = HostPortChooser(40000, 40003)
    chooser.assign([dynamic(), dynamic(81), dynamic(82)], all_free)
    assert chooser.assign([a_range("90-91")], all_free) == {"90/tcp": 40000, "91/tcp": 40001}


def test_a_block_around_the_last_port_given_is_found() -> None:
    chooser = HostPortChooser(40000, 40003)
    chooser.assign([dynamic(), dynamic(81)], all_free)
    assert chooser.assign([a_range("90-93")], all_free)["90/tcp"] == 40000


@pytest.mark.parametrize("text", ["90-92", "90-190"])
def test_no_block_is_an_error_with_the_official_text(text: str) -> None:
    """engine.md §7; also when the block is longer than the whole range."""
    low, high = map(int, text.split("-"))
    with pytest.raises(NoPortError) as caught:
        HostPortChooser(40000, 40010).assign([a_range(text)], lambda port, protocol: port % 2 == 0)
    assert str(caught.value) == f"{high - low + 1} contiguous host ports are unavailable"


@pytest.mark.parametrize(("first", "last"), [(0, 10), (10, 9), (1, 65536)])
def test_what_is_no_port_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no port range"):
        HostPortChooser(first, last)


# --- ports of awsvpc tasks, which need none of the host ---


def test_a_port_is_published_under_its_own_number_where_that_is_free() -> None:
    chooser = HostPortChooser(40000, 40010)
    mappings = [PortMapping(container_port=80, host_port=80), dynamic(53, "udp"), a_range("90-91")]
    own = {"80/tcp": 80, "53/udp": 53, "90/tcp": 90, "91/tcp": 91}
    assert chooser.assign_where_free(mappings, all_free) == own
    assert chooser.assign_where_free(mappings, lambda port, _: port not in (80, 91)) == {
        "80/tcp": 40000, "53/udp": 53, "90/tcp": 40001, "91/tcp": 40002,
    }  # fmt: skip


def test_two_containers_of_a_task_are_given_no_port_twice() -> None:
    chooser = HostPortChooser(80, 82)
    given = chooser.assign_where_free([dynamic(80), dynamic(80), a_range("80-81"), dynamic(82)], all_free)
    assert given == {"80/tcp": 80, "82/tcp": 82}


def test_a_port_for_which_none_is_free_is_not_published() -> None:
    chooser = HostPortChooser(40000, 40010)
    assert chooser.assign_where_free([dynamic(80), dynamic(81)], lambda port, _: port == 81) == {"81/tcp": 81}
    assert chooser.assign_where_free([a_range("x")], all_free) == {}
