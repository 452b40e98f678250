"""Reading what the camera application says."""

from __future__ import annotations

import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from max78k.host.camera_lines import CameraFrame, CameraLines, CameraPicture, CameraText

LINE = (
    "frame=7 class=1 score=-5 capture_us=1 prepare_us=2 load_us=3 inference_us=4 unload_us=5 "
    "post_us=6 period_us=70 name=very happy\r\n"
)


def test_a_line_is_read_in_pieces_of_any_size() -> None:
    phases = dict(zip(("capture", "prepare", "load", "inference", "unload", "post"), range(1, 7),
                      strict=True))  # fmt: skip
    expected = CameraFrame(7, 1, "very happy", -5, phases, 70)
    for size in (1, 7, 1000):
        lines = CameraLines()
        pieces = [LINE.encode()[n : n + size] for n in range(0, len(LINE), size)]
        assert [event for piece in pieces for event in lines.feed(piece)] == [expected]


def picture_text() -> list[str]:
    return [
        "picture=3 rows=2 columns=2 class=0 input_crc=0000000a "
        f"picture_crc={zlib.crc32(bytes(range(8))):08x} scores=1,-2",
        "row=0 data=AAECAw==",
        "row=1 data=BAUGBw==",
    ]


def test_damaged_pictures_are_told_and_the_next_one_is_read() -> None:
    whole = picture_text()
    good = CameraPicture(3, 2, 2, 0, 10, (1, -2), bytes(range(8)))

    def events(lines: list[str]) -> list[object]:
        return CameraLines().feed("".join(f"{line}\r\n" for line in lines).encode())

    assert events(whole) == [good]
    bad = CameraText("picture 3", damaged=True)
    assert events([whole[0], whole[1], *whole]) == [bad, good]
    assert events([whole[0], whole[1], "row=1 data=BAUGBg==", *whole]) == [bad, good]
    assert events([whole[0], "row=x data=BAUGBw==", *whole]) == [bad, good]
    assert events([whole[0].replace("rows=2", "rows=9000"), *whole])[-1] == good
    assert events([*whole[1:], *whole]) == [good]
    assert events([whole[0], "frame=x"]) == [bad, CameraText("frame=x", damaged=True)]
    assert events([whole[0], whole[0].replace("rows=2", "rows=9000")]) == [bad, bad]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(0, 200), st.binary(max_size=3))
def test_nothing_that_arrives_stops_the_reader(
    noise: list[bytes], place: int, patch: bytes
) -> None:
    text = "".join(f"{line}\r\n" for line in [*picture_text(), LINE.strip()]).encode()
    lines = CameraLines()
    for piece in [*noise, text[:place] + patch + text[place + len(patch) :]]:
        for event in lines.feed(piece):
            if isinstance(event, CameraPicture):
                assert event.raw == bytes(range(8))
    assert lines.feed(b"\n" + text)[-2:] == CameraLines().feed(text)
