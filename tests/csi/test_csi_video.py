"""Faces beside CSI: the frame of a window's own time, files that belong together, a teacher."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from face_network import write_face_network

from max78k.cli.main import cli
from max78k.csi import pairing
from max78k.csi.channel import person, record
from max78k.csi.clocks import Clock, read_moments
from max78k.csi.collection import Collection, Labelled
from max78k.csi.preparation import Preparation
from max78k.csi.recording import Recording
from max78k.csi.splits import Split
from max78k.csi.video import frame_times, pictures_at
from max78k.csi.windows import Windows, make_windows, read_windows, write_windows
from max78k.datasets.arrays import load_npz
from max78k.datasets.face_traits import EMOTIONS
from max78k.datasets.faces import faces
from max78k.errors import InputError
from max78k.flows.csi_making import make_folder
from max78k.flows.csi_vit import _read_frames

NAMES = ("happy", "sad")
FRAMES = 40
STEP = 6  # grey levels from frame to frame


def write_video(path: Path, pictures: list[np.ndarray], rate: float = 10.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    code = cv2.VideoWriter_fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), code, rate, (96, 64))
    for one in pictures:
        writer.write(one)
    writer.release()
    return path


def counting_video(path: Path, count: int = FRAMES, rate: float = 10.0) -> Path:
    """Frame n is grey level n * STEP."""
    return write_video(path, [np.full((64, 96, 3), STEP * n, np.uint8) for n in range(count)], rate)


def counted(pictures: np.ndarray) -> list[int]:
    return np.rint(pictures.mean(axis=(1, 2, 3)) / STEP).astype(int).tolist()


def prepared(preparation: Preparation) -> Windows:
    recordings = tuple(
        Labelled(
            Recording(f"{NAMES[n % 2]}/r{n // 2}.csv", made.csi, made.seconds), n % 2, str(n // 2)
        )
        for n in range(4)
        for made in [record(NAMES[n % 2], person(n), n, seconds=4.0)]
    )
    return make_windows(Collection("room", NAMES, recordings), preparation, Split("subject"))


@pytest.fixture(scope="module")
def windows() -> Windows:
    return prepared(Preparation(window=100, step=50))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in NAMES:
        for number in range(2):
            counting_video(folder / name / f"r{number}.mp4")
    return folder


def frames_of(windows: Windows, videos: Path, **choices: object) -> pairing.Pairs:
    found = pairing.match_videos(windows, videos, "name")
    return pairing.pair(windows, found, pairing.PairChoices(**choices))  # type: ignore[arg-type]


def retimed(path: Path, out: Path, first: int, slower: int) -> Path:
    """An mp4 whose frames from ``first`` on last so many times as long: another stts table."""
    data = bytearray(path.read_bytes())
    place = data.find(b"stts") - 4
    count, delta = struct.unpack(">II", data[place + 16 : place + 24])
    table = struct.pack(">I4sII", 32, b"stts", 0, 2)
    table += struct.pack(">IIII", first, delta, count - first, slower * delta)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = data.find(box) - 4
        size = struct.unpack(">I", data[start : start + 4])[0]
        data[start : start + 4] = struct.pack(">I", size + len(table) - 24)
    data[place : place + 24] = table
    out.write_bytes(data)
    return out


def test_frames_have_the_times_of_the_file_not_of_a_nominal_rate(tmp_path: Path) -> None:
    even = counting_video(tmp_path / "even.mp4", 20)
    assert frame_times(even) == pytest.approx(np.arange(20) / 10)
    times = frame_times(retimed(even, tmp_path / "uneven.mp4", 8, 3))
    assert len(times) > 10
    assert np.diff(times[:9]) == pytest.approx(0.1)
    assert np.diff(times[8:]) == pytest.approx(0.3)
    for number, picture in pictures_at(even, (3, 17)):
        assert round(picture.mean() / STEP) == number


def test_times_beside_the_video_count_before_its_own(tmp_path: Path) -> None:
    video = counting_video(tmp_path / "v.avi", 5)
    beside = tmp_path / "v.avi.times"
    beside.write_text("0.5\n0.7\n1.5,\n1.5\n4\n")
    assert frame_times(video).tolist() == [0.5, 0.7, 1.5, 1.5, 4.0]
    beside.write_text("# timestamp format v2\n0\n40\n80\n120\n500\n")
    assert frame_times(video) == pytest.approx([0, 0.04, 0.08, 0.12, 0.5])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0\n1\n2\n3\n", r"E-VIDEO-TIMES.*4 times for 5 frames"),
        ("0\n1\n1.5\n1.25\n3\n", r"E-VIDEO-ORDER.*frame 3.*1\.250 s.*1\.500"),
        ("0\n1\nx\n3\n4\n", "E-VIDEO-TIMES"),
        ("0\n1\nnan\n3\n4\n", r"E-VIDEO-TIMES.*finite"),
        ("0\n0\n0\n0\n0\n", r"E-VIDEO-TIMES.*no times"),
    ],
)
def test_frames_without_true_times_are_refused(text: str, code: str, tmp_path: Path) -> None:
    video = counting_video(tmp_path / "v.avi", 5)
    (tmp_path / "v.avi.times").write_text(text)
    with pytest.raises(InputError, match=code):
        frame_times(video)


def test_files_without_frames_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"nothing")
    for name in ("v.mp4", "none.mp4"):
        with pytest.raises(InputError, match="E-VIDEO-FILE"):
            frame_times(tmp_path / name)
    video = counting_video(tmp_path / "short.avi", 5)
    with pytest.raises(InputError, match=r"E-VIDEO-FILE.*frame 9"):
        list(pictures_at(video, (2, 9)))


def test_a_window_gets_the_frame_of_its_own_time(windows: Windows, videos: Path) -> None:
    pairs = frames_of(windows, videos)
    assert pairs.left_out == {}
    for part, split in pairs.faces.parts().items():
        wanted = windows.seconds[part].mean(axis=1)
        assert np.array_equal(split.labels, windows.data.parts()[part].labels)
        assert np.abs(np.array(counted(split.inputs)) - 10 * wanted).max() <= 0.51
        assert counted(split.inputs) == pairs.frames[part].tolist()
        assert pairs.apart[part].max() <= 0.0501
        assert len(set(pairs.frames[part].tolist())) > 3


def test_the_moment_and_the_offset_move_the_frame(windows: Windows, videos: Path) -> None:
    middle = frames_of(windows, videos)
    begin, end = (frames_of(windows, videos, at=at, tolerance=1.0) for at in ("begin", "end"))
    late = frames_of(windows, videos, clock=Clock(0.4), tolerance=0.06)
    for part in ("train", "test"):
        assert (begin.frames[part] < middle.frames[part]).all()
        assert (end.frames[part] > middle.frames[part]).all()
        assert np.abs(begin.times[part] - windows.seconds[part][:, 0]).max() <= 0.0501
        rows = min(len(late.frames[part]), len(middle.frames[part]))
        assert (late.frames[part][:rows] - middle.frames[part][:rows]).min() >= 3
    slow = frames_of(windows, videos, clocks={n: Clock(0.4) for n in windows.recordings})
    assert np.array_equal(slow.frames["test"], late.frames["test"])


def test_windows_without_a_frame_are_counted_and_left_out(windows: Windows, videos: Path) -> None:
    pairs = frames_of(windows, videos, clock=Clock(1.5))
    total = sum(len(groups) for groups in windows.groups.values())
    kept = sum(len(one) for one in pairs.frames.values())
    assert pairs.left_out == {pairing.NO_FRAME: total - kept}
    assert 0 < kept < total
    for part, split in pairs.windows.data.parts().items():
        seconds = windows.seconds[part]
        rows = np.flatnonzero(seconds.mean(axis=1) + 1.5 <= 4.0)
        assert np.array_equal(pairs.windows.seconds[part], seconds[rows])
        assert np.array_equal(split.inputs, windows.data.parts()[part].inputs[rows])
    with pytest.raises(InputError, match=r"E-CSI-PAIR.*frames at 0\.00 \.\.\. 3\.90 s"):
        frames_of(windows, videos, clock=Clock(-60.0))


def test_resampled_and_filtered_windows_keep_their_times() -> None:
    made = record("sad", person(1), 1, seconds=4.0)
    assert made.seconds is not None
    for chosen in (
        Preparation(window=60, step=30, rate=50.0),
        Preparation(window=60, step=30, median=5),
        Preparation(window=60, step=30, thin=2),
    ):
        spans = chosen.window_seconds(made)
        assert len(spans) == len(chosen.cut(chosen.series(made)))
        start = made.seconds[chosen.median - 1]
        assert spans[0, 0] == pytest.approx(start)
    even = Preparation(window=60, step=30, rate=50.0).window_seconds(made)
    assert even[:, 1] - even[:, 0] == pytest.approx(59 / 50)
    assert np.diff(even[:, 0]) == pytest.approx(30 / 50)


def test_windows_without_true_times_are_refused(windows: Windows, videos: Path) -> None:
    from dataclasses import replace

    for change, code in (
        (lambda span: span * np.nan, "E-CSI-CLOCK"),
        (lambda span: span[::-1], "E-CSI-ORDER"),
        (lambda span: span[:, ::-1], "E-CSI-ORDER"),
    ):
        wrong = replace(windows, seconds={k: change(v) for k, v in windows.seconds.items()})
        with pytest.raises(InputError, match=code):
            frames_of(wrong, videos)
    with pytest.raises(InputError, match="E-CSI-REVERSE"):
        frames_of(replace(windows, reverse="same"), videos)


def test_sorted_names_bring_files_together(windows: Windows, tmp_path: Path) -> None:
    for name in NAMES:
        for number, video in enumerate(("b.avi", "a.avi")):
            grey = [np.full((64, 96, 3), 100 * number + 50, np.uint8)] * FRAMES
            write_video(tmp_path / name / f"teacher_data_{name}" / video, grey)
    with pytest.raises(InputError, match="E-CSI-VIDEO"):
        pairing.match_videos(windows, tmp_path, "name")
    found = pairing.match_videos(windows, tmp_path, "sorted")
    by_name = {windows.recordings[number]: path.name for number, path in found.items()}
    assert by_name == {f"{name}/r{n}.csv": "ab"[n] + ".avi" for name in NAMES for n in (0, 1)}
    pairs = pairing.pair(windows, found, pairing.PairChoices())
    for part, groups in pairs.windows.groups.items():
        first = np.array([windows.recordings[n].endswith("r0.csv") for n in groups])
        grey = pairs.faces.parts()[part].inputs.mean(axis=(1, 2, 3))
        assert np.abs(grey - np.where(first, 150, 50)).max() < 5
    (tmp_path / "sad" / "teacher_data_sad" / "a.avi").unlink()
    with pytest.raises(InputError, match=r"E-CSI-PAIRING.*1 videos for 2 recordings of sad"):
        pairing.match_videos(windows, tmp_path, "sorted")
    with pytest.raises(InputError, match=r"E-CSI-PAIRING.*sad has no folder happy"):
        pairing.match_videos(windows, tmp_path / "sad", "sorted")


def test_a_recording_has_one_video_and_may_have_none(windows: Windows, tmp_path: Path) -> None:
    for place in ("happy/r0.avi", "sad/deep/r0.avi", "sad/r1.avi"):
        counting_video(tmp_path / place, 2)
    found = pairing.match_videos(windows, tmp_path, "name")
    assert {windows.recordings[n]: path.name for n, path in found.items()} == {
        "happy/r0.csv": "r0.avi", "sad/r0.csv": "r0.avi", "sad/r1.csv": "r1.avi",
    }  # fmt: skip
    counting_video(tmp_path / "sad/other/r1.avi", 2)
    with pytest.raises(InputError, match=r"E-CSI-VIDEO.*both"):
        pairing.match_videos(windows, tmp_path, "name")


def test_moments_seen_in_both_give_offset_and_drift(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    head = "recording,csi_seconds,video_seconds\n"
    path.write_text(head + "a,2,5\nb,0,1\nb,1000,1000.9\n")
    clocks = read_moments(path, ("a", "b", "c"))
    assert set(clocks) == {"a", "b"}
    assert clocks["a"] == Clock(3.0)
    assert clocks["b"].video(np.array([500.0])) == pytest.approx([500.95])
    for rows, code in (
        ("a,0,0\na,100,101\n", r"E-CSI-DRIFT.*1\.0100 times"),
        ("a,0,0\na,500,500.6\na,1000,1000\n", r"E-CSI-DRIFT.*0\.40 s off"),
        ("d,0,0\n", r"E-CSI-MOMENTS.*no recording d"),
        ("a,x,0\n", "E-CSI-MOMENTS"),
        ("a,0\n", "E-CSI-MOMENTS"),
    ):
        path.write_text(head + rows)
        with pytest.raises(InputError, match=code):
            read_moments(path, ("a", "b", "c"))
    path.write_text("a,0,0\n")
    with pytest.raises(InputError, match="E-CSI-MOMENTS"):
        read_moments(path, ("a",))


PLAIN = """
from torch import nn

