/* SPDX-License-Identifier: Apache-2.0 */
/* Driver of the accelerator. Its memories take aligned 32-bit accesses alone; the one exception is
 * the byte write that sets the column pointer of the express kernel loader. An access while power
 * or clock is off hangs the core. */

#include "cnn.h"

#include "clock.h"
#include "cnn_tables.h"
#include "cortex_m4.h"
#include "gpio.h"
#include "timer.h"

#define QUADRANTS 4U
#define ALL_QUADRANTS 0xFU
#define SHORTEST_TIMEOUT_US 100000U
#define TIMEOUT_FACTOR 4U /* over the estimate, which is not exact */
#define LONGEST_TIMEOUT_US 60000000U

/* Ordinary memory, other than the accelerator's, is read at any address. */
struct word_anywhere {
    uint32_t word;
} __attribute__((packed));

volatile uint32_t cnn_time;
static volatile uint32_t start_tick;
static uint32_t weights_ticks;
static volatile uint32_t end_tick;

static void write_all(const struct cnn_write *writes, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        MMIO32(writes[index].address) = writes[index].value;
    }
}

static uint32_t master_quadrant(void)
{
    uint32_t quadrant = 0;
    while ((network.quadrants & (1U << quadrant)) == 0U) {
        quadrant++;
    }
    return quadrant;
}

int cnn_enable(uint32_t clock_source, uint32_t clock_divider)
{
    GCFR_REG3 = ALL_QUADRANTS; /* reset */
    GCFR_REG1 = network.quadrants;
    GCFR_REG0 = network.quadrants;
    GCFR_REG2 = ~network.quadrants & ALL_QUADRANTS; /* isolate what is not used */
    GCFR_REG3 = 0U;
    const uint32_t fields = GCR_PCLKDIV_CNNCLKDIV_MASK | GCR_PCLKDIV_CNNCLKSEL;
    GCR_PCLKDIV = (GCR_PCLKDIV & ~fields) | GCR_PCLKDIV_CNNCLKDIV(clock_divider) |
                  (clock_source == CNN_CLOCK_ISO ? GCR_PCLKDIV_CNNCLKSEL : 0U);
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_CNN;
    dsb();
    interrupt_enable_line(IRQ_CNN);
    return CNN_OK;
}

int cnn_disable(void)
{
    GCR_PCLKDIS0 |= GCR_PCLKDIS0_CNN;
    GCFR_REG3 = ALL_QUADRANTS;
    GCFR_REG2 = ALL_QUADRANTS;
    GCFR_REG0 = 0U;
    GCFR_REG1 = 0U;
    GCFR_REG3 = 0U;
    return CNN_OK;
}

int cnn_init(void)
{
    write_all(network.init, network.init_count);
    return CNN_OK;
}

int cnn_load_weights(void)
{
    const uint32_t begin = timer_now();
    for (uint32_t index = 0; index < network.kernels_count; index++) {
        const struct cnn_kernels *block = &network.kernels[index];
        MMIO8(block->address + 4U * block->column + 1U) = 1U;
        for (uint32_t word = 0; word < block->word_count; word++) {
            MMIO32(block->address + 4U * word) = block->words[word];
        }
    }
    weights_ticks = timer_now() - begin;
    return CNN_OK;
}

uint32_t cnn_weights_ticks(void)
{
    return weights_ticks;
}

int cnn_load_bias(void)
{
    for (uint32_t index = 0; index < network.bias_count; index++) {
        const struct cnn_bias *block = &network.bias[index];
        for (uint32_t entry = 0; entry < block->count; entry++) {
            MMIO32(block->address + 4U * entry) = (uint8_t)block->entries[entry];
        }
    }
    return CNN_OK;
}

int cnn_configure(void)
{
    write_all(network.configure, network.configure_count);
    cnn_clear_buffers();
    return CNN_OK;
}

void cnn_clear_buffers(void)
{
    write_all(network.clear, network.clear_count);
}

int cnn_bring_up(void)
{
    cnn_disable();
    SIMO_VREGO_C = SIMO_VREGO_C_CNN;
    cnn_enable(CNN_CLOCK_PCLK, CNN_CLOCK_DIV1);
    cnn_init();
    cnn_load_weights();
    cnn_load_bias();
    return cnn_configure();
}

