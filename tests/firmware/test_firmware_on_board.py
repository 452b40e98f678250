"""The compiled firmware on the virtual board, spoken to over its console byte by byte."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import LayerPlacement, Placement
from max78k.host import messages as m
from max78k.host.framing import Decoder, Frame, pack
from max78k.host.messages import ResetCause, Status, Type
from max78k.network.network import Activation, Layer, Network, Operation, Pool
from max78k.simulator.board import VirtualBoard


def network() -> Network:
    generator = np.random.default_rng(1)

    def weights(*shape):
        return generator.integers(-128, 128, shape).astype(np.int8)

    first = Layer(
        "conv1", Operation.CONV2D, ("input",), weights(8, 3, 3, 3), weights(8),
        padding=1, activation=Activation.RELU, output_shift=-3,
    )  # fmt: skip
    second = Layer(
        "conv2", Operation.CONV2D, ("conv1",), weights(4, 8, 3, 3), padding=1,
        activation=Activation.RELU, pool=Pool("max", (4, 4), (4, 4)), output_shift=-3,
    )  # fmt: skip
    last = Layer("fc", Operation.LINEAR, ("conv2",), weights(5, 64), weights(5), output_width=32)
    return Network("small", (3, 16, 16), (first, second, last), ("fc",))


def sample(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (3, 16, 16)).astype(np.int8)


@dataclass
class Talk:
    """A board and the host's end of its console."""

    board: VirtualBoard
    sequence: int = 0
    decoder: Decoder = field(default_factory=Decoder)

    def ask(self, kind: Type, payload: bytes = b"", seconds: float = 1.0):
        """(reset cause, status, payload after the prefix) of the reply, None without one."""
        self.sequence += 1
        return self.send(b"\0" + pack(Frame(kind, self.sequence, payload)), seconds)

    def send(self, stream: bytes, seconds: float = 1.0):
        self.board.console.host_write(stream)
        end = self.board.now + seconds
        frames: list[Frame] = []
        while not frames and self.board.now < end:
            self.board.run(0.0002)
            frames = self.decoder.feed(self.board.console.host_read())
        if not frames:
            return None
        self.boot_id, cause, status = m.REPLY_PREFIX.unpack_from(frames[0].payload)
        return ResetCause(cause), Status(status), frames[0].payload[m.REPLY_PREFIX.size :]

    def hello_seconds(self) -> float:
        """How long a HELLO takes: it shows the serial rate."""
        begin = self.board.now
        assert self.ask(Type.HELLO)[1] is Status.OK
        return self.board.now - begin


@pytest.fixture(scope="module")
def image() -> Image:
    return assemble(network(), plan(network()), sample(0))


def firmware(image: Image, folder: Path, edit: dict[str, tuple[str, str]] | None = None) -> Path:
    """ELF of the project; ``edit`` replaces text in files of ``src``."""
    project = write_project(image, folder)
    for name, (old, new) in (edit or {}).items():
        text = (project / "src" / name).read_text("utf-8")
        assert old in text
        (project / "src" / name).write_text(text.replace(old, new), "utf-8")
    return build(project).elf


