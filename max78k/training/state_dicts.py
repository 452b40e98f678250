"""Loading the weights of other people's training into a model: by name, by a mapping, by order.

Files are read without running code. What went where is reported; nothing is left out silently.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.training.weight_layer import WeightLayer

ORDER = "order"
_COUNTER = "num_batches_tracked"
_OWN = ("in_exponent", "out_exponent", "weight_bits", "weight_exponent", _COUNTER)
_VENDOR = (
    "output_shift", "weight_bits", "bias_bits", "quantize_activation", "adjust_output_shift",
    "shift_quantile", "activation_threshold", "final_scale", "clamp_activation", _COUNTER,
)  # fmt: skip
_VENDOR_NORM = 0.25  # by which ai8x-training multiplies what batch norm gives

Names = Mapping[str, str]


@dataclass(frozen=True)
class LoadReport:
    """Which tensor of the file went where; a bias before batch norm goes into its mean."""

    path: str
    loaded: tuple[tuple[str, str], ...]
    unused: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """The report as lines for a user."""
        renamed = [f"{a} -> {b}" for a, b in self.loaded if a != b]
        lines = [f"{self.path}: {len(self.loaded)} tensors loaded"]
        if renamed:
            lines[0] += ", under other names: " + ", ".join(renamed)
        if self.unused:
            lines.append(f"{self.path}: not used: {', '.join(self.unused)}")
        return tuple(lines)


def why_unreadable(error: Exception) -> str:
    """Why ``torch.load`` refused a file: the class whose code it needs, else its first line."""
    needed = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
    if needed is not None:
        return f"it needs that of {needed[1]}"
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``state_dict`` file, or of the one in a checkpoint, by name.

    Raises:
        InputError: E-WEIGHTS-FILE for anything else, and for what only running code could read.
    """
    if not path.is_file():
        raise InputError("E-WEIGHTS-FILE", f"{path}: no such file.")
    allowed: list[Any] = [torch.optim.Adam, torch.optim.SGD]  # named in the vendor's files
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the pickle's protocol
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(
            "E-WEIGHTS-FILE",
            f"{path} cannot be read without running code ({why_unreadable(error)}).",
            "torch.save(model.state_dict(), FILE).",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise InputError("E-WEIGHTS-FILE", f"{path} holds no state_dict.")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError("E-WEIGHTS-FILE", f"{path} holds no tensors.")
    return {_plain(key): value.detach() for key, value in tensors.items()}


def _plain(key: str) -> str:
    """The key without what data-parallel training and compilation put before it."""
    return re.sub(r"^(module\.|_orig_mod\.)+", "", key)


def read_names(path: Path) -> dict[str, str]:
    """A YAML table of names in the file to names in the model; raises InputError E-WEIGHTS-MAP.

    A name is that of a tensor or the beginning of several, up to a dot.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            "E-WEIGHTS-MAP", f"{path} cannot be read ({' '.join(str(error).split())[:160]})."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(x, str) for x in content.values()):
        raise InputError(
            "E-WEIGHTS-MAP", f"{path} is no table of names.", "features.0: conv1, one per line."
        )
    return {str(key): value for key, value in content.items()}


def load_weights(model: nn.Module, path: Path, names: str | None = None) -> LoadReport:
    """Load ``path`` into ``model``.

    Args:
        model: any module; layers of this package lose their batch norm where the file has it
            folded already, and take a bias before batch norm into its mean.
        path: a state_dict, or a checkpoint that holds one, ai8x-training's float ones included.
        names: None (the names are equal), "order" (tensors of equal shape in equal order), or a
            YAML file, see :func:`read_names`.

    Raises:
        InputError: E-WEIGHTS-FILE, E-WEIGHTS-MAP, E-WEIGHTS-SHAPE, E-WEIGHTS-MISSING.
    """
    state = _from_vendor(read_state(path))
    if names is not None and names != ORDER:
        state = _renamed(state, read_names(Path(names)))
    state = {key: value for key, value in state.items() if key.rpartition(".")[2] not in _OWN}
    _drop_folded_norms(model, state, names == ORDER)
    slots = {k: v for k, v in model.state_dict().items() if k.rpartition(".")[2] not in _OWN}
    pairs = _by_order(slots, state, path) if names == ORDER else _by_name(slots, state)
    _fill(model, slots, state, pairs, path)
    sources = {source for source, _ in pairs}
    return LoadReport(str(path), tuple(pairs), tuple(key for key in state if key not in sources))


def _from_vendor(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The keys of ai8x-training as those of our layers; its batch norm divides by 4."""
    if not any(".op.weight" in key for key in state):
        return state
    found = {}
    for key, value in state.items():
        if key.rpartition(".")[2] in _VENDOR:
            continue
        name = key.replace(".op.", ".").replace(".bn.", ".norm.")
        scaled = name.endswith((".norm.weight", ".norm.bias"))
        found[name] = value * _VENDOR_NORM if scaled else value
    for key in list(found):
        base = key.removesuffix(".norm.running_mean")
        if key != base and f"{base}.norm.weight" not in found:  # without learned scale
            found[f"{base}.norm.weight"] = torch.full_like(found[key], _VENDOR_NORM)
            found[f"{base}.norm.bias"] = torch.zeros_like(found[key])
    return found


def _renamed(state: dict[str, Tensor], names: Names) -> dict[str, Tensor]:
    used: set[str] = set()
    found = {}
    for key, value in state.items():
        match = next((x for x in names if key == x or key.startswith(f"{x}.")), None)
        if match is not None:
            used.add(match)
            key = names[match] + key[len(match) :]
        found[key] = value
    if used != set(names):
        missing = ", ".join(sorted(set(names) - used))
        raise InputError("E-WEIGHTS-MAP", f"the file has nothing called {missing}.")
    return found


def _drop_folded_norms(model: nn.Module, state: dict[str, Tensor], by_order: bool) -> None:
    """Where the file has batch norm folded into the weights, the layers go without it."""
    statistics = [key for key in state if key.endswith("running_mean")]
    for name, module in model.named_modules():
        if not isinstance(module, WeightLayer) or not isinstance(module.norm, nn.Module):
            continue
        gone = not statistics if by_order else f"{name}.norm.running_mean" not in state
        if gone and (by_order or f"{name}.weight" in state):
            module.norm = None
            outputs = module.weight.shape[module.out_axis]
            module.bias = nn.Parameter(torch.zeros(outputs))
        elif f"{name}.norm.weight" in state and "weight" not in dict(
            module.norm.named_parameters()
        ):
            outputs = module.weight.shape[module.out_axis]
            module.norm = type(module.norm)(outputs)  # with a learned scale


def _by_name(slots: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    pairs = [(key, key) for key in slots if key in state]
    biases = [key for key in state if key.endswith(".bias") and key not in slots]
    for key in biases:
        mean = f"{key.removesuffix('bias')}norm.running_mean"
        if mean in slots:
            pairs.append((key, mean))
    return pairs


def _by_order(
    slots: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path
) -> list[tuple[str, str]]:
    """Pairs of tensors of equal shape; a bias before batch norm belongs to its mean."""
    pairs = []
    waiting = list(slots)
    for key, value in state.items():
        name = waiting[0] if waiting else ""
        if name and slots[name].shape == value.shape and not _before_norm(key, name):
            pairs.append((key, waiting.pop(0)))
        elif name.endswith(".norm.weight") and key.endswith("bias"):
            pairs.append((key, name.replace("norm.weight", "norm.running_mean")))
        else:
            wanted = f"{name} {tuple(slots[name].shape)}" if name else "nothing more"
            raise InputError(
                "E-WEIGHTS-SHAPE",
                f"{path}: {key} {tuple(value.shape)} comes where the model has {wanted}.",
                "a mapping of names in a YAML file.",
            )
    return pairs


def _before_norm(key: str, name: str) -> bool:
    return name.endswith(".norm.weight") and key.endswith("bias")


def _fill(
    model: nn.Module,
    slots: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    pairs: list[tuple[str, str]],
    path: Path,
) -> None:
    """Check all shapes, then copy; a bias is subtracted from the mean that is there then."""
    filled = {target for source, target in pairs if not _is_bias_to_mean(source, target)}
    zero = {key for key in slots if key.endswith(".bias")}  # a layer may bring an unused bias
    missing = [key for key in slots if key not in filled and key not in zero]
    if missing:
        raise InputError(
            "E-WEIGHTS-MISSING",
            f"{path} has no {', '.join(missing)}.",
            "a mapping of names in a YAML file, or `order`.",
        )
    for source, target in pairs:
        if state[source].shape != slots[target].shape:
            raise InputError(
                "E-WEIGHTS-SHAPE",
                f"{path}: {source} is {tuple(state[source].shape)}, {target} of the model "
                f"{tuple(slots[target].shape)}.",
            )
    own = model.state_dict()
    for source, target in sorted(pairs, key=lambda pair: _is_bias_to_mean(*pair)):
        value = state[source].to(own[target].dtype)
        own[target].copy_(own[target] - value if _is_bias_to_mean(source, target) else value)


def _is_bias_to_mean(source: str, target: str) -> bool:
    return target.endswith("running_mean") and not source.endswith("running_mean")
