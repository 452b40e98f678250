"""Lines of an ESP32: what is read, what is counted as broken, and what the numbers become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import numpy as np
import pytest

from max78k.csi import amplitude, filters
from max78k.csi.channel import BREATHS, person, record
from max78k.csi.esp32 import (
    LONGEST_LINE,
    BadRow,
    collect,
    csv_text,
    follow,
    lines_of,
    parse_line,
    read_csv,
)
from max78k.csi.preparation import Preparation, from_json
from max78k.csi.recording import Recording
from max78k.errors import InputError
from max78k.flows.csi_pictures import steps


def line(values: str, clock: int = 5, rssi: int = -40, first: str = "CSI_DATA") -> str:
    columns = [first, "AP", "aa", str(rssi), *["0"] * 14, str(clock), *["0"] * 5, "128"]
    return ",".join([*columns, f"[{values}]"])


def numbers(count: int = 128, start: int = 0) -> str:
    return " ".join(str((start + n) % 100 - 50) for n in range(count))


# --- lines ----------------------------------------------------------------------------------------


def test_values_rssi_and_clock_are_read() -> None:
    packet = parse_line(line(numbers(), clock=77, rssi=-63))
    assert packet is not None
    assert packet.csi.tolist() == [(n % 100) - 50 for n in range(128)]
    assert (packet.rssi, packet.clock_us) == (-63, 77)
    commas = parse_line(line(numbers().replace(" ", ",")).replace("[", '"[') + '"')
    assert commas is not None
    assert np.array_equal(commas.csi, packet.csi)


@pytest.mark.parametrize("text", ["", "type,role,mac", "I (523) wifi: connected", "CSI"])
def test_lines_that_are_no_packets_are_passed_over(text: str) -> None:
    assert parse_line(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (line(numbers())[:-1], "no complete"),
        (line(numbers()).replace("aa,", ""), "number of columns"),
        (line(numbers(127)), "number of values"),
        (line(numbers(127) + " x"), "no number"),
        (line(numbers(127) + " 128"), "beyond 8 bits"),
        (line(numbers(), rssi=900), "signal strength"),
        (line(numbers()).replace(",-40,", ",?,"), "no number"),
    ],
)
def test_broken_packets_say_what_is_wrong(text: str, fault: str) -> None:
    with pytest.raises(BadRow, match=fault):
        parse_line(text)


def test_broken_rows_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    rows = ["type,role", line(numbers()), line(numbers(90)), line(numbers(256)), line(numbers()),
            line(numbers(128, 3)), line("1 2 3"), "CSI_DATA,AP,[1 2", "a log message"]  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows))
    recording = read_csv(path)
    assert len(recording) == 3
    assert recording.bad_rows == {
        "wrong number of values": 2,
        "no complete [...]": 1,
        "not 128 values like most": 1,
    }


def test_a_clock_that_wraps_goes_on() -> None:
    clocks = [(1 << 32) - 20_000, (1 << 32) - 10_000, 0, 10_000, 9_000, 20_000]
    recording = collect("x", [line(numbers(), clock) for clock in clocks])
    assert recording.seconds is not None
    assert np.allclose(recording.seconds, [0, 0.01, 0.02, 0.03, 0.029, 0.04])
    assert recording.rate == pytest.approx(100)


def test_files_without_packets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("type,role\n" + line("1 2"))
    with pytest.raises(InputError, match=r"E-CSI-EMPTY.*1 x wrong number of values"):
        read_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match="E-CSI-FILE"):
        read_csv(tmp_path / "b.csv")


def test_a_serial_port_gives_packets_and_faults() -> None:
    lines = [line(numbers()).encode() + b"\r\n", b"\xff\xfe noise\n", line("1 2").encode()]
    kinds = [type(item).__name__ for item in follow(lines)]
    assert kinds == ["Packet", "BadRow"]


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_lines_are_put_together_from_what_a_port_gives(size: int) -> None:
    text = f"{line(numbers())}\r\n\n{line(numbers(start=9))}\r\nlast".encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(lines_of([b"", *chunks, b""])) == text.split(b"\n")


def test_a_line_without_end_is_cut_and_fills_no_memory() -> None:
    after = line(numbers()).encode()
    given = 0

    def port() -> Iterator[bytes]:
        nonlocal given
        yield b"CSI_DATA,"
        for _ in range(1000):
            given += 4096
            yield bytes(4096)
        yield b"\n" + after + b"\n" + bytes(LONGEST_LINE) + b"y\nz"

    found = lines_of(port())
    first = next(found)
    assert (len(first), first[:9]) == (LONGEST_LINE, b"CSI_DATA,")
    assert given <= LONGEST_LINE + 4096
    assert list(found) == [after, bytes(LONGEST_LINE), b"z"]
    assert [str(one) for one in follow([first])] == ["no complete [...]"]


def test_made_recordings_are_read_back_as_they_were(tmp_path: Path) -> None:
    made = record("sad", person(3), 4, seconds=4)
    (tmp_path / "m.csv").write_text(csv_text(made))
    again = read_csv(tmp_path / "m.csv")
    assert np.array_equal(again.csi, made.csi)
    assert again.rssi is not None
    assert np.array_equal(again.rssi, made.rssi)
    assert made.seconds is not None
    assert again.seconds is not None
    assert np.allclose(again.seconds, made.seconds, atol=2e-6)


# --- arithmetic -----------------------------------------------------------------------------------


def test_square_roots_are_whole_and_exact() -> None:
    values = np.array([0, 1, 2, 3, 4, 8, 15, 16, 17, 2896**2 - 1, 2896**2, (1 << 52) - 1])
    assert amplitude.isqrt(values).tolist() == [isqrt(int(value)) for value in values]


def test_the_network_input_is_the_documented_integer_formula() -> None:
    made = record("angry", person(1), 2, seconds=3)
    preparation = Preparation(window=64, step=64, gain=300)
    got = preparation.of(made)[1]
    carriers = amplitude.live_subcarriers(64).tolist()
    rows = []
    for packet in made.csi[64:128].astype(int).tolist():
        a = [isqrt(256 * (packet[2 * k] ** 2 + packet[2 * k + 1] ** 2)) for k in carriers]
        total = sum(a)
        rows.append([(x * 52 * 1024 + total // 2) // total for x in a])
    for channel in range(52):
        mean = (sum(row[channel] for row in rows) + 32) // 64
        for t, row in enumerate(rows):
            value = ((row[channel] - mean) * 300 + 128) >> 8
            assert got[channel, t] == max(-128, min(127, value))


def test_gain_steps_of_the_receiver_do_not_show() -> None:
    steady = np.tile(np.arange(1, 53) * 20, (100, 1))
    stepped = steady.copy()
    stepped[50:] *= 2
    moving = amplitude.without_mean(amplitude.level(stepped))
    assert np.abs(moving).max() <= 1


def test_a_silent_packet_is_zero() -> None:
    assert amplitude.level(np.zeros((3, 52), np.int64)).max() == 0


def test_the_median_takes_a_broken_packet_out_and_lets_a_step_pass() -> None:
    series = np.repeat([[100, 500], [300, 500]], 6, axis=0).astype(np.int64)
    broken = series.copy()
    broken[3] = (9000, 0)
    found = amplitude.running_median(broken, 5)
    assert found[:, 0].tolist() == [100] * 3 + [300] * 5
    assert found[:, 1].tolist() == [500] * 8
    assert amplitude.running_median(series[:4], 5).shape == (0, 2)


def test_thinned_windows_are_rounded_means() -> None:
    windows = np.arange(24, dtype=np.int64).reshape(1, 12, 2) ** 2
    found = amplitude.thinned(windows, 4)
    for row in range(3):
        for channel in range(2):
            four = [(2 * (4 * row + n) + channel) ** 2 for n in range(4)]
            assert found[0, row, channel] == (sum(four) + 2) // 4


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({"median": 4}, "E-CSI-MEDIAN.*4"),
        ({"median": -1}, "E-CSI-MEDIAN.*-1"),
        ({"thin": 7}, "E-CSI-THIN.*600.*7"),
        ({"thin": 0}, "E-CSI-THIN"),
    ],
)
def test_medians_and_means_that_cannot_be_are_refused(choices: dict[str, int], code: str) -> None:
    with pytest.raises(InputError, match=code):
        Preparation(**choices)  # type: ignore[arg-type]


def test_subcarriers_without_energy_are_left_out() -> None:
    chosen = amplitude.live_subcarriers(64)
    assert len(chosen) == 52
    assert not set(chosen.tolist()) & {0, 5, 32, 59, 63}
    wide = amplitude.live_subcarriers(128)
    assert len(set(wide.tolist())) == 52
    assert set(wide.tolist()) <= {*range(6, 59), *range(66, 123)}
    with pytest.raises(InputError, match=r"E-CSI-SUBCARRIERS.*60.*52"):
        amplitude.live_subcarriers(64, 60)


def test_spikes_go_and_steps_stay() -> None:
    values = np.zeros((60, 2))
    values[30:, 0] = 10.0
    values[20, 1] = 99.0
    cleaned, count = filters.hampel(values + np.random.default_rng(0).normal(0, 0.1, values.shape))
    assert count >= 1
    assert abs(cleaned[20, 1]) < 1
    assert cleaned[40, 0] > 9
    assert cleaned[10, 0] < 1


def test_the_filter_passes_breath_and_stops_noise() -> None:
    t = np.arange(1000) / 100
    slow, fast = np.sin(2 * np.pi * 0.3 * t), np.sin(2 * np.pi * 30 * t)
    got = filters.lowpass((slow + fast)[:, None], 100, 5)[:, 0]
    assert np.abs(got - slow)[100:-100].max() < 0.02
    for rate, cutoff in ((100, 50), (100, 0), (100, -3)):
        with pytest.raises(InputError, match="E-CSI-CUTOFF"):
            filters.lowpass(slow[:, None], rate, cutoff)


def test_uneven_packets_are_brought_to_even_times() -> None:
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0, 10, 800))
    values = np.stack([times * 3, 7 - times], axis=1)
    even, at = filters.resample(values, times, 50)
    assert np.allclose(np.diff(at), 0.02)
    assert np.allclose(even[:, 0], at * 3)
    assert np.allclose(even[:, 1], 7 - at)


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({"rate": float("nan")}, "E-CSI-RATE.*nan"),
        ({"rate": -5.0}, "E-CSI-RATE.*-5"),
        ({"rate": 1e9}, r"E-CSI-RATE.*1e\+09"),
        ({"cutoff": float("nan")}, "E-CSI-CUTOFF.*nan"),
        ({"cutoff": -1.0}, "E-CSI-CUTOFF.*-1"),
    ],
)
def test_rates_and_cutoffs_that_cannot_be_are_refused(choices: dict[str, float], code: str) -> None:
    with pytest.raises(InputError, match=code):
        Preparation(**choices)  # type: ignore[arg-type]


def test_lost_packets_are_told_by_the_clock() -> None:
    every = np.arange(200) / 100
    csi = np.ones((200, 128), np.int8)
    kept = np.delete(np.arange(200), [20, 21, 90])
    assert Recording("whole", csi, every).lost == 0
    assert Recording("with holes", csi[kept], every[kept]).lost == 3
    assert Recording("without a clock", csi).lost == 0


def test_pictures_show_every_step_that_was_asked_for() -> None:
    recording = record("happy", person(1), 2, seconds=5.0)
    names = list(steps(recording, Preparation(window=100)))
    assert names[1:3] == ["52 subcarriers with a signal", "every packet at the same level"]
    assert "input of the network" in names[3] and "transformer" in names[4]
    chosen = Preparation(window=100, spikes=True, rate=50, cutoff=5, median=3, form="image")
    pictures = steps(recording, chosen)
    for word in ("spikes replaced", "50 packets/s", "above 5 Hz", "median", "log spectrogram"):
        assert sum(word in name for name in pictures) == 1, word
    even = next(values for name, values in pictures.items() if name == "50 packets/s")
    assert even.shape[0] == 52 and abs(even.shape[1] - 250) < 5
    assert np.array_equal(
        pictures["median of the last 3"].T, chosen.series(recording).astype(np.float64)
    )


def test_choices_are_kept_as_text() -> None:
    chosen = Preparation(window=100, step=20, form="image", gain=77, spikes=True)
    assert from_json(chosen.to_json()) == chosen
    older = json.loads(chosen.to_json())
    del older["median"], older["thin"]
    assert from_json(json.dumps(older)) == chosen
    for text in ("", "{}", '{"window": 3}', "[]"):
        with pytest.raises(InputError, match="E-CSI-PREPARATION"):
            from_json(text)


def test_packets_of_another_bandwidth_are_not_taken_for_those_that_were_learnt_from() -> None:
    chosen = Preparation(window=16, subcarriers=64)
    assert from_json(chosen.to_json()) == chosen
    assert len(chosen.series(Recording("r", np.ones((20, 128), np.int8)))) == 20
    with pytest.raises(InputError, match=r"E-CSI-SUBCARRIERS.*wide has 128.*64"):
        chosen.series(Recording("wide", np.ones((20, 256), np.int8)))
    with pytest.raises(InputError, match="E-CSI-SUBCARRIERS"):
        Preparation(subcarriers=52)
    before = json.loads(chosen.to_json())
    del before["subcarriers"]  # a network from before
    assert len(from_json(json.dumps(before)).series(Recording("w", np.ones((20, 256), np.int8))))


def test_a_rate_needs_a_clock() -> None:
    recording = Recording("r", np.ones((100, 128), np.int8))
    with pytest.raises(InputError, match=r"E-CSI-CLOCK.*r has no"):
        Preparation(rate=50).series(recording)
    with pytest.raises(InputError, match="E-CSI-CLOCK"):
        Preparation(cutoff=5).series(recording)


# --- the made room --------------------------------------------------------------------------------


@pytest.mark.parametrize("emotion", list(BREATHS))
def test_the_rate_of_breathing_stands_in_the_amplitudes(emotion: str) -> None:
    who = person(11)
    made = record(emotion, who, 5, seconds=120, loss=0.0, noise=0.2)
    series = amplitude.level(amplitude.amplitudes(made, amplitude.live_subcarriers(64)))
    moving = (series - series.mean(axis=0))[::10]
    power = (np.abs(np.fft.rfft(moving * np.hanning(len(moving))[:, None], axis=0)) ** 2).sum(
        axis=1
    )
    frequency = np.fft.rfftfreq(len(moving), 0.1)
    band = (frequency > 0.12) & (frequency < 1.0)
    centre = float((frequency * power)[band].sum() / power[band].sum())
    expected = BREATHS[emotion].per_minute * who.rate_factor / 60
    assert 0.6 * expected < centre < 2.0 * expected  # harmonics lie above the rate


def test_made_recordings_depend_on_the_seed_alone() -> None:
    first, again = (record("happy", person(1), 9, seconds=5) for _ in range(2))
    other = record("happy", person(1), 10, seconds=5)
    assert np.array_equal(first.csi, again.csi)
    assert not np.array_equal(first.csi[:100], other.csi[:100])
    assert len(first) < 500  # packets are lost
