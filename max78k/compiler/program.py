"""Values of the per-layer registers and the control writes.

One small function per register, listed in one table. A register is the same in all quadrants
unless its function looks at the quadrant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.compiler import bits, streaming
from max78k.compiler.image import Write
from max78k.compiler.placed import Placed
from max78k.compiler.placement import FAST_FIFO
from max78k.network.network import Activation, Eltwise

_INSTANCE_STEP = 0x2000  # words from one data-memory instance to the next
_HALF_STEP = 0x800
_FUNCTION = {Eltwise.SUB: 0, Eltwise.ADD: 1, Eltwise.OR: 2, Eltwise.XOR: 3}


def _count(placed: Placed, axis: int) -> int:
    shape = placed.geometry
    if shape.flattens:
        return 0
    size = shape.size[axis]
    if shape.transposed:
        size *= 2
    if axis == 0 and shape.emulates_passes:
        size *= shape.in_passes
    padding = shape.padding[axis]
    return cr.RCNT.pack(COUNT=size - 1 + 2 * padding, PAD=padding)


def _rcnt(placed: Placed, quadrant: int) -> int:
    return _count(placed, 0)


def _ccnt(placed: Placed, quadrant: int) -> int:
    return _count(placed, 1)


def _byte_start(placed: Placed) -> tuple[int, int]:
    """Kernel number and remaining bytes at which the layer's first column lies."""
    return divmod(limits.COLUMN_BYTES * placed.kernel_column, placed.geometry.taps)


def _oned(placed: Placed, quadrant: int) -> int:
    shape, layer = placed.geometry, placed.layer
    fields = {}
    if shape.convolves:
        fields["BYTE_START"] = _byte_start(placed)[1]
        fields["LENGTH"] = shape.kernel[0] if shape.one_dimensional else 1 if shape.pointwise else 0
        fields["ONE_D"] = int(shape.one_dimensional)
    else:
        fields["TIME_SLOTS"] = placed.time_slots - 1
        fields["LENGTH"] = int(shape.operands == 1)
    if layer.eltwise is not None:
        fields["ELTWISE"] = 1
        fields["FUNCTION"] = _FUNCTION[layer.eltwise]
        fields["POOL_FIRST"] = int(shape.pools and layer.pool_first)
        fields["ELTWISE_CONV"] = int(shape.convolves)
        fields["OPERANDS"] = shape.operands - 1
    return cr.ONED.pack(**fields)


def _prcnt(placed: Placed, quadrant: int) -> int:
    return cr.PRCNT.pack(SIZE=placed.geometry.pool_size[0] - 1)


def _pccnt(placed: Placed, quadrant: int) -> int:
    return cr.PCCNT.pack(SIZE=placed.geometry.pool_size[1] - 1)


def _stride(placed: Placed, quadrant: int) -> int:
    pool = placed.layer.pool
    return cr.STRIDE.pack(STRIDE=pool.stride[0] - 1 if pool else 0)


def _wptr_base(placed: Placed, quadrant: int) -> int:
    target = placed.output_processors
    if not placed.geometry.convolves:  # each quadrant moves its own data
        target &= bits.block(
            quadrant * limits.PROCESSORS_PER_QUADRANT, limits.PROCESSORS_PER_QUADRANT
        )
    instance = bits.lowest(target) // limits.PROCESSORS_PER_INSTANCE if target else 0
    word = (placed.out_offset - placed.lead_bytes) // 4
    return cr.WPTR_BASE.pack(WORD=word, INSTANCE=instance)


def _wptr_toffs(placed: Placed, quadrant: int) -> int:
    shape = placed.geometry
    if shape.convolves:
        return int(shape.pointwise)
    wide = bits.count(placed.processors) > limits.PROCESSORS_PER_INSTANCE
    return _INSTANCE_STEP if wide or (shape.operands > 1 and shape.in_passes > 1) else _HALF_STEP


def _wptr_moffs(placed: Placed, quadrant: int) -> int:
    return _INSTANCE_STEP if placed.geometry.convolves else 0


def _wptr_choffs(placed: Placed, quadrant: int) -> int:
    if placed.geometry.out_passes == 1:
        return 0
    return placed.layer.output_width // 8 * (placed.write_gap + 1)


def _rptr_base(placed: Placed, quadrant: int) -> int:
    return placed.in_offset // 4


