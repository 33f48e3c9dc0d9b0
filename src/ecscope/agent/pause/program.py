"""The pause program: an executable that waits, reaps orphans, and ends on SIGTERM or SIGINT. Written as machine code.

It is process 1 of its namespaces. The three signals are blocked, so that they are kept for it: process 1 is spared
signals it does not handle, but not those it waits for. Each SIGCHLD may stand for several children, so all that have
ended are reaped. It ends with code 0 on a signal, and with 1 if the kernel refuses to let it wait.

Source: elf(5), syscalls(2), signal(7); the numbers of system calls are in each architecture's table in the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

_SIGINT, _SIGTERM, _SIGCHLD = 2, 15, 17
_MASK = sum(1 << (number - 1) for number in (_SIGINT, _SIGTERM, _SIGCHLD))
_MASK_BYTES = 8
_EINTR = 4
_WNOHANG = 1

_BASE = 0x400000
_PAGE = 0x10000
"""The largest page that either architecture has."""
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_EXECUTABLE, _LOADED, _READ_AND_EXECUTE = 2, 1, 5
_X86_64, _AARCH64 = 62, 183


class Label(str):
    """A place in the code, to which a jump can lead."""

    __slots__ = ()


Part = Label | bytes | tuple[Callable[[int], bytes], str]
"""A place; an instruction; or one that is made from the distance, in bytes from its own beginning, to a place."""

# --- x86-64 -----------------------------------------------------------------------------------------


def _short_jump(code: int) -> Callable[[int], bytes]:
    """Two bytes: the distance counts from the next instruction."""
    return lambda distance: struct.pack("<Bb", code, distance - 2)


_JE, _JNE, _JG, _JMP = (_short_jump(code) for code in (0x74, 0x75, 0x7F, 0xEB))
_SYSCALL = b"\x0f\x05"


def _eax(number: int) -> bytes:
    return b"\xb8" + struct.pack("<I", number)


_ON_X86_64: Sequence[Part] = (
    b"\x68" + struct.pack("<i", _MASK),  # push the mask
    b"\x31\xff",  # xor edi, edi: SIG_BLOCK
    b"\x48\x89\xe6",  # mov rsi, rsp
    b"\x31\xd2",  # xor edx, edx
    b"\x41\xba" + struct.pack("<I", _MASK_BYTES),  # mov r10d, …
    _eax(14),  # rt_sigprocmask
    _SYSCALL,
    Label("wait"),
    b"\x48\x89\xe7",  # mov rdi, rsp
    b"\x31\xf6",  # xor esi, esi
    b"\x31\xd2",  # xor edx, edx
    b"\x41\xba" + struct.pack("<I", _MASK_BYTES),  # mov r10d, …
    _eax(128),  # rt_sigtimedwait
    _SYSCALL,
    b"\x83\xf8" + struct.pack("<b", -_EINTR),  # cmp eax, …
    (_JE, "wait"),
    b"\x83\xf8" + struct.pack("<b", _SIGCHLD),  # cmp eax, …
    (_JNE, "end"),
    Label("reap"),
    b"\xbf" + struct.pack("<i", -1),  # mov edi, …: any child
    b"\x31\xf6",  # xor esi, esi
    b"\xba" + struct.pack("<I", _WNOHANG),  # mov edx, …
    b"\x45\x31\xd2",  # xor r10d, r10d
    _eax(61),  # wait4
    _SYSCALL,
    b"\x85\xc0",  # test eax, eax
    (_JG, "reap"),
    (_JMP, "wait"),
    Label("end"),
    b"\x89\xc7",  # mov edi, eax: the signal, or an error below 0
    b"\xc1\xef\x1f",  # shr edi, 31: 0, or 1
    _eax(231),  # exit_group
    _SYSCALL,
)

# --- arm64: not run by any test; decoded and checked instruction by instruction -------------------------

_SP = 31


def _word(value: int) -> bytes:
    return struct.pack("<I", value)


def _movz(register: int, value: int) -> bytes:
    return _word(0xD2800000 | value << 5 | register)


def _add(register: int, source: int, value: int) -> bytes:
    return _word(0x91000000 | value << 10 | source << 5 | register)


def _cmp(register: int, value: int) -> bytes:
    return _word(0xF100001F | value << 10 | register << 5)


def _cmn(register: int, value: int) -> bytes:
    return _word(0xB100001F | value << 10 | register << 5)


def _branch_if(condition: int) -> Callable[[int], bytes]:
    return lambda distance: _word(0x54000000 | (distance // 4 & 0x7FFFF) << 5 | condition)


def _branch(distance: int) -> bytes:
    return _word(0x14000000 | distance // 4 & 0x3FFFFFF)


_SVC = _word(0xD4000001)
_EQ, _NE, _GT = 0, 1, 12

_ON_AARCH64: Sequence[Part] = (
    _movz(8, _MASK & 0xFFFF),
    _word(0xF2A00000 | _MASK >> 16 << 5 | 8),  # movk x8, …, lsl #16
    _word(0xF8000C00 | (-16 & 0x1FF) << 12 | _SP << 5 | 8),  # str x8, [sp, #-16]!
    _movz(0, 0),  # SIG_BLOCK
    _add(1, _SP, 0),
    _movz(2, 0),
    _movz(3, _MASK_BYTES),
    _movz(8, 135),  # rt_sigprocmask
    _SVC,
    Label("wait"),
    _add(0, _SP, 0),
    _movz(1, 0),
    _movz(2, 0),
    _movz(3, _MASK_BYTES),
    _movz(8, 137),  # rt_sigtimedwait
    _SVC,
    _cmn(0, _EINTR),
    (_branch_if(_EQ), "wait"),
    _cmp(0, _SIGCHLD),
    (_branch_if(_NE), "end"),
    Label("reap"),
    _word(0x92800000),  # movn x0, #0: any child
    _movz(1, 0),
    _movz(2, _WNOHANG),
    _movz(3, 0),
    _movz(8, 260),  # wait4
    _SVC,
    _cmp(0, 0),
    (_branch_if(_GT), "reap"),
    (_branch, "wait"),
    Label("end"),
    _word(0xD340FC00 | 63 << 16),  # lsr x0, x0, #63: 0, or 1 for an error
    _movz(8, 94),  # exit_group
    _SVC,
)

# --- the file -------------------------------------------------------------------------------------------

_MACHINES: Mapping[str, tuple[int, Sequence[Part]]] = {
    "amd64": (_X86_64, _ON_X86_64),
    "arm64": (_AARCH64, _ON_AARCH64),
}

ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Those that there is a program for: as the kernel or an engine names them, and as image configurations do."""


