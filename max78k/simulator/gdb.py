"""GDB's remote serial protocol: ``target remote localhost:PORT`` debugs the virtual board.

Served are registers (with the description of a Cortex-M), memory, software and hardware
breakpoints, continue, step, Ctrl-C, detach, ``monitor reset``. Requests that are not known get the
empty answer, as the protocol asks for.
"""

from __future__ import annotations

import binascii
import socket
from collections.abc import Callable

from max78k.errors import ToolError
from max78k.simulator.board import VirtualBoard
from max78k.simulator.debug import REGISTERS

_PACKET_BYTES = 0x2000
_INTERRUPT = b"\x03"
_TRAP, _BY_INTERRUPT = "S05", "S02"
_FEATURES = f"PacketSize={_PACKET_BYTES:x};qXfer:features:read+;hwbreak+;swbreak+"
_XPSR_NUMBER = 25  # GDB's number of XPSR; the others count from 0
_CYCLES_PER_STEP = 1e-9  # seconds; less than a cycle, so that one instruction is executed


def _description() -> str:
    lines = [
        f'<reg name="{name.lower()}" bitsize="32"'
        + (' type="data_ptr"' if name == "SP" else ' type="code_ptr"' if name == "PC" else "")
        + (f' regnum="{_XPSR_NUMBER}"' if name == "XPSR" else "")
        + "/>"
        for name in REGISTERS
    ]
    return (
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>'
        "<architecture>arm</architecture>"
        f'<feature name="org.gnu.gdb.arm.m-profile">{"".join(lines)}</feature></target>'
    )


def _word(text: str) -> int:
    """A register's value: the bytes in memory order."""
    return int.from_bytes(binascii.unhexlify(text), "little")


def _hex(value: int) -> str:
    return value.to_bytes(4, "little").hex()


def _frame(text: str) -> bytes:
    data = text.encode("latin-1")
    return b"$" + data + b"#%02x" % (sum(data) & 0xFF)


