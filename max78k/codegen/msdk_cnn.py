"""The accelerator's driver in a project for the vendor's SDK: ``cnn.c`` and ``cnn.h``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.codegen import c_text, tables
from max78k.codegen.msdk_options import MsdkOptions
from max78k.codegen.msdk_text import layer_comments, resources, title
from max78k.codegen.output_places import output_places
from max78k.compiler.cycles import macs
from max78k.compiler.image import Image, Write
from max78k.network import Network


def header(image: Image, network: Network, options: MsdkOptions) -> str:
    """Text of ``cnn.h``."""
    return "\n".join(
        [
            *title(network, "Interface"),
            "#ifndef CNN_H",
            "#define CNN_H",
            "",
            "#include <stdint.h>",
            "",
            '#include "gpio.h"',
            "",
            "typedef int32_t q31_t;",
            "typedef int16_t q15_t;",
            "",
            "#define CNN_FAIL 0",
            "#define CNN_OK 1",
            "",
            *_summary(image, network),
            "",
            f"#define CNN_NUM_OUTPUTS {tables.output_values(image)} // values",
            *_timer(options),
            "",
            _PROTOTYPES,
            "#endif",
            "",
        ]
    )


def source(image: Image, network: Network, options: MsdkOptions) -> str:
    """Text of ``cnn.c``."""
    lines = [*title(network, "Accelerator driver"), *layer_comments(image, network), _INCLUDES]
    lines += ["static const uint32_t kernels[] = KERNELS;"]
    for quadrant, entries in enumerate(image.bias):
        if len(entries):
            lines.append(f"static const uint8_t bias_{quadrant}[] = BIAS_{quadrant};")
    lines += ["", *_output_runs(image, network), _MEMORY]
    if any(len(entries) for entries in image.bias):
        lines.append(_BIAS_COPY)
    lines += _interrupt(image, options)
    lines += _function("continue", ["cnn_time = 0;", f"{_master(image)} |= {_hex(_EN)};"])
    lines += _function("stop", [f"{_master(image)} &= ~{_hex(_EN)}U;"])
    lines += _function("init", _writes(_plain(image.init, options)))
    lines += [_LOAD_EXPRESS if options.express else _LOAD_COLUMNS]
    lines += _function("load_bias", _bias(image))
    lines += _function("configure", _writes((*image.configure, *image.clear)))
    lines += _function("start", _start(image, options))
    lines += [_UNLOAD]
    lines += _function("enable", _enable(image), "uint32_t clock_source, uint32_t clock_divider")
    lines += [_DISABLE_AND_BOOST]
    return "\n".join(lines)


def _summary(image: Image, network: Network) -> list[str]:
    work = macs(network)
    lines = ["/*", " * Multiply-accumulate operations and estimated accelerator cycles:"]
    for number, (name, cycles) in enumerate(image.layer_cycles.items()):
        layer = c_text.comment(f"Layer {number} ({name})")
        lines.append(f" *   {layer}: {work[name]:,} operations, {cycles:,} cycles")
    lines += [f" *   All layers: {sum(work.values()):,} operations", " *"]
    lines += [f" * {line}" for line in resources(network, image)]
    return [*lines, " */"]


def _timer(options: MsdkOptions) -> list[str]:
    if options.timer is None:
        return ["// Define CNN_INFERENCE_TIMER as MXC_TMR0 ... MXC_TMR3 to measure the inference."]
    return [
        "// Measures the inference.",
        "#ifndef CNN_INFERENCE_TIMER",
        f"#define CNN_INFERENCE_TIMER MXC_TMR{options.timer}",
        "#endif",
    ]


def _output_runs(image: Image, network: Network) -> list[str]:
    rows = c_text.rows(
        (
            (
                c_text.word(run.address),
                f"{run.count}U",
                run.step,
                0 if run.width == 32 else 8 * run.lane,
                run.width,
            ),
            place.text(),
        )
        for run, place in zip(image.output_runs, output_places(network), strict=True)
    )
    return [_RUN, *c_text.array("static const struct output_run output_runs", rows), ""]


def _interrupt(image: Image, options: MsdkOptions) -> list[str]:
    flags = cr.CTL.pack(IRQ=1, EN=1, STREAM=1)
    lines = ["void CNN_ISR(void)", "{", "    // End of a run: no request, no run, in each quadrant"]
    for quadrant in image.quadrants:
        lines.append(f"    {_register(addresses.quadrant(quadrant))} &= ~{_hex(flags)}U;")
    if not options.energy:
        lines.append("    CNN_COMPLETE;")
    return [*lines, *_ISR_TIME]


def _start(image: Image, options: MsdkOptions) -> Iterator[str]:
    *first, last = _plain(image.start, options)
    yield "cnn_time = 0;"
    yield from _writes(first)
    yield from ("#ifdef CNN_INFERENCE_TIMER", "MXC_TMR_SW_Start(CNN_INFERENCE_TIMER);", "#endif")
    if not options.energy:
        yield "CNN_START;"
    yield from _writes([last])


def _bias(image: Image) -> Iterator[str]:
    for quadrant, entries in enumerate(image.bias):
        if len(entries):
            address = _hex(addresses.bias_memory(quadrant))
            yield f"memcpy_8to32((uint32_t *){address}, bias_{quadrant}, {len(entries)});"


def _enable(image: Image) -> Iterator[str]:
    used = sum(1 << quadrant for quadrant in image.quadrants)
    yield f"// Reset, then power for the quadrants in use (0x{used:x}) and isolation of the others"
    for register, value in (("3", 0xF), ("1", used), ("0", used), ("2", used ^ 0xF), ("3", 0)):
        yield f"MXC_GCFR->reg{register} = 0x{value:x};"
    yield "MXC_GCR->pclkdiv ="
    yield "    (MXC_GCR->pclkdiv & ~(MXC_F_GCR_PCLKDIV_CNNCLKDIV | MXC_F_GCR_PCLKDIV_CNNCLKSEL)) |"
    yield "    clock_divider | clock_source;"
    yield "MXC_SYS_ClockEnable(MXC_SYS_PERIPH_CLOCK_CNN);"
    yield "MXC_NVIC_SetVector(CNN_IRQn, CNN_ISR);"
    yield "NVIC_EnableIRQ(CNN_IRQn);"


def _plain(writes: Iterable[Write], options: MsdkOptions) -> list[Write]:
    """Control writes as they are, or without express loading."""
    if options.express:
        return list(writes)
    controls = {addresses.quadrant(n) + cr.CTL.offset for n in range(4)}
    mask = ~cr.CTL.pack(MEXPRESS=1)
    return [
        Write(w.address, w.value & mask, w.comment) if w.address in controls else w for w in writes
    ]


def _writes(writes: Iterable[Write]) -> Iterator[str]:
    """Register writes under one heading per layer and quadrant."""
    for number, (heading, part) in enumerate(groupby(writes, _heading)):
        if heading:
            yield from ([""] if number else [])
            yield f"// {heading}"
        for write in part:
            remark = write.comment.partition(": ")[2] or write.comment
            statement = f"{_register(write.address)} = {_hex(write.value)};"
            yield f"{statement} // {c_text.comment(remark)}" if remark else statement


def _heading(write: Write) -> str:
    owner = write.comment.partition(": ")[0]
    if owner == write.comment or owner.startswith(("quadrant", "master")):
        return ""
    quadrant = (write.address - addresses.QUADRANT_BASE) // addresses.QUADRANT_STRIDE
    return c_text.comment(f"Layer {owner}, quadrant {quadrant}")


def _function(name: str, lines: Iterable[str], arguments: str = "void") -> list[str]:
    body = [f"    {line}" if line and not line.startswith("#") else line for line in lines]
    return [f"int cnn_{name}({arguments})", "{", *body, "", "    return CNN_OK;", "}", ""]


def _register(address: int) -> str:
    return f"*((volatile uint32_t *){_hex(address)})"


def _master(image: Image) -> str:
    return _register(addresses.quadrant(image.quadrants[0]))


def _hex(value: int) -> str:
    return f"0x{value:08x}"


_EN = cr.CTL.pack(EN=1)

_PROTOTYPES = """\
// Mark the inference for an oscilloscope or a power meter: LED 1; the whole program: LED 0
#define CNN_START LED_On(1)
#define CNN_COMPLETE LED_Off(1)
#define SYS_START LED_On(0)
#define SYS_COMPLETE LED_Off(0)

