"""A network's answers to Wi-Fi CSI: by window, by recording, and as a stream."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from max78k.csi import amplitude
from max78k.csi.esp32 import BadRow, Packet, lines_of
from max78k.csi.preparation import Preparation, from_json, other_subcarriers
from max78k.csi.recording import Recording
from max78k.csi.windows import NOTE, OFFSET, Windows, holds_windows, read_windows
from max78k.errors import InputError
from max78k.flows.evaluation import softmax
from max78k.flows.models import load_model
from max78k.network import Network, reference
from max78k.report.metrics import Scores, scores

if TYPE_CHECKING:
    from max78k.host.link import Device
    from max78k.host.replies import Inference

MAJORITY = 5  # windows that vote in a stream
_CHUNK_BYTES = 65_536  # of a file at once

FloatArray = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]
Infer = Callable[[Int8Array], npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class RecordingAnswer:
    """What a network says of one recording: shares [windows, classes], and the classes' names."""

    shares: FloatArray
    class_names: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Windows by answer, every class."""
        found = np.bincount(self.shares.argmax(axis=1), minlength=len(self.class_names))
        return dict(zip(self.class_names, found.tolist(), strict=True))

    @property
    def dominant(self) -> str:
        """The class with the largest mean share."""
        return self.class_names[int(self.shares.mean(axis=0).argmax())]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain data; percentages are of windows."""
        total = len(self.shares)
        return {
            "windows": total,
            "dominant": self.dominant,
            "percent": {name: 100 * count / total for name, count in self.counts.items()},
            "mean_share": dict(
                zip(self.class_names, self.shares.mean(axis=0).tolist(), strict=True)
            ),
        }


def preparation_of(network: Network, like: Path | None = None) -> Preparation:
    """How packets become what ``network`` reads: as ``like`` was made, else as the network says.

    Raises InputError ``E-CSI-PREPARATION`` for a network that does not say it.
    """
    if like is not None:
        return read_windows(like).preparation
    text = network.notes.get(NOTE)
    if text is None:
        raise InputError(
            "E-CSI-PREPARATION",
            f"{network.name} does not say how its windows were prepared.",
            "--like WINDOWS.npz, the file that it was trained with.",
        )
    return from_json(text)


def preparation_like(source: str) -> Preparation:
    """As the windows in a file were made, or as a network says, by its name or path.

    Raises the errors of :func:`preparation_of` and :func:`max78k.flows.models.load_model`.
    """
    path = Path(source)
    if path.suffix == ".npz" and holds_windows(path):
        return read_windows(path).preparation
    return preparation_of(load_model(source).network)


def differences(network: Network, windows: Windows) -> list[str]:
    """How ``windows`` were prepared otherwise than those that ``network`` learnt from.

    Raises InputError ``E-CSI-SUBCARRIERS`` for windows of packets of another bandwidth.
    """
    if NOTE not in network.notes:
        return []
    own, other = preparation_of(network), windows.preparation
    if own.subcarriers and other.subcarriers not in (0, own.subcarriers):
        raise other_subcarriers(windows.data.name, other.subcarriers, own.subcarriers)
    pairs = {name: (asdict(own)[name], value) for name, value in asdict(other).items()}
    return [
        f"{name} {value}, not {wanted}"
        for name, (wanted, value) in pairs.items()
        if value != wanted and name not in ("step", "subcarriers")
    ]


def answer_recording(
    network: Network, preparation: Preparation, recording: Recording
) -> RecordingAnswer:
    """Ask for every window of a recording.

    Raises InputError ``E-CSI-SHORT`` for a recording shorter than a window and ``E-CSI-SHAPE`` for
    windows of another shape than the network reads.
    """
    inputs = preparation.of(recording)
    if not len(inputs):
        raise InputError(
            "E-CSI-SHORT",
            f"{recording.name} has {len(recording)} packets, a window needs {preparation.packets}.",
        )
    require_shape(network, inputs.shape[1:])
    return RecordingAnswer(_shares(network, inputs), _names(network))


