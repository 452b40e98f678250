"""The bytes of a port as they passed."""

from __future__ import annotations

from fake_device import FakeBoard, FakeClock, FakePort

from max78k.host import port_log
from max78k.host.link import Device
from max78k.host.port_log import PortLog


def test_what_passes_is_kept_with_its_way_and_the_rate():
    log = PortLog(FakePort(FakeBoard(), FakeClock()))
    with Device(log) as device:
        device.negotiate_baud(230400)
    kinds = [line.split()[1:] for line in log.lines()]
    assert {way for way, _ in kinds} == {">", "<", "="}
    assert ["=", "230400"] in kinds and log.dropped == 0
    assert bytes.fromhex(kinds[0][1]).startswith(b"\0")


def test_the_last_bytes_are_kept_also_where_they_come_one_by_one(monkeypatch):
    """Each costs more memory than itself."""
    monkeypatch.setattr(port_log, "MOST_BYTES", 10_000)
    port = FakePort(None, FakeClock())
    port.push(bytes(range(250)) * 4)
    log = PortLog(port)
    for _ in range(1000):
        log.read(1)
    kept = [line.split()[2] for line in log.lines()]
    assert kept[-1] == "f9" and 10 < len(kept) < 200
    assert log.dropped == 1000 - len(kept)
