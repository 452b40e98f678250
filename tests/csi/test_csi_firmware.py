"""The firmware's windows of CSI: compiled for this machine and on the virtual board."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from max78k.cli.main import cli
from max78k.csi import amplitude
from max78k.csi.channel import person, record
from max78k.csi.esp32 import Packet, csv_text
from max78k.csi.preparation import Preparation
from max78k.csi.recording import Recording
from max78k.csi.windows import NOTE
from max78k.errors import InputError
from max78k.flows.bench_inputs import Source, open_feed
from max78k.flows.csi_answers import OnBoard, Stream
from max78k.host import ports
from max78k.host.bench import run_bench
from max78k.network import Activation, Layer, Network, Operation, Pool, reference
from max78k.shipped_files import shipped_folder

CHANNELS = 52


class Window(ctypes.Structure):
    """``struct csi_window``."""

    _fields_ = (
        ("scaled", ctypes.c_void_p),
        *((name, ctypes.c_uint32) for name in (
            "room", "packets", "channels", "values", "gain", "taken")),
        ("subcarriers", ctypes.c_uint8 * 63),
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for this machine")
    path = tmp_path_factory.mktemp("csi") / "csi.so"
    source = shipped_folder("firmware") / "csi.c"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    subprocess.run([compiler, *flags, "-shared", "-fPIC", str(source), "-o", str(path)], check=True)
    found = ctypes.CDLL(str(path))
    found.csi_setup.restype = found.csi_input.restype = ctypes.c_bool
    return found


def in_c(
    library: ctypes.CDLL, csi: np.ndarray, packets: int, gain: int, channels: int = CHANNELS
) -> np.ndarray | None:
    """The input after all packets; None where the firmware refuses."""
    room = (ctypes.c_uint16 * (packets * channels))()
    window = Window(ctypes.addressof(room), packets * channels)
    chosen = bytes(amplitude.live_subcarriers(csi.shape[1] // 2, channels).tolist())
    if not library.csi_setup(
        ctypes.byref(window), packets, csi.shape[1], gain, chosen, len(chosen)
    ):
        return None
    for packet in csi:
        library.csi_take(ctypes.byref(window), packet.tobytes())
    out = (ctypes.c_int8 * (packets * channels))()
    assert library.csi_input(ctypes.byref(window), out)
    return np.frombuffer(out, np.int8).reshape(channels, packets)


@pytest.mark.parametrize(
    ("values", "packets", "gain", "size"),
    [(128, 40, 300, 128), (128, 33, 32767, 128), (256, 600, 1, 60), (128, 16, 77, 2)],
)
def test_c_and_python_make_the_same_window(
    library: ctypes.CDLL, values: int, packets: int, gain: int, size: int
) -> None:
    random = np.random.default_rng(values + gain)
    csi = random.integers(-size, size, (3 * packets + 7, values)).astype(np.int8)
    csi[5] = 0  # a silent packet
    csi[-2] = -128
    csi[-3] = 0
    csi[-3, 2 * 20] = -128  # all energy in one subcarrier
    wanted = Preparation(window=packets, step=1, gain=gain).of(Recording("r", csi))[-1]
    assert np.array_equal(in_c(library, csi, packets, gain), wanted)


def test_the_firmware_refuses_what_its_numbers_do_not_hold(library: ctypes.CDLL) -> None:
    csi = np.ones((20, 256), np.int8)
    assert in_c(library, csi, 16, 1, 63) is not None
    assert in_c(library, csi, 16, 1, 64) is None
    assert in_c(library, csi, 16, 0) is None
    assert in_c(library, csi, 16, amplitude.HIGHEST_GAIN) is not None
    assert in_c(library, csi, 16, amplitude.HIGHEST_GAIN + 1) is None


# --- on the virtual board -------------------------------------------------------------------------


PREPARATION = Preparation(window=60, step=25, gain=700)


def network() -> Network:
    random = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        return random.integers(-90, 90, shape).astype(np.int8)

    first = Layer(
        "conv1", Operation.CONV1D, ("input",), weights(8, CHANNELS, 3), padding=1,
        activation=Activation.RELU, output_shift=-5,
    )  # fmt: skip
    last = Layer("fc", Operation.LINEAR, ("conv1",), weights(2, 480), output_width=32)
    return Network("csismall", (CHANNELS, 60), (first, last), ("fc",), class_names=("a", "b"))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    pytest.importorskip("unicorn")
    pytest.importorskip("elftools")
    from max78k.codegen.build import build
    from max78k.codegen.project import write_project
    from max78k.compiler.allocate import plan
    from max78k.compiler.assemble import assemble
    from max78k.host.session import connect

    folder = tmp_path_factory.mktemp("board")
    sample = np.zeros((CHANNELS, 60), np.int8)
    image = assemble(network(), plan(network()), sample)
    elf: Path = build(write_project(image, folder)).elf
    with connect("sim", elf=elf, highest_baud=921600) as found:
        yield found


def test_the_board_answers_to_packets_as_to_windows(device: object) -> None:
    recording = record("angry", person(3), 8, seconds=1.4)
    packets = [Packet(one, -40, None) for one in recording.csi]
    expected = list(Stream(network(), PREPARATION).feed(packets))
    board = OnBoard(device, network(), PREPARATION)  # type: ignore[arg-type]
    answers = list(Stream(network(), PREPARATION, infer_packets=board).feed(packets))
    assert len(answers) == len(expected) >= 2
    for one, other in zip(answers, expected, strict=True):
        assert one[:2] == other[:2]
        assert np.array_equal(one[2], other[2])
    assert 0 < board.microseconds < 100_000


@pytest.mark.parametrize("raw", [False, True])
def test_a_bench_takes_packets_as_the_live_stream_does(
    device: object, tmp_path: Path, raw: bool
) -> None:
    known = replace(network(), notes={NOTE: PREPARATION.to_json()})
    known.save(tmp_path / "csismall.npz")
    recording = record("angry", person(3), 8, seconds=1.4)
    (tmp_path / "walk.csv").write_text(csv_text(recording))
    source = Source(f"esp32:{tmp_path / 'walk.csv'}", model=str(tmp_path / "csismall.npz"), raw=raw)
    feed = open_feed(source, device)  # type: ignore[arg-type]
    assert feed.live
    result = run_bench(device, feed.inputs, infer=feed.infer, warmup=0)  # type: ignore[arg-type]
    cut = Stream(known, PREPARATION)
    due = list(cut.due([Packet(one, -40, None) for one in recording.csi]))
    inputs = np.stack([cut.prepared(csi) for csi, _ in due])
    expected = reference.outputs(known, inputs).reshape(len(due), -1)
    assert [list(row.scores) for row in result.rows] == expected.tolist()
    assert all((row.window_us > 0) == raw for row in result.rows)
    assert all(row.link_us >= 0 for row in result.rows)


@pytest.mark.parametrize("raw", [False, True])
def test_a_bench_of_a_stream_that_is_too_short_measures_nothing_and_says_so(
    device: object, tmp_path: Path, raw: bool
) -> None:
    known = replace(network(), notes={NOTE: PREPARATION.to_json()})
    known.save(tmp_path / "csismall.npz")
    (tmp_path / "walk.csv").write_text(csv_text(record("angry", person(3), 8, seconds=0.5)))
    source = Source(f"esp32:{tmp_path / 'walk.csv'}", model=str(tmp_path / "csismall.npz"), raw=raw)
    feed = open_feed(source, device)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"E-CSI-SHORT.*needs 60"):
        run_bench(device, feed.inputs, infer=feed.infer)  # type: ignore[arg-type]


def test_a_recording_is_cut_as_a_whole_without_raw(device: object, tmp_path: Path) -> None:
    known = replace(network(), notes={NOTE: PREPARATION.to_json()})
    known.save(tmp_path / "csismall.npz")
    recording = record("angry", person(3), 8, seconds=1.4)
    (tmp_path / "walk.csv").write_text(csv_text(recording))
    source = Source(str(tmp_path / "walk.csv"), model=str(tmp_path / "csismall.npz"))
    feed = open_feed(source, device)  # type: ignore[arg-type]
    assert not feed.live and feed.class_names == ("a", "b")
    assert np.array_equal(np.stack(list(feed.inputs)), PREPARATION.of(recording))


@pytest.mark.skipif(os.name != "posix", reason="no pty")
def test_an_esp32_on_a_serial_port_is_answered_by_a_board_that_was_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("elftools")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    known = replace(network(), notes={NOTE: PREPARATION.to_json()})
    known.save(tmp_path / "csismall.npz")
    recording = record("angry", person(3), 8, seconds=1.4)
    lines = csv_text(recording).splitlines()
    lines.insert(30, "CSI_DATA,AP,cut off")
    master, slave = os.openpty()
    opened = ports.open_port

    def begin(source: str, *rest: object) -> object:
        port = opened(source, *rest)  # type: ignore[arg-type]
        text = "\r\n".join([*lines, ""]).encode()
        threading.Thread(target=os.write, args=(master, text), daemon=True).start()
        return port

    monkeypatch.setattr(ports, "open_port", begin)
    words = ["csi", "live", str(tmp_path / "csismall.npz"), "--esp32", os.ttyname(slave),
             "--port", "sim", "--raw", "--count", "2", "--json"]  # fmt: skip
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    packets = [Packet(one, -40, None) for one in recording.csi]
    expected = list(Stream(known, PREPARATION).feed(packets))[:2]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["answer"], one["majority"]) for one in said] == [one[:2] for one in expected]
    assert [one["share"] for one in said] == [float(one[2].max()) for one in expected]
    assert "1 x no complete" in done.stderr
    os.close(master)
    os.close(slave)


def test_windows_that_the_board_cannot_make_are_refused() -> None:
    with pytest.raises(InputError, match=r"E-CSI-BOARD.*image"):
        OnBoard(None, network(), Preparation(form="image"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"E-CSI-BOARD.*64"):
        OnBoard(None, network(), Preparation(channels=64))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"E-CSI-BOARD.*thin 2"):
        OnBoard(None, network(), Preparation(window=120, thin=2))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"E-CSI-BOARD.*median 3"):
        OnBoard(None, network(), Preparation(window=60, median=3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="E-CSI-SHAPE"):
        OnBoard(None, network(), Preparation(window=61))  # type: ignore[arg-type]


def test_windows_of_600_packets_fit_into_the_memory_of_the_board(tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    from max78k.codegen.build import build
    from max78k.codegen.project import write_project
    from max78k.compiler.allocate import plan
    from max78k.compiler.assemble import assemble

    random = np.random.default_rng(6)
    first = Layer(
        "conv1", Operation.CONV1D, ("input",),
        random.integers(-90, 90, (8, CHANNELS, 3)).astype(np.int8), padding=1,
        pool=Pool("avg", (10, 1), (10, 1)),
        activation=Activation.RELU, output_shift=-5,
    )  # fmt: skip
    values = random.integers(-90, 90, (2, 480)).astype(np.int8)
    last = Layer("fc", Operation.LINEAR, ("conv1",), values, output_width=32)
    long = Network("csilong", (CHANNELS, 600), (first, last), ("fc",), class_names=("a", "b"))
    image = assemble(long, plan(long), np.zeros((CHANNELS, 600), np.int8))
    assert build(write_project(image, tmp_path)).elf.is_file()