int cnn_start(void)
{
    cnn_time = 0U;
    gpio_set_led(LED_RED, false);
    gpio_mark(MARK_RUN);
    dsb();
    start_tick = timer_now();
    write_all(network.start, network.start_count);
    return CNN_OK;
}

int cnn_stop(void)
{
    CNN_CTL(master_quadrant()) &= ~CNN_CTL_EN;
    return CNN_OK;
}

int cnn_continue(void)
{
    cnn_time = 0U;
    CNN_CTL(master_quadrant()) |= CNN_CTL_EN;
    return CNN_OK;
}

void CNN_ISR(void)
{
    end_tick = timer_now();
    for (uint32_t quadrant = 0; quadrant < QUADRANTS; quadrant++) {
        if ((network.quadrants & (1U << quadrant)) != 0U) {
            CNN_CTL(quadrant) &= ~(CNN_CTL_IRQ | CNN_CTL_EN | CNN_CTL_STREAM);
        }
    }
    gpio_mark(MARK_AFTER);
    const uint32_t microseconds = (end_tick - start_tick) / (timer_hz() / 1000000U);
    cnn_time = microseconds > 0U ? microseconds : 1U;
    dsb(); /* the request must be gone before the return, or the interrupt is taken twice */
}

uint32_t cnn_run_ticks(void)
{
    return end_tick - start_tick;
}

uint32_t cnn_end_tick(void)
{
    return end_tick;
}

static uint32_t timeout_ticks(void)
{
    uint32_t microseconds = SHORTEST_TIMEOUT_US;
    const uint32_t estimate = network.cycles / (timer_hz() / 1000000U); /* runs at the same clock */
    if (estimate < LONGEST_TIMEOUT_US / TIMEOUT_FACTOR) {
        microseconds += TIMEOUT_FACTOR * estimate;
    } else {
        microseconds = LONGEST_TIMEOUT_US;
    }
    return timer_ticks(microseconds);
}

bool cnn_overdue(void)
{
    return timer_now() - start_tick > timeout_ticks();
}

void cnn_give_up(void)
{
    cnn_stop();
    gpio_mark(MARK_WAITING);
    gpio_set_led(LED_RED, true); /* until the next run: no LED draws current in a good one */
}

int cnn_wait(bool may_sleep)
{
    while (cnn_time == 0U) {
        if (cnn_overdue()) {
            cnn_give_up();
            return CNN_FAIL;
        }
        if (!may_sleep) {
            clock_spend_cycles(100U);
            continue;
        }
        /* A run may end between the test and the sleep: test again with interrupts masked, a
         * pending one still ends the sleep. */
        interrupts_disable();
        if (cnn_time == 0U) {
            wait_for_interrupt();
        }
        interrupts_enable();
    }
    return CNN_OK;
}

/* Four pixels of one channel to a word; the last word is filled with zeros. */
static void load_planar(const struct cnn_input_run *run, const uint8_t *channel)
{
    const struct word_anywhere *words = (const struct word_anywhere *)channel;
    const uint32_t full = run->pixels / 4U;
    for (uint32_t index = 0; index < full; index++) {
        MMIO32(run->address + 4U * index) = words[index].word;
    }
    const uint32_t rest = run->pixels % 4U;
    if (rest != 0U) {
        uint32_t word = 0U;
        for (uint32_t byte = 0; byte < rest; byte++) {
            word |= (uint32_t)channel[4U * full + byte] << (8U * byte);
        }
        MMIO32(run->address + 4U * full) = word;
    }
}

/* One pixel of up to four channels to a word. In the place of a channel that is not there the
 * first one is read and masked out: no decision inside the loop. */
