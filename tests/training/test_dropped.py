"""Statistics of batch norm behind dropout are those that evaluation needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from corner_data import corner_data
from torch import Tensor, nn

from max78k.training.base import Mode, set_mode
from max78k.training.dropped import dropouts_before_norms
from max78k.training.fit import train
from max78k.training.layers import Conv2d, Linear
from max78k.training.options import Augmentation, TrainOptions

NETWORK = f"{__file__}:Dropping"


class Dropping(nn.Module):
    """Input [N, 1, 12, 12]; what is dropped is pooled and normalised."""

    input_shape = (1, 12, 12)
    seen: list[tuple[Mode, bool]]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv2d(1, 8), Conv2d(8, 8, pool=2)
        self.output = Linear(8 * 36, classes)
        self.drop1, self.drop2 = nn.Dropout(0.5), nn.Dropout(0.5)

    def forward(self, data: Tensor) -> Tensor:
        data = self.conv2(self.drop1(self.conv1(data)))
        return self.output(self.drop2(data))


@pytest.fixture
def dropping() -> Dropping:
    torch.manual_seed(1)
    return Dropping(3)


def test_dropout_counts_where_batch_norm_follows(dropping: Dropping) -> None:
    sample = torch.zeros(1, 1, 12, 12)
    set_mode(dropping, Mode.FLOAT)
    dropping.train()
    assert dropouts_before_norms(dropping, sample) == [dropping.drop1]
    assert dropping.drop1.training and dropping.conv1.norm.training
    dropping.drop1.p = 0.0
    assert dropouts_before_norms(dropping, sample) == []


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_float_epochs_end_with_the_statistics_of_evaluation(tmp_path: Path, ema: float) -> None:
    options = TrainOptions(
        network=NETWORK, folder=tmp_path / "run", epochs=2, qat_epochs=1, batch_size=16, ema=ema,
        augmentation=Augmentation(False, 0.0, 0.0, 0.0, 0.0, 0.0),
    )  # fmt: skip
    train(options, corner_data())
    model = Dropping(3)
    model.load_state_dict(torch.load(tmp_path / "run" / "float.pt", weights_only=True)["model"])
    set_mode(model.eval(), Mode.FLOAT)
    norm = model.conv2.norm
    kept = norm.running_mean.clone(), norm.running_var.clone()
    inputs = (torch.from_numpy(corner_data().train.inputs).float() - 128) / 128
    norm.train().momentum = 1.0
    with torch.no_grad():
        model(inputs)
    torch.testing.assert_close(kept[0], norm.running_mean, rtol=0.1, atol=0.05)
    torch.testing.assert_close(kept[1], norm.running_var, rtol=0.15, atol=0.01)


def test_quantized_layers_follow_what_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[bool, bool]] = set()
    plain = nn.Dropout.forward

    def forward(self: nn.Dropout, data: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.add((data.shape[-1] == 12, self.training))
        return plain(self, data)

    monkeypatch.setattr(nn.Dropout, "forward", forward)
    options = TrainOptions(
        network=NETWORK, folder=tmp_path / "run", epochs=1, qat_epochs=1, batch_size=16
    )
    train(options, corner_data())
    assert seen == {(True, False), (False, True)}  # before batch norm; before the outputs
