"""max78k: from a PyTorch network to an answer on the MAX78000 CNN microcontroller.

What is listed in ``_HOMES`` can be imported from here; its module is loaded when it is asked for,
so that ``import max78k`` alone stays fast. ``__init__.pyi`` has the types.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Compiled": "max78k.flows.synthesis",
    "Max78kError": "max78k.errors",
    "Model": "max78k.flows.models",
    "MsdkOptions": "max78k.codegen.msdk_options",
    "Network": "max78k.network",
    "Placement": "max78k.compiler.placement",
    "compile_network": "max78k.flows.synthesis",
    "convert": "max78k.flows.user_network",
    "load_model": "max78k.flows.models",
    "prepare": "max78k.flows.user_network",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