class Plain(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.AdaptiveAvgPool2d(12), nn.Flatten(), nn.Linear(144, classes))
"""


def plain_teacher(folder: Path, data: object) -> tuple[object, ...]:
    """A training run of a plain network, and the words that name its class."""
    (folder / "plain.py").write_text(PLAIN)
    network = ("--network", f"{folder / 'plain.py'}:Plain")
    run("train-qat", *network, "--epochs", 3, "--batch-size", 16, "--data", data,
        "--out", folder / "teacher")  # fmt: skip
    return folder / "teacher", *network


def run(*arguments: object, fails: bool = False) -> Result:
    outcome = CliRunner().invoke(cli, [*map(str, arguments)])
    assert (outcome.exit_code != 0) == fails, outcome.output
    return outcome


def drawn_videos(folder: Path, room: Path) -> None:
    """Drawn faces of the class's emotion on black, ten a second; the last frames show nobody."""
    pictures, labels = faces(140, 1)
    for recording in sorted(room.rglob("*.csv")):
        emotion = recording.parent.name
        shown = pictures[labels == EMOTIONS.index(emotion)][:, 0]
        frames = []
        for number in range(30):
            frame = np.zeros((64, 96, 3), np.uint8)
            if number < 25:
                face = cv2.resize(shown[number % len(shown)], (32, 32))
                frame[32:64, 32:64] = np.maximum(face, 190)[..., None]
            frames.append(frame)
        write_video(folder / emotion / f"{recording.stem}.avi", frames)


