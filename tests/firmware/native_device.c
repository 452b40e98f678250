/* SPDX-License-Identifier: Apache-2.0 */
/* The link server as a program of the host: requests on standard input, replies on standard
 * output. The accelerator is replaced by functions that give values the tests can foresee.
 *
 * Arguments: "frames" returns every good frame as it was understood; "missing" writes after each
 * byte how many the frame under way lacks; "server" answers requests,
 * "timeout" and "mismatch" do so with an accelerator that fails, "slow" with one that works until it
 * is waited for. Who touches its memories meanwhile is told on standard error. */

#include <stdio.h>
#include <string.h>

#include "cnn.h"
#include "cnn_tables.h"
#include "gpio.h"
#include "network.h"
#include "server.h"
#include "stream.h"
#include "timer.h"

static const char *mode;
static int8_t loaded[NETWORK_INPUT_BYTES];
static uint32_t now;
static bool running;

static void touch(const char *by)
{
    if (running) {
        fprintf(stderr, "%s while the accelerator runs\n", by);
    }
}

uint32_t timer_now(void) { return now += 10U; }
uint32_t timer_hz(void) { return 50000000U; }
int cnn_bring_up(void) { return CNN_OK; }
volatile uint32_t cnn_time;
int cnn_start(void)
{
    running = strcmp(mode, "slow") == 0;
    cnn_time = running || strcmp(mode, "timeout") == 0 ? 0U : 1U;
    return CNN_OK;
}
void cnn_spoil_output(void) { touch("spoiled"); }
void cnn_clear_buffers(void) { touch("cleared"); }
uint32_t cnn_run_ticks(void) { return 1234U; }
uint32_t cnn_weights_ticks(void) { return 55U; }
uint32_t cnn_end_tick(void) { return now; }
bool cnn_overdue(void) { return strcmp(mode, "timeout") == 0; }
void cnn_give_up(void) {}
void gpio_mark(enum mark mark) { (void)mark; }
void cnn_load_input(const int8_t *input)
{
    touch("loaded");
    memcpy(loaded, input, sizeof loaded);
}
void cnn_feed_input(const int8_t *input) { (void)input; }

int cnn_wait(bool may_sleep)
{
    (void)may_sleep;
    if (strcmp(mode, "timeout") == 0) {
        return CNN_FAIL;
    }
    running = false;
    cnn_time = 1U;
    return CNN_OK;
}

/* Values count up from the sum of the input. */
int cnn_unload(uint32_t *out_buf)
{
    touch("unloaded");
    int32_t value = 0;
    for (uint32_t index = 0; index < NETWORK_INPUT_BYTES; index++) {
        value += loaded[index];
    }
    uint8_t *out = (uint8_t *)out_buf;
    for (uint32_t run = 0; run < network.output_run_count; run++) {
        for (uint32_t index = 0; index < network.output_runs[run].count; index++, value++) {
            memcpy(out, &value, network.output_runs[run].width / 8U);
            out += network.output_runs[run].width / 8U;
        }
    }
    return CNN_OK;
}

struct cnn_comparison cnn_check_output(void)
{
    struct cnn_comparison result = {.compared = 2U};
    if (strcmp(mode, "mismatch") == 0) {
        result = (struct cnn_comparison){2U, 1U, 0x50402000U, 5U, 7U};
    }
    return result;
}

static void return_frame(const struct link_frame *frame)
{
    uint8_t out[LINK_MAX_ENCODED];
    const size_t count = link_encode(frame->header.type, frame->header.sequence, frame->payload,
                                     frame->payload_bytes, out);
    fwrite(out, 1U, count, stdout);
}

static void send(const struct server_reply *reply)
{
    if (reply->count != 0U) {
        fwrite(reply->bytes, 1U, reply->count, stdout);
    }
}

static void answer(const struct link_frame *frame)
{
    const struct server_reply reply = server_handle(frame, false);
    send(&reply);
    if (reply.action != SERVER_NOTHING) {
        fprintf(stderr, "action %d %u\n", (int)reply.action, (unsigned)reply.baud);
    }
}

static void carry_on(void)
{
    do {
        const struct server_reply reply = server_poll();
        send(&reply);
    } while (stream_due());
}

int main(int argc, char **argv)
{
    static struct link_receiver receiver;
    mode = argc > 1 ? argv[1] : "server";
    server_init(0x12345678U, RESET_CAUSE_WATCHDOG, 100000000U);
    unsigned bad_frames = 0U;
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        struct link_frame frame;
        const enum link_event event = link_receive(&receiver, (uint8_t)byte, &frame);
        if (strcmp(mode, "missing") == 0) {
            printf("%u\n", (unsigned)link_missing(&receiver));
        } else if (event == LINK_BAD_FRAME) {
            bad_frames++;
        } else if (event == LINK_FRAME && strcmp(mode, "frames") == 0) {
            return_frame(&frame);
        } else if (event == LINK_FRAME) {
            answer(&frame);
        }
        if (event != LINK_NOTHING) {
            carry_on();
        }
    }
    fprintf(stderr, "bad frames %u\n", bad_frames);
    return 0;
}
