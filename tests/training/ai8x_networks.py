"""Networks in the style of ai8x-training: its class names and arguments, one import changed."""

from __future__ import annotations

import torch
from torch import nn

from max78k.training import ai8x


class Residual(nn.Module):
    """Two residual blocks over pooled convolutions, a wide classifier."""

    def __init__(self, num_classes=5, num_channels=3, dimensions=(16, 16), bias=False, **kwargs):
        super().__init__()
        self.conv1 = ai8x.FusedConv2dReLU(
            num_channels, 16, 3, stride=1, padding=1, bias=bias, **kwargs
        )
        self.conv2 = ai8x.FusedConv2dReLU(16, 20, 3, stride=1, padding=1, bias=bias, **kwargs)
        self.conv3 = ai8x.FusedConv2dReLU(20, 20, 3, stride=1, padding=1, bias=bias, **kwargs)
        self.resid1 = ai8x.Add()
        self.conv4 = ai8x.FusedMaxPoolConv2dBNReLU(
            20, 24, 3, pool_size=2, pool_stride=2, stride=1, padding=1, **kwargs
        )
        self.conv5 = ai8x.FusedConv2dBN(24, 24, 3, padding=1, batchnorm="NoAffine", **kwargs)
        self.resid2 = ai8x.Add()
        self.conv6 = ai8x.FusedAvgPoolConv2dAbs(24, 16, 1, pool_size=8, pool_stride=8, **kwargs)
        self.conv7 = ai8x.Conv2d(16, num_classes, 1, stride=1, padding=0, wide=True, **kwargs)

    def forward(self, x):
        x_res = self.conv2(self.conv1(x))
        x = self.resid1(self.conv3(x_res), x_res)
        x_res = self.conv4(x)
        x = self.resid2(self.conv5(x_res), x_res)
        x = self.conv7(self.conv6(x))
        return x.view(x.size(0), -1)


class Keywords(nn.Module):
    """1-D convolutions over (features, time), one of them dilated."""

    def __init__(self, num_classes=6, num_channels=24, dimensions=(40, 1), bias=False, **kwargs):
        super().__init__()
        self.drop = nn.Dropout(p=0.2)
        self.conv1 = ai8x.FusedConv1dReLU(num_channels, 20, 1, stride=1, bias=bias, **kwargs)
        self.conv2 = ai8x.FusedConv1dBNReLU(20, 16, 3, stride=1, dilation=2, **kwargs)
        self.conv3 = ai8x.FusedMaxPoolConv1dReLU(16, 24, 3, stride=1, padding=1, bias=bias)
        self.conv4 = ai8x.FusedAvgPoolConv1dReLU(24, 12, 6, stride=1, padding=1, bias=bias)
        self.fc = ai8x.Linear(12 * 6, num_classes, bias=bias, wide=True)

    def forward(self, x):
        x = self.drop(self.conv2(self.conv1(x)))
        x = self.conv4(self.conv3(x))
        x = x.view(x.size(0), -1)
        return self.fc(x)


class AutoEncoder(nn.Module):
    """1-D encoder, linear bottleneck, linear decoder back to the input's size."""

    def __init__(self, num_channels=16, dimensions=(3, 1), bias=True, **kwargs):
        super().__init__()
        self.shape = (num_channels, dimensions[0])
        self.en_conv1 = ai8x.FusedConv1dBNReLU(num_channels, 32, 1, stride=1, bias=bias, **kwargs)
        self.en_conv2 = ai8x.FusedConv1dBNReLU(32, 16, 3, stride=1, bias=bias, **kwargs)
        self.en_lin1 = ai8x.FusedLinearReLU(16, 12, bias=bias, **kwargs)
        self.en_lin2 = ai8x.Linear(12, 4, bias=0, **kwargs)
        self.de_lin1 = ai8x.FusedLinearReLU(4, 24, bias=bias, **kwargs)
        self.out_lin = ai8x.Linear(24, num_channels * dimensions[0], bias=0, **kwargs)

    def forward(self, x):
        x = self.en_conv2(self.en_conv1(x))
        x = x.view(x.shape[0], x.shape[1])
        x = self.en_lin2(self.en_lin1(x))
        x = self.out_lin(self.de_lin1(x))
        return x.view(x.shape[0], *self.shape)


class UNet(nn.Module):
    """Encoder and decoder with two skips, joined along the channels."""

    def __init__(self, num_classes=4, num_channels=3, dimensions=(16, 16), bias=True, **kwargs):
        super().__init__()
        norm = {"stride": 1, "bias": bias, "batchnorm": "NoAffine", **kwargs}
        self.enc1 = ai8x.FusedConv2dBNReLU(num_channels, 4, 3, padding=1, **norm)
        self.enc2 = ai8x.FusedMaxPoolConv2dBNReLU(4, 8, 3, padding=1, **norm)
        self.bneck = ai8x.FusedMaxPoolConv2dBNReLU(8, 16, 3, padding=1, **norm)
        self.upconv2 = ai8x.ConvTranspose2d(16, 8, 3, stride=2, padding=1)
        self.dec2 = ai8x.FusedConv2dBNReLU(16, 8, 3, padding=1, **norm)
        self.upconv1 = ai8x.ConvTranspose2d(8, 4, 3, stride=2, padding=1)
        self.dec1 = ai8x.FusedConv2dBNReLU(8, 12, 3, padding=1, **norm)
        self.conv = ai8x.FusedConv2dBN(12, num_classes, 1, padding=0, **norm)

    def forward(self, x):
        enc1 = self.enc1(x)
        enc2 = self.enc2(enc1)
        dec2 = torch.cat((self.upconv2(self.bneck(enc2)), enc2), dim=1)
        dec1 = torch.cat((self.upconv1(self.dec2(dec2)), enc1), dim=1)
        return self.conv(self.dec1(dec1))
