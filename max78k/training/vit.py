"""Vision transformers: of a face as the teacher, of the CSI of the same time as the student.

Needs Hugging Face ``transformers`` (``pip install 'max78k[transformers]'``). The student reads
windows [N, channels, packets] as a network of the chip does, and makes their spectrograms itself;
so its folder is a teacher for ``train-qat`` in turn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.files import write_text

FACE_TEACHER = "dima806/facial_emotions_image_detection"  # ViT-B/16 of seven emotions
_ABOUT = "csi_vit.json"
_FLOOR = 1e-10  # of the power, before its logarithm

# Not taken from the teacher: they read pictures, or name its classes.
_OWN_PARTS = ("vit.embeddings.", "classifier.")


@dataclass(frozen=True)
class Picture:
    """A spectrogram as the transformer reads it: segment and hop in packets, side in pixels."""

    segment: int = 200
    hop: int = 175
    side: int = 224


TINY = Picture(segment=200, hop=25, side=32)
_TINY_VIT = {
    "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96,
    "patch_size": 8, "hidden_dropout_prob": 0.1,
}  # fmt: skip


class CsiVit(nn.Module):
    """A transformer of CSI windows.

    Args:
        vit: ``ViTForImageClassification`` for ``picture.side`` pixels.
        picture: how windows become images.
    """

    def __init__(self, vit: nn.Module, picture: Picture) -> None:
        super().__init__()
        self.vit, self.picture = vit, picture

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        config: Any = self.vit.config
        return tuple(str(config.id2label[number]) for number in range(len(config.id2label)))

    def images(self, windows: Tensor) -> Tensor:
        """Spectrograms in dB, stretched to a square, each channel with mean 0 and deviation 1.

        The same as :func:`max78k.csi.time_frequency.transformer_image`, of
        [N, channels, packets].
        """
        segment = min(self.picture.segment, windows.shape[-1])
        frames = windows.float().unfold(-1, segment, min(self.picture.hop, segment))
        shape = _tukey(segment, 0.25).to(windows.device)
        frames = (frames - frames.mean(dim=-1, keepdim=True)) * shape
        power = torch.fft.rfft(frames, dim=-1).abs() ** 2 / shape.square().sum()
        power[..., 1 : (segment + 1) // 2] *= 2  # one side stands for both
        decibel = 10 * power.clamp(min=_FLOOR).log10().transpose(-1, -2)
        side = (self.picture.side,) * 2
        image = F.interpolate(decibel, side, mode="bilinear", align_corners=False)
        mean = image.mean(dim=(2, 3), keepdim=True)
        deviation = image.std(dim=(2, 3), keepdim=True, correction=0)
        return (image - mean) / (deviation + 1e-6)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [N, classes] and the last hidden state [N, tokens, width] of :meth:`images`."""
        found = self.vit(pixel_values=images, output_hidden_states=True)
        return found.logits, found.hidden_states[-1]

    def forward(self, windows: Tensor) -> Tensor:
        """Scores of the classes."""
        with torch.no_grad():
            images = self.images(windows)
        return self.look(images)[0]

    def save(self, folder: Path) -> None:
        """Write the weights (safetensors) and what :func:`load_csi_vit` needs besides."""
        self.vit.save_pretrained(folder)  # type: ignore[operator]
        write_text(folder / _ABOUT, json.dumps(asdict(self.picture)) + "\n")


def load_csi_vit(folder: Path) -> CsiVit:
    """What :meth:`CsiVit.save` wrote; runs no code from the folder.

    Raises InputError ``E-VIT-FILE``.
    """
    try:
        picture = Picture(**json.loads((folder / _ABOUT).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "E-VIT-FILE", f"{folder} holds no CSI transformer ({error}).",
            "a folder written by `max78k csi train-vit`.",
        ) from None  # fmt: skip
    return CsiVit(load_vit(str(folder)), picture)


def is_csi_vit(path: Path) -> bool:
    """Whether :func:`load_csi_vit` would find something in ``path``."""
    return (path / _ABOUT).is_file()


def load_vit(source: str) -> nn.Module:
    """A ``ViTForImageClassification`` by its model id or from a folder.

    Raises InputError ``E-VIT-FILE``, and ``E-VIT-EXTRA`` without transformers.
    """
    kind, _ = _transformers()
    try:
        model: nn.Module = kind.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0][:200]
        raise InputError(
            "E-VIT-FILE", f"{source} is no vision transformer that can be had: {said}",
            "a model id, or a folder with config.json and model.safetensors.",
        ) from None  # fmt: skip
    return model


