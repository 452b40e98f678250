"""A meter beside a benchmark: what comes out for currents that are known."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from max78k.errors import InputError
from max78k.host.meters.afterwards import energy_of_rows
from max78k.host.meters.choose import METERS, choose_meter, open_meter
from max78k.host.meters.meter import MEASURED, STATED, Instrument, Recording
from max78k.host.meters.run import EnergyRun, measuring


@dataclass(frozen=True)
class Times:
    """1 ms of load, 4 ms of run, 2 ms of unload, 1 ms of post-processing."""

    load_us: float = 1000.0
    inference_us: float = 4000.0
    unload_us: float = 2000.0
    post_us: float = 1000.0


TIMES = Times()


@dataclass
class Replayed:
    """A meter that hands over what it was made with."""

    recording: Recording
    instrument: Instrument
    board_trace: Path | None = None

    def open(self) -> None:
        pass

    def start(self) -> None:
        self.started = True

    def stop(self) -> Recording:
        return self.recording

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# 3 V; waits at 2 mA, loads at 10, runs at 30, the rest at 10; a warm-up, then three frames.
STATES = ((0, 2.0, 1000), (1, 10.0, 1), (3, 30.0, 4), (2, 10.0, 3))


def marked(frames=4, scale=(1.0, 1.0, 1.0, 1.0)):
    edges, marks, power = [0.0], [], []
    for frame in range(frames):
        for state, current, milliseconds in STATES:
            edges.append(edges[-1] + milliseconds / 1e3)
            marks.append(state)
            power.append(3.0 * current * (scale[frame] if state else 1.0))
    edges.append(edges[-1] + 1.0)
    recording = Recording(
        np.array(edges), np.array([*power, 6.0]), 3.0, np.array([*marks, 0], dtype=np.uint8)
    )
    return Replayed(recording, Instrument("test", MEASURED, resolution_ma=0.1, sample_s=1e-5))


def measure(meter, frames=3, gap=1.0, times=TIMES):
    clock = Clock()
    run = EnergyRun(meter, 1.0, clock, clock.sleep)
    run.begin()
    for _ in range(frames):
        clock.sleep(gap)
        run.frame(times)
    return run.finish()


def test_energy_of_each_phase_by_the_marks():
    report = measure(marked())
    means = {name: phase.total.mean for name, phase in report.phases.items()}
    assert means == pytest.approx(  # mA * 3 V * s
        {"load": 0.03, "inference": 0.36, "unload": 0.06, "post": 0.03, "other": 0.0, "frame": 0.48}
    )
    assert report.idle_mw == pytest.approx(6.0)
    assert report.phases["inference"].above_idle.mean == pytest.approx(0.36 - 6.0 * 0.004)
    assert report.phases["inference"].resolution_mj == pytest.approx(0.1 * 3 * 0.004)
    assert report.frames == 3 and report.measured_s == pytest.approx(2.024)
    assert np.array(report.frames_mj) == pytest.approx(np.array([(0.36, 0.48)] * 3))


def test_what_the_board_does_after_the_phases_stands_apart():
    @dataclass(frozen=True)
    class Shorter(Times):
        """2.5 of the 3 ms after a run are neither unload nor post-processing."""

        unload_us: float = 300.0
        post_us: float = 200.0

    report = measure(marked(), times=Shorter())
    means = {name: phase.total.mean for name, phase in report.phases.items()}
    assert (means["unload"], means["post"]) == pytest.approx((0.009, 0.006))
    assert means["other"] == pytest.approx(0.075)
    assert sum(means.values()) == pytest.approx(2 * means["frame"])


def test_the_warm_up_does_not_count_and_the_spread_is_that_of_the_frames():
    report = measure(marked(scale=(9.0, 1.0, 1.1, 1.2)))
    total = report.phases["inference"].total
    assert total.mean == pytest.approx(0.36 * 1.1) and total.std == pytest.approx(0.036)
    assert [one for one, _ in report.frames_mj] == pytest.approx([0.36, 0.396, 0.432])


def test_bounds_of_an_estimate_are_carried_through():
    meter = marked()
    low, high = meter.recording.power_mw / 2, meter.recording.power_mw * 2
    meter.recording = Recording(
        meter.recording.edges_s, meter.recording.power_mw, 3.0, meter.recording.marks,
        bounds_mw=(low, high),
    )  # fmt: skip
    report = measure(meter)
    assert report.phases["frame"].bounds_mj == pytest.approx((0.24, 0.96))
    assert "0.24 to 0.96" in "\n".join(report.lines())


def test_too_few_runs_say_which_wires_to_look_at():
    with pytest.raises(InputError, match=r"E-METER-MARKS.*4 runs.*5 inferences.*P2\.6") as caught:
        measure(marked(), frames=5)
    assert caught.value.code == "E-METER-MARKS"


def test_marks_that_do_not_fit_leave_the_clock():
    """Pins that are not connected pick up anything."""
    meter = without_marks()
    marks = np.array([0, 2], dtype=np.uint8)
    meter.recording = dataclasses.replace(meter.recording, marks=marks)
    report = measure(meter, frames=5)
    assert report.phases["frame"].total.mean == pytest.approx(30.0)
    assert "0 runs of the accelerator for 5 inferences" in report.remarks[0]
    assert "P2.6" in report.remarks[0]


def test_marks_that_disagree_with_the_timer_are_remarked():
    meter = marked()
    meter.recording = Recording(
        meter.recording.edges_s * 1.2, meter.recording.power_mw, 3.0, meter.recording.marks
    )
    report = measure(meter)
    assert any("4800 us by the marks, 4000 us by the board" in note for note in report.remarks)
    assert not any("by the marks" in note for note in measure(marked()).remarks)


def test_a_constant_current_needs_no_clock():
    """The seed's figures: 3.16 mA at 5 V; 4 ms of run are 0.0632 mJ."""
    report = measure(choose_meter("constant,ma=3.16,volts=5"))
    assert report.instrument.kind == STATED and report.idle_mw is None
    assert report.phases["inference"].total.mean == pytest.approx(0.0632)
    assert report.phases["frame"].total.mean == pytest.approx(0.1264)
    assert report.phases["frame"].above_idle is None
    assert report.frames_mj[0] == pytest.approx((0.0632, 0.1264))


