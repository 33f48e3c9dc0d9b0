"""A block is read as it was written, and damage costs the blocks that are damaged and no other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.control.logs.blocks import HEADER_BYTES, Block, Damaged, Gap, decode, encode, walk
from tests.examples import examples

batches = st.lists(
    st.lists(st.tuples(st.integers(0, 2**42), st.text(max_size=20)), min_size=1, max_size=5).map(sorted),
    min_size=1,
    max_size=6,
)


def written(listed: list[list[tuple[int, str]]]) -> tuple[list[Block], bytes]:
    blocks, data = [], b""
    for stream, events in enumerate(listed):
        block, more = encode(
            stream, [at for at, _ in events], [text for _, text in events], ingested_ms=stream, offset=len(data)
        )
        blocks.append(block)
        data += more
    return blocks, data


def payload(block: Block, data: bytes) -> bytes:
    return data[block.offset + HEADER_BYTES : block.end]


@settings(max_examples=examples(20))
@given(batches)
def test_what_is_written_is_read(listed: list[list[tuple[int, str]]]) -> None:
    blocks, data = written(listed)
    assert list(walk(data)) == blocks
    for events, block in zip(listed, blocks, strict=True):
        times, messages = decode(block, payload(block, data))
        assert list(zip(times, messages, strict=True)) == events
        assert (block.first_ms, block.last_ms) == (events[0][0], events[-1][0])


@settings(max_examples=examples(25))
@given(batches, st.data())
def test_a_damaged_byte_costs_one_block(listed: list[list[tuple[int, str]]], data: st.DataObject) -> None:
    blocks, sound = written(listed)
    at = data.draw(st.integers(0, len(sound) - 1))
    damaged = sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :]
    hit = next(block for block in blocks if at < block.end)
    readable = []
    for found in walk(damaged):
        if isinstance(found, Gap):
            assert (found.offset, found.end) == (hit.offset, hit.end)
            continue
        try:
            decode(found, payload(found, damaged))
        except Damaged:
            assert found == hit
        else:
            readable.append(found)
    assert readable == [block for block in blocks if block is not hit]


def test_what_a_dying_process_left_is_a_gap_at_the_end() -> None:
    blocks, data = written([[(1, "a")], [(2, "b")]])
    for length in range(blocks[1].offset + 1, len(data)):
        assert list(walk(data[:length])) == [blocks[0], Gap(blocks[1].offset, length)]


def test_a_payload_that_is_too_short_is_damaged() -> None:
    (block,), data = written([[(1, "a")]])
    with pytest.raises(Damaged):
        decode(block, payload(block, data)[:-1])