// 0 while a run is under way; then its duration in microseconds, or 1 without a timer
extern volatile uint32_t cnn_time;

void CNN_ISR(void);

// These return CNN_OK, or CNN_FAIL.
int cnn_enable(uint32_t clock_source, uint32_t clock_divider); // power and clock
int cnn_disable(void);
int cnn_init(void);
int cnn_load_weights(void);
int cnn_load_bias(void); // needed again after cnn_disable()
int cnn_configure(void); // registers of all layers
int cnn_start(void);     // the input must be in place
int cnn_stop(void);
int cnn_continue(void);
// Copies the output, channel after channel: words of 32-bit outputs, bytes of 8-bit outputs
int cnn_unload(uint32_t *out_buf);
// An external booster of the accelerator's supply
int cnn_boost_enable(mxc_gpio_regs_t *port, uint32_t pin);
int cnn_boost_disable(mxc_gpio_regs_t *port, uint32_t pin);

// Copies n words
void memcpy32(uint32_t *dst, const uint32_t *src, int n);

// Softmax of outputs with 14 fractional bits; results have 15. The second form shifts its input
// to the left first, for weights of less than 8 bits.
void softmax_q17p14_q15(const q31_t *vec_in, uint16_t dim_vec, q15_t *p_out);
void softmax_shift_q17p14_q15(q31_t *vec_in, uint16_t dim_vec, uint8_t in_shift, q15_t *p_out);
"""

_INCLUDES = """
#include <stdint.h>

