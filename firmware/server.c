/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the link protocol. */

#include "server.h"

#include "cnn.h"
#include "cnn_tables.h"
#include "csi.h"
#include "gpio.h"
#include "network.h"
#include "output.h"
#include "stream.h"
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
static uint32_t input_received; /* of an input that is no part of a stream */
static struct link_statistics_reply statistics;

/* Other inputs, and larger ones than this, which leave no memory to collect packets in, get
 * BAD_RANGE. */
#define CSI_MOST_INPUT_BYTES 32768U
#define CSI_FITS (NETWORK_TAKES_CSI && NETWORK_INPUT_BYTES <= CSI_MOST_INPUT_BYTES)
#define CSI_ROOM (CSI_FITS ? NETWORK_INPUT_BYTES : 1U)
static uint16_t csi_scaled[CSI_ROOM];
static struct csi_window csi = {.scaled = csi_scaled, .room = CSI_ROOM};

static struct builder builder;
static uint8_t last_reply[LINK_MAX_ENCODED];
static size_t last_reply_bytes;
static uint8_t stream_reply[LINK_MAX_ENCODED];
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

static void put_values(uint32_t first, uint32_t count)
{
    if (count <= (LINK_MAX_PAYLOAD - builder.count) / 4U) {
        output_values(first, count, &builder.bytes[builder.count]);
        builder.count += 4U * count;
    }
}