def test_the_commands_go_from_videos_to_a_taught_network(tmp_path: Path) -> None:
    room, videos, pairs = tmp_path / "room", tmp_path / "videos", tmp_path / "pairs"
    make_folder(room, 2, 1, 3.0, 1, lambda steps, note: None)
    drawn_videos(videos, room)
    run("csi", "prepare", room, "--split", "subject", "--window", 100, "--step", 20,
        "--out", tmp_path / "w.npz")  # fmt: skip
    finder = write_face_network(tmp_path / "faces.onnx")
    words = ("csi", "pair", tmp_path / "w.npz", videos, "--json")
    said = json.loads(
        run(*words, "--out", pairs, "--faces", finder, "--draw", tmp_path / "s.png").stdout
    )
    assert set(said["left_out"]) <= {pairing.NO_FACE, pairing.NO_FRAME}
    assert (tmp_path / "s.png").stat().st_size > 1000
    windows = read_windows(pairs / "windows.npz")
    seen = load_npz(pairs / "faces.npz", (1, 48, 48))
    with (pairs / "pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(said["pairs"].values())
    for part, split in windows.data.parts().items():
        assert np.array_equal(seen.parts()[part].labels, split.labels)
        assert said["pairs"][part] == len(split)
        listed = [row for row in rows if row["part"] == part]
        assert [row["recording"] for row in listed] == [
            windows.recordings[n] for n in windows.groups[part]
        ]
        for row, span in zip(listed, windows.seconds[part], strict=True):
            assert abs(float(row["frame_seconds"]) - span.mean()) <= 0.0501
    assert np.array_equal(_read_frames(pairs / "faces.npz"), seen.train.inputs)
    assert "E-CSI-OUT" in str(run(*words, "--out", pairs, fails=True).exception)
    plain = run(*words, "--out", tmp_path / "plain", "--size", 24, "--colour")
    assert "middle of each frame" in plain.stderr
    assert load_npz(tmp_path / "plain" / "faces.npz", (3, 24, 24)).input_shape == (3, 24, 24)
    teacher = plain_teacher(tmp_path, pairs / "faces.npz")
    taught = tmp_path / "taught.npz"
    run("csi", "teach", pairs, *teacher, "--share", 0.5, "--out", taught)
    learnt = load_npz(taught, windows.data.input_shape)
    hard = np.eye(4, dtype=np.float32)[learnt.train.labels]
    assert learnt.train.soft is not None
    assert learnt.test.soft is not None
    assert learnt.train.soft.sum(axis=1) == pytest.approx(1)
    assert (learnt.train.soft * hard).sum(axis=1).min() > 0.5
    assert (learnt.train.soft * hard).sum(axis=1).max() < 1
    assert np.array_equal(learnt.test.soft, np.eye(4)[learnt.test.labels])
    assert learnt.notes["preparation"] == windows.preparation.to_json()


SERIES = """
from torch import nn

class Series(nn.Sequential):
    input_shape = (52, 100)

    def __init__(self, classes=2):
        super().__init__(nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(208, classes))
"""


def test_a_teacher_of_series_teaches_windows_of_images(windows: Windows, tmp_path: Path) -> None:
    write_windows(windows, tmp_path / "series.npz")
    images = prepared(Preparation(window=100, step=50, form="cosines"))
    write_windows(images, tmp_path / "images.npz")
    (tmp_path / "series.py").write_text(SERIES)
    network = ("--network", f"{tmp_path / 'series.py'}:Series")
    run("train-qat", *network, "--epochs", 1, "--data", tmp_path / "series.npz",
        "--out", tmp_path / "teacher")  # fmt: skip
    words = ("csi", "teach", tmp_path / "series.npz", tmp_path / "teacher", *network)
    run(*words, "--out", tmp_path / "own.npz")
    run(*words, "--out", tmp_path / "taught.npz", "--onto", tmp_path / "images.npz")
    own = load_npz(tmp_path / "own.npz", (52, 100))
    taught = load_npz(tmp_path / "taught.npz", images.data.input_shape)
    assert np.array_equal(taught.train.inputs, images.data.train.inputs)
    assert taught.notes["preparation"] == images.preparation.to_json()
    assert own.train.soft is not None
    assert taught.train.soft is not None
    assert np.array_equal(taught.train.soft, own.train.soft)
    assert 0 < taught.train.soft.min() < taught.train.soft.max() < 1
    write_windows(prepared(Preparation(window=100, step=25)), tmp_path / "others.npz")
    other = run(*words, "--out", tmp_path / "no", "--onto", tmp_path / "others.npz", fails=True)
    assert "E-CSI-PAIR" in str(other.exception)
    words = ("csi", "teach", tmp_path / "images.npz", tmp_path / "teacher", *network)
    assert "E-TEACHER-SHAPE" in str(run(*words, "--out", tmp_path / "no", fails=True).exception)


def test_a_teacher_must_know_the_classes_and_the_pictures_be_of_the_windows(
    windows: Windows, videos: Path, tmp_path: Path
) -> None:
    pairing.write_pairs(frames_of(windows, videos), tmp_path / "pairs")
    teacher = plain_teacher(tmp_path, "faces:train=32,test=14")
    words = ("csi", "teach", tmp_path / "pairs", *teacher, "--out", tmp_path / "t.npz")
    run(*words)  # happy and sad are two of its seven
    other = read_windows(tmp_path / "pairs" / "windows.npz")
    rows = {part: np.arange(len(g) - 1) for part, g in other.groups.items()}
    write_windows(other.take(rows), tmp_path / "pairs" / "windows.npz")
    assert "E-CSI-PAIR" in str(run(*words, fails=True).exception)
    with np.load(tmp_path / "pairs" / "windows.npz") as archive:
        arrays = dict(archive)
    arrays["class_names"] = np.array(["happy", "bored"])
    np.savez(tmp_path / "pairs" / "windows.npz", **arrays)
    assert "E-TEACHER-CLASSES" in str(run(*words, fails=True).exception)