def without_marks(clock_s=0.002):
    """6 mW while idle (1 s), then 30 mW; the host's clock stands at 50 at the first edge."""
    recording = Recording(
        np.array([0.0, 1.0, 30.0]), np.array([6.0, 30.0]), 3.0, began_s=50.0, clock_s=clock_s
    )
    return Replayed(recording, Instrument("slow", MEASURED, sample_s=0.1))


def test_without_marks_the_energy_is_that_of_the_time_between_answers():
    report = measure(without_marks(), frames=21, gap=0.5)
    assert set(report.phases) == {"frame"} and report.frames == 20
    assert report.phases["frame"].total.mean == pytest.approx(15.0)
    assert report.phases["frame"].above_idle.mean == pytest.approx(12.0)
    assert report.phases["frame"].total.n == 10 and report.sync_s == 0.002
    assert report.measured_s == pytest.approx(10.0)
    assert not any("10 s make" in note for note in report.remarks)
    assert any("0.04 % of it" in note for note in report.remarks)


def test_a_short_run_is_called_short():
    report = measure(without_marks(), frames=3, gap=0.1)
    assert any("10 s make a better figure" in note for note in report.remarks)


def test_a_recording_that_ends_too_early_is_refused():
    with pytest.raises(InputError, match="E-METER-SHORT"):
        measure(without_marks(), frames=40, gap=1.0)
    with pytest.raises(InputError, match="E-METER-SHORT"):
        measure(without_marks(), frames=0)


def test_a_recording_without_marks_and_clock_is_refused():
    meter = without_marks()
    meter.recording = Recording(np.array([0.0, 9.0]), np.array([6.0]), 3.0)
    with pytest.raises(InputError, match="neither marks nor"):
        measure(meter)


