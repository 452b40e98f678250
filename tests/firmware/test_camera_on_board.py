"""The camera application on the virtual board: pictures, answers, LED, buttons, recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain_network import chain_network

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

from max78k.codegen.build import build
from max78k.datasets.images import as_input, from_rgb565
from max78k.errors import LinkError, MismatchError
from max78k.flows.camera import check, listen, picture_of, save
from max78k.flows.synthesis import default_sample, synthesize
from max78k.host.camera_lines import CameraFrame, CameraPicture, CameraText
from max78k.network import Network, reference
from max78k.simulator.board import VirtualBoard

ROWS, COLUMNS = 144, 192
PALETTE = ("red", "green", "red blue", "red green", "blue", "green blue", "red green blue")


class BoardPort:
    """The host's end of the console of a board in the same process."""

    baudrate = 115200
    in_waiting = 0

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board

    def read(self, size: int = 1, /) -> bytes:
        self.board.run(0.02)
        return self.board.console.host_read()

    def write(self, data: bytes, /) -> int:
        self.board.console.host_write(data)
        return len(data)

    def reset_input_buffer(self) -> None:
        self.board.console.host_read()

    def close(self) -> None:
        pass


def built(network: Network, folder: Path) -> Path:
    made = synthesize(network, default_sample(network), folder / "firmware", camera=True)
    return build(made.project).elf


@pytest.fixture(scope="module")
def elf(tiny_network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tiny_network, tmp_path_factory.mktemp("camera"))


