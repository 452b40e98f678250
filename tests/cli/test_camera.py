"""``max78k camera``, and that its page says what is true."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run

from max78k.codegen.tables import network_id
from max78k.datasets.images import as_input, from_rgb565
from max78k.flows.models import load_model
from max78k.flows.synthesis import compile_network
from max78k.host import ports
from max78k.host.camera_lines import CameraFrame, CameraLines
from max78k.network import Network, reference

Capture = pytest.CaptureFixture[str]
ROWS, COLUMNS = 72, 96
RAW = np.random.default_rng(1).integers(0, 256, 2 * ROWS * COLUMNS, np.uint8).tobytes()
FRAME = (
    "frame={0} class=3 score=9 capture_us=56281 prepare_us=10983 load_us=191 inference_us=5693 "
    "unload_us=4 post_us=1 period_us=67265 name=happy\r\n"
)


def picture_lines(scores: list[int], input_crc: int) -> str:
    lines = [
        f"picture=2 rows={ROWS} columns={COLUMNS} class=0 input_crc={input_crc:08x} "
        f"picture_crc={zlib.crc32(RAW):08x} scores={','.join(map(str, scores))}"
    ]
    for row in range(ROWS):
        data = RAW[2 * COLUMNS * row : 2 * COLUMNS * (row + 1)]
        lines.append(f"row={row} data={base64.b64encode(data).decode()}")
    return "".join(f"{line}\r\n" for line in lines)


class ScriptedPort:
    """Says a frame every time; after an ``r``, the picture."""

    baudrate = 115200
    in_waiting = 0

    def __init__(self, picture: str) -> None:
        self.picture = picture
        self.answers = 0
        self.asked = False

    def read(self, size: int = 1, /) -> bytes:
        self.answers += 1
        text = FRAME.format(self.answers) + (self.picture if self.asked else "")
        self.asked = False
        return text.encode()

    def write(self, data: bytes, /) -> int:
        assert data == b"r"
        self.asked = True
        return 1

    def reset_input_buffer(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def board(tiny_network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedPort:
    pixels = as_input(from_rgb565(RAW, ROWS, COLUMNS), tiny_network.input_shape, crop=True)
    values = tiny_network.from_pixels(pixels)
    scores = reference.outputs(tiny_network, values[None])[0].tolist()
    port = ScriptedPort(picture_lines(scores, zlib.crc32(values.tobytes())))
    monkeypatch.setattr(ports, "open_port", lambda name: port)
    tiny_network.save(tmp_path / "tiny7.npz")
    return port


def test_answers_are_shown(board: ScriptedPort, capsys: Capture) -> None:
    outcome = run(capsys, "camera", "--port", "x", "--count", 2)
    assert outcome.code == 0, outcome.err
    first, second = outcome.out.splitlines()
    assert "happy" in first
    assert "inference 5.69" in second
    assert "14.9 pictures/s" in second
    lines = run(capsys, "camera", "--port", "x", "--count", 1, "--json").out.splitlines()
    assert json.loads(lines[0])["phases_us"]["prepare"] == 10983


def test_pictures_become_files_and_are_checked(
    board: ScriptedPort, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ("camera", "--port", "x", "--record", 2, "--out", tmp_path / "p")
    outcome = run(capsys, *arguments, "--model", tmp_path / "tiny7.npz", "--json")
    assert outcome.code == 0, outcome.err
    kept = [line for line in map(json.loads, outcome.out.splitlines()) if "picture" in line]
    assert [line["checked"] for line in kept] == [True, True]
    picture = cv2.imread(str(tmp_path / "p" / "frame-000002.png"))
    assert np.array_equal(picture, from_rgb565(RAW, ROWS, COLUMNS))
    board.picture = board.picture.replace("input_crc=", "input_crc=1")
    outcome = run(capsys, *arguments, "--model", tmp_path / "tiny7.npz")
    assert outcome.code == 5
    assert "E-CAMERA-INPUT" in outcome.err


def test_the_virtual_board_needs_something_to_see(capsys: Capture) -> None:
    assert_one_error(run(capsys, "camera", "--port", "sim"), 2, "E-CAMERA-PORT")


def test_the_application_is_refused_where_it_cannot_be(tmp_path: Path, capsys: Capture) -> None:
    arguments = ("synthesize", "--application", "camera", "--out", tmp_path / "p")
    assert_one_error(run(capsys, *arguments, "fer7", "--style", "msdk"), 2, "E-ARGS-APPLICATION")
    assert_one_error(run(capsys, *arguments, "csi2_1d"), 2, "E-CAMERA-INPUT")
    assert not (tmp_path / "p").exists()


def test_the_line_in_the_documentation_is_read() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "on-board-demo.md"
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("frame=")]
    events = CameraLines().feed("\n".join([*lines, ""]).encode())
    assert lines and all(isinstance(event, CameraFrame) for event in events)


def test_the_documentation_shows_the_network_that_is_shipped() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "on-board-demo.md"
    loaded = load_model("fer7")
    image = compile_network(loaded.network, placement=loaded.given).image
    assert f"\nnetwork=fer7 id={network_id(image):08x} " in page.read_text("utf-8")
