"""What a register is: a name, an offset and named bit fields. Shared by all register tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A run of bits inside a register."""

    name: str
    lsb: int
    width: int = 1
    doc: str = ""

    @property
    def mask(self) -> int:
        """Mask of the field in place."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, word: int) -> int:
        """Value of the field in ``word``."""
        return (word & self.mask) >> self.lsb

    def put(self, value: int) -> int:
        """``value`` moved into place; raises ValueError if it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{self.name}: {value} does not fit into {self.width} bits")
        return value << self.lsb


@dataclass(frozen=True)
class Register:
    """A 32-bit register at ``offset`` bytes from its block's base."""

    name: str
    offset: int
    doc: str
    fields: tuple[Field, ...] = ()

    def field(self, name: str) -> Field:
        """The field called ``name``; raises KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name}")

    def pack(self, **values: int) -> int:
        """A word made of the named field values; fields that are not named are 0."""
        word = 0
        for name, value in values.items():
            word |= self.field(name).put(value)
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Field values in ``word``, by name."""
        return {field.name: field.get(word) for field in self.fields}