def scenes() -> list[np.ndarray]:
    """Noise, nearly black, overexposed, a slope, and a face-like blob; red first."""
    random = np.random.default_rng(3)
    rows, columns = np.indices((ROWS, COLUMNS))
    slope = np.stack([rows * 255 // 143, columns * 255 // 191, rows * 0 + 90], axis=-1)
    far = np.hypot(rows - 72, columns - 90)
    blob = np.clip(240 - 3 * far[..., None] * np.array([1.0, 1.2, 1.5]), 0, 255)
    return [
        random.integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8),
        random.integers(0, 6, (ROWS, COLUMNS, 3)).astype(np.uint8),
        random.integers(250, 256, (ROWS, COLUMNS, 3)).astype(np.uint8),
        slope.astype(np.uint8),
        blob.astype(np.uint8),
    ]


def bus_bytes(scene: np.ndarray) -> bytes:
    """What the bus carries of a picture with red first."""
    red, green, blue = (scene[..., n].astype(np.uint16) for n in range(3))
    return (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype(">u2").tobytes()


def network_input(network: Network, scene: np.ndarray) -> np.ndarray:
    picture = from_rgb565(bus_bytes(scene), ROWS, COLUMNS)
    return network.from_pixels(as_input(picture, network.picture_shape, crop=True))


def until(events: Iterator[object], kind: type) -> list[object]:
    """Events up to the first one of a kind."""
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, kind):
            return seen
    raise AssertionError(seen)


def lit(board: VirtualBoard) -> str:
    return " ".join(name for name, on in board.leds.items() if on)


def test_every_picture_becomes_the_hosts_input_and_the_references_answer(
    elf: Path, tiny_network: Network
) -> None:
    board = VirtualBoard(elf, strict=True, seed=1)
    board.camera.show(scenes())
    events = listen(BoardPort(board), silence_s=600)
    for number, scene in enumerate(scenes(), 1):
        frame = until(events, CameraFrame)[-1]
        assert isinstance(frame, CameraFrame)
        expected = network_input(tiny_network, scene)
        read = board.memory(board.symbol("input"), expected.size)
        assert read == expected.tobytes()
        scores = reference.outputs(tiny_network, expected[None])[0]
        best = int(scores.argmax())
        assert (frame.number, frame.class_index, frame.score) == (number, best, scores[best])
        assert frame.name == tiny_network.class_names[best]
        assert lit(board) == PALETTE[best % 7]
        assert all(0 <= us < 100_000 for us in frame.phases_us.values())
        assert frame.phases_us["inference"] > 0
        if number == 1:
            assert frame.period_us == 0
        else:  # the next picture comes while the network works
            ahead = frame.phases_us["capture"] + frame.phases_us["prepare"]
            assert ahead <= frame.period_us < sum(frame.phases_us.values())
    assert not board.findings


def test_a_folded_network_reads_the_hosts_input(tmp_path: Path) -> None:
    network = chain_network(fold=True)
    board = VirtualBoard(built(network, tmp_path), strict=True, seed=1)
    board.camera.show(scenes())
    events = listen(BoardPort(board), silence_s=600)
    for scene in scenes():
        frame = until(events, CameraFrame)[-1]
        assert isinstance(frame, CameraFrame)
        expected = network_input(network, scene)
        assert board.memory(board.symbol("input"), expected.size) == expected.tobytes()
        scores = reference.outputs(network, expected[None])[0]
        assert (frame.class_index, frame.score) == (int(scores.argmax()), scores.max())
    assert not board.findings
    pins = [row.split(",") for row in board.supply.table().splitlines() if row.startswith("pins")]
    marks = [int(row[-1]) for row in pins]
    assert marks[:9] == [0, 1, 3, 2, 0, 1, 3, 2, 0]  # waiting, load, run, after


def test_a_recorded_picture_is_the_cameras_and_its_answer_is_checked(
    elf: Path, tiny_network: Network, tmp_path: Path
) -> None:
    board = VirtualBoard(elf, seed=1)
    scene = scenes()[4]
    board.camera.show(scene for _ in range(20))
    recorded = until(listen(BoardPort(board), pictures=1, silence_s=600), CameraPicture)[-1]
    assert isinstance(recorded, CameraPicture)
    assert recorded.raw == bus_bytes(scene)
    check(recorded, tiny_network)
    assert np.array_equal(cv2.imread(str(save(recorded, tmp_path))), picture_of(recorded))
    other = CameraPicture(**{**vars(recorded), "scores": (0,) * 7})
    with pytest.raises(MismatchError, match="E-CAMERA-SCORES"):
        check(other, tiny_network)
    darker = CameraPicture(**{**vars(recorded), "raw": bytes(len(recorded.raw))})
    with pytest.raises(MismatchError, match="E-CAMERA-INPUT"):
        check(darker, tiny_network)


def press(board: VirtualBoard, button: str) -> None:
    """A press that is over before the firmware looks."""
    board.press(button)
    board.run(0.005)
    board.press(button, down=False)


def test_after_a_stop_no_old_picture_is_answered(elf: Path, tiny_network: Network) -> None:
    board = VirtualBoard(elf, seed=1)
    seen = [scenes()[0]]
    board.camera.show(seen[0] for _ in range(20))
    events = listen(BoardPort(board), silence_s=600)
    until(events, CameraFrame)
    press(board, "SW1")
    until(events, CameraText)
    seen[0] = scenes()[2]
    press(board, "SW1")
    frame = until(events, CameraFrame)[-1]
    assert isinstance(frame, CameraFrame)
    scores = reference.outputs(tiny_network, network_input(tiny_network, seen[0])[None])[0]
    assert frame.score == scores.max()


def test_sw1_stops_and_starts_and_sw2_sends_a_picture(elf: Path) -> None:
    board = VirtualBoard(elf, seed=1)
    board.camera.show(scenes()[3] for _ in range(100))
    events = listen(BoardPort(board), silence_s=600)
    until(events, CameraFrame)
    press(board, "SW1")
    assert until(events, CameraText)[-1] == CameraText("state=stopped")
    assert lit(board) == ""
    board.run(0.3)
    assert board.console.host_read() == b""
    press(board, "SW1")
    assert until(events, CameraText)[-1] == CameraText("state=running")
    assert until(events, CameraFrame)[-1].period_us == 0
    press(board, "SW2")
    header = board.console.host_read()
    while b"picture=" not in header:
        board.run(0.02)
        header += board.console.host_read()


def test_without_pictures_the_line_says_so(elf: Path) -> None:
    board = VirtualBoard(elf, seed=1)
    events = listen(BoardPort(board), silence_s=600)
    started = until(events, CameraText)[-1]
    assert started.text.startswith("network=tiny7 id=") and "rows=144 columns=192" in started.text
    assert until(events, CameraText)[-1] == CameraText("error=no-picture")


def test_a_board_that_says_nothing_is_told() -> None:
    class Silent(BoardPort):
        def read(self, size: int = 1, /) -> bytes:
            return b""

    with pytest.raises(LinkError, match="E-CAMERA-SILENT"):
        next(listen(Silent(None), silence_s=0.0))
