"""Frames, energies and statistics of a recording: cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from max78k.host.meters import phases
from max78k.host.meters.phases import AFTER, LOAD, RUN, WAITING


def recording(*spans):
    """Edges and marks of (seconds, state) in a row."""
    edges = np.concatenate(([0.0], np.cumsum([seconds for seconds, _ in spans])))
    return edges, np.array([state for _, state in spans], dtype=np.uint8)


def test_a_frame_is_load_run_and_what_follows():
    edges, marks = recording((1, WAITING), (2, LOAD), (4, RUN), (8, AFTER), (1, WAITING))
    frames = phases.frames_from_marks(edges, marks)
    assert (frames.load, frames.run, frames.unload, frames.done) == (1, 3, 7, 15)


def test_samples_of_one_state_are_one_phase_and_other_pins_do_not_matter():
    edges = np.arange(7.0)
    frames = phases.frames_from_marks(edges, np.array([0, 0x81, 1, 0x43, 3, 2], dtype=np.uint8))
    assert frames.load.tolist() == [1.0] and frames.run.tolist() == [3.0]
    assert frames.unload.tolist() == [5.0] and frames.done.tolist() == [6.0]


def test_a_run_that_the_recording_cuts_off_is_left_out():
    edges, marks = recording((1, RUN), (1, AFTER), (1, WAITING), (1, LOAD), (2, RUN))
    assert not len(phases.frames_from_marks(edges, marks).run)


def test_back_to_back_frames_share_no_time():
    states = [WAITING, LOAD, RUN, AFTER, LOAD, RUN, AFTER, WAITING]
    frames = phases.frames_from_marks(*recording(*((1, state) for state in states)))
    assert frames.load.tolist() == [1, 4] and frames.done.tolist() == [4, 7]


def test_no_marks_make_no_frames():
    assert not len(phases.frames_from_marks(np.arange(4.0), np.zeros(3, dtype=np.uint8)).run)
    assert not len(phases.frames_from_marks(np.array([0.0]), np.zeros(0, dtype=np.uint8)).run)


def test_energy_is_power_times_time_also_within_a_sample():
    """10 mW for 2 s, 30 mW for 1 s: from 1 s to 2.5 s that is 10 mJ + 15 mJ."""
    edges, power = np.array([0.0, 2.0, 3.0]), np.array([10.0, 30.0])
    begin, end = np.array([0.0, 1.0, 2.0]), np.array([3.0, 2.5, 2.0])
    assert phases.energy_mj(edges, power, begin, end) == pytest.approx([50.0, 25.0, 0.0])


def test_mean_power_needs_the_whole_window():
    edges, power = np.array([0.0, 2.0, 3.0]), np.array([10.0, 30.0])
    assert phases.mean_power_mw(edges, power, 1.0, 3.0) == pytest.approx(20.0)
    assert phases.mean_power_mw(edges, power, 1.0, 3.1) is None
    assert phases.mean_power_mw(edges, power, 1.0, 1.0) is None


def test_the_longest_wait_before_the_first_frame_is_the_idle_one():
    edges, marks = recording((1, WAITING), (1, RUN), (8, WAITING), (1, RUN), (20, WAITING))
    assert phases.waiting_window(edges, marks, 10.0).tolist() == [4.0, 8.0]
    assert phases.waiting_window(edges, marks, 0.5) is None


def test_batches_hold_as_many_frames_each():
    moments, frames = phases.batch_edges(list(range(22)), 10)
    assert moments[0] == 0 and moments[-1] == 21 and len(frames) == 10
    assert frames.sum() == 21 and set(frames) == {2.0, 3.0}
    moments, frames = phases.batch_edges([0.0, 5.0, 7.0], 10)
    assert moments.tolist() == [0, 5, 7] and frames.tolist() == [1, 1]


def test_statistics_of_a_few_values():
    """2, 4, 9: mean 5, deviations -3, -1, 4; t(2 degrees, 97.5 %) = 4.302653."""
    result = phases.statistics([2.0, 4.0, 9.0])
    assert (result.n, result.mean, result.least, result.most) == (3, 5.0, 2.0, 9.0)
    assert result.std == pytest.approx(13**0.5)
    assert result.interval == pytest.approx(4.302653 * 13**0.5 / 3**0.5, rel=1e-6)


def test_one_value_has_no_spread():
    result = phases.statistics([7.0])
    assert (result.mean, result.std, result.interval) == (7.0, None, None)
