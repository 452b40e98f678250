/* SPDX-License-Identifier: Apache-2.0 */
/* The accelerator. Functions with the names that programs for this chip are used to; what they
 * write comes from the generated tables. */
#ifndef CNN_H
#define CNN_H

#include <stdbool.h>
#include <stdint.h>

#define CNN_FAIL 0
#define CNN_OK 1

/* Values for cnn_enable. */
#define CNN_CLOCK_PCLK 0U /* half the core clock */
#define CNN_CLOCK_ISO 1U
#define CNN_CLOCK_DIV1 4U
#define CNN_CLOCK_DIV2 0U
#define CNN_CLOCK_DIV4 1U
#define CNN_CLOCK_DIV8 2U
#define CNN_CLOCK_DIV16 3U

/* Duration of the last run in microseconds, at least 1; 0 while a run is under way. */
extern volatile uint32_t cnn_time;

int cnn_enable(uint32_t clock_source, uint32_t clock_divider);
int cnn_disable(void);
int cnn_init(void);
int cnn_load_weights(void);
uint32_t cnn_weights_ticks(void); /* timer ticks that the last loading took */
int cnn_load_bias(void); /* needed again after cnn_disable: bias memory loses its content */
int cnn_configure(void); /* also clears the buffers */
void cnn_clear_buffers(void); /* what is kept between inferences begins anew with zeros */
int cnn_start(void);
int cnn_stop(void);
int cnn_continue(void);

/* Copies the output: 32-bit words of wide channels, bytes of narrow ones, channel after channel
 * without gaps; out_buf holds NETWORK_OUTPUT_BYTES. */
int cnn_unload(uint32_t *out_buf);

void CNN_ISR(void);

/* Everything from power to per-layer registers. */
int cnn_bring_up(void);

/* Puts an input (NETWORK_INPUT_BYTES, channel after channel) where the first layer reads it. */
void cnn_load_input(const int8_t *input);

/* Hands the same input to the FIFOs, for networks that read from them; after cnn_start. */
void cnn_feed_input(const int8_t *input);

/* Waits for the end of a run, asleep if may_sleep; CNN_FAIL if it does not end in time. */
int cnn_wait(bool may_sleep);

/* Whether a run has lasted longer than any run should, and what is to be done with it then. */
bool cnn_overdue(void);
void cnn_give_up(void);

/* Timer ticks from cnn_start to the end of the last run, and the timer at that end. */
uint32_t cnn_run_ticks(void);
uint32_t cnn_end_tick(void);

/* Fills the output's place with wrong words, so that an old result cannot pass for a new one. */
void cnn_spoil_output(void);

struct cnn_comparison {
    uint32_t compared;
    uint32_t mismatches;
    uint32_t first_address; /* of the first mismatch, and its words under the mask */
    uint32_t expected;
    uint32_t read;
};

/* Compares data memory with what the sample input must leave there. */
struct cnn_comparison cnn_check_output(void);

#endif