def score_windows(network: Network, windows: Windows, part: str = "test") -> tuple[Scores, Scores]:
    """Scores by window, and by recording (the largest mean share over its windows)."""
    split, groups = windows.data.part(part), windows.groups[part]
    require_shape(network, split.inputs.shape[1:])
    shares = _shares(network, (split.inputs.astype(np.int16) - OFFSET).astype(np.int8))
    classes = len(windows.data.class_names)
    numbers, first = np.unique(groups, return_index=True)
    whole = [int(shares[groups == number].mean(axis=0).argmax()) for number in numbers]
    return (
        scores(split.labels, shares.argmax(axis=1), classes),
        scores(split.labels[first], np.array(whole, dtype=np.int64), classes),
    )


class Stream:
    """Answers to packets as they come: one for every ``step`` packets, smoothed by a majority.

    Args:
        network: reads windows of ``preparation``; its filters in time are not for streams.
        preparation: how windows were prepared.
        majority: the last answers that vote.
        infer: gives the network's output values for one input, as a board does; by default the
            integer reference.
        infer_packets: the same for packets, int8 [N, values], that came since the last time: a
            board that makes the windows itself, see :class:`OnBoard`. Then ``infer`` is not used.
    """

    def __init__(
        self,
        network: Network,
        preparation: Preparation,
        majority: int = MAJORITY,
        infer: Infer | None = None,
        infer_packets: Infer | None = None,
    ) -> None:
        if preparation.spikes or preparation.rate or preparation.cutoff:
            raise InputError(
                "E-CSI-STREAM",
                "windows that were filtered over a whole recording cannot be streamed.",
                "prepare without --rate, --spikes and --cutoff.",
            )
        self._network, self._preparation = network, preparation
        self._infer = infer or (lambda one: reference.outputs(network, one[None])[0])
        self._infer_packets = infer_packets
        self._packets: deque[Packet] = deque(maxlen=preparation.packets)
        self._votes: deque[int] = deque(maxlen=majority)
        self._since = 0
        self._values = 2 * preparation.subcarriers  # of a packet; 0 until the first is there
        self._others = 0  # packets of another size in a row
        self.taken = 0  # packets that could be used
        self.bad_rows: Counter[str] = Counter()

    def feed(self, packets: Iterable[Packet | BadRow]) -> Iterator[tuple[str, str, FloatArray]]:
        """For every full window: the answer, the majority of the last answers, and the shares."""
        names = _names(self._network)
        for csi, new in self.due(packets):
            shares = self._ask(csi, new)
            self._votes.append(int(shares.argmax()))
            majority = Counter(reversed(self._votes)).most_common(1)[0][0]
            yield names[int(shares.argmax())], names[majority], shares

    def due(self, packets: Iterable[Packet | BadRow]) -> Iterator[tuple[Int8Array, int]]:
        """The packets of every full window, int8 [window, values], and how many of them are new.

        Packets of another size than the network learnt from (than the first, where it does not say
        it) are left out.

        Raises InputError ``E-CSI-SUBCARRIERS`` where a whole window's worth of those comes with no
        other between, ``E-CSI-SHORT`` where the stream ends before the first window.
        """
        found = False
        for packet in packets:
            if isinstance(packet, BadRow):
                self.bad_rows[str(packet)] += 1
                continue
            if not self._fits(packet):
                continue
            self._packets.append(packet)
            self.taken += 1
            self._since += 1
            full = len(self._packets) == self._preparation.packets
            if full and self._since >= min(self._preparation.step, self._preparation.window):
                new, self._since, found = self._since, 0, True
                yield np.stack([packet.csi for packet in self._packets]), new
        if not found:
            raise self._too_short()

    def _too_short(self) -> InputError:
        faults = ", ".join(f"{count:,} x {fault}" for fault, count in self.bad_rows.items())
        return InputError(
            "E-CSI-SHORT",
            f"the stream has {self.taken:,} packets, a window needs {self._preparation.packets}"
            + (f" ({faults})." if faults else "."),
            "longer recordings of the ESP32-CSI-Tool, whose lines begin with CSI_DATA.",
        )

    def _fits(self, packet: Packet) -> bool:
        values = packet.csi.size
        self._values = self._values or values
        if values == self._values:
            self._others = 0
            return True
        self.bad_rows[f"not {self._values} values"] += 1
        self._others += 1
        if self._others == self._preparation.packets:
            raise other_subcarriers("the stream", values // 2, self._values // 2)
        return False

    def prepared(self, csi: Int8Array) -> Int8Array:
        """The packets of a window as the network reads them."""
        inputs = self._preparation.of(Recording("stream", csi))
        require_shape(self._network, inputs.shape[1:])
        return np.asarray(inputs[0])

    def _ask(self, csi: Int8Array, new: int) -> FloatArray:
        if self._infer_packets is not None:
            return self._shares(self._infer_packets(csi[-new:]))
        return self._shares(self._infer(self.prepared(csi)))

    def _shares(self, outputs: npt.ArrayLike) -> FloatArray:
        values = np.asarray(outputs, np.float64).reshape(1, -1)
        return np.asarray(softmax(values * self._network.output_step)[0])


class OnBoard:
    """A board that makes windows of packets itself, for ``infer_packets`` of :class:`Stream`.

    Args:
        device: runs the firmware of ``network``.
        network: reads windows of ``preparation``.
        preparation: of form "series".

    Raises:
        InputError: E-CSI-BOARD for windows that the firmware cannot make.
    """

    def __init__(self, device: Device, network: Network, preparation: Preparation) -> None:
        most = amplitude.MOST_CHANNELS_ON_BOARD
        if not preparation.local or preparation.channels > most:
            raise InputError(
                "E-CSI-BOARD",
                f"the firmware makes no windows of form {preparation.form} with "
                f"{preparation.channels} channels, median {preparation.median} and thin "
                f"{preparation.thin}.",
                f"series of at most {most} channels with --median 1 --thin 1, or let the host "
                "prepare.",
            )
        require_shape(network, (preparation.channels, preparation.window))
        self._device, self._preparation = device, preparation
        self._values = 0
        self.microseconds = 0.0  # that the last window took on the board

    def __call__(self, packets: Int8Array) -> npt.ArrayLike:
        """Output values for the last window after these packets, int8 [N, values]."""
        return self.infer(packets).scores

    def infer(self, packets: Int8Array) -> Inference:
        """The same with its times; the packets' way counts as link."""
        start = self._device.clock()
        chosen = self._preparation
        if packets.shape[1] != self._values:
            self._values = packets.shape[1]
            subcarriers = amplitude.live_subcarriers(self._values // 2, chosen.channels)
            self._device.collect_csi(self._values, subcarriers.tolist(), chosen.gain)
        self._device.send_csi(np.ascontiguousarray(packets))
        self.microseconds = window_us = self._device.make_csi_window()
        one = self._device.infer()
        board_us = window_us + one.load_us + one.inference_us + one.unload_us + one.post_us
        # A virtual board's time is not the host's: no less than nothing passes on the way.
        way_s = max(0.0, self._device.clock() - start - board_us / 1e6)
        return replace(one, window_us=window_us, link_s=way_s)


def esp32_lines(source: str, baud: int) -> Iterator[bytes]:
    """Lines of a file to its end, or of a serial port until it is closed."""
    chunks = _file_chunks(Path(source)) if Path(source).is_file() else _port_chunks(source, baud)
    return lines_of(chunks)


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK_BYTES):
            yield data


def _port_chunks(name: str, baud: int) -> Iterator[bytes]:
    from max78k.host.ports import open_port, open_port_errors

    port = open_port(name, baud)
    try:
        while True:
            with open_port_errors():
                data = port.read(max(1, port.in_waiting))
            yield data
    finally:
        port.close()


def require_shape(network: Network, shape: tuple[int, ...]) -> None:
    """Refuse windows that the network does not read."""
    if shape != network.input_shape:
        raise InputError(
            "E-CSI-SHAPE",
            f"windows are {list(shape)}, {network.name} reads {list(network.input_shape)}.",
            f"prepare windows of this shape; {amplitude.CHANNELS} channels are the default.",
        )


def _shares(network: Network, inputs: npt.NDArray[np.int8]) -> FloatArray:
    values = reference.outputs(network, inputs)
    return softmax(np.asarray(values.reshape(len(inputs), -1) * network.output_step, np.float64))


def _names(network: Network) -> tuple[str, ...]:
    return network.class_names or tuple(f"class {n}" for n in range(_outputs(network)))


def _outputs(network: Network) -> int:
    """Number of output values."""
    one = np.zeros((1, *network.input_shape), np.int8)
    return int(reference.outputs(network, one).size)
