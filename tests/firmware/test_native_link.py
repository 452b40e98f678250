"""Framing in C against framing in Python, on good, random and hostile bytes."""

from __future__ import annotations

import random

from max78k.host.framing import MAX_ENCODED, Decoder, Frame, cobs_encode, pack
from max78k.host.messages import MAX_PAYLOAD


def _frames(generator: random.Random, count: int) -> list[Frame]:
    lengths = [0, 1, 243, 244, 245, 246, 253, 254, 255, 256, 509, MAX_PAYLOAD - 1, MAX_PAYLOAD]
    frames = []
    for number in range(count):
        length = lengths[number % len(lengths)] if number % 2 else generator.randrange(MAX_PAYLOAD)
        alphabet = generator.choice([b"\0", b"\1", b"\xff", b"\0\1", bytes(range(256))])
        payload = bytes(generator.choice(alphabet) for _ in range(length))
        frames.append(Frame(generator.randrange(256), generator.randrange(65536), payload))
    return frames


def test_frames_are_decoded_and_encoded_as_on_the_host(device):
    frames = _frames(random.Random(1), 300)
    stream = b"".join(pack(frame) for frame in frames)
    replies, messages = device(stream, "frames")
    assert replies == stream
    assert "bad frames 0\n" in messages


def test_damaged_streams_give_the_same_frames_as_on_the_host(device):
    generator = random.Random(2)
    stream = bytearray()
    for frame in _frames(generator, 300):
        wire = bytearray(pack(frame))
        for _ in range(generator.choice([0, 0, 1, 3])):
            position = generator.randrange(len(wire))
            change = generator.randrange(4)
            if change == 0:
                wire[position] = generator.randrange(256)
            elif change == 1:
                del wire[position:]
                wire += b"\0" * generator.randrange(2)
            elif change == 2:
                wire[position:position] = generator.randbytes(generator.randrange(40))
            else:
                wire[position] ^= 1 << generator.randrange(8)
            if not wire:
                break
        stream += wire
    decoder = Decoder()
    expected = decoder.feed(bytes(stream))
    replies, messages = device(bytes(stream), "frames")
    # The device also passes on frames whose header is at odds with the frame, to answer them.
    got = [frame for frame in Decoder().feed(replies) if frame in expected]
    assert got == expected
    assert len(expected) > 100
    bad = int(messages.split("bad frames ")[1])
    assert bad >= 50


def test_random_bytes_are_no_frames(device):
    stream = random.Random(3).randbytes(300_000)
    replies, messages = device(stream, "frames")
    assert replies == b""
    assert int(messages.split("bad frames ")[1]) > 1000


def test_overlong_frame_is_dropped_and_the_next_one_understood(device):
    good = pack(Frame(1, 2, b"abc"))
    for length in (MAX_ENCODED, MAX_ENCODED + 1, MAX_ENCODED + 2, 10 * MAX_ENCODED):
        replies, messages = device(b"\x02" * length + b"\0" + good, "frames")
        assert replies == good
        assert "bad frames 1\n" in messages
    too_long = cobs_encode(bytes(range(1, 256)) * 5)
    assert device(too_long + b"\0" + good, "frames")[0] == good


def test_wrong_crc_is_no_frame(device):
    wire = bytearray(pack(Frame(1, 2, b"abcdef")))
    wire[-2] ^= 0x10 if wire[-2] != 0x10 else 0x20
    assert device(bytes(wire), "frames")[0] == b""


def test_missing_bytes_are_known_from_the_header_on(device):
    """Never more than there are, but for the few that are assumed when COBS has added some."""
    frames = [pack(frame) for frame in _frames(random.Random(3), 60)]
    replies, _ = device(b"".join(frames), "missing")
    told = iter(map(int, replies.split()))
    for wire in frames:
        missing = [next(told) for _ in wire]
        left = range(len(wire) - 1, -1, -1)
        assert missing[-1] == 0
        assert all(told <= max(there, 4) for told, there in zip(missing, left, strict=True))
        known = list(zip(missing, left, strict=True))[7:-1]
        assert all(there - told <= 5 for told, there in known)  # what COBS adds at most
