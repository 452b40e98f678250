/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the link protocol. */

#include "server.h"

#include "cnn.h"
#include "cnn_tables.h"
#include "network.h"
#include "timer.h"

/* A reply under construction. */
struct builder {
    uint8_t bytes[LINK_MAX_PAYLOAD];
    size_t count;
};

struct request {
    const uint8_t *payload;
    size_t bytes;
    bool may_sleep;
    struct server_reply *reply;
};

static struct link_reply_prefix prefix;
static uint32_t core_hz;
static int8_t input[NETWORK_INPUT_BYTES];
static uint32_t input_received;
static uint32_t output[(NETWORK_OUTPUT_BYTES + 3U) / 4U]; /* as cnn_unload leaves it */
static bool have_output;

static struct builder builder;
static uint8_t last_reply[LINK_MAX_ENCODED];
static size_t last_reply_bytes;
static uint16_t last_sequence;
static uint32_t last_crc;

static void put(const void *data, size_t count)
{
    const uint8_t *bytes = data;
    for (size_t index = 0; index < count && builder.count < LINK_MAX_PAYLOAD; index++) {
        builder.bytes[builder.count++] = bytes[index];
    }
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* Goes through the values of the output in order. */
struct cursor {
    const struct cnn_output_run *run;
    const uint8_t *bytes;
    uint32_t left; /* values of the run that are still to come */
};

static struct cursor output_begin(void)
{
    return (struct cursor){network.output_runs, (const uint8_t *)output,
                           network.output_runs[0].count};
}

static int32_t output_next(struct cursor *cursor)
{
    while (cursor->left == 0U) {
        cursor->run++;
        cursor->left = cursor->run->count;
    }
    cursor->left--;
    if (cursor->run->width == 8U) {
        return (int8_t)*cursor->bytes++;
    }
    const uint32_t word = get_u32(cursor->bytes);
    cursor->bytes += 4;
    return (int32_t)word;
}

static void put_values(uint32_t first, uint32_t count)
{
    struct cursor cursor = output_begin();
    for (uint32_t index = 0; index < first; index++) {
        (void)output_next(&cursor);
    }
    for (uint32_t index = 0; index < count; index++) {
        const int32_t value = output_next(&cursor);
        put(&value, sizeof value);
    }
}

/* The first of the largest values. */
static uint16_t arg_max(void)
{
    struct cursor cursor = output_begin();
    int32_t largest = INT32_MIN;
    uint32_t where = 0U;
    for (uint32_t index = 0; index < NETWORK_OUTPUT_VALUES; index++) {
        const int32_t value = output_next(&cursor);
        if (value > largest) {
            largest = value;
            where = index;
        }
    }
    return (uint16_t)where;
}

static uint16_t hello(const struct request *request)
{
    (void)request;
    static const char name[LINK_NAME_BYTES + 1U] = NETWORK_NAME;
    struct link_hello_reply reply = {
        .version = LINK_PROTOCOL_VERSION,
        .firmware_major = FIRMWARE_MAJOR,
        .firmware_minor = FIRMWARE_MINOR,
        .max_payload = LINK_MAX_PAYLOAD,
        .output_values = NETWORK_OUTPUT_VALUES,
        .network_id = network.id,
        .core_hz = core_hz,
        .timer_hz = timer_hz(),
        .input_bytes = NETWORK_INPUT_BYTES,
        .output_bytes = 4U * NETWORK_OUTPUT_VALUES,
    };
    for (size_t index = 0; index < LINK_NAME_BYTES; index++) {
        reply.name[index] = name[index];
    }
    put(&reply, sizeof reply);
    return LINK_STATUS_OK;
}

static uint16_t set_baud(const struct request *request)
{
    static const uint32_t rates[] = {LINK_BAUD_RATES};
    const uint32_t baud = get_u32(request->payload);
    for (size_t index = 0; index < sizeof rates / sizeof rates[0]; index++) {
        if (rates[index] == baud) {
            request->reply->action = SERVER_SET_BAUD;
            request->reply->baud = baud;
            return LINK_STATUS_OK;
        }
    }
    return LINK_STATUS_BAD_RANGE;
}

/* A part at offset 0 begins a new input; any other must begin in or right after what is there. */
static uint16_t take_input(const struct request *request)
{
    const uint32_t offset = get_u32(request->payload);
    const uint8_t *bytes = request->payload + sizeof(struct link_input);
    const size_t count = request->bytes - sizeof(struct link_input);
    if (offset > NETWORK_INPUT_BYTES || count > NETWORK_INPUT_BYTES - offset) {
        return LINK_STATUS_BAD_RANGE;
    }
    if (offset == 0U) {
        input_received = 0U;
    }
    if (offset > input_received) {
        return LINK_STATUS_BAD_RANGE;
    }
    for (size_t index = 0; index < count; index++) {
        input[offset + index] = (int8_t)bytes[index];
    }
    if (offset + count > input_received) {
        input_received = offset + (uint32_t)count;
    }
    const struct link_input_reply reply = {.received = input_received};
    put(&reply, sizeof reply);
    return LINK_STATUS_OK;
}

static bool run_network(const int8_t *data, bool may_sleep, uint32_t *load_ticks)
{
    const uint32_t begin = timer_now();
    cnn_load_input(data);
    *load_ticks = timer_now() - begin;
    cnn_start();
    cnn_feed_input(data);
    if (cnn_wait(may_sleep) == CNN_OK) {
        return true;
    }
    cnn_bring_up(); /* begin anew: the state of an unfinished run is not known */
    return false;
}

static uint16_t infer(const struct request *request)
{
    if (input_received != NETWORK_INPUT_BYTES) {
        return LINK_STATUS_NO_INPUT;
    }
    struct link_infer_reply reply = {.class_index = LINK_NO_CLASS};
    uint32_t load_ticks;
    if (!run_network(input, request->may_sleep, &load_ticks)) {
        return LINK_STATUS_CNN_TIMEOUT;
    }
    const uint32_t unload_begin = timer_now();
    cnn_unload(output);
    const uint32_t post_begin = timer_now();
    have_output = true;
    if (NETWORK_IS_VECTOR) {
        reply.class_index = arg_max();
    }
    const uint32_t post_end = timer_now();

    const uint32_t room = (LINK_MAX_PAYLOAD - sizeof prefix - sizeof reply) / 4U;
    reply.load_ticks = load_ticks;
    reply.inference_ticks = cnn_run_ticks();
    reply.unload_ticks = post_begin - unload_begin;
    reply.post_ticks = post_end - post_begin;
    reply.values = (uint16_t)(NETWORK_OUTPUT_VALUES < room ? NETWORK_OUTPUT_VALUES : room);
    put(&reply, sizeof reply);
    put_values(0U, reply.values);
    return LINK_STATUS_OK;
}

static uint16_t send_output(const struct request *request)
{
    const uint32_t range = get_u32(request->payload);
    const uint32_t first = range & 0xFFFFU;
    const uint32_t count = range >> 16;
    const size_t room = (LINK_MAX_PAYLOAD - sizeof prefix - sizeof(struct link_output_reply)) / 4U;
    if (!have_output || first + count > NETWORK_OUTPUT_VALUES || count > room) {
        return LINK_STATUS_BAD_RANGE;
    }
    const struct link_output_reply reply = {.first = (uint16_t)first, .count = (uint16_t)count};
    put(&reply, sizeof reply);
    put_values(first, count);
    return LINK_STATUS_OK;
}

static uint16_t self_test(const struct request *request)
{
    uint32_t load_ticks;
    cnn_spoil_output();
    cnn_clear_buffers(); /* the expected answer is that of a first inference */
    if (!run_network(network.sample_input, request->may_sleep, &load_ticks)) {
        return LINK_STATUS_CNN_TIMEOUT;
    }
    cnn_clear_buffers();
    const struct cnn_comparison comparison = cnn_check_output();
    const struct link_self_test_reply reply = {
        .mismatches = comparison.mismatches,
        .compared = comparison.compared,
        .first_address = comparison.first_address,
        .expected = comparison.expected,
        .read = comparison.read,
    };
    put(&reply, sizeof reply);
    return comparison.mismatches == 0U ? LINK_STATUS_OK : LINK_STATUS_MISMATCH;
}

static uint16_t reset(const struct request *request)
{
    request->reply->action = SERVER_RESET;
    return LINK_STATUS_OK;
}

struct operation {
    uint8_t type;
    uint16_t least_bytes; /* of payload */
    uint16_t most_bytes;
    uint16_t (*carry_out)(const struct request *request);
};

static const struct operation operations[] = {
    {LINK_TYPE_HELLO, 0, 0, hello},
    {LINK_TYPE_SET_BAUD, sizeof(struct link_set_baud), sizeof(struct link_set_baud), set_baud},
    {LINK_TYPE_INPUT, sizeof(struct link_input) + 1U, LINK_MAX_PAYLOAD, take_input},
    {LINK_TYPE_INFER, 0, 0, infer},
    {LINK_TYPE_OUTPUT, sizeof(struct link_output), sizeof(struct link_output), send_output},
    {LINK_TYPE_SELF_TEST, 0, 0, self_test},
    {LINK_TYPE_RESET, 0, 0, reset},
};

static uint16_t carry_out(const struct link_frame *frame, const struct request *request)
{
    if (frame->header.version != LINK_PROTOCOL_VERSION) {
        return LINK_STATUS_BAD_VERSION;
    }
    if (frame->header.length != frame->payload_bytes) {
        return LINK_STATUS_BAD_LENGTH;
    }
    for (size_t index = 0; index < sizeof operations / sizeof operations[0]; index++) {
        const struct operation *operation = &operations[index];
        if (operation->type != frame->header.type) {
            continue;
        }
        if (request->bytes < operation->least_bytes || request->bytes > operation->most_bytes) {
            return LINK_STATUS_BAD_LENGTH;
        }
        return operation->carry_out(request);
    }
    return LINK_STATUS_UNKNOWN_TYPE;
}

void server_init(uint32_t boot_id, uint16_t reset_cause, uint32_t core_clock_hz)
{
    prefix.boot_id = boot_id;
    prefix.reset_cause = reset_cause;
    core_hz = core_clock_hz;
    last_reply_bytes = 0U;
    input_received = 0U;
    have_output = false;
}

struct server_reply server_handle(const struct link_frame *frame, bool may_sleep)
{
    struct server_reply reply = {.bytes = last_reply, .action = SERVER_NOTHING};
    if ((frame->header.type & LINK_REPLY_FLAG) != 0U) {
        return reply; /* a reply that came back: answering it would never end */
    }
    const uint16_t sequence = frame->header.sequence;
    if (last_reply_bytes != 0U && sequence == last_sequence && frame->crc == last_crc) {
        reply.count = last_reply_bytes;
        return reply;
    }
    const struct request request = {frame->payload, frame->payload_bytes, may_sleep, &reply};
    builder.count = sizeof prefix;
    prefix.status = carry_out(frame, &request);
    const size_t payload_bytes = builder.count;
    builder.count = 0U;
    put(&prefix, sizeof prefix);

    const uint8_t type = (uint8_t)(frame->header.type | LINK_REPLY_FLAG);
    last_reply_bytes = link_encode(type, sequence, builder.bytes, payload_bytes, last_reply);
    last_sequence = sequence;
    last_crc = frame->crc;
    reply.count = last_reply_bytes;
    return reply;
}