def test_a_report_is_plain_json():
    content = json.loads(json.dumps(measure(marked()).to_json()))
    assert content["phases"]["load"]["total"]["n"] == 3
    assert content["instrument"]["kind"] == MEASURED and "frames_mj" not in content


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("volt", "E-METER-KIND"),
        ("", "E-METER-KIND"),
        ("constant", "E-METER-OPTION"),
        ("constant,ma=3", "E-METER-OPTION"),
        ("constant,ma=3,volts=x", "E-METER-OPTION"),
        ("constant,ma=nan,volts=3", "E-METER-OPTION"),
        ("constant,ma=-1,volts=3", "E-METER-OPTION"),
        ("ina219:port,baud=nan", "E-METER-OPTION"),
        ("ina219:port,baud=1e999", "E-METER-OPTION"),
        ("pmon:port,column=nan", "E-METER-OPTION"),
        ("pmon:port,column=1.7", "E-METER-OPTION"),
        ("constant,ma=3,volts=3,amps=1", "E-METER-OPTION"),
        ("csv", "E-METER-OPTION"),
    ],
)
def test_a_meter_that_makes_no_sense_is_refused_with_the_right_form(text, code):
    with pytest.raises(InputError) as caught:
        choose_meter(text)
    assert caught.value.code == code
    assert any(kind.form in caught.value.hint or "--meter" in caught.value.hint
               for kind in METERS.values())  # fmt: skip


# Traces


def trace(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


def test_a_trace_of_our_own_columns(tmp_path):
    path = trace(
        tmp_path,
        "# from the bench\ntime_ms,current_ma,voltage_v,D0,D1,note\n"
        "100,2,3,0,0,a\n110,10,3,1,0,b\n120,30,2,1,1,c\n130,10,3,0,1,d\n140,2,3,0,0,e\n",
    )
    with open_meter(f"csv:{path}") as meter:
        meter.start()
        recording = meter.stop()
    assert recording.edges_s == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.05])
    assert recording.power_mw == pytest.approx([6, 30, 60, 30, 6])
    assert recording.marks.tolist() == [0, 1, 3, 2, 0]
    assert meter.instrument.sample_s == pytest.approx(0.01)


def test_a_trace_of_nordics_program(tmp_path):
    path = trace(
        tmp_path,
        "Timestamp(ms),Current(uA),D0-D7\n0.00,2000,00000000\n0.01,9000,10000000\n"
        "0.02,30000,11000000\n0.03,9000,01000001\n",
    )
    recording = choose_meter(f"csv:{path},volts=3.3").stop()
    assert recording.marks.tolist() == [0, 1, 3, 2]
    assert recording.power_mw == pytest.approx([6.6, 29.7, 99.0, 29.7])


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("# made by hand\ntime_s,volts\n", "E-METER-TRACE", "no time or no current"),
        ("time_s,current_ma,D0,D1\n", "E-METER-TRACE", "no voltage"),
        ("time_s,current_ma,voltage_v\n", "E-METER-MARKS", "D0 and D1"),
    ],
)
def test_what_a_trace_can_never_give_is_said_before_the_run(tmp_path, text, code, what):
    path = trace(tmp_path, text)
    with pytest.raises(InputError, match=what) as caught:
        choose_meter(f"csv:{path}").open()
    assert caught.value.code == code and str(path) in caught.value.message


def test_a_trace_that_is_just_begun_or_not_there_yet_may_still_come(tmp_path):
    choose_meter(f"csv:{tmp_path / 'later.csv'}").open()
    choose_meter(f"csv:{trace(tmp_path, '# begun')}").open()
    choose_meter(f"csv:{trace(tmp_path, 'time_s,current_ma,D0,D1')},volts=3").open()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no time or no current"),
        ("time_s,volts\n1,2\n", "no time or no current"),
        ("time_s,current_ma,voltage_v\n1,2,3\n", "1 samples"),
        ("time_s,current_ma,voltage_v\n1,2,3\n1,2,3\n", "do not ascend"),
        ("time_s,current_ma\n1,2\n2,2\n", "no voltage"),
        ("time_s,current_ma\n1,2\n2\n", "index out of range"),
        ("time_s,current_ma\n1,2\n2,x\n", "could not convert"),
        ("time_s,current_ma\n1,2\n2,inf\n", "no numbers"),
        ("time_s,current_ma,D0-D7\n1,2,00\n2,2,12\n", "invalid literal"),
    ],
)
def test_a_damaged_trace_is_named_with_its_fault(tmp_path, text, what):
    path = trace(tmp_path, text)
    with pytest.raises(InputError, match="E-METER-TRACE") as caught:
        choose_meter(f"csv:{path}").stop()
    assert what in caught.value.message and str(path) in caught.value.message