static uint16_t hello(const struct request *request)
{
    (void)request;
    static const char name[LINK_NAME_BYTES + 1U] = NETWORK_NAME;
    struct link_hello_reply reply = {
        .version = LINK_PROTOCOL_VERSION,
        .firmware_major = FIRMWARE_MAJOR,
        .firmware_minor = FIRMWARE_MINOR,
        .stream_window = stream_window(),
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
    int8_t *input = stream_input_buffer();
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
    stream_settle(may_sleep);
    gpio_mark(MARK_LOAD);
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
    struct link_infer_reply reply = {0};
    uint32_t load_ticks;
    statistics.runs++;
    if (!run_network(stream_input_buffer(), request->may_sleep, &load_ticks)) {
        return LINK_STATUS_CNN_TIMEOUT;
    }
    const uint32_t unload_begin = timer_now();
    output_take();
    const uint32_t post_begin = timer_now();
    reply.class_index = output_class();
    const uint32_t post_end = timer_now();
    gpio_mark(MARK_WAITING);

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
    if (!output_there() || first + count > NETWORK_OUTPUT_VALUES || count > room) {
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
    stream_settle(request->may_sleep); /* of a session that was broken off */
    cnn_spoil_output();
    cnn_clear_buffers(); /* the expected answer is that of a first inference */
    if (!run_network(network.sample_input, request->may_sleep, &load_ticks)) {
        return LINK_STATUS_CNN_TIMEOUT;
    }
    gpio_mark(MARK_WAITING);
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

static uint16_t take_csi_setup(const struct request *request)
{
    struct link_csi_setup setup;
    uint8_t *bytes = (uint8_t *)&setup;
    for (size_t index = 0; index < sizeof setup; index++) {
        bytes[index] = request->payload[index];
    }
    const uint8_t *subcarriers = request->payload + sizeof setup;
    if (!CSI_FITS || setup.channels == 0U || request->bytes - sizeof setup != setup.channels ||
        NETWORK_INPUT_BYTES % setup.channels != 0U ||
        !csi_setup(&csi, NETWORK_INPUT_BYTES / setup.channels, setup.values, setup.gain,
                   subcarriers, setup.channels)) {
        return LINK_STATUS_BAD_RANGE;
    }
    return LINK_STATUS_OK;
}

static uint16_t take_csi_packets(const struct request *request)
{
    if (!CSI_FITS || csi.packets == 0U || request->bytes % csi.values != 0U) {
        return LINK_STATUS_BAD_RANGE;
    }
    const struct link_csi_packets_reply reply = {.taken = (uint32_t)(request->bytes / csi.values)};
    for (uint32_t index = 0; index < reply.taken; index++) {
        csi_take(&csi, (const int8_t *)request->payload + index * csi.values);
    }
    put(&reply, sizeof reply);
    return LINK_STATUS_OK;
}

static uint16_t make_csi_window(const struct request *request)
{
    (void)request;
    const uint32_t begin = timer_now();
    if (!CSI_FITS || !csi_input(&csi, stream_input_buffer())) {
        return LINK_STATUS_NO_INPUT;
    }
    input_received = NETWORK_INPUT_BYTES;
    const struct link_csi_window_reply reply = {.ticks = timer_now() - begin};
    put(&reply, sizeof reply);
    return LINK_STATUS_OK;
}

static uint16_t reset(const struct request *request)
{
    request->reply->action = SERVER_RESET;
    return LINK_STATUS_OK;
}

static uint16_t echo(const struct request *request)
{
    put(request->payload, request->bytes);
    return LINK_STATUS_OK;
}

static uint16_t send_statistics(const struct request *request)
{
    (void)request;
    struct link_statistics_reply reply = statistics;
    reply.holes = stream_holes();
    reply.repeats += stream_repeats();
    reply.runs += stream_runs();
    reply.weights_ticks = cnn_weights_ticks();
    put(&reply, sizeof reply);
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
    {LINK_TYPE_CSI_SETUP, sizeof(struct link_csi_setup) + 1U, LINK_MAX_PAYLOAD, take_csi_setup},
    {LINK_TYPE_CSI_PACKETS, 1, LINK_MAX_PAYLOAD, take_csi_packets},
    {LINK_TYPE_CSI_WINDOW, 0, 0, make_csi_window},
    {LINK_TYPE_STREAM, 1, 0, NULL}, /* never of a right length here: see is_stream */
    {LINK_TYPE_ECHO, 0, LINK_MAX_PAYLOAD - sizeof(struct link_reply_prefix), echo},
    {LINK_TYPE_STATISTICS, 0, 0, send_statistics},
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
    csi.packets = 0U;
    output_forget();
    stream_init();
    statistics = (struct link_statistics_reply){0};
}

void server_note_bad_frame(void)
{
    statistics.bad_frames++;
}

void server_note_line_errors(uint32_t count)
{
    statistics.line_errors += count;
}

/* The bytes of a reply whose body is in the builder, behind the room for the prefix. */
static size_t encode_reply(uint8_t type, uint16_t sequence, uint16_t status, uint8_t *out)
{
    const size_t payload_bytes = builder.count;
    prefix.status = status;
    builder.count = 0U;
    put(&prefix, sizeof prefix);
    return link_encode((uint8_t)(type | LINK_REPLY_FLAG), sequence, builder.bytes, payload_bytes,
                       out);
}

static struct server_reply reply_to_stream(const struct stream_answer *answer)
{
    builder.count = sizeof prefix;
    put(answer->bytes, answer->count);
    const size_t count =
        encode_reply(LINK_TYPE_STREAM, answer->sequence, answer->status, stream_reply);
    return (struct server_reply){.bytes = stream_reply, .count = count};
}

struct server_reply server_poll(void)
{
    struct stream_answer answer;
    return stream_poll(&answer) ? reply_to_stream(&answer) : (struct server_reply){0};
}

/* A part of a stream has a memory of its own: that of the results. */
static struct server_reply take_stream(const struct link_frame *frame)
{
    struct stream_answer answer;
    input_received = 0U; /* the buffer is the same */
    if (stream_take(frame->payload, frame->payload_bytes, frame->header.sequence, &answer)) {
        return reply_to_stream(&answer);
    }
    return (struct server_reply){0};
}

static bool is_stream(const struct link_frame *frame)
{
    return frame->header.type == LINK_TYPE_STREAM &&
           frame->header.version == LINK_PROTOCOL_VERSION &&
           frame->header.length == frame->payload_bytes &&
           frame->payload_bytes > sizeof(struct link_stream);
}

struct server_reply server_handle(const struct link_frame *frame, bool may_sleep)
{
    struct server_reply reply = {.bytes = last_reply, .action = SERVER_NOTHING};
    if ((frame->header.type & LINK_REPLY_FLAG) != 0U) {
        return reply; /* a reply that came back: answering it would never end */
    }
    statistics.frames++;
    if (is_stream(frame)) {
        return take_stream(frame);
    }
    const uint16_t sequence = frame->header.sequence;
    if (last_reply_bytes != 0U && sequence == last_sequence && frame->crc == last_crc) {
        statistics.repeats++;
        reply.count = last_reply_bytes;
        return reply;
    }
    const struct request request = {frame->payload, frame->payload_bytes, may_sleep, &reply};
    builder.count = sizeof prefix;
    const uint16_t status = carry_out(frame, &request);
    last_reply_bytes = encode_reply(frame->header.type, sequence, status, last_reply);
    last_sequence = sequence;
    last_crc = frame->crc;
    reply.count = last_reply_bytes;
    return reply;
}
