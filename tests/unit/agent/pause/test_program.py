"""The pause program is a small ELF file: that of x86-64 is run, that of arm64 decoded. More is shown on an engine."""

from __future__ import annotations

import platform
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from ecscope.agent.pause.program import ARCHITECTURES, has_pause_program, program

_CODE_AT = 120


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_the_file_is_what_the_kernel_loads(architecture: str, machine: int) -> None:
    """elf(5): one segment, read and executed, that holds the whole file and the entry point."""
    file = program(architecture)
    assert len(file) < 1024
    assert file[:16] == b"\x7fELF\x02\x01\x01" + bytes(9)
    kind, its_machine, _, entry, segments_at = struct.unpack_from("<HHIQQ", file, 16)
    header_size, segment_size, segments = struct.unpack_from("<HHH", file, 52)
    assert (kind, its_machine, segments_at, header_size, segment_size, segments) == (2, machine, 64, 64, 56, 1)
    kind, flags, offset, address, _, in_file, in_memory, alignment = struct.unpack_from("<IIQQQQQQ", file, 64)
    assert (kind, flags, offset, in_file, in_memory) == (1, 5, 0, len(file), len(file))
    assert address % alignment == 0
    assert entry - address == _CODE_AT


@pytest.mark.skipif(platform.machine() != "x86_64", reason="not the architecture of this machine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_until_it_is_asked_to_end(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "pause"
    path.write_bytes(program("amd64"))
    path.chmod(0o755)
    with subprocess.Popen([path]) as running:
        running.send_signal(signal.SIGCHLD)  # of no child: it goes on waiting
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=0.1)
        running.send_signal(number)
        assert running.wait(timeout=5) == 0


ON_ARM64 = """
    mov x8, 0x4002
    movk x8, 0x1, lsl 16
    str x8, [sp, -16]!
    mov x0, 0x0
    add x1, sp, 0
    mov x2, 0x0
    mov x3, 0x8
    mov x8, 0x87
    svc 0
wait:
    add x0, sp, 0
    mov x1, 0x0
    mov x2, 0x0
    mov x3, 0x8
    mov x8, 0x89
    svc 0
    cmn x0, 4
    b.eq wait
    cmp x0, 17
    b.ne end
reap:
    mov x0, -1
    mov x1, 0x0
    mov x2, 0x1
    mov x3, 0x0
    mov x8, 0x104
    svc 0
    cmp x0, 0
    b.gt reap
    b wait
end:
    lsr x0, x0, 63
    mov x8, 0x5e
    svc 0
"""
"""System calls: rt_sigprocmask 135, rt_sigtimedwait 137, wait4 260, exit_group 94 (asm-generic/unistd.h)."""


def test_that_of_arm64_says_the_same() -> None:
    """Untested on a machine: each instruction is decoded as the Arm Architecture Reference Manual (C6.2) has it."""
    code = program("arm64")[_CODE_AT:]
    lines = [line.strip() for line in ON_ARM64.strip().splitlines()]
    instructions = [line for line in lines if not line.endswith(":")]
    places: dict[str, int] = {}
    at = 0
    for line in lines:
        if line.endswith(":"):
            places[line[:-1]] = at
        else:
            at += 4
    words = [word for (word,) in struct.iter_unpack("<I", code)]
    decoded = [_decode(word, 4 * number) for number, word in enumerate(words)]
    for name, place in places.items():
        instructions = [
            line.replace(f" {name}", f" @{place}") if line.startswith("b") else line for line in instructions
        ]
    assert decoded == instructions


def _decode(word: int, at: int) -> str:
    """The bits, field by field."""
    d, n = word & 31, word >> 5 & 31
    imm16, shift, imm12 = word >> 5 & 0xFFFF, 16 * (word >> 21 & 3), word >> 10 & 0xFFF
    match word >> 23:
        case 0b110100101 if shift == 0:  # MOVZ, 64 bits
            return f"mov x{d}, {imm16:#x}"
        case 0b111100101:  # MOVK
            return f"movk x{d}, {imm16:#x}, lsl {shift}"
        case 0b100100101 if shift == 0:  # MOVN
            return f"mov x{d}, {~imm16}"
        case 0b110100110 if word >> 22 & 1 and word >> 10 & 63 == 63:  # UBFM up to bit 63
            return f"lsr x{d}, x{n}, {word >> 16 & 63}"
        case _:
            pass
    match word >> 22:
        case 0b1001000100 if n == 31:  # ADD (immediate), whose 31 is sp
            return f"add x{d}, sp, {imm12}"
        case 0b1011000100 if d == 31:  # ADDS
            return f"cmn x{n}, {imm12}"
        case 0b1111000100 if d == 31:  # SUBS
            return f"cmp x{n}, {imm12}"
        case _:
            pass
    if word >> 21 == 0b11111000000 and word >> 10 & 3 == 3 and n == 31:  # STR, pre-index
        return f"str x{d}, [sp, {_signed(word >> 12, 9)}]!"
    if word >> 24 == 0b01010100 and not word >> 4 & 1:  # B.cond
        condition = {0: "eq", 1: "ne", 12: "gt"}[word & 15]
        return f"b.{condition} @{at + 4 * _signed(word >> 5, 19)}"
    if word >> 26 == 0b000101:  # B
        return f"b @{at + 4 * _signed(word, 26)}"
    if word & 0xFFE0001F == 0xD4000001:
        return f"svc {imm16}"
    raise AssertionError(f"{word:08x} at {at}")


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def test_there_is_one_for_each_architecture_that_is_named() -> None:
    assert all(program(name) for name in ARCHITECTURES.values())
    assert [has_pause_program(name) for name in ("x86_64", "aarch64", "riscv64", "")] == [True, True, False, False]