def _sources(placed: Placed) -> int:
    """Quadrants other than the master whose sums or bias the master adds."""
    sources = set(bits.quadrants(placed.processors))
    if placed.bias_quadrant is not None:
        sources.add(placed.bias_quadrant)
    return sum(1 << q for q in sources - {placed.quadrants[0]})


def _lctl0(placed: Placed, quadrant: int) -> int:
    shape, layer = placed.geometry, placed.layer
    adds = shape.convolves and quadrant == placed.quadrants[0]
    average = layer.pool is not None and layer.pool.kind == "avg" and shape.pools
    return cr.LCTL0.pack(
        ALWAYS_5=1,
        BIG_DATA=int(placed.planar),
        POOL=int(shape.pools),
        MAX_POOL=int(not average),
        RELU=int(layer.activation is Activation.RELU),
        GLOBAL_WPTR=1,
        SOURCES=_sources(placed) if adds else 0,
        WIDE=int(layer.output_width == 32),
    )


def _lctl1(placed: Placed, quadrant: int) -> int:
    shape, gap = placed.geometry, placed.write_gap
    in_passes = 0 if shape.emulates_passes else (shape.steps - 1) & 0xF
    if not shape.convolves:
        return cr.LCTL1.pack(INPUT_PASSES=in_passes, OUTPUT_STEP=gap)
    return cr.LCTL1.pack(
        INPUT_PASSES=in_passes,
        OUTPUT_STEP=shape.out_passes * (gap + 1) - 1,
        LAST_SLOT=(placed.slots - 1) * placed.layer.weight_bits,
    )


def _mcnt(placed: Placed, quadrant: int) -> int:
    shape = placed.geometry
    if not shape.convolves:
        return cr.MCNT.pack(MAX=0 if shape.emulates_passes else (shape.out_passes - 1) * 8)
    start = _byte_start(placed)[0] * 8
    return cr.MCNT.pack(
        START=start, MAX=start + (placed.kernel_count - 1) * placed.layer.weight_bits
    )


def _wide_flatten(placed: Placed) -> bool:
    return placed.geometry.flattens and placed.geometry.steps > 16


def _tptr(placed: Placed, quadrant: int) -> int:
    shape = placed.geometry
    if _wide_flatten(placed):
        last = shape.steps - 1
        return cr.TPTR.pack(START=last, MAX=2 * last + 1)
    start = streaming.line_start(placed)
    if not start and (shape.one_dimensional or shape.pointwise):
        return 0
    return cr.TPTR.pack(START=start, MAX=start + streaming.line_entries(shape) - 1)


def _strm0(placed: Placed, quadrant: int) -> int:
    found = streaming.stream(placed)
    return cr.STRM0.pack(START=found.start) if found else 0


def _strm1(placed: Placed, quadrant: int) -> int:
    found = streaming.stream(placed)
    if found is None:
        return 0
    return cr.STRM1.pack(INVOL=found.involved, DELTA1=found.delta1, DELTA2=found.delta2)


def _fbuf(placed: Placed, quadrant: int) -> int:
    found = streaming.stream(placed)
    return cr.FBUF.pack(WORDS=found.buffer) if found else 0


def _post(placed: Placed, quadrant: int) -> int:
    shape, layer = placed.geometry, placed.layer
    if not shape.convolves:
        return cr.POST.pack(TIME_SLOTS=1, PASS_1X1=int(shape.operands == 1))
    fields = {
        "SHIFT": abs(layer.register_shift),
        "SHIFT_RIGHT": int(layer.register_shift < 0),
        "WEIGHT_WIDTH": cr.WEIGHT_WIDTH_CODE[layer.weight_bits],
        "ABS": int(layer.activation is Activation.ABS),
        "TRANSPOSED": int(shape.transposed),
    }
    if placed.bias_quadrant == quadrant:
        fields |= {"BIAS_START": placed.bias_start, "BIAS_EN": 1}
    if _wide_flatten(placed):
        fields |= {"FLATTEN": 1, "FLATTEN_HIGH": (shape.steps - 1) >> 4}
    return cr.POST.pack(**fields)


def _en(placed: Placed, quadrant: int) -> int:
    enabled = bits.of_quadrant(placed.processors, quadrant)
    return cr.EN.pack(PROCESSORS=enabled, KERNELS=enabled if placed.geometry.convolves else 0)


