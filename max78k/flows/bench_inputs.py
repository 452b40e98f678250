"""What a bench sends: data sets, pictures, videos, cameras, CSI, integers, noise."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from max78k.csi.esp32 import follow, read_csv
from max78k.datasets.arrays import sample_shape
from max78k.datasets.ckplus import is_ckplus
from max78k.datasets.dataset import Dataset
from max78k.datasets.frames import IMAGES, WEBCAM, frames
from max78k.datasets.images import as_input
from max78k.datasets.load import FACES, load
from max78k.errors import InputError
from max78k.flows.csi_answers import OnBoard, Stream, esp32_lines, preparation_of, require_shape
from max78k.flows.evaluation import require_classes
from max78k.flows.levels import Subject
from max78k.flows.models import load_model, shipped_models
from max78k.network import Network

if TYPE_CHECKING:
    from max78k.host.bench import Infer
    from max78k.host.link import Device
    from max78k.host.replies import DeviceInfo

RANDOM = "random"
ESP32 = "esp32:"  # followed by a serial port, or by a file to replay as a stream
INTEGERS = "inputs"  # the array of an .npz that holds what the network reads as it is
_FACE = (1, 48, 48)
_SNIFFED_BYTES = 4096

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Source:
    """What the user asks for.

    Attributes:
        spec: ``random``; ``webcam``, ``webcam:N``; ``esp32:PORT``; a video, a picture, a folder of
            pictures; a CSV of the ESP32-CSI-Tool; an .npz of ``inputs``; else a data set, see
            :func:`max78k.datasets.load.load`.
        count: at most so many different inputs.
        model: name or path of the network that the board runs; None: it is guessed from what the
            board says.
        like: windows that say how CSI is prepared; None: the model says it.
        raw: let the board make the windows out of CSI packets.
        esp32_baud: rate of an ESP32's serial port.
        seed: of what is chosen or drawn.
    """

    spec: str = "faces"
    count: int = 50
    model: str | None = None
    like: Path | None = None
    raw: bool = False
    esp32_baud: int = 921_600
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Feed:
    """Inputs on hand (a list) or as they come (an iterator).

    Attributes:
        inputs: int8 arrays as the network reads them; with ``infer``, what that takes.
        labels: class index of each, or None.
        class_names: by index; may be empty.
        infer: asked in place of the device, see :func:`max78k.host.bench.run_bench`.
    """

    inputs: Sequence[Int8Array] | Iterator[Int8Array]
    labels: list[int] | None = None
    class_names: tuple[str, ...] = ()
    infer: Infer | None = None

    @property
    def live(self) -> bool:
        """Whether inputs come in their own time."""
        return isinstance(self.inputs, Iterator)


def open_feed(source: Source, device: Device) -> Feed:
    """The inputs that ``source`` names, in the shape that the board's network reads.

    Raises InputError ``E-BENCH-SIZE``, ``E-BENCH-SHAPE``, ``E-BENCH-MODEL``, ``E-BENCH-RAW``,
    ``E-BENCH-LABELS``, ``E-EVALUATE-CLASSES``, and the errors of the readers.
    """
    network = _network(source.model, device.info)
    spec, names = source.spec, _names(network)
    csi = spec.startswith(ESP32) or _is_csi(Path(spec))
    if source.raw and not csi:
        raise InputError(
            "E-BENCH-RAW", f"--raw is for CSI packets, {spec} has none.",
            "--data esp32:/dev/ttyUSB1 or a CSV of the ESP32-CSI-Tool",
        )  # fmt: skip
    if spec == RANDOM:
        rng = np.random.default_rng(source.seed)
        size = (source.count, device.info.input_bytes)
        return Feed(list(rng.integers(-128, 128, size, dtype=np.int8)), None, names)
    if csi:
        return _csi(source, network, device)
    if WEBCAM.fullmatch(spec) and not Path(spec).exists():
        return Feed(_pictures(spec, device.info, network), None, names)
    if _is_pictures(Path(spec)):
        shown = _pictures(spec, device.info, network)
        return Feed(list(islice(shown, source.count)), None, names)
    if spec.endswith(".npz") and (integers := _integers(Path(spec), source, device.info)):
        return replace(integers, class_names=names)
    return _data_set(source, network, device.info)


def _network(model: str | None, info: DeviceInfo) -> Network | None:
    """The network that the board runs, as far as it is known here."""
    if model is None:
        path = shipped_models().get(info.network_name)
        found = None if path is None else Network.load(path)
        fits = found is not None and math.prod(found.input_shape) == info.input_bytes
        return found if fits else None
    network = load_model(model).network
    if network.name != info.network_name:
        raise InputError(
            "E-BENCH-MODEL",
            f"the board runs network {info.network_name}, not {network.name}.",
            f"`max78k synthesize {model}`, `build` and `flash`; or --model {info.network_name}",
        )
    if math.prod(network.input_shape) != info.input_bytes:
        raise InputError(
            "E-BENCH-MODEL",
            f"{model} takes {math.prod(network.input_shape)} bytes, the board's network "
            f"{info.network_name} takes {info.input_bytes}.",
            "--model with the network that was flashed",
        )
    return network


def _names(network: Network | None) -> tuple[str, ...]:
    return () if network is None else network.class_names


def _shape(spec: str, info: DeviceInfo, network: Network | None) -> tuple[int, ...]:
    """Shape of a sample: of the network, of the file, else a square picture of as many bytes."""
    if network is not None:
        return network.picture_shape
    stored = sample_shape(Path(spec)) if spec.endswith(".npz") else None
    if stored is not None:
        return stored
    for channels in (1, 3):
        side = math.isqrt(info.input_bytes // channels)
        if channels * side * side == info.input_bytes:
            return (channels, side, side)
    return _FACE


def _size_error(spec: str, shape: tuple[int, ...], info: DeviceInfo) -> InputError:
    size = "x".join(map(str, shape))
    return InputError(
        "E-BENCH-SIZE",
        f"network {info.network_name} takes {info.input_bytes} bytes, samples of {spec} have "
        f"{math.prod(shape)} ({size}).",
        "data of its shape, --data random, or flash a network for these data",
    )


def _as_read(network: Network | None, pixels: npt.NDArray[np.uint8]) -> Int8Array:
    if network is not None:
        return network.from_pixels(pixels)
    return (pixels.astype(np.int16) - 128).astype(np.int8)


def _data_set(source: Source, network: Network | None, info: DeviceInfo) -> Feed:
    shape = _shape(source.spec, info, network)
    if math.prod(shape) != info.input_bytes:
        raise _size_error(source.spec, shape, info)
    # The drawn faces of the training part would take seconds that nobody sees the use of.
    spec = f"{FACES}:train=1,test={source.count}" if source.spec == FACES else source.spec
    data = load(spec, input_shape=shape, seed=source.seed, need=("test",))
    data = data.named_like(_names(network))
    _require_answerable(data, _names(network), info)
    split = data.test.sample(source.count, source.seed)
    pixels = _as_read(network, split.inputs)
    return Feed(list(pixels), split.labels.tolist(), data.class_names)


def _require_answerable(data: Dataset, names: tuple[str, ...], info: DeviceInfo) -> None:
    """Refuse labels that are no answers of the board, as ``evaluate`` does.

    Without names nothing says that the outputs are classes, unless there are too few of them.
    """
    if names or 1 < info.output_values < len(data.class_names):
        subject = Subject(info.network_name, data.input_shape, names)
        require_classes([data], subject, info.output_values)


def _is_pictures(path: Path) -> bool:
    """Whether it is a video, a picture, or a folder of pictures without classes."""
    if path.is_dir():
        if is_ckplus(path) or any(child.is_dir() for child in path.iterdir()):
            return False
        return any(child.suffix.lower() in IMAGES for child in path.iterdir())
    return path.is_file() and path.suffix.lower() not in (".csv", ".npz")


def _pictures(spec: str, info: DeviceInfo, network: Network | None) -> Iterator[Int8Array]:
    """Pictures cut to their middle, as ``max78k live`` does."""
    shape = _shape(spec, info, network)
    if len(shape) != 3 or shape[0] not in (1, 3) or math.prod(shape) != info.input_bytes:
        raise InputError(
            "E-BENCH-SHAPE",
            f"network {info.network_name} reads {info.input_bytes} bytes, no square picture.",
            "--model says its shape; for a network that reads no pictures other data",
        )
    return (_as_read(network, as_input(picture, shape, crop=True))
            for _, picture in frames(spec))  # fmt: skip


def _integers(path: Path, source: Source, info: DeviceInfo) -> Feed | None:
    """Inputs that are there as the network reads them; None for an .npz of another layout."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if INTEGERS not in archive.files:
                return None
            inputs = archive[INTEGERS]
            labels = archive["labels"] if "labels" in archive.files else None
    except (OSError, ValueError, EOFError, zlib.error, KeyError):
        return None  # the data set's reader says what is wrong
    if (
        inputs.dtype != np.int8
        or inputs.ndim < 2
        or math.prod(inputs.shape[1:]) != info.input_bytes
    ):
        raise InputError(
            "E-BENCH-SIZE",
            f"{path}: {INTEGERS} is {inputs.dtype} {list(inputs.shape)}, network "
            f"{info.network_name} takes {info.input_bytes} bytes.",
            f"{INTEGERS} int8 [N, ...] of the network's size, with labels [N] or without",
        )
    if labels is not None and (labels.shape != (len(inputs),) or labels.dtype.kind not in "iu"):
        raise InputError(
            "E-BENCH-LABELS", f"{path}: labels are {labels.dtype} {list(labels.shape)}.",
            "one integer for each input, or none at all",
        )  # fmt: skip
    if labels is not None:
        answers = info.output_values if info.output_values > 1 else math.inf
        wrong = labels[(labels < 0) | (labels >= answers)]
        if len(wrong):
            raise InputError(
                "E-BENCH-LABELS",
                f"{path} has the label {wrong[0]}, network {info.network_name} has "
                f"{info.output_values} outputs.",
                "numbers of classes from 0 on, or no labels at all",
            )
    chosen = slice(source.count)
    return Feed(list(inputs[chosen]), None if labels is None else labels[chosen].tolist())


