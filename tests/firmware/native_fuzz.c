/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes against the firmware's receiver and server, as a program of the host built with
 * sanitizers. Arguments: bytes, seed.
 *
 * Three kinds of stream in turn: noise, noise with frames' bytes in it that were changed at random,
 * and sound frames with hostile contents. Every reply is decoded again; it must be a sound frame. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn.h"
#include "cnn_tables.h"
#include "gpio.h"
#include "network.h"
#include "server.h"
#include "stream.h"
#include "timer.h"

static uint32_t state;
static uint32_t now;
static unsigned long long fed, sound, bad, replies, windows;
volatile uint32_t cnn_time;

uint32_t timer_now(void) { return now += 10U; }
uint32_t timer_hz(void) { return 50000000U; }
int cnn_bring_up(void) { return CNN_OK; }
void cnn_spoil_output(void) {}
void cnn_clear_buffers(void) {}
uint32_t cnn_run_ticks(void) { return 1U; }
uint32_t cnn_weights_ticks(void) { return 1U; }
uint32_t cnn_end_tick(void) { return now; }
void cnn_feed_input(const int8_t *input) { (void)input; }
void cnn_give_up(void) {}
void gpio_mark(enum mark mark) { (void)mark; }

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

/* The run ends, lasts on, or never ends, as it happens. */
bool cnn_overdue(void) { return draw(50U) == 0U; }
int cnn_wait(bool may_sleep) { return may_sleep || draw(10U) != 0U ? CNN_OK : CNN_FAIL; }

int cnn_start(void)
{
    cnn_time = draw(3U);
    return CNN_OK;
}

static volatile int32_t sum;
void cnn_load_input(const int8_t *input)
{
    for (uint32_t index = 0; index < NETWORK_INPUT_BYTES; index++) {
        sum += input[index];
    }
}

int cnn_unload(uint32_t *out_buf)
{
    memset(out_buf, (int)draw(256U), NETWORK_OUTPUT_BYTES);
    return CNN_OK;
}

struct cnn_comparison cnn_check_output(void)
{
    return (struct cnn_comparison){.compared = 2U, .mismatches = draw(2U)};
}

static void check_reply(const struct server_reply *reply)
{
    static struct link_receiver receiver;
    struct link_frame frame;
    for (size_t index = 0; index < reply->count; index++) {
        const enum link_event event = link_receive(&receiver, reply->bytes[index], &frame);
        if ((event == LINK_FRAME) != (index + 1U == reply->count)) {
            fprintf(stderr, "a reply of %zu bytes is no frame\n", reply->count);
            exit(2);
        }
    }
    if (reply->count != 0U) {
        struct link_reply_prefix prefix;
        memcpy(&prefix, frame.payload, sizeof prefix);
        windows += frame.header.type == (LINK_TYPE_CSI_WINDOW | LINK_REPLY_FLAG) &&
                   prefix.status == LINK_STATUS_OK;
        replies++;
    }
}

static void feed(const uint8_t *bytes, size_t count)
{
    static struct link_receiver receiver;
    for (size_t index = 0; index < count; index++) {
        struct link_frame frame;
        const enum link_event event = link_receive(&receiver, bytes[index], &frame);
        if (link_missing(&receiver) > LINK_MAX_ENCODED) {
            fprintf(stderr, "a frame that lacks more than a frame has\n");
            exit(2);
        }
        if (event == LINK_FRAME) {
            const struct server_reply reply = server_handle(&frame, draw(2U) != 0U);
            check_reply(&reply);
            sound++;
        } else if (event == LINK_BAD_FRAME) {
            server_note_bad_frame();
            bad++;
        }
        if (event != LINK_NOTHING) {
            const struct server_reply result = server_poll();
            check_reply(&result);
        }
    }
    fed += count;
}

static void feed_noise(void)
{
    uint8_t bytes[3000];
    const size_t count = 1U + draw(draw(20U) == 0U ? sizeof bytes : 100U);
    const uint32_t alphabet = draw(2U) != 0U ? 256U : 4U;
    for (size_t index = 0; index < count; index++) {
        bytes[index] = (uint8_t)draw(alphabet);
    }
    feed(bytes, count);
}

/* Numbers of a CSI window, most of which can be; then packets are taken and windows made. */
static size_t draw_csi_setup(uint8_t *payload)
{
    const uint32_t channels = 1U + draw(4U);
    const struct link_csi_setup setup = {.channels = (uint16_t)channels,
                                         .values = (uint16_t)((2U << draw(4U)) + draw(33U) / 32U),
                                         .gain = draw(40000U)};
    memcpy(payload, &setup, sizeof setup);
    for (uint32_t channel = 0; channel < channels; channel++) {
        payload[sizeof setup + channel] = (uint8_t)draw(draw(32U) == 0U ? 256U : setup.values / 2U + 1U);
    }
    return sizeof setup + channels;
}

static void feed_frame(bool damaged)
{
    static const uint8_t types[] = {1, 2,  3,  4,    5,    6,    7,    8,    8,    9,   9,
                                    9, 10, 10, 0x10, 0x11, 0x11, 0x11, 0x11, 0x12, 0x55, 0x91};
    static const uint8_t delimiter = 0U; /* half of them follow noise directly */
    uint8_t payload[LINK_MAX_PAYLOAD];
    uint8_t bytes[LINK_MAX_ENCODED];
    size_t count = draw(16U) == 0U ? draw(LINK_MAX_PAYLOAD + 1U) : draw(24U);
    count = draw(3U) == 0U ? 0U : count; /* many requests have none */
    for (size_t index = 0; index < sizeof payload; index++) {
        const uint32_t low = draw(NETWORK_INPUT_BYTES + 2U);
        const bool number = index < 8U && draw(8U) != 0U; /* mostly small: a frame, an offset */
        payload[index] = (uint8_t)(!number ? draw(256U) : index % 4U == 0U ? low : 0U);
    }
    const uint8_t type = types[draw(sizeof types)];
    if (type == LINK_TYPE_CSI_SETUP && draw(4U) != 0U) {
        count = draw_csi_setup(payload);
    } else if (type == LINK_TYPE_CSI_PACKETS && draw(4U) != 0U) {
        count = 16U * draw(LINK_MAX_PAYLOAD / 16U + 1U); /* whole packets of most set-ups */
    }
    count = link_encode(type, (uint16_t)draw(8U), payload, count, bytes);
    if (damaged) {
        bytes[draw((uint32_t)count)] ^= (uint8_t)(1U << draw(8U));
        count -= draw(8U) == 0U;
    }
    feed(&delimiter, draw(2U));
    feed(bytes, count);
}

int main(int argc, char **argv)
{
    const unsigned long long wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000U;
    state = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) | 1U : 1U;
    server_init(0x12345678U, RESET_CAUSE_POWER_ON, 100000000U);
    while (fed < wanted) {
        switch (draw(4U)) {
        case 0U:
            feed_noise();
            break;
        case 1U:
            feed_frame(true);
            break;
        default:
            feed_frame(false);
            break;
        }
    }
    printf("bytes %llu frames %llu bad %llu replies %llu CSI windows %llu\n", fed, sound, bad,
           replies, windows);
    return 0;
}
