/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that arrive while the accelerator works: numbered frames, two buffers, results that are
 * kept until the host has surely seen them. Nothing here waits for the accelerator. */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_protocol.h"
#include "network.h"

/* The second buffer is left out where it would not fit into SRAM beside the first, and beside the
 * two bytes for each of the input that packets of channel state information are collected in. */
#define STREAM_BUFFERS (NETWORK_INPUT_BYTES <= (NETWORK_TAKES_CSI ? 24576U : 32768U) ? 2U : 1U)

/* An answer without the prefix; bytes are valid until the next call. */
struct stream_answer {
    uint16_t sequence;
    uint16_t status;
    const uint8_t *bytes;
    size_t count;
};

void stream_init(void);

/* Frames that may be without a result at a time; 0 if a reply cannot hold the output. */
uint8_t stream_window(void);

/* Takes a STREAM request's payload; returns whether there is an answer at once. */
bool stream_take(const uint8_t *payload, size_t bytes, uint16_t sequence,
                 struct stream_answer *answer);

/* Carries the work on; returns whether a result is there. */
bool stream_poll(struct stream_answer *answer);

/* Whether stream_poll would do something now. */
bool stream_due(void);

/* Waits for the end of a run under way, so that the accelerator is free. */
void stream_settle(bool may_sleep);

/* The buffer for an input that is no part of a stream; a frame in it is given up. */
int8_t *stream_input_buffer(void);

/* Runs, repeated parts and holes since the start. */
uint32_t stream_runs(void);
uint32_t stream_repeats(void);
uint32_t stream_holes(void);

#endif