class GdbServer:
    """One debugger at a time; the board stands while ``halted`` is true.

    Raises ToolError E-BOARD-GDB if the TCP port cannot be opened. Port 0 takes any free one.
    """

    def __init__(self, board: VirtualBoard, port: int) -> None:
        self._board = board
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            self._listener.close()
            raise ToolError(
                "E-BOARD-GDB", f"TCP port {port} cannot be opened: {error}", "another --gdb PORT"
            ) from error
        self._listener.listen(1)
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._received = b""
        self._acknowledge = True
        self.halted = True  # until a debugger says continue

    @property
    def descriptors(self) -> list[int]:
        """Readable when there is something to serve."""
        return [(self._client or self._listener).fileno()]

    def close(self) -> None:
        """Close the connection and the port."""
        if self._client is not None:
            self._client.close()
        self._listener.close()

    def serve(self) -> None:
        """Take what is there; call it when a descriptor is readable."""
        if self._client is None:
            self._client, _ = self._listener.accept()
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._received, self._acknowledge = b"", True
            self._board.debug.attached = self.halted = True
            return
        try:
            data = self._client.recv(_PACKET_BYTES)
        except OSError:
            data = b""
        if not data:
            self._detach()
            return
        self._received += data
        self._take_packets()

    def after_step(self) -> None:
        """Tell the debugger if the core has come to a breakpoint."""
        if self._board.debug.stopped and not self.halted:
            self._halt(_TRAP)

    def _detach(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None
        self._board.debug.clear()
        self.halted = False

    def _halt(self, reason: str) -> None:
        self.halted = True
        self._board.debug.stopped = False
        self._send(reason)

    def _send(self, text: str) -> None:
        if self._client is not None:
            try:
                self._client.sendall(_frame(text))
            except OSError:
                self._detach()

    def _take_packets(self) -> None:
        while self._received:
            if self._received[:1] == _INTERRUPT:
                self._received = self._received[1:]
                if not self.halted:
                    self._halt(_BY_INTERRUPT)
                continue
            start, end = self._received.find(b"$"), self._received.find(b"#")
            if self._received[:1] != b"$":
                self._received = self._received[max(start, 1) if start > 0 else 1 :]
                continue
            if end < 0 or len(self._received) < end + 3:
                if len(self._received) > 4 * _PACKET_BYTES:
                    self._received = b""
                return
            packet, check = self._received[1:end], self._received[end + 1 : end + 3]
            self._received = self._received[end + 3 :]
            good = check.lower() == b"%02x" % (sum(packet) & 0xFF)
            if self._acknowledge and self._client is not None:
                self._client.sendall(b"+" if good else b"-")
            if good:
                self._answer(packet.decode("latin-1"))

    def _answer(self, packet: str) -> None:
        action = self._named(packet) or self._lettered(packet[:1])
        try:
            answer = action(packet)
        except (LookupError, ValueError):
            answer = "E01"
        if answer is not None:
            self._send(answer)

    # -- requests: each returns the answer, None for one that comes later

    def _named(self, packet: str) -> Callable[[str], str | None] | None:
        table: dict[str, Callable[[str], str | None]] = {
            "qSupported": lambda _: _FEATURES,
            "qXfer:features:read:target.xml:": self._features,
            "qAttached": lambda _: "1",
            "qRcmd,": self._monitor,
            "QStartNoAckMode": self._no_acknowledge,
        }
        return next((action for name, action in table.items() if packet.startswith(name)), None)

    def _lettered(self, letter: str) -> Callable[[str], str | None]:
        table: dict[str, Callable[[str], str | None]] = {
            "?": lambda _: _TRAP,
            "g": lambda _: "".join(map(_hex, self._board.debug.registers())),
            "G": self._write_registers,
            "p": lambda packet: _hex(self._board.debug.registers()[self._place(packet[1:])]),
            "P": self._write_register,
            "m": self._read_memory,
            "M": self._write_memory,
            "c": self._continue,
            "s": self._step,
            "Z": lambda packet: self._breakpoint(packet, True),
            "z": lambda packet: self._breakpoint(packet, False),
            "H": lambda _: "OK",
            "D": self._detached,
            "k": self._killed,
        }
        return table.get(letter, lambda _: "")

    def _features(self, packet: str) -> str:
        start, size = (int(part, 16) for part in packet.rpartition(":")[2].split(","))
        part = _description()[start : start + size]
        return ("m" if start + size < len(_description()) else "l") + part

    def _no_acknowledge(self, _packet: str) -> str:
        self._acknowledge = False
        return "OK"

    def _monitor(self, packet: str) -> str:
        command = binascii.unhexlify(packet.partition(",")[2]).decode("latin-1").strip()
        if command.split(" ")[0] != "reset":
            return binascii.hexlify(b"only `monitor reset` is known\n").decode()
        self._board.reset()
        return "OK"

    def _place(self, number: str) -> int:
        value = int(number, 16)
        return len(REGISTERS) - 1 if value == _XPSR_NUMBER else value

    def _write_registers(self, packet: str) -> str:
        for number in range(len(REGISTERS)):
            text = packet[1 + 8 * number : 9 + 8 * number]
            if len(text) == 8:
                self._board.debug.set_register(number, _word(text))
        return "OK"

    def _write_register(self, packet: str) -> str:
        number, _, value = packet[1:].partition("=")
        self._board.debug.set_register(self._place(number), _word(value))
        return "OK"

    def _read_memory(self, packet: str) -> str:
        address, size = (int(part, 16) for part in packet[1:].split(","))
        return self._board.debug.read(address, min(size, _PACKET_BYTES // 2)).hex()

    def _write_memory(self, packet: str) -> str:
        place, _, data = packet[1:].partition(":")
        self._board.debug.write(int(place.partition(",")[0], 16), binascii.unhexlify(data))
        return "OK"

    def _breakpoint(self, packet: str, present: bool) -> str:
        kind, address, _ = packet[1:].split(",", 2)
        if kind not in "01":
            return ""  # no watchpoints
        self._board.debug.set_breakpoint(int(address, 16), present)
        return "OK"

    def _go_from(self, packet: str) -> None:
        if packet[1:]:
            self._board.debug.set_register(REGISTERS.index("PC"), int(packet[1:], 16))
        self._board.debug.resume()

    def _continue(self, packet: str) -> None:
        self._go_from(packet)
        self.halted = False

    def _step(self, packet: str) -> str:
        self._go_from(packet)
        self._board.run(_CYCLES_PER_STEP)
        self._board.debug.stopped = False
        return _TRAP

    def _detached(self, _packet: str) -> None:
        self._send("OK")
        self._detach()

    def _killed(self, _packet: str) -> None:
        self._detach()