@pytest.fixture(scope="module")
def elf(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware(image, tmp_path_factory.mktemp("firmware") / "project")


@pytest.fixture
def talk(elf: Path) -> Talk:
    board = VirtualBoard(elf, seed=1)
    board.run(0.21)
    assert board.console.host_read() == b"\0"  # a delimiter and nothing else
    return Talk(board)


def test_board_tells_what_runs_on_it(talk):
    cause, status, payload = talk.ask(Type.HELLO)
    assert (cause, status) == (ResetCause.POWER_ON, Status.OK)
    hello = m.HELLO_REPLY.unpack(payload)
    assert hello[7:11] == (100_000_000, 50_000_000, 768, 20)
    assert hello[11].rstrip(b"\0") == b"small"
    assert talk.board.findings == []


def test_inference_gives_the_network_s_output(talk, image):
    for seed in (0, 1):
        data = sample(seed).tobytes()
        talk.ask(Type.INPUT, m.INPUT.pack(0) + data[:500])
        reply = talk.ask(Type.INPUT, m.INPUT.pack(500) + data[500:])
        assert m.INPUT_REPLY.unpack(reply[2]) == (768,)
        _, status, payload = talk.ask(Type.INFER)
        assert status is Status.OK
        expected = assemble(network(), plan(network()), sample(seed)).expected_output
        values = np.frombuffer(payload[m.INFER_REPLY.size :], "<i4")
        assert np.array_equal(values, expected)
        load, inference, unload, post, index, count = m.INFER_REPLY.unpack_from(payload)
        assert (index, count) == (int(np.argmax(expected)), 5)
        cycles = sum(image.layer_cycles.values())
        assert cycles <= inference <= cycles + 500  # the timer runs at the accelerator's clock
        assert load > 192 and unload > 5 and post > 5
    assert talk.board.findings == []
    assert not any(talk.board.leds.values()) and not talk.board.led_events


def test_channels_beyond_four_and_an_output_of_several_frames(tmp_path):
    generator = np.random.default_rng(3)
    weight = generator.integers(-128, 128, (8, 6, 3)).astype(np.int8)
    layer = Layer("c1", Operation.CONV1D, ("input",), weight, output_shift=-3)
    odd = Network("odd", (6, 67), (layer,), ("c1",))
    data = generator.integers(-128, 128, (6, 67)).astype(np.int8)
    image = assemble(odd, plan(odd), data)
    assert [run.channels for run in image.input_runs] == [4, 2]
    talk = Talk(VirtualBoard(firmware(image, tmp_path / "p"), seed=1))
    assert talk.ask(Type.SELF_TEST)[1] is Status.OK
    talk.ask(Type.INPUT, m.INPUT.pack(0) + data.tobytes())
    infer = talk.ask(Type.INFER)[2]
    assert m.INFER_REPLY.unpack_from(infer)[4:] == (0xFFFF, 249)  # a map has no class
    parts = [infer[m.INFER_REPLY.size :]]
    for first, count in ((249, 200), (449, 71)):
        parts.append(talk.ask(Type.OUTPUT, m.OUTPUT.pack(first, count))[2][m.OUTPUT_REPLY.size :])
    assert np.array_equal(np.frombuffer(b"".join(parts), "<i4"), image.expected_output)
    assert talk.board.findings == []


def test_self_test_passes_and_leaves_the_input_alone(talk):
    talk.ask(Type.INPUT, m.INPUT.pack(0) + sample(1).tobytes())
    first = talk.ask(Type.INFER)[2][m.INFER_REPLY.size :]
    _, status, payload = talk.ask(Type.SELF_TEST)
    assert status is Status.OK
    assert m.SELF_TEST_REPLY.unpack(payload) == (0, 5, 0, 0, 0)
    assert talk.ask(Type.INFER)[2][m.INFER_REPLY.size :] == first


def test_self_test_finds_one_wrong_kernel_byte(image, tmp_path):
    block = image.kernels[0]
    columns = block.columns.copy()
    columns[0, 8] ^= 0x40
    broken = replace(image, kernels=(replace(block, columns=columns), *image.kernels[1:]))
    board = VirtualBoard(firmware(broken, tmp_path / "p"), seed=1)
    _, status, payload = Talk(board).ask(Type.SELF_TEST)
    mismatches, compared, address, expected, read = m.SELF_TEST_REPLY.unpack(payload)
    assert status is Status.MISMATCH
    assert 0 < mismatches <= compared == 5
    assert address >= 0x50400000 and expected != read


def test_self_test_does_not_take_an_old_result_for_a_new_one(tmp_path):
    """An accelerator that reports the end of its second run without having run."""
    apart = Placement({"fc": LayerPlacement(out_offset=0x4000)}, "CHW")  # not where the input is
    image = assemble(network(), plan(network(), apart), sample(0))
    start = "    write_all(network.start, network.start_count);\n"
    fake = (
        f"    static int runs;\n    if (runs++ == 0) {{\n{start}    }} else {{ cnn_time = 1U; }}\n"
    )
    board = VirtualBoard(firmware(image, tmp_path / "p", {"cnn.c": (start, fake)}), seed=1)
    talk = Talk(board)
    assert talk.ask(Type.SELF_TEST)[1] is Status.OK
    assert talk.ask(Type.SELF_TEST)[1] is Status.MISMATCH


def test_accelerator_that_never_ends_is_reported_and_brought_up_anew(image, tmp_path):
    stuck = replace(image, start=image.start[:-1])  # the master is not let go
    board = VirtualBoard(firmware(stuck, tmp_path / "p"), seed=1)
    talk = Talk(board)
    assert talk.ask(Type.SELF_TEST)[1] is Status.CNN_TIMEOUT
    assert talk.ask(Type.HELLO)[1] is Status.OK
    assert board.leds == {"red": True, "green": False, "blue": False}


def test_marks_tell_a_meter_what_the_board_does(talk):
    """One pin changes at a time; the run lasts as long as the board's timer says."""
    talk.ask(Type.INPUT, m.INPUT.pack(0) + sample(0).tobytes()[:768])
    reply = talk.ask(Type.INFER)[2]
    assert talk.ask(Type.SELF_TEST)[1] is Status.OK
    marked = list(talk.board.supply.marked())
    assert [span.marks for span in marked] == [0, 1, 3, 2, 0, 1, 3, 2, 0]
    load, inference, unload, post = (1e3 * t / 50e6 for t in m.INFER_REPLY.unpack_from(reply)[:4])
    assert marked[1].milliseconds == pytest.approx(load, abs=2e-3)
    assert marked[2].milliseconds == pytest.approx(inference, abs=2e-3)
    assert marked[3].milliseconds == pytest.approx(unload + post, abs=5e-3)
    ends = [span.start + span.milliseconds for span in marked]
    assert ends[:-1] == pytest.approx([span.start for span in marked[1:]])


def test_a_debugger_finds_the_core_awake_for_two_seconds_after_every_reset(talk):
    """An early sleep would lock it out; requests are served meanwhile all the same."""

    def asleep() -> float:
        return talk.board.energy["core_sleep"] + talk.board.energy["core_deep_sleep"]

    assert talk.ask(Type.SELF_TEST)[1] is Status.OK
    talk.board.run(1.95 - talk.board.now)
    assert asleep() == 0.0
    talk.board.run(0.3)
    assert asleep() > 0.1
    talk.ask(Type.RESET)
    slept, began = asleep(), talk.board.now
    assert talk.ask(Type.SELF_TEST)[1] is Status.OK
    talk.board.run(1.9 - (talk.board.now - began))
    assert asleep() == pytest.approx(slept, abs=0.001)


def test_reset_request_starts_anew_and_says_so(talk):
    talk.ask(Type.HELLO)
    before = talk.boot_id
    assert talk.ask(Type.RESET)[1] is Status.OK
    cause, status, _ = talk.ask(Type.HELLO)
    assert (cause, status) == (ResetCause.SOFTWARE, Status.OK)
    assert talk.boot_id != before
    talk.board.reset()  # the reset pin
    assert talk.ask(Type.HELLO)[0] is ResetCause.POWER_ON


@pytest.mark.parametrize(
    "crime",
    [
        "*(volatile uint32_t *)0x30000000U = 1U;",
        '__asm volatile("udf #0");',
        "((void (*)(void))0x20000000U)();",
    ],
    ids=["bad address", "undefined instruction", "jump into data"],
)
def test_fault_is_recorded_and_ends_in_a_new_start(image, tmp_path, crime):
    edit = {
        "main.c": (
            "    cnn_bring_up();\n",
            f"    cnn_bring_up();\n    if (reset_cause == RESET_CAUSE_POWER_ON) {{ {crime} }}\n",
        )
    }
    talk = Talk(VirtualBoard(firmware(image, tmp_path / "p", edit), seed=1))
    assert talk.ask(Type.HELLO)[0] is ResetCause.FAULT
    address, status = np.frombuffer(talk.board.memory(talk.board.symbol("record") + 16, 8), "<u4")
    assert status != 0 and address != 0


def test_rate_changes_after_the_acknowledgement_and_stays_once_used(talk):
    slow = talk.hello_seconds()
    assert talk.ask(Type.SET_BAUD, m.SET_BAUD.pack(921600))[1] is Status.OK
    fast = talk.hello_seconds()
    assert fast < slow / 3
    talk.board.run(2.5)
    assert talk.hello_seconds() < slow / 3


def test_rate_that_is_never_used_is_given_up_after_two_seconds(talk):
    slow = talk.hello_seconds()
    talk.ask(Type.SET_BAUD, m.SET_BAUD.pack(921600))
    talk.board.run(2.2)
    assert talk.hello_seconds() > slow * 0.8


def test_rate_is_given_up_after_many_bad_frames(talk):
    slow = talk.hello_seconds()
    talk.ask(Type.SET_BAUD, m.SET_BAUD.pack(460800))
    talk.hello_seconds()
    talk.board.console.host_write(b"\x07\x07\0" * 8)
    talk.board.run(0.01)
    assert talk.hello_seconds() > slow * 0.8


def test_bytes_that_arrive_during_a_run_are_not_lost(talk):
    frames = [pack(Frame(Type.INPUT, 1, m.INPUT.pack(0) + sample(0).tobytes()))]
    frames += [
        pack(Frame(Type.SELF_TEST, 2)),
        pack(Frame(Type.INFER, 3)),
        pack(Frame(Type.HELLO, 4)),
    ]
    talk.board.console.host_write(b"".join(frames))
    talk.board.run(0.5)
    replies = talk.decoder.feed(talk.board.console.host_read())
    assert [reply.sequence for reply in replies] == [1, 2, 3, 4]
    assert talk.board.findings == []


def test_core_sleeps_between_requests_but_not_in_the_first_two_seconds(talk):
    talk.board.run(1.6)
    assert talk.board.energy["core_sleep"] == 0
    talk.board.run(1.0)
    assert talk.board.energy["core_sleep"] > 0.5
    talk.ask(Type.INPUT, m.INPUT.pack(0) + sample(0).tobytes())
    reply = talk.ask(Type.INFER)  # now with the core asleep during the run
    assert reply[1] is Status.OK
    assert talk.board.findings == []