def new_vit(class_names: Sequence[str], channels: int, side: int, tiny: bool) -> nn.Module:
    """An untrained transformer: ViT-B/16, or one small enough for tests."""
    kind, config = _transformers()
    sizes = _TINY_VIT if tiny else {}
    names = dict(enumerate(class_names))
    chosen = config(
        num_channels=channels, image_size=side, id2label=names,
        label2id={name: number for number, name in names.items()}, **sizes,
    )  # fmt: skip
    model: nn.Module = kind(chosen)
    return model


def student_of(teacher: nn.Module, class_names: Sequence[str], channels: int) -> nn.Module:
    """A transformer like ``teacher`` for other channels and classes, begun with its weights.

    The embeddings, which read the image, and the classifier are its own.
    """
    kind, _ = _transformers()
    config: Any = teacher.config
    values = config.to_dict()
    names = dict(enumerate(class_names))
    values.update(num_channels=channels, id2label=names, label2id={n: k for k, n in names.items()})
    model: nn.Module = kind(type(config).from_dict(values))
    state = teacher.state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith(_OWN_PARTS)}
    model.load_state_dict(kept, strict=False)
    return model


def freeze(model: nn.Module, layers: int) -> None:
    """Train neither the first ``layers`` layers of a transformer.

    Raises InputError ``E-VIT-FREEZE`` for more than there are.
    """
    blocks = next(
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.endswith(("layers", "layer"))
    )
    if not 0 <= layers <= len(blocks):
        raise InputError(
            "E-VIT-FREEZE", f"{layers} layers to freeze, the transformer has {len(blocks)}."
        )
    for block in list(blocks)[:layers]:
        block.requires_grad_(False)


def class_columns(teacher: nn.Module, class_names: Sequence[str]) -> list[int]:
    """Where each of ``class_names`` stands among the teacher's classes.

    Raises InputError ``E-VIT-CLASSES`` for one that it does not know.
    """
    config: Any = teacher.config
    known = {str(name).lower(): int(number) for number, name in config.id2label.items()}
    missing = [name for name in class_names if name.lower() not in known]
    if missing:
        raise InputError(
            "E-VIT-CLASSES",
            f"the teacher knows {', '.join(known)}, not {missing[0]}.",
            "name the classes as it does, or --logit-weight 0.",
        )
    return [known[name.lower()] for name in class_names]


def face_images(frames: Tensor, teacher: nn.Module) -> Tensor:
    """Frames uint8 [N, 1 or 3, rows, columns] as ViT reads them: its size, -1 ... 1."""
    config: Any = teacher.config
    side = (config.image_size,) * 2
    values = F.interpolate(frames.float(), side, mode="bilinear", align_corners=False) / 127.5 - 1
    return values.expand(-1, config.num_channels, -1, -1)


def _tukey(length: int, share: float) -> Tensor:
    """Periodic window whose ``share`` of cosine rises and falls."""
    place = torch.arange(length, dtype=torch.float64) / length
    edge = torch.minimum(place, 1 - place)
    rise = 0.5 * (1 - torch.cos(2 * torch.pi * edge / share))
    return torch.where(edge < share / 2, rise, torch.ones_like(rise)).float()


def _transformers() -> tuple[Any, Any]:
    try:
        from transformers import ViTConfig, ViTForImageClassification
        from transformers.utils import logging
    except ImportError:
        raise InputError(
            "E-VIT-EXTRA", "transformers is not installed.", "pip install 'max78k[transformers]'"
        ) from None
    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # as our own bars
    return ViTForImageClassification, ViTConfig
