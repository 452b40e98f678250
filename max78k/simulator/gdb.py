"""GDB's remote serial protocol: ``target remote localhost:PORT`` debugs the virtual board.

Served are registers (core, floating point, system), memory, devices, loading of flash, breakpoints,
watchpoints, continue, step, Ctrl-C, detach, and the ``monitor`` commands of
:mod:`max78k.simulator.gdb_monitor`. A crash of the firmware stops it with SIGSEGV. Requests that
are not known get the empty answer, as the protocol asks for.
"""

from __future__ import annotations

import binascii
import socket
from collections.abc import Callable

from max78k.simulator.board import VirtualBoard
from max78k.simulator.debug import CORE, WATCHED
from max78k.simulator.findings import SimulatorError
from max78k.simulator.gdb_monitor import answer
from max78k.simulator.gdb_target import DESCRIPTION, MEMORY_MAP, REGISTERS
from max78k.simulator.tcp import listener

_PACKET_BYTES = 0x2000
_INTERRUPT = b"\x03"
_TRAP, _BY_INTERRUPT, _CRASH = "S05", "S02", "S0b"
_FEATURES = (
    f"PacketSize={_PACKET_BYTES:x};qXfer:features:read+;qXfer:memory-map:read+;"
    "hwbreak+;swbreak+;QStartNoAckMode+"
)
_CORE_NUMBERS = [number for number, register in REGISTERS.items() if register.name in CORE]
_WATCHPOINTS = dict(zip("234", WATCHED, strict=True))
_ESCAPE, _ESCAPED = "}", 0x20
_LONGEST_SLEEP = 1.0  # virtual seconds that a step waits for the core to wake
_CYCLES_PER_STEP = 1e-9  # seconds; less than a cycle, so that one instruction is executed


def _word(text: str) -> int:
    """A register's value: the bytes in memory order."""
    return int.from_bytes(binascii.unhexlify(text), "little")


def _unescaped(text: str) -> bytes:
    """Binary data of a packet."""
    data = bytearray()
    characters = iter(text)
    for character in characters:
        if character == _ESCAPE:
            data.append(ord(next(characters, "\0")) ^ _ESCAPED)
        else:
            data.append(ord(character))
    return bytes(data)


def _frame(text: str) -> bytes:
    data = text.encode("latin-1")
    return b"$" + data + b"#%02x" % (sum(data) & 0xFF)


