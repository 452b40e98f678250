"""Finding the PyTorch class of a network: shipped by name, or in a user's own Python file."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from torch import nn

from max78k.errors import InputError
from max78k.shipped_files import shipped_folder
from max78k.training.graph import allow_views

_REFERENCES = "references"  # folder beside the shipped networks
_CLASSES = ("classes", "num_classes")  # names of the argument


def shipped_networks() -> dict[str, Path]:
    """Networks that come with the package: name to Python file."""
    return _named(shipped_folder("networks"))


def reference_networks() -> dict[str, Path]:
    """Float networks that come with the package, "references/NAME" to Python file.

    They are other people's networks as they were, in plain torch.nn: to compare with, or teachers.
    """
    found = _named(shipped_folder("networks") / _REFERENCES)
    return {f"{_REFERENCES}/{name}": path for name, path in found.items()}


def _named(folder: Path) -> dict[str, Path]:
    files = sorted(folder.glob("*.py"))
    return {path.stem: path for path in files if not path.stem.startswith("_")}


def known_networks() -> dict[str, Path]:
    """All networks that have a name: shipped ones and references."""
    return {**shipped_networks(), **reference_networks()}


def network_class(spec: str) -> type[nn.Module]:
    """The class that ``spec`` names.

    Args:
        spec: name of a shipped network ("fer7") or reference ("references/fer_deep"), or
            "path/to/file.py:Class". The file is run.

    Raises:
        InputError: E-NETWORK-MISSING, E-NETWORK-IMPORT, E-NETWORK-CLASS.
    """
    path_text, _, class_name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    known = known_networks()
    if path_text in known:
        path = known[path_text]
    elif path_text.endswith(".py"):
        path = Path(path_text)
    else:
        raise InputError(
            "E-NETWORK-MISSING",
            f"there is no network {spec}.",
            f"one of {', '.join(known)}, or path/to/file.py:Class.",
        )
    return _find_class(_run_file(path), path, class_name)


def network_name(spec: str) -> str:
    """A name for the network: the shipped name, or that of the class or file."""
    path_text, _, class_name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    if path_text in reference_networks():
        return path_text.replace("/", "_")
    return class_name.lower() or Path(path_text).stem


def input_shape(spec: str) -> tuple[int, ...] | None:
    """The input that the network says it takes, or None.

    It says so by ``input_shape`` of its class, or by the defaults of its arguments
    ``num_channels`` and ``dimensions``, as networks for ai8x-training do.
    """
    kind = network_class(spec)
    shape = getattr(kind, "input_shape", None)
    if shape is None:
        arguments = inspect.signature(kind).parameters
        if not {"num_channels", "dimensions"}.issubset(arguments):
            return None
        channels, size = (arguments[x].default for x in ("num_channels", "dimensions"))
        if not isinstance(channels, int) or not isinstance(size, tuple):
            return None
        shape = (channels, *(size[:1] if size[1:] == (1,) else size))
    return tuple(int(size) for size in shape)


def build(
    spec: str,
    classes: int,
    shape: tuple[int, ...] | None = None,
    *,
    arguments: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """An instance with ``classes`` outputs.

    Args:
        spec: see :func:`network_class`.
        classes: number of outputs, given as ``classes`` or ``num_classes``.
        shape: of the input, given as ``num_channels`` and ``dimensions`` where the class takes
            them; its defaults otherwise.
        arguments: more keyword arguments for the class.

    Raises:
        InputError: E-NETWORK-CLASS for a class without ``classes``, E-NETWORK-ARGUMENT for an
            argument that it does not take, and those of :func:`network_class`.
    """
    kind = network_class(spec)
    known = inspect.signature(kind).parameters
    name = next((word for word in _CLASSES if word in known), None)
    for word in arguments:
        if word not in known or word == name:
            own = [other for other in known if other != name]
            raise InputError(
                "E-NETWORK-ARGUMENT",
                f"{kind.__name__} of {spec} takes no argument {word}.",
                f"one of {', '.join(own)}." if own else "it has none.",
            )
    if name is None:
        raise InputError(
            "E-NETWORK-CLASS",
            f"{kind.__name__} of {spec} takes no argument classes.",
            "def __init__(self, classes: int): ...",
        )
    given: dict[str, Any] = {name: classes}
    if shape is not None and "num_channels" in known:
        given["num_channels"] = shape[0]
        if "dimensions" in known:
            given["dimensions"] = (*shape[1:], 1)[:2]
    try:
        model = kind(**{**given, **arguments})
    except (TypeError, ValueError) as error:
        raise InputError(
            "E-NETWORK-ARGUMENT",
            f"{kind.__name__} cannot be built with {dict(arguments)} ({error}).",
        ) from error
    allow_views(model)
    return model


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError("E-NETWORK-MISSING", f"{path}: no such file.")
    found = importlib.util.spec_from_file_location(f"max78k_network_{path.stem}", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            "E-NETWORK-IMPORT", f"{path} cannot be run ({type(error).__name__}: {error})."
        ) from error
    return module


def _find_class(module: ModuleType, path: Path, name: str) -> type[nn.Module]:
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    }
    if name in own:
        return own[name]
    if not name and len(own) == 1:
        return next(iter(own.values()))
    raise InputError(
        "E-NETWORK-CLASS",
        f"{path} has no network class {name}." if name else f"{path} has {len(own)} classes.",
        f"{path}:NAME with one of {', '.join(own) or '(it has none)'}.",
    )
