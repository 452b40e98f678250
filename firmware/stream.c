/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that arrive while the accelerator works. */

#include "stream.h"

#include "cnn.h"
#include "cnn_tables.h"
#include "gpio.h"
#include "output.h"
#include "timer.h"

#define REPLY_ROOM                                                                                 \
    ((LINK_MAX_PAYLOAD - sizeof(struct link_reply_prefix) - sizeof(struct link_stream_reply)) / 4U)
#define VALUES (NETWORK_OUTPUT_VALUES <= REPLY_ROOM ? NETWORK_OUTPUT_VALUES : 0U)
/* While an input is fed to FIFOs nobody empties the ring of received bytes: a run that lasts longer
 * than the ring at the highest rate must not overlap with reception. */
#define LONGEST_FEED_CYCLES 500000U

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY };

struct slot {
    enum slot_state state;
    uint32_t frame;
    uint32_t received; /* bytes from 0 on without a hole */
    uint16_t sequence; /* of the part that completed it */
};

struct result {
    bool there;
    uint32_t frame;
    uint16_t sequence;
    uint16_t status;
    size_t count;
    uint8_t body[sizeof(struct link_stream_reply) + 4U * VALUES];
};

static int8_t buffers[STREAM_BUFFERS][NETWORK_INPUT_BYTES];
static struct slot slots[STREAM_BUFFERS];
static struct result results[LINK_STREAM_RESULTS];
static uint32_t next_result;
static struct result *unsent;
static struct {
    bool active;
    uint32_t frame;
    uint16_t sequence;
    uint32_t load_ticks;
} run;
static uint32_t runs;
static uint32_t repeats;
static uint32_t holes;

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void copy(void *to, const void *from, size_t count)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    for (size_t index = 0; index < count; index++) {
        out[index] = in[index];
    }
}

void stream_init(void)
{
    for (uint32_t index = 0; index < STREAM_BUFFERS; index++) {
        slots[index].state = SLOT_FREE;
    }
    for (uint32_t index = 0; index < LINK_STREAM_RESULTS; index++) {
        results[index].there = false;
    }
    next_result = 0U;
    unsent = NULL;
    run.active = false;
    runs = 0U;
    repeats = 0U;
    holes = 0U;
}

uint8_t stream_window(void)
{
    if (VALUES == 0U) {
        return 0U;
    }
    if (network.clear_count != 0U) {
        return 1U; /* what is kept between inferences depends on their order */
    }
    if (network.fifo_run_count != 0U && network.cycles > LONGEST_FEED_CYCLES) {
        return 1U;
    }
    return (uint8_t)(STREAM_BUFFERS + 1U); /* an input that is loaded leaves its buffer */
}

uint32_t stream_runs(void)
{
    return runs;
}

uint32_t stream_repeats(void)
{
    return repeats;
}

uint32_t stream_holes(void)
{
    return holes;
}

int8_t *stream_input_buffer(void)
{
    slots[0].state = SLOT_FREE;
    return buffers[0];
}

static struct result *find_result(uint32_t frame)
{
    for (uint32_t index = 0; index < LINK_STREAM_RESULTS; index++) {
        if (results[index].there && results[index].frame == frame) {
            return &results[index];
        }
    }
    return NULL;
}

static void answer_result(const struct result *result, struct stream_answer *answer)
{
    *answer = (struct stream_answer){result->sequence, result->status, result->body, result->count};
}

static bool refuse(struct stream_answer *answer, uint16_t status, uint32_t frame, uint32_t received)
{
    static struct link_stream_state state;
    state = (struct link_stream_state){.frame = frame, .received = received};
    answer->status = status;
    answer->bytes = (const uint8_t *)&state;
    answer->count = sizeof state;
    return true;
}

/* Whether two numbers can be under way at the same time; else one is of a session that ended. */
static bool same_window(uint32_t first, uint32_t second)
{
    return first - second <= LINK_STREAM_RESULTS || second - first <= LINK_STREAM_RESULTS;
}

