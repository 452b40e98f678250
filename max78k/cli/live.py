"""``max78k live``: faces from a camera, answers from a board."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.options import port_option
from max78k.cli.terminal import json_option, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.datasets.dataset import Uint8Array
    from max78k.flows.live import Infer
    from max78k.network import Network

_WINDOW = "max78k"


@click.command("live")
@click.argument("model", default="fer7")
@click.option(
    "--camera",
    default="webcam",
    show_default=True,
    help="webcam, webcam:N, a video, an image or a folder of images.",
)
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="face_detection_yunet_2023mar.onnx of OpenCV's model zoo, see docs/data.md. "
    "Without it the middle of each picture is taken.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for annotated pictures.")
@click.option("--window", is_flag=True, help="Show them in a window; q, or closing it, ends.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many answers.")
@click.option("--reference", is_flag=True, help="Let the integer reference answer, not a board.")
@port_option
@json_option
def command(
    model: str,
    camera: str,
    detector: Path | None,
    out: Path | None,
    window: bool,
    count: int | None,
    reference: bool,
    port: str,
    as_json: bool,
) -> None:
    """Stream faces to a board and show label, scores and latency; Ctrl-C ends it.

    \b
    Examples:
      max78k live fer7 --camera webcam --detector face_detection_yunet_2023mar.onnx --window
      max78k live fer7 --camera video.mp4 --detector yunet.onnx --out annotated
      max78k live fer7 --camera pictures/ --reference --json

    Pictures are prepared as in training. --port sim (the default) boots what was flashed to the
    virtual board, or, where nothing was, the model's firmware. With --json one object a line.
    """
    from max78k.datasets.face_finder import FaceFinder
    from max78k.datasets.frames import PngNames, frames
    from max78k.flows.live import annotated, answers
    from max78k.flows.models import load_model

    if window:
        _open_window()
    network = load_model(model).network
    finder = None if detector is None else FaceFinder(detector)
    done = without = 0
    png = PngNames()
    shown = frames(camera, unreadable=lambda error: say(f"left out: {error}"))
    with _inference(network, model, None if reference else port) as infer:
        try:
            for answer in answers(network, infer, shown, finder):
                if isinstance(answer, str):
                    without += 1
                    continue
                names = network.class_names or tuple(map(str, range(len(answer.shares))))
                done += 1
                best, share = names[answer.best], float(answer.shares[answer.best])
                line = {"picture": answer.name, "class": best, "share": round(share, 4),
                        "shares": dict(zip(names, answer.shares.round(4).tolist(), strict=True)),
                        "board_us": answer.board_us}  # fmt: skip
                time = "" if answer.board_us is None else f", {answer.board_us / 1000:.2f} ms"
                text = f"{answer.name:<24} {best:<10} {100 * share:3.0f} %{time}"
                click.echo(json.dumps(line) if as_json else text)
                picture = annotated(answer, names) if out is not None or window else None
                if out is not None and picture is not None:
                    _save(out / png(answer.name), picture)
                ended = window and picture is not None and _show(picture)
                if ended or done == count:
                    break
        except KeyboardInterrupt:
            pass
    if without:
        say(f"{without:,} pictures without a face")


@contextmanager
def _inference(network: Network, model: str, port: str | None) -> Iterator[Infer]:
    if port is None:
        from max78k.network import reference

        yield lambda one: (reference.outputs(network, one[None])[0], None)
        return
    from max78k.flows.firmware import booted
    from max78k.host.messages import BAUD_RATES
    from max78k.host.session import connect

    with (
        booted((port,), None, model, say) as elf,
        connect(port, elf=elf, highest_baud=BAUD_RATES[-1]) as device,
    ):
        if device.info.network_name != network.name:
            raise InputError(
                "E-LIVE-NETWORK",
                f"the board runs network {device.info.network_name}, not {network.name}.",
                "flash the firmware of this network, or --reference.",
            )

        def infer(one: object) -> tuple[object, float]:
            result = device.infer(one)
            times = (result.load_us, result.inference_us, result.unload_us, result.post_us)
            return result.scores, sum(times)

        yield infer  # type: ignore[misc]


def _save(path: Path, picture: Uint8Array) -> None:
    import cv2

    from max78k.files import write_bytes

    write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())


def _open_window() -> None:
    import cv2

    try:
        cv2.namedWindow(_WINDOW)
    except cv2.error:
        raise InputError(
            "E-LIVE-WINDOW",
            "this OpenCV cannot show windows.",
            "--out FOLDER, or opencv-python instead of opencv-python-headless.",
        ) from None


def _show(picture: Uint8Array) -> bool:
    """Draw in the window; True if the user ends it, or has closed it."""
    import cv2

    cv2.imshow(_WINDOW, picture)
    key = cv2.waitKey(1) & 0xFF
    return key == ord("q") or cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1
