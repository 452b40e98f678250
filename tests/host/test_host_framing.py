"""Framing: against the ``cobs`` package, and under every kind of damage."""

from __future__ import annotations

import zlib

import pytest
from cobs import cobs as oracle
from hypothesis import given
from hypothesis import strategies as st

from max78k.host.framing import (
    FOREIGN_KEPT,
    MAX_ENCODED,
    Decoder,
    Frame,
    FrameError,
    cobs_decode,
    cobs_encode,
    pack,
    unpack,
)
from max78k.host.messages import CRC, HEADER, MAX_FRAME, MAX_PAYLOAD

payloads = st.binary(max_size=MAX_PAYLOAD)
frames = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    payloads | st.integers(0, 600).map(lambda n: b"\x07" * n),
    st.integers(0, 255),
)


@given(st.binary(max_size=1100) | st.integers(0, 1100).map(bytes))
def test_cobs_equals_the_oracle(data):
    assert cobs_encode(data) == oracle.encode(data)
    assert cobs_decode(oracle.encode(data)) == data


@pytest.mark.parametrize("length", [0, 1, 253, 254, 255, 507, 508, 509, 762, 1016])
@pytest.mark.parametrize("around", [b"", b"\0", b"\0\0"])
def test_cobs_equals_the_oracle_at_block_edges(length, around):
    data = around + b"\x01" * length + around
    assert cobs_encode(data) == oracle.encode(data)
    assert cobs_decode(cobs_encode(data)) == data


@given(st.binary(max_size=40))
def test_cobs_decodes_what_the_oracle_decodes_and_refuses_the_rest(data):
    try:
        expected = oracle.decode(data)
    except oracle.DecodeError:
        with pytest.raises(FrameError):
            cobs_decode(data)
    else:
        assert cobs_decode(data) == expected


def test_frame_layout_is_that_of_the_message_table():
    wire = pack(Frame(0x84, 0x1234, b"ab"))
    body = b"\x01\x84\x34\x12\x02\x00ab"
    assert oracle.decode(wire[1:-1]) == body + zlib.crc32(body).to_bytes(4, "little")
    assert wire[0] == wire[-1] == 0 and wire.count(b"\0") == 2


@given(frames)
def test_frames_survive_the_wire(frame):
    wire = pack(frame)
    assert len(wire) - 2 <= MAX_ENCODED
    assert unpack(wire[1:-1]) == frame


@given(st.lists(frames, max_size=4), st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_frames_may_arrive_in_any_pieces(sent, sizes):
    stream = b"".join(map(pack, sent))
    decoder, got, position, turn = Decoder(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        got += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert got == sent
    assert decoder.statistics.frames == len(sent)
    assert decoder.statistics.bad_chunks == 0


@given(st.lists(frames, min_size=3, max_size=3), st.data())
def test_a_byte_that_is_wrong_or_lost_costs_one_frame_at_the_most(sent, data):
    """A delimiter too: one of the two between two frames is enough."""
    first, middle, last = map(pack, sent)
    damaged = bytearray(middle)
    position = data.draw(st.sampled_from((0, len(middle) - 1)) | st.integers(0, len(middle) - 1))
    lost = data.draw(st.booleans())
    if lost:
        del damaged[position]
    else:
        damaged[position] ^= data.draw(st.integers(1, 255))
    got = Decoder().feed(first + bytes(damaged) + last)
    assert got in (sent, [sent[0], sent[2]])
    if lost and position in (0, len(middle) - 1):
        assert got == sent  # nothing but a delimiter is gone


@given(frames, frames, st.data())
def test_a_frame_cut_short_costs_only_itself(first, second, data):
    wire = pack(first)
    kept = data.draw(st.integers(2, len(wire) - 2))
    decoder = Decoder()
    assert decoder.feed(wire[:kept] + b"\0" + pack(second)) == [second]
    assert decoder.statistics.bad_chunks == 1


@given(st.binary(max_size=4000), frames)
def test_no_noise_breaks_the_decoder(noise, frame):
    decoder = Decoder()
    decoder.feed(noise)
    assert len(decoder.unfinished()) <= MAX_ENCODED
    assert len(decoder.foreign) <= FOREIGN_KEPT
    assert decoder.feed(b"\0" + pack(frame))[-1] == frame


def test_endless_text_is_bounded_and_kept_for_the_diagnosis():
    decoder = Decoder()
    for _ in range(100):
        assert decoder.feed(b"Waiting... " * 50) == []
    assert decoder.statistics.overlong_chunks == 1
    assert decoder.foreign.endswith(b"Waiting... ")
    assert len(decoder.foreign) == FOREIGN_KEPT
    frame = Frame(1, 2, b"x")
    assert decoder.feed(b"\0" + pack(frame)) == [frame]


def test_lengths_that_lie_are_refused():
    for length in (0, 3, 5, 0xFFFF):
        body = HEADER.pack(1, 0x81, 7, length) + b"abcd"
        with pytest.raises(FrameError, match="payload"):
            unpack(oracle.encode(body + CRC.pack(zlib.crc32(body))))
    with pytest.raises(FrameError):
        unpack(oracle.encode(bytes(HEADER.size + CRC.size - 1)))
    body = HEADER.pack(1, 0x81, 7, MAX_PAYLOAD + 1) + bytes(MAX_PAYLOAD + 1)
    assert len(body) + 4 == MAX_FRAME + 1
    with pytest.raises(FrameError):
        unpack(oracle.encode(body + CRC.pack(zlib.crc32(body))))


def test_forgetting_drops_evidence_but_not_statistics():
    decoder = Decoder()
    decoder.feed(b"noise\0half a fr")
    assert decoder.foreign == b"noise" and decoder.unfinished() == b"half a fr"
    decoder.forget()
    assert decoder.foreign == b"" and decoder.unfinished() == b""
    assert decoder.statistics.bad_chunks == 1


def test_forgetting_keeps_a_frame_that_has_come_in_part():
    wire = pack(Frame(1, 2, b"payload"))
    decoder = Decoder()
    decoder.feed(wire[:6])
    decoder.forget()
    decoder.feed(wire[6:8])
    assert decoder.unfinished() == wire[6:8]
    assert decoder.feed(wire[8:]) == [Frame(1, 2, b"payload")]
    assert decoder.statistics.bad_chunks == 0


def test_a_restart_drops_what_has_come_in_part():
    wire = pack(Frame(1, 2, b"payload"))
    decoder = Decoder()
    decoder.feed(wire[:6])
    decoder.restart()
    assert decoder.feed(wire) == [Frame(1, 2, b"payload")]


def test_what_comes_first_after_a_restart_may_be_cut_and_is_no_damage():
    wire = pack(Frame(1, 2, b"payload"))
    decoder = Decoder()
    decoder.restart()
    assert decoder.feed(wire[5:] + wire) == [Frame(1, 2, b"payload")]
    assert (decoder.statistics.cut_chunks, decoder.statistics.bad_chunks) == (1, 0)
    assert decoder.feed(wire[5:] + wire) == [Frame(1, 2, b"payload")]
    assert (decoder.statistics.cut_chunks, decoder.statistics.bad_chunks) == (1, 1)
