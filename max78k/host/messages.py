"""The link protocol's one table: message types and the layout of every payload.

The C header ``firmware/generated/link_protocol.h`` is generated from this module.

A frame is ``header | payload | CRC-32`` (zlib polynomial, over header and payload), COBS-encoded,
with a zero byte before and after it. A receiver needs one zero between two frames, so that a byte
that is lost or wrong costs one frame at the most. All numbers are little-endian. A request carries
a sequence number that the reply repeats; a request that is sent again with the same sequence number
is answered from the device's memory of its last reply and not carried out twice. Every reply begins
with REPLY_PREFIX.

STREAM lets the next inputs travel while the accelerator works. Its parts carry the number of their
frame; the part that completes a frame starts its run, and the one reply to a frame is its result. A
device answers a part that cannot be taken at once: HOLE with the bytes it has in a row, or BUSY. A
frame whose result is known already is answered with that result and not run again: the device
remembers STREAM_RESULTS of them. At most HELLO's stream_window frames may be without a result. A
frame can be overtaken by the later ones of its window, and again by the later ones of the windows
that earlier, lost frames have held up: a window of 3 needs 5 results.

Empty frames are ignored. INPUT at offset 0 begins a new input. OUTPUT asks for as many values as
fit one frame at the most. SET_BAUD to the present rate changes nothing. A device that hears nothing
valid for 2 s after a change, or at any time BAD_EVENTS_BEFORE_FALLBACK damaged frames and misread
bytes without a sound frame between them, goes back to DEFAULT_BAUD: a host without an answer
repeats its request there, under the same sequence number.
"""

from __future__ import annotations

import struct
from enum import IntEnum

PROTOCOL_VERSION = 1
DEFAULT_BAUD = 115200
BAUD_RATES = (115200, 230400, 460800, 921600, 2_000_000)
MAX_PAYLOAD = 1024  # bytes of payload in one frame, either way
NAME_BYTES = 64
REPLY_FLAG = 0x80
STREAM_RESULTS = 5
BAD_EVENTS_BEFORE_FALLBACK = 8

HEADER = struct.Struct("<BBHH")  # version, type, sequence, payload length
CRC = struct.Struct("<I")
MAX_FRAME = HEADER.size + MAX_PAYLOAD + CRC.size


class Type(IntEnum):
    """Request types; a reply has REPLY_FLAG added."""

    HELLO = 0x01  # who are you; also resets nothing
    SET_BAUD = 0x02  # acknowledged at the old rate, then the device switches
    INPUT = 0x03  # a part of the input tensor
    INFER = 0x04  # load the input, run, unload, reply with times and the output
    OUTPUT = 0x05  # a part of the last output, for outputs longer than one frame
    SELF_TEST = 0x06  # known-answer test of the built-in sample
    RESET = 0x07  # acknowledged, then a software reset
    CSI_SETUP = 0x08  # begin to collect packets of Wi-Fi channel state information
    CSI_PACKETS = 0x09  # packets, as the receiver gave them
    CSI_WINDOW = 0x0A  # make the input from the last packets
    ECHO = 0x10  # the payload comes back: a trial of the line
    STREAM = 0x11  # a part of a numbered input; see above
    STATISTICS = 0x12  # what the device has seen on the line since it started


class Status(IntEnum):
    """Status in a reply."""

    OK = 0
    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2  # payload length does not fit the request type
    BAD_RANGE = 3  # offset, length or rate outside what the device has
    NO_INPUT = 4  # INFER before the whole input, CSI_WINDOW before enough packets have arrived
    CNN_TIMEOUT = 5  # the accelerator did not finish
    MISMATCH = 6  # the known-answer test failed
    BAD_VERSION = 7
    HOLE = 8  # STREAM: the part does not follow what is there
    BUSY = 9  # STREAM: the buffer still holds another frame


class ResetCause(IntEnum):
    """Why the device started."""

    POWER_ON = 0  # power-on, brown-out or the reset pin
    SOFTWARE = 1
    WATCHDOG = 2
    FAULT = 3  # a fault handler ended the last run


# boot id (random at every start), reset cause, status
REPLY_PREFIX = struct.Struct("<IHH")

# protocol version, firmware major, minor, frames of a stream without a result (0: no
# STREAM, as when one reply cannot hold the output), largest payload,
# output values, network id (CRC-32 of the image), core clock Hz, timer Hz, input bytes,
# output bytes (4 per value), network name (zero-padded)
HELLO_REPLY = struct.Struct(f"<BBBBHHIIIII{NAME_BYTES}s")
SET_BAUD = struct.Struct("<I")  # bits per second; the reply has no payload after the prefix
INPUT = struct.Struct("<I")  # byte offset, followed by the bytes (int8, channel-planar)
INPUT_REPLY = struct.Struct("<I")  # bytes received so far from offset 0 without a hole
# INFER and SELF_TEST have no payload.
# load, inference, unload, post-processing: timer ticks; class index (0xFFFF: none), values that
# follow as int32
INFER_REPLY = struct.Struct("<IIIIHH")
OUTPUT = struct.Struct("<HH")  # first value, number of values
OUTPUT_REPLY = struct.Struct("<HH")  # first value, number of values that follow as int32
# mismatching words, words compared, first wrong address, expected, read
SELF_TEST_REPLY = struct.Struct("<IIIII")

# values of a packet (twice its subcarriers), channels, gain in 1 / 256; followed by the number of
# the subcarrier for each channel, a byte each. A window has input bytes / channels packets.
CSI_SETUP = struct.Struct("<HHI")
# CSI_PACKETS: whole packets of int8, imaginary and real part in turn
CSI_PACKETS_REPLY = struct.Struct("<I")  # packets taken in by this request
# CSI_WINDOW has no payload.
CSI_WINDOW_REPLY = struct.Struct("<I")  # timer ticks that it took
STREAM = struct.Struct("<II")  # frame number, byte offset; followed by the bytes
STREAM_STATE = struct.Struct("<II")  # with a status other than OK: frame, bytes in a row
# frame, timer at the end of the run; load, inference, unload, post-processing: timer ticks; class
# index, values that follow as int32
STREAM_REPLY = struct.Struct("<IIIIIIHH")
# good frames, frames that are none (CRC, COBS, length), bytes lost or misread on the line, repeated
# requests, holes, runs of the accelerator, all since the start, modulo 2^32; timer ticks that
# loading the weights took
STATISTICS_REPLY = struct.Struct("<IIIIIII")
