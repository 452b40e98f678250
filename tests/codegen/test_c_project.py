"""The C project that is written for an image."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from chain_network import chain_network
from tiny_image import tiny_image

from max78k.codegen import c_text
from max78k.codegen.output_places import output_places
from max78k.codegen.project import write_project
from max78k.codegen.project_folder import MANIFEST
from max78k.codegen.tables import (
    network_id,
    network_source,
    sample_source,
    weights_source,
)
from max78k.compiler.image import KernelBlock, OutputRun
from max78k.errors import InputError
from max78k.flows.synthesis import compile_network, default_sample


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refusal(code, *arguments, **options):
    with pytest.raises(InputError) as caught:
        write_project(*arguments, **options)
    assert caught.value.code == code
    return str(caught.value)


def test_same_image_gives_the_same_bytes(tmp_path):
    first = content(write_project(tiny_image(), tmp_path / "a", class_names=("yes", "no")))
    second = content(write_project(tiny_image(), tmp_path / "b" / "c", class_names=("yes", "no")))
    assert first == second
    assert {"Makefile", "README.md", MANIFEST, "src/boot.c", "generated/network.c"} <= set(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]  # no leftovers


def test_own_project_is_replaced_and_added_files_stay(tmp_path):
    folder = write_project(tiny_image(), tmp_path / "p")
    (folder / "src" / "mine.c").write_text("int mine;\n")
    write_project(tiny_image(name="other"), folder)
    fresh = content(write_project(tiny_image(name="other"), tmp_path / "q"))
    assert content(folder) == {**fresh, "src/mine.c": b"int mine;\n"}


def test_file_of_an_older_project_goes(tmp_path):
    folder = write_project(tiny_image(), tmp_path / "p")
    manifest = folder / MANIFEST
    (folder / "src" / "old.c").write_bytes(b"")
    manifest.write_text(manifest.read_text().replace('"files": {', '"files": {"src/old.c": 0,'))
    write_project(tiny_image(), folder)
    assert not (folder / "src" / "old.c").exists()


def test_edited_project_is_not_overwritten_unless_allowed(tmp_path):
    folder = write_project(tiny_image(), tmp_path / "p")
    main = folder / "src" / "main.c"
    original = main.read_bytes()
    main.write_bytes(original + b"/* mine */\n")
    assert "src/main.c" in refusal("E-PROJECT-EDITED", tiny_image(), folder)
    assert main.read_bytes() != original
    write_project(tiny_image(), folder, overwrite=True)
    assert main.read_bytes() == original


def test_foreign_folder_is_not_written_to_unless_allowed(tmp_path):
    (tmp_path / "precious.txt").write_text("precious")
    refusal("E-PROJECT-FOREIGN", tiny_image(), tmp_path)
    assert list(content(tmp_path)) == ["precious.txt"]
    write_project(tiny_image(), tmp_path, overwrite=True)
    assert content(tmp_path)["precious.txt"] == b"precious"


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"../../x": 1}}', "\xff"])
def test_damaged_manifest_makes_a_folder_foreign(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, "latin-1")
    refusal("E-PROJECT-FOREIGN", tiny_image(), tmp_path)


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "p").write_text("")
    refusal("E-PROJECT-FOLDER", tiny_image(), tmp_path / "p")


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(image, places):
        raise OSError("disk full")

    monkeypatch.setattr("max78k.codegen.tables.sample_source", fail)
    with pytest.raises(OSError, match="disk full"):
        write_project(tiny_image(), tmp_path / "p")
    assert not any(tmp_path.iterdir())


def test_image_that_the_firmware_cannot_hold_is_refused(tmp_path):
    run = tiny_image().output_runs[0]
    cases = {
        "E-BUILD-BUFFERS": tiny_image(sample_input=np.zeros((3, 200, 200), np.int8)),
        "E-BUILD-OUTPUTS": tiny_image(output_runs=(replace(run, count=70_000, width=8),)),
        "E-BUILD-NAME": tiny_image(name="n" * 65),
    }
    for code, image in cases.items():
        refusal(code, image, tmp_path / "p")
    refusal("E-BUILD-CLASSES", tiny_image(), tmp_path / "p", class_names=("one",))
    assert not any(tmp_path.iterdir())


def test_names_cannot_become_code(tmp_path):
    hostile = '*/ int x; /* "); system("\\\n#error'
    image = tiny_image(name=hostile[:60], layer_cycles={hostile: 1})
    source = network_source(image, (hostile, "ü\0", "??/"))
    assert "*/ int" not in source and "#error" not in source.replace("_error", "")
    strings = re.findall(r'"((?:[^"\\\n]|\\[0-7]{3})*)"', source.split("class_names")[1])
    assert len(strings) == 3
    decoded = [
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text).encode("latin-1")
        for text in strings
    ]
    assert decoded == [name.encode("utf-8") for name in (hostile, "ü\0", "??/")]


def test_comment_and_word_keep_to_their_whitelists():
    assert c_text.comment("conv.1 */ \\\n<?") == "conv.1 __ ____"
    for value in (-1, 1 << 32):
        with pytest.raises(ValueError, match="no 32-bit word"):
            c_text.word(value)


def test_network_id_follows_the_accelerator_s_content_alone():
    image = tiny_image()
    same = tiny_image(name="x", sample_input=image.sample_input + 1, layer_cycles={"y": 1})
    assert network_id(image) == network_id(same)
    columns = image.kernels[1].columns.copy()
    columns[2, 8] ^= 1
    changed = [
        tiny_image(kernels=(image.kernels[0], replace(image.kernels[1], columns=columns))),
        tiny_image(configure=image.configure[:-1]),
        tiny_image(bias=(image.bias[0] + np.int8(1), *image.bias[1:])),
        tiny_image(start=(*image.start, *image.start)),
        tiny_image(output_runs=(*image.output_runs, OutputRun(0x50400000, 0, 1, 1, 8))),
    ]
    numbers = {network_id(other) for other in changed}
    assert len(numbers) == len(changed) and network_id(image) not in numbers


def test_express_words_are_the_column_bytes_big_endian():
    columns = np.arange(1, 19, dtype=np.uint8).reshape(2, 9)
    words = KernelBlock(0, 0, columns).express_words()
    assert [f"{word:08x}" for word in words] == [
        "01020304", "05060708", "090a0b0c", "0d0e0f10", "11120000",
    ]  # fmt: skip


def test_tables_name_the_layer_of_every_kernel_bias_and_output():
    network = chain_network()
    image = compile_network(network, default_sample(network)).image
    places = output_places(network)
    weights = weights_source(image)
    for number, block in enumerate(image.kernels):
        assert re.search(
            rf"kernels_{number}}}, /\* conv\d: processor {block.processor} \*/|"
            rf"kernels_{number}}}, /\* output: processor {block.processor} \*/",
            weights,
        )
    source = network_source(image, (), places)
    assert {*re.findall(r"/\* (\w+): from entry \d+ \*/", source)} == {
        x.name for x in network.layers
    }
    assert re.findall(r"/\* output, channel (\d) \*/", source) == list("0123456")
    expected = re.findall(r"expected_\d}, /\* (.*) \*/", sample_source(image, places))
    assert expected == ["output, channels 0 to 3", "output, channels 4 to 6"]


def test_layer_lines_stand_at_the_top_of_the_tables():
    lines = network_source(tiny_image(), ()).splitlines()
    assert lines[2] == (
        "// Layer 0 (conv): 2x2 input, conv2d 3x3 pad 1 8-bit, 32-bit output; about 1234 cycles"
    )
    assert lines[3] == "// Input data: HWC"
