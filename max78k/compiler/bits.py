"""64-bit processor maps."""

from __future__ import annotations

from max78k.chip import limits


def members(processor_map: int) -> list[int]:
    """Numbers of the set bits, ascending."""
    return [n for n in range(processor_map.bit_length()) if processor_map >> n & 1]


def count(processor_map: int) -> int:
    """Number of set bits."""
    return processor_map.bit_count()


def lowest(processor_map: int) -> int:
    """Number of the lowest set bit; the map must not be 0."""
    return (processor_map & -processor_map).bit_length() - 1


def highest(processor_map: int) -> int:
    """Number of the highest set bit; the map must not be 0."""
    return processor_map.bit_length() - 1


def of_quadrant(processor_map: int, quadrant: int) -> int:
    """The 16 bits of one quadrant."""
    return processor_map >> quadrant * limits.PROCESSORS_PER_QUADRANT & 0xFFFF


def quadrants(processor_map: int) -> list[int]:
    """Quadrants that have at least one set bit."""
    return [q for q in range(limits.QUADRANTS) if of_quadrant(processor_map, q)]


def instances(processor_map: int) -> list[int]:
    """Data-memory instances that have at least one set bit."""
    return sorted({n // limits.PROCESSORS_PER_INSTANCE for n in members(processor_map)})


def block(first: int, length: int) -> int:
    """A map of ``length`` processors from ``first`` upward."""
    return ((1 << length) - 1) << first


def contiguous(processor_map: int) -> bool:
    """True if the set bits have no gap."""
    return processor_map.bit_length() - lowest(processor_map) == count(processor_map)


def text(processor_map: int) -> str:
    """Hexadecimal spelling for messages."""
    return f"0x{processor_map:016x}"
