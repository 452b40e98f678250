/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of the generated tables that hold a network (network.c, weights.c, sample.c). */
#ifndef CNN_TABLES_H
#define CNN_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct cnn_write {
    uint32_t address;
    uint32_t value;
};

/* Consecutive 72-bit columns of one processor as the express loader takes them: the bytes of the
 * columns one after another, most significant first, in big-endian words. */
struct cnn_kernels {
    uint32_t address; /* kernel memory of the processor */
    uint16_t column;
    uint16_t word_count;
    const uint32_t *words;
};

struct cnn_bias {
    uint32_t address;
    uint32_t count;
    const int8_t *entries;
};

/* How one data-memory instance (or, planar, one channel) is filled from the input, whose byte
 * channel * pixels + p is pixel p of a channel.
 * Not planar: the word of pixel p is at address + 4 * step * p, channels + lane <= 4 of its bytes
 * are used. Planar: word w holds pixels 4 w ... 4 w + 3 of one channel. A run of a FIFO has the
 * same words in the same order; its address is that of the FIFO's data register. */
struct cnn_input_run {
    uint32_t address;
    uint32_t pixels;
    uint16_t channel;
    uint16_t step;
    uint8_t channels;
    uint8_t lane;
    uint8_t planar;
};

/* How one output channel is read: value p is the word at address + 4 * step * p (width 32) or one
 * signed byte of it (width 8). */
struct cnn_output_run {
    uint32_t address;
    uint32_t count;
    uint16_t step;
    uint8_t lane;
    uint8_t width;
};

/* Words that the sample's run must leave in memory; mask tells which bits count. */
struct cnn_expected {
    uint32_t address;
    uint32_t mask;
    uint32_t count;
    const uint32_t *words;
};

struct cnn_network {
    uint32_t id;
    uint32_t quadrants; /* bit q: quadrant q is used */
    uint32_t cycles;    /* estimated accelerator cycles of a run */
    const struct cnn_write *init;
    const struct cnn_kernels *kernels;
    const struct cnn_bias *bias;
    const struct cnn_write *configure;
    const struct cnn_write *clear; /* buffers that are kept between inferences */
    const struct cnn_write *start;
    const struct cnn_input_run *input_runs;
    const struct cnn_input_run *fifo_runs; /* one per FIFO: a word of each in turn */
    const struct cnn_output_run *output_runs;
    const int8_t *sample_input;
    const struct cnn_expected *expected;
    uint32_t init_count;
    uint32_t kernels_count;
    uint32_t bias_count;
    uint32_t configure_count;
    uint32_t clear_count;
    uint32_t start_count;
    uint32_t input_run_count;
    uint32_t fifo_run_count;
    uint32_t output_run_count;
    uint32_t expected_count;
};

extern const struct cnn_network network;

#endif