#include "mxc_device.h"
#include "mxc_sys.h"
#include "gcfr_regs.h"
#include "gpio.h"
#include "led.h"
#include "nvic_table.h"
#include "tmr.h"

#include "cnn.h"
#include "weights.h"
"""

_RUN = """\
// One output channel: its first word, values, words from one value to the next, first bit, bits
struct output_run {
    uint32_t address;
    uint32_t count;
    uint16_t step;
    uint8_t shift;
    uint8_t width;
};
"""

_MEMORY = """\
// The accelerator takes aligned 32-bit accesses alone; volatile keeps them so.
void memcpy32(uint32_t *dst, const uint32_t *src, int n)
{
    volatile uint32_t *to = dst;
    while (n-- > 0) {
        *to++ = *src++;
    }
}
"""

_BIAS_COPY = """\
static void memcpy_8to32(uint32_t *dst, const uint8_t *src, int n)
{
    volatile uint32_t *to = dst;
    while (n-- > 0) {
        *to++ = *src++;
    }
}
"""

_ISR_TIME = (
    "#ifdef CNN_INFERENCE_TIMER",
    "    cnn_time = MXC_TMR_SW_Stop(CNN_INFERENCE_TIMER);",
    "    if (cnn_time == 0) {",
    "        cnn_time = 1;",
    "    }",
    "#else",
    "    cnn_time = 1;",
    "#endif",
    "}",
    "",
)

_LOAD_EXPRESS = """\
int cnn_load_weights(void)
{
    const uint32_t *ptr = kernels;
    uint32_t address;
    while ((address = *ptr++) != 0) {
        const int words = (int)*ptr++;
        *((volatile uint8_t *)(address + 1)) = 1; // the column at which the words begin
        memcpy32((uint32_t *)address, ptr, words);
        ptr += words;
    }

    return CNN_OK;
}
"""

_LOAD_COLUMNS = """\
int cnn_load_weights(void)
{
    const uint32_t *ptr = kernels;
    uint32_t address;
    while ((address = *ptr++) != 0) {
        const uint32_t *end = ptr + 1 + *ptr;
        volatile uint32_t *column = (volatile uint32_t *)address;
        for (ptr++; ptr < end; ptr += 3) {
            *column++ = ptr[0];
            *column++ = ptr[1];
            *column++ = ptr[2];
            *column++ = 0; // takes over the column
        }
    }

    return CNN_OK;
}
"""

_UNLOAD = """\
int cnn_unload(uint32_t *out_buf)
{
    uint8_t *bytes = (uint8_t *)out_buf;
    for (unsigned n = 0; n < sizeof output_runs / sizeof output_runs[0]; n++) {
        const struct output_run *run = &output_runs[n];
        volatile uint32_t *word = (volatile uint32_t *)run->address;
        for (uint32_t value = 0; value < run->count; value++) {
            uint32_t rest = *word >> run->shift;
            for (int bits = 0; bits < run->width; bits += 8) {
                *bytes++ = (uint8_t)rest;
                rest >>= 8;
            }
            word += run->step;
        }
    }

    return CNN_OK;
}
"""

_DISABLE_AND_BOOST = """\
int cnn_disable(void)
{
    MXC_SYS_ClockDisable(MXC_SYS_PERIPH_CLOCK_CNN);
    MXC_GCFR->reg3 = 0xf; // reset
    MXC_GCFR->reg2 = 0xf; // isolation
    MXC_GCFR->reg0 = 0x0; // power
    MXC_GCFR->reg1 = 0x0; // memory power
    MXC_GCFR->reg3 = 0x0;

    return CNN_OK;
}

static void boost_output(mxc_gpio_regs_t *port, uint32_t pin)
{
    mxc_gpio_cfg_t output = {0};
    output.port = port;
    output.mask = pin;
    output.pad = MXC_GPIO_PAD_NONE;
    output.func = MXC_GPIO_FUNC_OUT;
    MXC_GPIO_Config(&output);
}

int cnn_boost_enable(mxc_gpio_regs_t *port, uint32_t pin)
{
    boost_output(port, pin);
    MXC_GPIO_OutSet(port, pin);

    return CNN_OK;
}

int cnn_boost_disable(mxc_gpio_regs_t *port, uint32_t pin)
{
    boost_output(port, pin);
    MXC_GPIO_OutClr(port, pin);

    return CNN_OK;
}
"""
