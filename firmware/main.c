/* SPDX-License-Identifier: Apache-2.0 */
/* Brings up the board and the network, then answers requests on the serial link. */

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "clock.h"
#include "cnn.h"
#include "cortex_m4.h"
#include "gpio.h"
#include "link.h"
#include "server.h"
#include "stream.h"
#include "timer.h"
#include "trng.h"
#include "uart.h"

#define SUPPLY_SETTLE_US 200000U      /* the board's 1.8 V rail needs about 180 ms after power-on */
#define DEBUGGER_WINDOW_US 2000000U   /* no sleep before: an early sleep locks the debugger out */
#define BAUD_TRIAL_US 2000000U        /* a new rate must prove itself within this time */
#define IDLE_CYCLES 500U
#define LONGEST_IDLE_CYCLES 20000U /* the accelerator may have ended meanwhile */

int main(void);

/* The serial rate, and whether the host really uses it. */
struct line {
    uint32_t baud;
    bool on_trial;
    uint32_t trial_begin;
    uint32_t bad_events; /* since the last good frame */
};

static struct link_receiver receiver;
static struct line line = {.baud = LINK_DEFAULT_BAUD};

static uint32_t make_boot_id(void)
{
    uint32_t id;
    if (!trng_read(&id)) {
        id = boot_count(); /* differs from the last start's at least */
    }
    return id;
}

static void change_baud(uint32_t baud)
{
    uart_set_baud(baud);
    receiver.count = 0U;
    receiver.too_long = false;
    line.baud = baud;
    line.on_trial = baud != LINK_DEFAULT_BAUD;
    line.trial_begin = timer_now();
    line.bad_events = 0U;
}

static void check_line(void)
{
    const uint32_t errors = uart_take_errors();
    server_note_line_errors(errors);
    if (line.baud == LINK_DEFAULT_BAUD) {
        return;
    }
    line.bad_events += errors;
    const bool trial_over =
        line.on_trial && timer_now() - line.trial_begin > timer_ticks(BAUD_TRIAL_US);
    if (trial_over || line.bad_events >= LINK_BAD_EVENTS_BEFORE_FALLBACK) {
        change_baud(LINK_DEFAULT_BAUD);
    }
}

static void answer(const struct link_frame *request, bool may_sleep)
{
    line.on_trial = false;
    line.bad_events = 0U;
    const struct server_reply reply = server_handle(request, may_sleep);
    uart_write(reply.bytes, reply.count);
    if (reply.action == SERVER_SET_BAUD && reply.baud != line.baud) {
        change_baud(reply.baud); /* a needless change would drop requests that have arrived */
    } else if (reply.action == SERVER_RESET) {
        uart_finish();
        boot_restart();
    }
}

static void take_byte(uint8_t byte, bool may_sleep)
{
    struct link_frame frame;
    switch (link_receive(&receiver, byte, &frame)) {
    case LINK_FRAME:
        answer(&frame, may_sleep);
        break;
    case LINK_BAD_FRAME:
        line.bad_events++;
        server_note_bad_frame();
        break;
    case LINK_NOTHING:
        break;
    }
}

static void idle(bool may_sleep)
{
    const uint32_t arrival = uart_arrival(link_missing(&receiver));
    if (!may_sleep || line.on_trial) {
        clock_spend_cycles(arrival > LONGEST_IDLE_CYCLES ? LONGEST_IDLE_CYCLES
                           : arrival > IDLE_CYCLES       ? arrival
                                                         : IDLE_CYCLES);
        return;
    }
    interrupts_disable(); /* a byte that arrives from here on still ends the sleep */
    uart_watch(arrival);
    if (!uart_received() && !stream_due()) {
        wait_for_interrupt();
    }
    interrupts_enable();
}

int main(void)
{
    const uint32_t core_hz = clock_init();
    const uint16_t reset_cause = boot_take_reset_cause();
    timer_init(core_hz);
    const uint32_t begin = timer_now();
    if (reset_cause == RESET_CAUSE_POWER_ON) {
        timer_wait(SUPPLY_SETTLE_US);
    }
    gpio_init();
    uart_init(LINK_DEFAULT_BAUD);
    server_init(make_boot_id(), reset_cause, core_hz);
    cnn_bring_up();

    static const uint8_t delimiter = 0U;
    uart_write(&delimiter, 1U); /* ends whatever the host has received before */
    bool may_sleep = false;
    for (;;) {
        may_sleep = may_sleep || timer_now() - begin > timer_ticks(DEBUGGER_WINDOW_US);
        uint8_t byte;
        while (uart_read(&byte)) {
            take_byte(byte, may_sleep);
        }
        const struct server_reply result = server_poll();
        uart_write(result.bytes, result.count);
        if (!stream_due()) {
            check_line();
            idle(may_sleep);
        }
    }
}
