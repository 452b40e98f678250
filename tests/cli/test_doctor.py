"""``doctor`` and ``ports``: what is there, what is not, and how to mend it."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest
from command import run
from fake_device import FakeBoard, on_terminal
from serial.tools import list_ports as system

from max78k.cli import doctor
from max78k.host import usb_devices


@pytest.fixture
def machine(monkeypatch):
    """Sets the ports that the system lists; there are no other devices."""
    monkeypatch.delenv("MAX78K_PORT", raising=False)
    monkeypatch.setattr(usb_devices.without_ports, "__defaults__", (usb_devices.Path("/none"),))

    def has(*entries):
        ports = [
            SimpleNamespace(device=device, description=text, vid=vid, pid=pid, product=None,
                            interface=None, serial_number="0409")
            for device, text, vid, pid in entries
        ]  # fmt: skip
        monkeypatch.setattr(system, "comports", lambda: ports)

    has()
    return has


def test_ports_names_what_is_there(capsys, machine):
    machine(
        ("COM3", "USB Serial", 0x1A86, 0x7523),
        ("COM4", "nRF Connect", 0x1915, 0xC00A),
        ("COM12", "mbed", 0x0D28, 0x0204),
        ("COM1", "Communications Port", None, None),
    )
    lines = run(capsys, "ports").out.splitlines()
    assert lines[0].startswith("* COM12  DAPLink probe") and "0D28:0204 0409" in lines[0]
    assert any("COM3  CH340" in line and "ESP32" in line for line in lines)
    assert any("COM4  Power Profiler Kit II" in line for line in lines)
    assert any("COM1  Communications Port" in line for line in lines)
    assert not any("sim" in line for line in lines)


def test_without_a_board_ports_points_to_the_virtual_one(capsys, machine):
    assert "`--port sim`" in run(capsys, "ports").out


def test_meters_without_a_port_are_found_in_the_system_tree(tmp_path):
    def device(name, vendor, product, words):
        (tmp_path / name).mkdir()
        for file, text in (("idVendor", vendor), ("idProduct", product), ("product", words)):
            (tmp_path / name / file).write_text(text + "\n")

    device("1-1", "16d0", "ffff", "Joulescope JS110")
    device("1-2", "1915", "c00a", "PPK2")
    (tmp_path / "1-2" / "1-2:1.1" / "ttyACM0").mkdir(parents=True)
    device("1-3", "ffff", "ffff", "keyboard")
    device("1-4", "what", "ever", "Joulescope")
    (tmp_path / "usb1").mkdir()
    found = usb_devices.without_ports(tmp_path)
    (meter,) = (item for item in found if item.usb_id == "16D0:FFFF")
    assert (meter.name, len(found)) == ("Joulescope", 1)


def test_doctor_names_every_need_with_its_remedy(capsys, machine, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    outcome = run(capsys, "doctor", "--json")
    data = json.loads(outcome.out)
    assert outcome.code == 0
    assert data["found"]["Python"] and not data["found"]["openocd"] and not data["found"]["board"]
    missing = [item for item in data["findings"] if item["state"] != "ok"]
    assert all(item["remedy"] for item in missing)


def test_a_python_that_is_too_old_is_wrong(capsys, machine, monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST", (9, 9))
    outcome = run(capsys, "doctor")
    assert outcome.code == 2 and "wrong   Python" in outcome.out


pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


@pytest.fixture
def terminal():
    with on_terminal(FakeBoard()) as path:
        yield path


def test_a_probe_that_udev_keeps_from_the_user_is_told_with_the_rule(
    capsys, machine, monkeypatch, tmp_path
):
    system_tree, devices = tmp_path / "sys", tmp_path / "dev"
    entry = system_tree / "1-2"
    (entry / "1-2:1.0" / "0003" / "hidraw" / "hidraw0").mkdir(parents=True)
    for name, text in (("idVendor", "0d28"), ("idProduct", "0204"), ("busnum", "1"),
                       ("devnum", "7")):  # fmt: skip
        (entry / name).write_text(text)
    whole = devices / "bus" / "usb" / "001" / "007"
    whole.parent.mkdir(parents=True)
    whole.touch()
    (devices / "hidraw0").touch()
    allowed = set()
    monkeypatch.setattr(usb_devices.os, "access", lambda file, mode: file in allowed)
    assert usb_devices.closed_probes(system_tree, devices) == [whole]
    allowed.add(devices / "hidraw0")
    assert usb_devices.closed_probes(system_tree, devices) == []
    monkeypatch.setattr(usb_devices, "closed_probes", lambda: [whole])
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/openocd")
    outcome = run(capsys, "doctor")
    assert outcome.code == 2
    assert str(whole) in outcome.out and usb_devices.UDEV_RULE in outcome.out
    page = usb_devices.Path(__file__).parents[2] / "docs" / "start-with-board.md"
    assert usb_devices.UDEV_RULE in page.read_text("utf-8")


@pty
def test_doctor_asks_the_board_for_its_firmware(capsys, machine, terminal):
    machine((terminal, "mbed", 0x0D28, 0x0204))
    outcome = run(capsys, "doctor")
    assert outcome.code == 0
    assert (
        "firmware           1.0, protocol 1 (this max78k: 1), network fake (cafef00d), 100 MHz"
        in (outcome.out)
    )


@pty
def test_a_port_that_may_not_be_opened_says_how_to_be_allowed(
    capsys, machine, terminal, monkeypatch
):
    machine((terminal, "mbed", 0x0D28, 0x0204))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    outcome = run(capsys, "doctor")
    assert outcome.code == 2
    assert "E-PORT-PERMISSION" in outcome.out and "usermod -aG" in outcome.out


def test_a_port_that_is_missing_is_wrong(capsys, machine):
    outcome = run(capsys, "doctor", "--port", "COM99")
    assert outcome.code == 2
    assert "E-PORT-MISSING" in outcome.out