def _is_csi(path: Path) -> bool:
    """Whether it is a CSV of the ESP32-CSI-Tool, not one of faces."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(_SNIFFED_BYTES)
    return b"CSI_DATA" in start


def _csi(source: Source, network: Network | None, device: Device) -> Feed:
    if network is None:
        raise InputError(
            "E-BENCH-MODEL",
            f"how CSI becomes the input of {device.info.network_name} is not known.",
            "--model with the network that was flashed",
        )
    preparation = preparation_of(network, source.like)
    names = network.class_names
    stream = source.spec.removeprefix(ESP32)
    if not source.raw and stream == source.spec:
        windows = preparation.of(read_csv(Path(stream)))
        require_shape(network, windows.shape[1:])
        return Feed(list(windows[: source.count]), None, names)
    cut = Stream(network, preparation)
    due = cut.due(follow(esp32_lines(stream, source.esp32_baud)))
    if source.raw:
        new = (np.ascontiguousarray(csi[-count:]) for csi, count in due)
        return raw_feed(Feed(new, None, names), source, device)
    return Feed((cut.prepared(csi) for csi, _ in due), None, names)


def raw_feed(packets: Feed, source: Source, device: Device) -> Feed:
    """The same packets, of which the board makes its inputs."""
    network = _network(source.model, device.info)
    assert network is not None  # such packets were asked for with a network
    board = OnBoard(device, network, preparation_of(network, source.like))
    return replace(packets, infer=board.infer)


def kept(feed: Feed, sent: deque[Any]) -> Feed:
    """The same feed; inputs that come in their own time are kept in ``sent`` as they are taken."""
    if not isinstance(feed.inputs, Iterator):
        sent.extend(feed.inputs)
        return feed
    inputs = feed.inputs

    def noted() -> Iterator[Int8Array]:
        for one in inputs:
            sent.append(one)
            yield one

    return Feed(noted(), feed.labels, feed.class_names, feed.infer)
