"""A small ELF, a probe behind a drive and an OpenOCD that only says what it is told to."""

from __future__ import annotations

import stat
import struct
import sys
import threading
import time

import pytest

FLASH = 0x1000_0000
CODE = struct.pack("<II", 0x2002_0000, FLASH + 0x101) + bytes(range(256)) * 4


def make_elf(segments=((FLASH, CODE),), machine=40, ident=b"\x7fELF\x01\x01\x01"):
    """An ELF with load segments (physical address, bytes) and a .bss of no file bytes."""
    table = 52
    headers, content = b"", b""
    start = table + 32 * (len(segments) + 1)
    for address, data in segments:
        headers += struct.pack(
            "<IIIIIIII", 1, start + len(content), 0x2000_0000, address, len(data), len(data), 5, 4
        )
        content += data
    headers += struct.pack("<IIIIIIII", 1, 0, 0x2000_0000, 0x2000_0000, 0, 4096, 6, 4)
    head = struct.pack(
        "<16sHHIIIIIHHHHHH", ident, 2, machine, 1, FLASH, table, 0, 0, 52, 32,
        len(segments) + 1, 0, 0, 0,
    )  # fmt: skip
    return head + headers + content


def probe(drive, fail_text=None, name="firmware.hex"):
    """What the probe does when a file arrives: keep its bytes, drop the file, perhaps complain."""
    seen = {}

    def whole(content):
        return not name.endswith("hex") or content.endswith(b":00000001FF\n")

    def watch():
        target = drive / name
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if target.exists() and whole(target.read_bytes()):
                time.sleep(0.05)  # a .bin may still grow
                seen["content"] = target.read_bytes()
                if fail_text is not None:
                    (drive / "FAIL.TXT").write_text(fail_text)
                target.unlink()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return seen, thread


def program(tmp_path, body):
    """An OpenOCD that says what the body prints; its arguments go to the file ``args``."""
    path = tmp_path / "openocd"
    keep = f"open({str(tmp_path / 'args')!r}, 'a').write('|'.join(sys.argv[1:]) + chr(10))"
    path.write_text(f"#!{sys.executable}\nimport sys\n{keep}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


posix = pytest.mark.skipif(sys.platform == "win32", reason="runs a script")


def arguments(tmp_path):
    return [line.split("|") for line in (tmp_path / "args").read_text().splitlines()]