LAYER_PROGRAM: tuple[tuple[Register, Callable[[Placed, int], int]], ...] = (
    (cr.RCNT, _rcnt),
    (cr.CCNT, _ccnt),
    (cr.ONED, _oned),
    (cr.PRCNT, _prcnt),
    (cr.PCCNT, _pccnt),
    (cr.STRIDE, _stride),
    (cr.WPTR_BASE, _wptr_base),
    (cr.WPTR_TOFFS, _wptr_toffs),
    (cr.WPTR_MOFFS, _wptr_moffs),
    (cr.WPTR_CHOFFS, _wptr_choffs),
    (cr.RPTR_BASE, _rptr_base),
    (cr.LCTL0, _lctl0),
    (cr.LCTL1, _lctl1),
    (cr.MCNT, _mcnt),
    (cr.TPTR, _tptr),
    (cr.STRM0, _strm0),
    (cr.STRM1, _strm1),
    (cr.FBUF, _fbuf),
    (cr.EN, _en),
    (cr.POST, _post),
)


def configure_writes(layers: Sequence[Placed]) -> tuple[Write, ...]:
    """Register writes of all layers; registers reset to 0, so zeros are not written."""
    writes = []
    for placed in layers:
        index = placed.geometry.index
        for quadrant in placed.quadrants:
            for register, value_of in LAYER_PROGRAM:
                value = value_of(placed, quadrant)
                if value:
                    address = addresses.layer_register(quadrant, register.offset, index)
                    comment = f"{placed.layer.name}: {register.doc}"
                    writes.append(Write(address, value, comment))
    return (*writes, *(_feed_writes(layers[0]) if layers[0].fed else ()))


def _feed_writes(first: Placed) -> tuple[Write, ...]:
    """Frame size in every quadrant, and the control register of the FIFOs."""
    frame = cr.IFRM.pack(SIZE=streaming.frame_words(first))
    writes = [
        Write(addresses.quadrant(quadrant) + cr.IFRM.offset, frame, cr.IFRM.doc)
        for quadrant in first.quadrants
    ]
    if first.feed == FAST_FIFO:
        return (*writes, Write(addresses.FAST_FIFO, cr.FAST_FIFO_CONTROL, "Fast FIFO control"))
    control = cr.FIFO_CTL.pack(
        FULL=cr.FIFO_THRESHOLD,
        EMPTY=cr.FIFO_THRESHOLD,
        CPL=1,
        ENABLE=sum(1 << quadrant for quadrant in bits.quadrants(first.processors)),
    )
    return (*writes, Write(addresses.CNN_FIFO, control, cr.FIFO_CTL.doc))


def init_writes(layers: Sequence[Placed]) -> tuple[Write, ...]:
    """Writes before anything is loaded; they also select express kernel loading."""
    last = cr.LCNT_MAX.pack(LAST=len(layers) - 1)
    control = cr.INIT_CTL | cr.CTL.pack(FIFO_EN=int(layers[0].fed))
    writes = [Write(addresses.CNN_AON, 0, "Always-on control")]
    for quadrant in layers[0].quadrants:
        base = addresses.quadrant(quadrant)
        writes += [
            Write(base + cr.CTL.offset, control, f"quadrant {quadrant}: {cr.CTL.doc}"),
            Write(base + cr.SRAM.offset, cr.SRAM_VALUE, "SRAM control"),
            Write(base + cr.LCNT_MAX.offset, last, cr.LCNT_MAX.doc),
        ]
    return tuple(writes)


def start_writes(layers: Sequence[Placed]) -> tuple[Write, ...]:
    """Control writes of a run: slaves first, then the master is let go."""
    master = layers[0].quadrants[0]
    streams = int(layers[0].geometry.streaming)
    fed, fast = int(layers[0].fed), int(layers[0].feed == FAST_FIFO)
    common = cr.INIT_CTL | cr.CTL.pack(
        AVG_ROUND=int(layers[0].average_rounds),
        STREAM=streams,
        FIFO_EN=fed,
        FIFO_STREAM=streams & fed,
        FASTFIFO_EN=fast,
        FIFO_GROUP=fast,
    )
    writes = []
    for quadrant in layers[0].quadrants:
        waiting = cr.CTL.pack(EXT_SYNC=1, MASTER=master, EN=int(quadrant != master))
        address = addresses.quadrant(quadrant) + cr.CTL.offset
        writes.append(Write(address, common | waiting, f"quadrant {quadrant}: wait for the master"))
    address = addresses.quadrant(master) + cr.CTL.offset
    writes.append(Write(address, common | cr.CTL.pack(EXT_SYNC=fed, EN=1), "master: go"))
    return tuple(writes)
