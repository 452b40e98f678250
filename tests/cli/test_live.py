"""``max78k live``: what the network reads of a frame is what training read of a file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run

from max78k.datasets.face_finder import Box, FaceFinder, cut
from max78k.datasets.faces import faces
from max78k.datasets.frames import PngNames, frames
from max78k.datasets.images import as_input, load_image
from max78k.errors import InputError
from max78k.flows.live import Answer, annotated, answers
from max78k.network import Network, reference

Capture = pytest.CaptureFixture[str]
GREY = (1, 48, 48)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    for number, image in enumerate(faces(5, seed=2)[0]):
        wide = cv2.copyMakeBorder(image[0], 0, 0, 20, 20, cv2.BORDER_REFLECT)
        cv2.imwrite(str(root / f"{number}.png"), cv2.resize(wide, None, fx=2, fy=2))
    return root


def test_frames_are_prepared_like_files(folder: Path) -> None:
    for name, frame in frames(str(folder)):
        assert np.array_equal(
            as_input(frame, GREY, crop=True), load_image(folder / name, GREY, crop=True)
        )


def test_answers_are_the_networks(
    tiny_network: Network, model: Path, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "annotated"
    outcome = run(capsys, "live", model, "--camera", folder, "--reference", "--json", "--out", out)
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["picture"] for line in lines] == [f"{n}.png" for n in range(5)]
    for line in lines:
        pixels = load_image(folder / line["picture"], GREY, crop=True)
        values = reference.outputs(tiny_network, tiny_network.from_pixels(pixels)[None])[0]
        assert line["class"] == tiny_network.class_names[int(values.argmax())]
        assert list(line["shares"]) == list(tiny_network.class_names)
        assert line["share"] == max(line["shares"].values())
        assert line["board_us"] is None
        drawn = cv2.imread(str(out / line["picture"]))
        assert drawn is not None
        assert min(drawn.shape[:2]) >= 240
    few = run(capsys, "live", model, "--camera", folder, "--reference", "--count", 2)
    assert len(few.out.splitlines()) == 2


class _Finder(FaceFinder):
    """Knows where the faces are."""

    def __init__(self, boxes: list[Box | None]) -> None:
        self._boxes = iter(boxes)

    def find(self, picture: np.ndarray) -> Box | None:
        return next(self._boxes)


def test_no_picture_overwrites_another(model: Path, folder: Path, tmp_path: Path, capsys) -> None:
    (folder / "0.BMP").write_bytes((folder / "1.png").read_bytes())
    out = tmp_path / "annotated"
    live = ("live", model, "--reference", "--out", out, "--camera")
    assert run(capsys, *live, folder).code == 0
    assert len(list(out.iterdir())) == 6
    png = PngNames()
    names = [str(png(name)) for name in ("a/x.jpg", "A/X.png", "x.tif", "my.film-1", "my.film-2")]
    assert names == ["a/x.png", "A/X-2.png", "x.png", "my.film-1.png", "my.film-2.png"]


def test_what_cannot_be_read_in_a_folder_is_named_and_left_out(
    model: Path, folder: Path, capsys
) -> None:
    (folder / "0-broken.jpg").write_bytes(b"no picture")
    outcome = run(capsys, "live", model, "--reference", "--camera", folder, "--json")
    assert outcome.code == 0 and len(outcome.out.splitlines()) == 5
    assert "left out: E-DATA-IMAGE" in outcome.err and "0-broken.jpg" in outcome.err
    for file in folder.glob("*.png"):
        file.unlink()
    live = ("live", model, "--reference", "--camera", folder)
    assert_one_error(run(capsys, *live), 2, "E-FRAMES-SOURCE", str(folder))


def test_the_face_is_cut_out_and_pictures_without_are_named(
    tiny_network: Network, folder: Path
) -> None:
    box = Box(top=-6, left=30, side=60)
    finder = _Finder([box, None, box, box, None])
    seen = list(answers(tiny_network, lambda one: (np.zeros(7), 5.0), frames(str(folder)), finder))
    assert [one if isinstance(one, str) else one.name for one in seen] == [
        f"{n}.png" for n in range(5)
    ]
    assert [isinstance(one, str) for one in seen] == [False, True, False, False, True]
    first = seen[0]
    assert isinstance(first, Answer)
    _, frame = next(frames(str(folder)))
    expected = np.pad(frame, ((6, 0), (0, 0), (0, 0)), mode="edge")[:60, 30:90]
    assert np.array_equal(cut(frame, box), expected)
    assert np.array_equal(first.pixels, as_input(expected, GREY, crop=True))
    assert first.board_us == 5.0


def test_the_boards_time_is_written_on_the_picture(tiny_network: Network, folder: Path) -> None:
    seen = [
        next(answers(tiny_network, lambda one, us=us: (np.zeros(7), us), frames(str(folder)), None))
        for us in (None, 5890.0, 1230.0)
    ]
    drawn = [annotated(one, tiny_network.class_names) for one in seen]
    bars = 16 + 18 * 6 + 4
    assert all(np.array_equal(one[:bars], drawn[0][:bars]) for one in drawn)
    assert len({one.tobytes() for one in drawn}) == 3


@pytest.mark.parametrize(("key", "visible", "shown"), [(-1, 1.0, 5), (ord("q"), 1.0, 1),
                                                       (-1, 0.0, 1)])  # fmt: skip
def test_a_window_shows_every_picture_until_it_is_ended(
    model: Path,
    folder: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    key: int,
    visible: float,
    shown: int,
) -> None:
    pictures: list[np.ndarray] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda name: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: pictures.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda ms: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda name, which: visible)
    outcome = run(capsys, "live", model, "--camera", folder, "--reference", "--window")
    assert outcome.code == 0, outcome.err
    assert len(pictures) == len(outcome.out.splitlines()) == shown


def test_a_machine_without_windows_is_told_before_anything_is_read(
    model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "namedWindow", refuse)
    outcome = run(capsys, "live", model, "--camera", "none.png", "--reference", "--window")
    assert_one_error(outcome, 2, "E-LIVE-WINDOW", "--out")


def test_videos_come_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in (40, 120, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    levels = [float(frame.mean()) for _, frame in frames(str(path))]
    assert np.allclose(levels, [40, 120, 200], atol=6)
    endless = frames(str(path), repeat=True)
    assert len([next(endless) for _ in range(7)]) == 7


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--camera", "none.mp4"), "E-FRAMES-SOURCE"),
        (("--camera", "none.png"), "E-DATA-IMAGE"),
        (("--camera", "x.png", "--detector", "none.onnx"), "E-FACE-MODEL"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(
    model: Path, capsys: Capture, arguments: tuple[str, ...], code: str
) -> None:
    assert_one_error(run(capsys, "live", model, "--reference", *arguments), 2, code)


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="E-FACE-MODEL"):
        FaceFinder(tmp_path / "x.onnx")
