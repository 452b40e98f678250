"""Feed random bytes to both ends of the link for as long as is wanted.

    python tools/fuzz_link.py --bytes 10000000

The firmware's receiver and server run as a program of the host, built with the sanitizers of the
C compiler; the host's decoder and its reading of replies run here. A crash, a read beyond the end,
a reply that is no frame, or a chunk that takes seconds ends the run with status 1.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from max78k.errors import LinkError
from max78k.host import replies
from max78k.host.framing import MAX_ENCODED, Decoder, Frame, pack
from max78k.host.messages import MAX_PAYLOAD, REPLY_FLAG, Type

LONGEST_S = 5.0  # for a chunk of a few thousand bytes


def fuzz_firmware(count: int, seed: int) -> int:
    """Exit status of the firmware's side, half of it for a network that takes CSI packets."""
    tests = Path(__file__).resolve().parents[1] / "tests"
    sys.path[:0] = [str(tests / "firmware"), str(tests / "codegen")]
    from native_build import compile_native  # type: ignore[import-not-found]
    from tiny_image import tiny_image  # type: ignore[import-not-found]

    series = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    status = 0
    for image in (tiny_image(), tiny_image(sample_input=series)):
        with tempfile.TemporaryDirectory() as scratch:
            program = compile_native(image, Path(scratch), "native_fuzz.c")
            done = subprocess.run([str(program), str(count // 2), str(seed)], check=False)
            status = status or done.returncode
    return status


def _chunk(source: random.Random) -> bytes:
    """Noise, or a frame of a reply with any contents, sound or damaged."""
    if source.random() < 0.3:
        return source.randbytes(source.randrange(1, 3000))
    size = source.choice((source.randrange(80), source.randrange(MAX_PAYLOAD + 1)))
    kind = source.choice([*Type, source.randrange(128)]) | REPLY_FLAG
    wire = bytearray(pack(Frame(kind, source.randrange(8), source.randbytes(size))))
    if source.random() < 0.5:
        wire[source.randrange(len(wire))] ^= 1 << source.randrange(8)
    return bytes(wire)


def _read(frame: Frame, info: replies.DeviceInfo) -> None:
    """Read a frame as every kind of reply: contents that lie are refused, never believed."""
    try:
        reply = replies.reply_of(Type.STREAM, frame.payload)
    except LinkError:
        return
    for read in (
        lambda: replies.device_info(reply),
        lambda: replies.infer_reply(reply, info),
        lambda: replies.stream_reply(reply, info),
        lambda: replies.output_reply(reply, 0, 4),
        lambda: replies.self_test_reply(reply),
        lambda: replies.statistics_reply(reply),
    ):
        try:
            read()
        except LinkError:
            continue


def fuzz_host(count: int, seed: int) -> str:
    """Feed the decoder in pieces of any size; returns what came of it."""
    source = random.Random(seed)
    decoder = Decoder()
    info = replies.DeviceInfo(1, "1.1", "fuzz", 0, 1, 50_000_000, 12, 4, MAX_PAYLOAD, 0, 0, 3)
    fed = frames = 0
    while fed < count:
        chunk = _chunk(source)
        begin = time.monotonic()
        for frame in decoder.feed(chunk):
            frames += 1
            _read(frame, info)
        if time.monotonic() - begin > LONGEST_S:
            raise SystemExit(f"{len(chunk)} bytes took more than {LONGEST_S:g} s")
        if len(decoder.unfinished()) > MAX_ENCODED:
            raise SystemExit("the decoder keeps more than a frame")
        fed += len(chunk)
    return f"host: bytes {fed} frames {frames} bad {decoder.statistics.bad_chunks}"


def main() -> int:
    """Both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    status = fuzz_firmware(options.bytes, options.seed)
    print(fuzz_host(options.bytes, options.seed))
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
