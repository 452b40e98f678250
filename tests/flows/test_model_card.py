"""``tools/model_card.py``: a card's figures are those that the verbs give."""

from __future__ import annotations

from pathlib import Path

import model_card
import numpy as np
import pytest

from max78k.errors import InputError
from max78k.flows import firmware
from max78k.flows.firmware import Firmware
from max78k.network import Network, reference

CARD = """# tiny7

| | `other` | `tiny7` |
|---|---|---|
| data | a | b |
| **integers** | 1 % | 2 % |

Text after it.
"""


def test_a_card_gets_what_is_measured_and_keeps_the_rest(
    tiny_network: Network,
    tiny_firmware: Firmware,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(firmware, "make_firmware", lambda *_, **__: tiny_firmware)
    pictures = np.random.default_rng(4).integers(0, 256, (30, 1, 48, 48), dtype=np.uint8)
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures))
    labels = outputs.argmax(axis=1)
    labels[20:25] = (labels[20:25] + 1) % 7  # five of ten in the test part are wrong
    np.savez(tmp_path / "d.npz", images=pictures, labels=labels, usage=np.arange(30) // 20)
    tiny_network.save(tmp_path / "tiny7.npz")
    card = tmp_path / "card.md"
    card.write_text(CARD)
    model_card.main(
        [str(card), str(tmp_path / "tiny7.npz"), "--data", str(tmp_path / "d.npz"), "--board", "10"]
    )
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in
            card.read_text().splitlines() if line.startswith("|")}  # fmt: skip
    assert [cell.strip() for cell in rows["data"]] == ["a", "b"]
    assert rows["**integers**"][0].strip() == "1 %"
    assert rows["**integers**"][1].strip().startswith("**50.00 %**, macro F1 ")
    assert rows["pictures of the train part, of the judged one"][1].strip() == "20 and 10"
    board = rows["**virtual board**"][1]
    assert "50.00 % of 10 of them (seed 0), the integers 50.00 %; 0 of 70 values differ" in board
    assert f"{tiny_network.weight_bytes:,} and" in rows["weights, biases"][1]
    for label in ("energy of an inference, an estimate", "... from input to answer, by its timer",
                  "cycles, time (model of the accelerator)"):  # fmt: skip
        assert rows[label][0].strip() == ""
        assert float(rows[label][1].split()[0].replace(",", "")) > 0
    assert card.read_text().endswith("\n\nText after it.\n")
    assert "**integers**: **50.00 %**" in capsys.readouterr().out


def test_a_card_without_the_models_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"E-CARD-TABLE.*fer7"):
        model_card.written(CARD, "fer7", {"a": "b"})