static void load_interleaved(const struct cnn_input_run *run, const uint8_t *channel0)
{
    const uint32_t pixels = run->pixels;
    const uint8_t *channel1 = channel0 + (run->channels > 1U ? pixels : 0U);
    const uint8_t *channel2 = channel0 + (run->channels > 2U ? 2U * pixels : 0U);
    const uint8_t *channel3 = channel0 + (run->channels > 3U ? 3U * pixels : 0U);
    /* no channel at all: the words of a partly filled last pass are set to 0 */
    const uint32_t mask = run->channels == 0U ? 0U : 0xFFFFFFFFU >> (8U * (4U - run->channels));
    const uint32_t shift = 8U * run->lane;
    const uint32_t step = 4U * run->step;
    uint32_t address = run->address;
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        const uint32_t word = (uint32_t)channel0[pixel] | (uint32_t)channel1[pixel] << 8 |
                              (uint32_t)channel2[pixel] << 16 | (uint32_t)channel3[pixel] << 24;
        MMIO32(address) = (word & mask) << shift;
        address += step;
    }
}

void cnn_load_input(const int8_t *input)
{
    for (uint32_t index = 0; index < network.input_run_count; index++) {
        const struct cnn_input_run *run = &network.input_runs[index];
        const uint8_t *channel = (const uint8_t *)input + run->channel * run->pixels;
        if (run->planar != 0U) {
            load_planar(run, channel);
        } else {
            load_interleaved(run, channel);
        }
    }
}

/* Word number index of a run's words. */
static uint32_t fifo_word(const struct cnn_input_run *run, const uint8_t *input, uint32_t index)
{
    const uint8_t *channel = input + run->channel * run->pixels;
    uint32_t word = 0U;
    if (run->planar != 0U) {
        for (uint32_t byte = 0; byte < 4U && 4U * index + byte < run->pixels; byte++) {
            word |= (uint32_t)channel[4U * index + byte] << (8U * byte);
        }
        return word;
    }
    for (uint32_t lane = 0; lane < run->channels; lane++) {
        word |= (uint32_t)channel[lane * run->pixels + index] << (8U * (run->lane + lane));
    }
    return word;
}

void cnn_feed_input(const int8_t *input)
{
    if (network.fifo_run_count == 0U) {
        return;
    }
    const struct cnn_input_run *first = network.fifo_runs;
    const uint32_t words = first->planar != 0U ? (first->pixels + 3U) / 4U : first->pixels;
    for (uint32_t index = 0; index < words; index++) {
        for (uint32_t number = 0; number < network.fifo_run_count; number++) {
            const struct cnn_input_run *run = &network.fifo_runs[number];
            const uint32_t full = 1U << CNN_FIFO_NUMBER(run->address);
            if (!clock_wait_bits(&CNN_FIFO_STAT, full, false)) {
                return; /* it takes no more: cnn_wait tells that the run does not end */
            }
            MMIO32(run->address) = fifo_word(run, (const uint8_t *)input, index);
        }
    }
}

int cnn_unload(uint32_t *out_buf)
{
    uint8_t *out = (uint8_t *)out_buf;
    for (uint32_t index = 0; index < network.output_run_count; index++) {
        const struct cnn_output_run *run = &network.output_runs[index];
        uint32_t address = run->address;
        for (uint32_t value = 0; value < run->count; value++) {
            uint32_t word = MMIO32(address) >> (run->width == 8U ? 8U * run->lane : 0U);
            for (uint32_t bits = 0; bits < run->width; bits += 8U) {
                *out++ = (uint8_t)word;
                word >>= 8U;
            }
            address += 4U * run->step;
        }
    }
    return CNN_OK;
}

void cnn_spoil_output(void)
{
    for (uint32_t index = 0; index < network.expected_count; index++) {
        const struct cnn_expected *block = &network.expected[index];
        for (uint32_t word = 0; word < block->count; word++) {
            MMIO32(block->address + 4U * word) = ~block->words[word];
        }
    }
}

struct cnn_comparison cnn_check_output(void)
{
    struct cnn_comparison result = {0};
    for (uint32_t index = 0; index < network.expected_count; index++) {
        const struct cnn_expected *block = &network.expected[index];
        for (uint32_t word = 0; word < block->count; word++) {
            const uint32_t address = block->address + 4U * word;
            const uint32_t read = MMIO32(address) & block->mask;
            const uint32_t expected = block->words[word] & block->mask;
            result.compared++;
            if (read == expected) {
                continue;
            }
            if (result.mismatches++ == 0U) {
                result.first_address = address;
                result.expected = expected;
                result.read = read;
            }
        }
    }
    return result;
}
