"""The keyword network of the stored checkpoint, described with the names of ai8x-training."""

from __future__ import annotations

from torch import nn

from max78k.training import ai8x


class Keywords20(nn.Module):
    """Input [N, 128, 128], output [N, 21]."""

    def __init__(self, wide: bool = True) -> None:
        super().__init__()
        conv, pool = ai8x.FusedConv1dReLU, ai8x.FusedMaxPoolConv1dReLU
        mean = ai8x.FusedAvgPoolConv1dReLU
        self.voice_conv1 = conv(128, 100, 1, stride=1)
        self.voice_conv2 = conv(100, 96, 3, stride=1)
        self.voice_conv3 = pool(96, 64, 3, stride=1, padding=1)
        self.voice_conv4 = conv(64, 48, 3, stride=1)
        self.kws_conv1 = pool(48, 64, 3, stride=1, padding=1)
        self.kws_conv2 = conv(64, 96, 3, stride=1)
        self.kws_conv3 = mean(96, 100, 3, stride=1, padding=1)
        self.kws_conv4 = pool(100, 64, 6, stride=1, padding=1)
        self.fc = ai8x.Linear(256, 21, bias=True, wide=wide)

    def forward(self, data):
        data = self.voice_conv4(self.voice_conv3(self.voice_conv2(self.voice_conv1(data))))
        data = self.kws_conv4(self.kws_conv3(self.kws_conv2(self.kws_conv1(data))))
        return self.fc(data.view(data.size(0), -1))
