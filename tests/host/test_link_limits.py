"""How long the link waits for an answer: enough for the rate and for a slow board, not for ever."""

from __future__ import annotations

from fake_device import FakeBoard, FakeClock, FakePort
from link_rig import failure, rig, sample

from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.messages import Type


def test_time_limits_grow_with_length_at_a_low_rate():
    device, board, port, _ = rig()
    port.baudrate = board.baud = 1200
    board.good_rates = (1200,)

    def slow(number, data):
        return [(10 * len(data) / 1200, data)]

    port.to_host = slow
    with device:
        device.infer(sample(100))
        assert device.retries == 0


def test_short_limits_end_soon():
    device, _, port, clock = rig()
    port.board = None
    device._exchange.timing = Timing(hello_s=0.05, connect_s=0.1)
    start = clock()
    failure("E-LINK-SILENT", device.__enter__)
    assert clock() - start < 2


def test_an_answer_that_lay_in_the_buffer_at_the_end_of_its_time_is_in_time():
    """A machine under load may not let a program run for longer than any limit."""
    clock = FakeClock()
    port = FakePort(FakeBoard(), clock)
    looks = []

    def halting():
        looks.append(port.writes)
        if looks.count(port.writes) == 2:  # the limit is known, the port not yet looked at
            clock.sleep(60.0)
        return clock()

    with Device(port, clock=halting, sleep=clock.sleep) as device:
        device.infer(sample(100))
        assert device.link_report(ask_board=False).faults == {}


def test_a_board_that_starts_slowly_is_found_without_a_fault():
    """Replies to earlier greetings come late, at another rate, whole or cut: nothing is lost."""
    device, board, port, clock = rig()
    port.to_host = lambda _, data: [(0.9 if data[2] == Type.HELLO | 0x80 else 0.0, data)]
    start = clock()

    def at_any_rate(data):
        port.baudrate, rate = board.baud, port.baudrate
        deliver(data)
        port.baudrate = rate

    deliver, port._deliver = port._deliver, at_any_rate  # as a pseudo-terminal does
    with device:
        assert clock() - start > 0.8
        clock.sleep(2.0)
        device.infer(sample(100))
        assert device.link_report(ask_board=False).faults == {}
        assert device.baud == 115200


def test_patience_with_an_intact_line_ends_when_it_has_lost_something():
    timing = Timing(intact_s=30.0)
    clock = FakeClock()
    lost = []

    def to_host(number, data):
        if number in (3, 4):
            lost.append(clock())
            return []
        return [(20.0 if number == 2 else 0.0, data)]

    port = FakePort(FakeBoard(), clock, to_host=to_host)
    with Device(port, timing=timing, clock=clock, sleep=clock.sleep) as device:
        device.hello()
        assert device.retries == 0  # it took twenty seconds and was waited for
        device.hello()
        assert device.retries == 2
        assert 30 < lost[1] - lost[0] < 31
        assert clock() - lost[1] < 2