def has_pause_program(architecture: str) -> bool:
    """``architecture``: as the kernel names it."""
    return architecture in ARCHITECTURES


def program(architecture: str) -> bytes:
    """The executable, statically linked. ``architecture``: as image configurations name it."""
    machine, parts = _MACHINES[architecture]
    code = _assembled(parts)
    start = _HEADER.size + _SEGMENT.size
    size = start + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1))  # 64 bits, little-endian, version 1
    header = _HEADER.pack(
        identity,
        _EXECUTABLE,
        machine,
        1,
        _BASE + start,
        _HEADER.size,
        0,
        0,
        _HEADER.size,
        _SEGMENT.size,
        1,
        0,
        0,
        0,
    )
    segment = _SEGMENT.pack(_LOADED, _READ_AND_EXECUTE, 0, _BASE, _BASE, size, size, _PAGE)
    return header + segment + code


def _assembled(parts: Sequence[Part]) -> bytes:
    places: dict[str, int] = {}
    at = 0
    for part in parts:
        if isinstance(part, Label):
            places[part] = at
        else:
            at += len(part if isinstance(part, bytes) else part[0](0))
    code = b""
    for part in parts:
        if isinstance(part, tuple):
            make, target = part
            code += make(places[target] - len(code))
        elif isinstance(part, bytes):
            code += part
    return code