bool stream_take(const uint8_t *payload, size_t bytes, uint16_t sequence,
                 struct stream_answer *answer)
{
    const uint32_t frame = get_u32(payload);
    const uint32_t offset = get_u32(payload + 4);
    const uint8_t *data = payload + sizeof(struct link_stream);
    const size_t count = bytes - sizeof(struct link_stream);
    const uint32_t number = frame % STREAM_BUFFERS;
    struct slot *slot = &slots[number];
    answer->sequence = sequence;
    if (VALUES == 0U || offset > NETWORK_INPUT_BYTES || count > NETWORK_INPUT_BYTES - offset) {
        return refuse(answer, LINK_STATUS_BAD_RANGE, frame, 0U);
    }
    const struct result *known = find_result(frame);
    const bool complete = slot->state == SLOT_READY && slot->frame == frame;
    if (known != NULL || complete || (run.active && run.frame == frame)) {
        repeats++;
        if (known == NULL) {
            return false; /* the result will come */
        }
        answer_result(known, answer);
        answer->sequence = sequence;
        return true;
    }
    if (slot->state != SLOT_FREE && slot->frame != frame) {
        if (slot->state == SLOT_READY || same_window(slot->frame, frame)) {
            return refuse(answer, LINK_STATUS_BUSY, frame, 0U);
        }
        slot->state = SLOT_FREE;
    }
    if (slot->state == SLOT_FREE && offset == 0U) {
        *slot = (struct slot){.state = SLOT_FILLING, .frame = frame};
    }
    const uint32_t have = slot->state == SLOT_FILLING ? slot->received : 0U;
    if (offset > have) {
        holes++;
        return refuse(answer, LINK_STATUS_HOLE, frame, have);
    }
    copy(&buffers[number][offset], data, count);
    if (offset + count > have) {
        slot->received = offset + (uint32_t)count;
    }
    if (slot->received == NETWORK_INPUT_BYTES) {
        slot->state = SLOT_READY;
        slot->sequence = sequence;
    }
    return false;
}

/* The frame that was numbered first among those that are complete. */
static struct slot *next_ready(void)
{
    struct slot *first = NULL;
    for (uint32_t index = 0; index < STREAM_BUFFERS; index++) {
        struct slot *slot = &slots[index];
        if (slot->state == SLOT_READY &&
            (first == NULL || (int32_t)(slot->frame - first->frame) < 0)) {
            first = slot;
        }
    }
    return first;
}

static void start_next(void)
{
    struct slot *slot = next_ready();
    if (slot == NULL) {
        return;
    }
    const int8_t *data = buffers[slot->frame % STREAM_BUFFERS];
    gpio_mark(MARK_LOAD);
    const uint32_t begin = timer_now();
    cnn_load_input(data);
    run.load_ticks = timer_now() - begin;
    run.active = true;
    run.frame = slot->frame;
    run.sequence = slot->sequence;
    runs++;
    cnn_start();
    cnn_feed_input(data);
    slot->state = SLOT_FREE;
}

/* Keeps the result of the run that is over; with go_on the next one starts before what needs no
 * accelerator is done. */
static void finish(bool ended, bool go_on)
{
    struct result *result = &results[next_result];
    next_result = (next_result + 1U) % LINK_STREAM_RESULTS;
    result->there = true;
    result->frame = run.frame;
    result->sequence = run.sequence;
    unsent = result;
    run.active = false;
    if (!ended) {
        const struct link_stream_state state = {run.frame, NETWORK_INPUT_BYTES};
        cnn_give_up();
        cnn_bring_up(); /* begin anew: the state of an unfinished run is not known */
        result->status = LINK_STATUS_CNN_TIMEOUT;
        result->count = sizeof state;
        copy(result->body, &state, sizeof state);
        return;
    }
    struct link_stream_reply reply = {
        .frame = run.frame,
        .end_tick = cnn_end_tick(),
        .load_ticks = run.load_ticks,
        .inference_ticks = cnn_run_ticks(),
        .values = VALUES,
    };
    const uint32_t unload_begin = timer_now();
    output_take();
    reply.unload_ticks = timer_now() - unload_begin;
    if (go_on) {
        start_next();
    }
    const uint32_t post_begin = timer_now();
    reply.class_index = output_class();
    reply.post_ticks = timer_now() - post_begin;
    if (!run.active) {
        gpio_mark(MARK_WAITING);
    }
    result->status = LINK_STATUS_OK;
    result->count = sizeof result->body;
    copy(result->body, &reply, sizeof reply);
    output_values(0U, VALUES, &result->body[sizeof reply]);
}

bool stream_due(void)
{
    return unsent != NULL || (run.active ? cnn_time != 0U : next_ready() != NULL);
}

bool stream_poll(struct stream_answer *answer)
{
    if (unsent == NULL && run.active && (cnn_time != 0U || cnn_overdue())) {
        finish(cnn_time != 0U, true);
    }
    if (!run.active) {
        start_next();
    }
    if (unsent == NULL) {
        return false;
    }
    answer_result(unsent, answer);
    unsent = NULL;
    return true;
}

void stream_settle(bool may_sleep)
{
    if (run.active) {
        const bool ended = cnn_wait(may_sleep) == CNN_OK;
        finish(ended, false);
    }
}