class GdbServer:
    """One debugger at a time; the board stands while ``halted`` is true.

    Raises ToolError E-BOARD-GDB if the TCP port cannot be opened. Port 0 takes any free one.
    """

    def __init__(self, board: VirtualBoard, port: int) -> None:
        self._board = board
        self._listener = listener(port, "E-BOARD-GDB", "another --gdb PORT")
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._received = b""
        self._acknowledge = True
        self._reason = _TRAP
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
            self._halt(self._stop_reason())

    def crashed(self, error: SimulatorError) -> None:
        """Tell the debugger that the firmware can go no further, and why."""
        self._send("O" + f"{error}\n".encode().hex())
        self._halt(_CRASH)

    def _stop_reason(self) -> str:
        hit = self._board.debug.hit
        return f"T05{hit[0]}:{hit[1]:x};" if hit else _TRAP

    def _detach(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self._received = None, b""
        self._board.debug.clear()
        self.halted = False

    def _halt(self, reason: str) -> None:
        self.halted = True
        self._reason = reason
        self._board.debug.stopped = False
        self._send(reason)

    def _send(self, text: str) -> None:
        self._write(_frame(text))

    def _write(self, data: bytes) -> None:
        if self._client is not None:
            try:
                self._client.sendall(data)
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
            if self._acknowledge:
                self._write(b"+" if good else b"-")
            if good and self._client is not None:
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
            "qXfer:features:read:target.xml:": lambda packet: _part(DESCRIPTION, packet),
            "qXfer:memory-map:read::": lambda packet: _part(MEMORY_MAP, packet),
            "vFlashErase:": self._erase_flash,
            "vFlashWrite:": self._write_flash,
            "vFlashDone": lambda _: "OK",
            "qAttached": lambda _: "1",
            "qRcmd,": self._monitor,
            "QStartNoAckMode": self._no_acknowledge,
        }
        return next((action for name, action in table.items() if packet.startswith(name)), None)

    def _lettered(self, letter: str) -> Callable[[str], str | None]:
        table: dict[str, Callable[[str], str | None]] = {
            "?": lambda _: self._reason,
            "g": lambda _: "".join(self._register(n) for n in _CORE_NUMBERS),
            "G": self._write_registers,
            "p": lambda packet: self._register(int(packet[1:], 16)),
            "P": self._write_register,
            "m": self._read_memory,
            "M": self._write_memory,
            "X": self._write_binary,
            "c": lambda packet: self._continue(packet[1:]),
            "C": lambda packet: self._continue(packet.partition(";")[2]),
            "s": lambda packet: self._step(packet[1:]),
            "S": lambda packet: self._step(packet.partition(";")[2]),
            "Z": lambda packet: self._breakpoint(packet, True),
            "z": lambda packet: self._breakpoint(packet, False),
            "H": lambda _: "OK",
            "D": self._detached,
            "k": self._killed,
        }
        return table.get(letter, lambda _: "")

    def _no_acknowledge(self, _packet: str) -> str:
        self._acknowledge = False
        return "OK"

    def _monitor(self, packet: str) -> str:
        command = binascii.unhexlify(packet.partition(",")[2]).decode("latin-1").strip()
        text = answer(self._board, command)
        return f"{text}\n".encode().hex() if text else "OK"

    def _register(self, number: int) -> str:
        register = REGISTERS[number]
        return register.encoded(self._board.debug.register(register.name))

    def _write_registers(self, packet: str) -> str:
        for place, name in enumerate(CORE):
            text = packet[1 + 8 * place : 9 + 8 * place]
            if len(text) == 8:
                self._board.debug.set_register(name, _word(text))
        return "OK"

    def _write_register(self, packet: str) -> str:
        number, _, value = packet[1:].partition("=")
        self._board.debug.set_register(REGISTERS[int(number, 16)].name, _word(value))
        return "OK"

    def _read_memory(self, packet: str) -> str:
        address, size = (int(part, 16) for part in packet[1:].split(","))
        return self._board.debug.read(address, min(size, _PACKET_BYTES // 2)).hex()

    def _write_memory(self, packet: str) -> str:
        place, _, data = packet[1:].partition(":")
        self._board.debug.write(int(place.partition(",")[0], 16), binascii.unhexlify(data))
        return "OK"

    def _write_binary(self, packet: str) -> str:
        place, _, data = packet[1:].partition(":")
        self._board.debug.write(int(place.partition(",")[0], 16), _unescaped(data))
        return "OK"

    def _erase_flash(self, packet: str) -> str:
        address, size = (int(part, 16) for part in packet.partition(":")[2].split(","))
        self._board.debug.erase_flash(address, size)
        return "OK"

    def _write_flash(self, packet: str) -> str:
        address, _, data = packet.partition(":")[2].partition(":")
        self._board.debug.program_flash(int(address, 16), _unescaped(data))
        return "OK"

    def _breakpoint(self, packet: str, present: bool) -> str:
        kind, address, size = packet[1:].partition(";")[0].split(",")
        debug = self._board.debug
        if kind in _WATCHPOINTS:
            debug.set_watchpoint(_WATCHPOINTS[kind], int(address, 16), int(size, 16), present)
        elif kind in ("0", "1"):
            debug.set_breakpoint(int(address, 16), present)
        else:
            return ""
        return "OK"

    def _go_from(self, place: str) -> None:
        if place:
            self._board.debug.set_register("PC", int(place, 16))
        self._board.debug.resume()

    def _continue(self, place: str) -> None:
        self._go_from(place)
        self.halted = False

    def _step(self, place: str) -> str | None:
        """Execute an instruction; a core that sleeps sleeps on until it wakes."""
        self._go_from(place)
        board = self._board
        try:
            if board.asleep:
                board.run(_LONGEST_SLEEP, until=lambda: not board.asleep)
            board.run(_CYCLES_PER_STEP)
        except SimulatorError as error:
            self.crashed(error)
            return None
        self._reason = self._stop_reason() if board.debug.stopped else _TRAP
        board.debug.stopped = False
        return self._reason

    def _detached(self, _packet: str) -> None:
        self._send("OK")
        self._detach()

    def _killed(self, _packet: str) -> None:
        self._detach()


def _part(text: str, packet: str) -> str:
    """The piece of a document that a packet asks for."""
    start, size = (int(part, 16) for part in packet.rpartition(":")[2].split(","))
    return ("m" if start + size < len(text) else "l") + text[start : start + size]
