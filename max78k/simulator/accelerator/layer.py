"""What the registers of one layer say, in the terms of the computation."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register

LAYER_SLOTS = {
    register.name: (register.offset - addresses.LAYER_REGISTERS_OFFSET)
    // addresses.LAYER_REGISTER_STRIDE
    for register in cr.LAYER_REGISTERS
}
WEIGHT_BITS = {code: bits for bits, code in cr.WEIGHT_WIDTH_CODE.items()}
# The largest frame that the chip's limits allow, on all processors; and what a minute can compute.
_MOST_VALUES, _MOST_PRODUCTS = limits.FRAME * limits.PROCESSORS, 1 << 34
_INSTANCE_SHIFT = 13  # write pointers count words; an instance holds 1 << 13 of them


class LayerRegisters:
    """The per-layer registers of every quadrant, and the frame size that lies among them.

    ``version`` rises with every change.
    """

    SLOTS = 21

    def __init__(self) -> None:
        self.words = [self._zeros() for _ in range(limits.QUADRANTS)]
        self.version = 0

    @classmethod
    def _zeros(cls) -> list[list[int]]:
        return [[0] * limits.LAYERS for _ in range(cls.SLOTS)]

    def reset(self, quadrant: int) -> None:
        """All registers of a quadrant to 0."""
        self.words[quadrant] = self._zeros()
        self.version += 1

    def read(self, quadrant: int, offset: int) -> int:
        """Word at a byte offset from the first per-layer register of the quadrant."""
        slot, place = divmod(offset, addresses.LAYER_REGISTER_STRIDE)
        return self.words[quadrant][slot][place >> 2]

    def write(self, quadrant: int, offset: int, value: int) -> None:
        """Set the word at a byte offset."""
        slot, place = divmod(offset, addresses.LAYER_REGISTER_STRIDE)
        row = self.words[quadrant][slot]
        if row[place >> 2] != value:
            row[place >> 2] = value
            self.version += 1

    def frame_words(self, quadrant: int) -> int:
        """Words that each FIFO delivers per run."""
        return cr.IFRM.field("SIZE").get(
            self.read(quadrant, cr.IFRM.offset - addresses.LAYER_REGISTERS_OFFSET)
        )

    def get(self, register: Register, quadrant: int, layer: int) -> int:
        """Word of one register."""
        return self.words[quadrant][LAYER_SLOTS[register.name]][layer]


@dataclass(frozen=True)
class Layer:
    """One layer as the machine executes it. Rows and columns of the input are before pooling.

    ``processors`` are the enabled ones, ascending; ``sources`` those quadrants whose sums the
    master adds, itself included; ``bias`` pairs (quadrant, first entry). ``kernel`` is None for a
    pass-through layer. ``write_pointers`` has one 17-bit word address per quadrant.
    """

    number: int
    master: int
    processors: tuple[int, ...]
    sources: tuple[int, ...]
    bias: tuple[tuple[int, int], ...]
    rows: int
    columns: int
    pad: tuple[int, int]
    pool: tuple[int, int]
    stride: int
    max_pool: bool
    operands: int
    function: int
    pool_first: bool
    passes: int
    flatten: bool
    kernel: tuple[int, int] | None
    one_dimensional: bool
    transposed: bool
    weight_bits: int
    kernel_start: int
    kernel_bytes_skipped: int
    kernels: int
    slots: int
    shift: int
    relu: bool
    absolute: bool
    wide: bool
    big_data: bool
    read_pointer: int
    write_pointers: tuple[int, ...]
    pixel_step: int
    pass_step: int
    group_step: int
    time_slot_step: int
    time_slots: int
    output_passes: int
    stream_start: int
    rollover: int

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns after pooling."""
        return (
            (self.rows + self.stride - self.pool[0]) // self.stride,
            (self.columns + self.stride - self.pool[1]) // self.stride,
        )

    @property
    def pools(self) -> bool:
        """Whether the pooling stage changes anything."""
        return self.pool != (1, 1) or self.stride != 1

    @property
    def outputs(self) -> int:
        """Output channels that the kernel counter runs through, empty slots included."""
        return self.kernels // self.passes

    @property
    def possible(self) -> bool:
        """Whether sizes, pooling and padding leave anything to compute."""
        kernel = (*self.kernel, self.outputs) if self.kernel else ()
        return min(self.rows, self.columns, *self.pooled, *self.output_size, *kernel) > 0

    @property
    def bounded(self) -> bool:
        """Whether the model can compute it in a bounded time and memory.

        What it cannot is beyond the chip's limits, but within what its registers can say.
        """
        rows, columns = (max(size, 0) for size in self.output_size)
        words = self.rows * self.columns * self.passes * self.operands  # of one processor
        values_out = rows * columns * max(self.outputs if self.kernel else self.passes, 0)
        taps = self.kernel[0] * self.kernel[1] * self.passes if self.kernel else 1
        products = values_out * taps * len(self.processors)
        within = words < limits.FRAME and values_out <= _MOST_VALUES
        return within and products <= _MOST_PRODUCTS

    @property
    def kernel_column(self) -> int:
        """Column of the kernel memory in which the first kernel begins."""
        rows, columns = self.kernel or (0, 0)
        first = (self.kernel_start >> 3) * rows * columns + self.kernel_bytes_skipped
        return first // limits.COLUMN_BYTES

    @property
    def surplus(self) -> int:
        """First output that falls on the next pixel; from here on outputs are overwritten.

        The kernel counter runs too far where an output map does not begin at a byte lane 0 and
        there are several output passes.
        """
        if not self.pass_step:
            return self.outputs
        step = self.pixel_step * (limits.PROCESSORS_PER_INSTANCE if self.wide else 1)
        return min(self.outputs, step // self.pass_step * self.slots)

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        if self.kernel is None:
            return self.pooled
        rows, columns = self.pooled
        if self.transposed:
            rows, columns = 2 * rows, 2 * columns
        return (
            rows + 2 * self.pad[0] - self.kernel[0] + 1,
            columns + 2 * self.pad[1] - self.kernel[1] + 1,
        )


def _fields(registers: LayerRegisters, quadrant: int, layer: int) -> dict[str, int]:
    """Every field of a layer in one quadrant as ``REGISTER.FIELD``, and every word as its name."""
    values: dict[str, int] = {}
    for register in cr.LAYER_REGISTERS:
        word = registers.get(register, quadrant, layer)
        values[register.name] = word
        for name, value in register.unpack(word).items():
            values[f"{register.name}.{name}"] = value
    return values


def _processors(en: list[int], field: str) -> tuple[int, ...]:
    """Processor numbers whose bit is set in a field of EN; ``en`` has a word per quadrant."""
    size = limits.PROCESSORS_PER_QUADRANT
    return tuple(
        quadrant * size + n
        for quadrant, word in enumerate(en)
        for n in range(size)
        if cr.EN.field(field).get(word) >> n & 1
    )


def _kernel(f: dict[str, int]) -> tuple[int, int]:
    if f["ONED.ONE_D"]:
        return f["ONED.LENGTH"], 1
    return (1, 1) if f["ONED.LENGTH"] == 1 else (3, 3)


def _bias(posts: dict[int, int]) -> tuple[tuple[int, int], ...]:
    """Quadrant and first entry wherever POST, given by quadrant, enables the bias."""
    start, enable = cr.POST.field("BIAS_START"), cr.POST.field("BIAS_EN")
    return tuple((q, start.get(post)) for q, post in posts.items() if enable.get(post))


def _input_size(f: dict[str, int]) -> tuple[int, int]:
    """Rows and columns; those of a transposed convolution are registered twice as large."""
    spread = 2 if f["POST.TRANSPOSED"] else 1
    rows = f["RCNT.COUNT"] + 1 - 2 * f["RCNT.PAD"]
    columns = f["CCNT.COUNT"] + 1 - 2 * f["CCNT.PAD"]
    return rows // spread, columns // spread


def decode(registers: LayerRegisters, started: tuple[int, ...], master: int, number: int) -> Layer:
    """Layer ``number`` as the ``started`` quadrants run it; shared fields are the master's."""
    f = _fields(registers, master, number)
    en = [
        registers.get(cr.EN, quadrant, number) if quadrant in started else 0
        for quadrant in range(limits.QUADRANTS)
    ]
    processors, kernels = _processors(en, "PROCESSORS"), _processors(en, "KERNELS")
    sources = {q for q in started if q == master or f["LCTL0.SOURCES"] >> q & 1}
    bits = WEIGHT_BITS[f["POST.WEIGHT_WIDTH"]]
    rows, columns = _input_size(f)
    pool = (f["PRCNT.SIZE"] + 1, f["PCCNT.SIZE"] + 1) if f["LCTL0.POOL"] else (1, 1)
    flatten_high = f["POST.FLATTEN_HIGH"] << 4 if f["POST.FLATTEN"] else 0
    return Layer(
        number=number,
        master=master,
        processors=processors,
        sources=tuple(sorted(sources)),
        bias=_bias({q: registers.get(cr.POST, q, number) for q in sorted(sources)}),
        rows=rows,
        columns=columns,
        pad=(f["RCNT.PAD"], f["CCNT.PAD"]),
        pool=pool,
        stride=f["STRIDE.STRIDE"] + 1,
        max_pool=bool(f["LCTL0.MAX_POOL"]),
        operands=f["ONED.OPERANDS"] + 1 if f["ONED.ELTWISE"] else 1,
        function=f["ONED.FUNCTION"],
        pool_first=bool(f["ONED.POOL_FIRST"]),
        passes=(flatten_high | f["LCTL1.INPUT_PASSES"]) + 1,
        flatten=bool(f["POST.FLATTEN"]),
        kernel=_kernel(f) if kernels else None,
        one_dimensional=bool(f["ONED.ONE_D"]),
        transposed=bool(f["POST.TRANSPOSED"]),
        weight_bits=bits,
        kernel_start=f["MCNT.START"],
        kernel_bytes_skipped=f["ONED.BYTE_START"],
        kernels=(f["MCNT.MAX"] - f["MCNT.START"]) // bits + 1,
        slots=f["LCTL1.LAST_SLOT"] // bits + 1,
        shift=-f["POST.SHIFT"] if f["POST.SHIFT_RIGHT"] else f["POST.SHIFT"],
        relu=bool(f["LCTL0.RELU"]),
        absolute=bool(f["POST.ABS"]),
        wide=bool(f["LCTL0.WIDE"]),
        big_data=bool(f["LCTL0.BIG_DATA"]),
        read_pointer=f["RPTR_BASE"],
        write_pointers=tuple(
            registers.get(cr.WPTR_BASE, q, number) & 0x1FFFF for q in range(limits.QUADRANTS)
        ),
        pixel_step=f["LCTL1.OUTPUT_STEP"] + 1,
        pass_step=f["WPTR_CHOFFS"],
        group_step=f["WPTR_MOFFS"] >> _INSTANCE_SHIFT,
        time_slot_step=f["WPTR_TOFFS"],
        time_slots=f["ONED.TIME_SLOTS"] + 1,
        output_passes=f["MCNT.MAX"] // 8 + 1,
        stream_start=f["STRM0.START"],
        rollover=f["FBUF.WORDS"],
    )