def test_a_trace_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="E-METER-TRACE"):
        choose_meter(f"csv:{tmp_path / 'no.csv'}").stop()
    with pytest.raises(InputError, match="it is no file"):
        choose_meter(f"csv:{tmp_path}").open()


# The virtual board's model


def test_the_virtual_boards_trace_is_a_recording_with_marks_and_bounds(tmp_path):
    path = trace(
        tmp_path,
        "# estimate at 2 V, bounds; not a measurement\n"
        "kind,start_ms,duration_ms,low_ma,high_ma,marks\nmean,0,1,1,4,\n"
        "pins,5,10,1.0,4.0,0\npins,15,2,3.0,12.0,3\n",
    )
    with open_meter(f"sim:{path}") as meter:
        assert meter.board_trace == path
        recording = meter.stop()
    assert recording.edges_s == pytest.approx([0.0, 0.01, 0.012])
    assert recording.power_mw == pytest.approx([4.0, 12.0])  # 2 V * sqrt(low * high)
    assert recording.marks.tolist() == [0, 3] and recording.voltage_v == 2.0
    assert recording.bounds_mw[0] == pytest.approx([2.0, 6.0])
    assert path.exists()


def test_a_trace_that_nobody_asked_for_goes():
    with open_meter("sim") as meter:
        path = meter.board_trace
        assert path is not None and path.parent.is_dir()
        with pytest.raises(InputError, match="E-BENCH-METER"):
            meter.stop()
    assert not path.parent.exists()


def test_the_virtual_boards_model_is_no_meter_of_a_real_board():
    with pytest.raises(InputError, match="E-BENCH-METER"), measuring("sim", "/dev/ttyACM0"):
        pass
    with measuring(None, "/dev/ttyACM0") as run:
        run.begin()
        run.frame(Times())
        assert run.board_trace is None and run.finish() is None


# Afterwards

ROWS = (
    "index,load_us,inference_us,unload_us,post_us\n0,1000,4000,2000,1000\n1,1000,4000,2000,1000\n"
)


def test_a_trace_gives_the_energies_of_a_benchmark_that_is_over(tmp_path):
    rows = tmp_path / "bench.csv"
    rows.write_text(ROWS)
    lines, now = ["time_ms,current_ma,D0,D1"], 0
    for _ in range(3):
        for state, current, milliseconds in STATES:
            lines.append(f"{now},{current},{state & 1},{state >> 1}")
            now += milliseconds
    path = trace(tmp_path, "\n".join([*lines, f"{now},2,0,0\n"]))
    report = energy_of_rows(rows, f"csv:{path},volts=3")
    assert energy_of_rows(rows.parent, f"csv:{path},volts=3") == report
    assert report.phases["inference"].total.mean == pytest.approx(0.36)
    assert report.phases["unload"].total.mean == pytest.approx(0.06)
    assert report.frames == 2 and report.idle_mw == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("content", "meter", "code"),
    [
        ("a,b\n1,2\n", "csv:x.csv", "E-ENERGY-ROWS"),
        ("", "csv:x.csv", "E-ENERGY-ROWS"),
        (ROWS.replace("4000", "x"), "csv:x.csv", "E-ENERGY-ROWS"),
        (ROWS, "ppk2,volts=3", "E-ENERGY-METER"),
        (ROWS, "sim", "E-ENERGY-METER"),
        (ROWS, "csv:/no/such/file.csv", "E-METER-TRACE"),
    ],
)
def test_what_gives_no_energy_afterwards_is_refused(tmp_path, content, meter, code):
    rows = tmp_path / "bench.csv"
    rows.write_text(content)
    with pytest.raises(InputError) as caught:
        energy_of_rows(rows, meter)
    assert caught.value.code == code


def test_a_trace_without_marks_gives_nothing_afterwards(tmp_path):
    rows = tmp_path / "bench.csv"
    rows.write_text(ROWS)
    path = trace(tmp_path, "time_s,current_ma\n0,1\n1,1\n")
    with pytest.raises(InputError, match="holds no marks"):
        energy_of_rows(rows, f"csv:{path},volts=3")
