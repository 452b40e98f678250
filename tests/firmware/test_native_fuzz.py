"""Random bytes against the firmware's receiver and server, under the host's sanitizers."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest
from native_build import compile_native
from tiny_image import tiny_image

PICTURE = tiny_image()
SERIES = tiny_image(sample_input=np.arange(-6, 6, dtype=np.int8).reshape(3, 4))


@pytest.mark.parametrize("image", [PICTURE, SERIES], ids=["picture", "series"])
def test_no_bytes_harm_the_receiver_or_the_server(image, tmp_path):
    """``tools/fuzz_link.py`` runs the same program for as long as is wanted."""
    program = compile_native(image, tmp_path, "native_fuzz.c")
    done = subprocess.run(
        [str(program), "500000", "7"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    fed, sound, bad, replies, windows = map(int, re.findall(r"\d+", done.stdout))
    assert fed >= 500_000
    assert min(sound, bad, replies) > 1000  # it comes as far as the requests
    assert (windows > 10) == (image is SERIES)
