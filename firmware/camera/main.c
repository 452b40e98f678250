/* SPDX-License-Identifier: Apache-2.0 */
/* Camera, network, LED and a line of text for every picture; no host is needed.
 * SW1 or the character s starts and stops, SW2 or r sends the picture that follows. */

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "buttons.h"
#include "camera.h"
#include "capture.h"
#include "clock.h"
#include "cnn.h"
#include "cnn_tables.h"
#include "cortex_m4.h"
#include "gpio.h"
#include "link.h"
#include "network.h"
#include "output.h"
#include "prepare.h"
#include "sensor.h"
#include "text.h"
#include "timer.h"
#include "uart.h"

#define SUPPLY_SETTLE_US 200000U    /* the board's 1.8 V rail needs about 180 ms after power-on */
#define DEBUGGER_WINDOW_US 2000000U /* no sleep before: an early sleep locks the debugger out */
#define RETRY_US 1000000U
#define IDLE_CYCLES 10000U
#define ALL_COLOURS 7U

int main(void);

/* Timer readings of one picture, in order, and the duration of its capture. */
enum moment { CAPTURED, PREPARED, LOADED, ENDED, FETCHED, CLASSIFIED, CAPTURE_TICKS, MOMENTS };

static uint32_t picture[CAMERA_BYTES / 4U];
static int8_t input[NETWORK_INPUT_BYTES];
static uint8_t levels[CAMERA_COLUMNS];
static uint32_t sums[INPUT_COLUMNS];
static const struct prepare_plan plan = {
    .picture_columns = CAMERA_COLUMNS,
    .top = MIDDLE_TOP,
    .left = MIDDLE_LEFT,
    .height = MIDDLE_ROWS,
    .width = MIDDLE_COLUMNS,
    .rows = INPUT_ROWS,
    .columns = INPUT_COLUMNS,
    .channels = INPUT_CHANNELS,
    .fold = INPUT_FOLD,
    .offset = INPUT_OFFSET,
};

static uint32_t window_begin;
static uint32_t frames;
static uint32_t last_captured;
static bool follows; /* the next picture follows another one without a stop */
static bool window_over;
static bool started = true;
static bool wanted; /* the next picture is to be sent */

static bool may_sleep(void)
{
    window_over =
        window_over || timer_now() - window_begin > timer_ticks(DEBUGGER_WINDOW_US);
    return window_over;
}

static uint32_t microseconds(uint32_t ticks)
{
    return ticks / (timer_hz() / 1000000U);
}

/* Bit 0 red, 1 green, 2 blue. */
static void show(uint32_t colours)
{
    gpio_set_led(LED_RED, (colours & 1U) != 0U);
    gpio_set_led(LED_GREEN, (colours & 2U) != 0U);
    gpio_set_led(LED_BLUE, (colours & 4U) != 0U);
}

static uint32_t colours_of(uint32_t class_index)
{
    /* red, green, magenta, yellow, blue, cyan, white */
    static const uint8_t palette[ALL_COLOURS] = {1, 2, 5, 3, 4, 6, 7};
    return palette[class_index % ALL_COLOURS];
}

static int32_t score(uint32_t number)
{
    uint8_t bytes[4];
    output_values(number, 1U, bytes);
    return (int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

static void tell_answer(const uint32_t *moments, uint32_t class_index)
{
    static const char *const phases[MOMENTS] = {
        [PREPARED] = "prepare_us", [LOADED] = "load_us",     [ENDED] = "inference_us",
        [FETCHED] = "unload_us",   [CLASSIFIED] = "post_us",
    };
    text("frame=");
    text_unsigned(frames);
    text_item("class", class_index);
    text(" score=");
    text_signed(score(class_index));
    text_item("capture_us", microseconds(moments[CAPTURE_TICKS]));
    for (uint32_t moment = PREPARED; moment <= CLASSIFIED; moment++) {
        /* the accelerator's own duration: without the time in which the core awakes */
        const uint32_t ticks =
            moment == ENDED ? cnn_run_ticks() : moments[moment] - moments[moment - 1U];
        text_item(phases[moment], microseconds(ticks));
    }
    text_item("period_us", follows ? microseconds(moments[CAPTURED] - last_captured) : 0U);
    text(" name=");
    text(CLASS_NAMES ? network_class_names[class_index] : "");
    text_end();
}

/* The whole picture, what the network made of it, and checksums of picture and input. */
static void send_picture(uint32_t class_index)
{
    const uint8_t *bytes = (const uint8_t *)picture;
    text("picture=");
    text_unsigned(frames);
    text_item("rows", CAMERA_ROWS);
    text_item("columns", CAMERA_COLUMNS);
    text_item("class", class_index);
    text(" input_crc=");
    text_hex(link_crc32(0U, (const uint8_t *)input, sizeof input));
    text(" picture_crc=");
    text_hex(link_crc32(0U, bytes, sizeof picture));
    text(" scores=");
    for (uint32_t number = 0; number < NETWORK_OUTPUT_VALUES; number++) {
        text(number == 0U ? "" : ",");
        text_signed(score(number));
    }
    text_end();
    for (uint32_t row = 0; row < CAMERA_ROWS; row++) {
        text("row=");
        text_unsigned(row);
        text(" data=");
        text_base64(bytes + row * CAMERA_COLUMNS * 2U, CAMERA_COLUMNS * 2U);
        text_end();
    }
}

static bool fail(const char *error)
{
    text(error);
    text_end();
    return false;
}

/* From the next picture to an input. The picture after it then comes while the network works and
 * the line is sent, unless this one is still needed. */
static bool make_input(uint32_t *moments)
{
    capture_start(picture, CAMERA_BYTES);
    if (!capture_wait(may_sleep())) {
        return fail("error=no-picture");
    }
    moments[CAPTURED] = timer_now();
    prepare(&plan, (const uint8_t *)picture, levels, sums, input);
    moments[PREPARED] = timer_now();
    moments[CAPTURE_TICKS] = capture_ticks();
    if (!wanted) {
        capture_start(picture, CAMERA_BYTES);
    }
    return true;
}

static bool answer(uint32_t *moments)
{
    gpio_mark(MARK_LOAD);
    cnn_load_input(input);
    moments[LOADED] = timer_now();
    cnn_start();
    cnn_feed_input(input);
    if (cnn_wait(may_sleep()) != CNN_OK) {
        cnn_bring_up(); /* begin anew: the state of an unfinished run is not known */
        return fail("error=accelerator");
    }
    moments[ENDED] = timer_now();
    output_take();
    moments[FETCHED] = timer_now();
    return true;
}

static void take_picture(void)
{
    uint32_t moments[MOMENTS];
    if (!make_input(moments) || !answer(moments)) {
        return;
    }
    const uint32_t class_index = output_class();
    gpio_mark(MARK_WAITING);
    moments[CLASSIFIED] = timer_now();
    frames++;
    show(colours_of(class_index));
    tell_answer(moments, class_index);
    if (wanted) {
        wanted = false;
        send_picture(class_index);
    }
    last_captured = moments[CAPTURED];
    follows = true;
}

static void start_or_stop(void)
{
    started = !started;
    if (!started) {
        capture_cancel(); /* the answer after a start is not to an old picture */
        show(0U);
        follows = false;
    }
    text(started ? "state=running" : "state=stopped");
    text_end();
}

static void take_wishes(void)
{
    bool toggles = button_pressed(BUTTON_SW1);
    wanted = button_pressed(BUTTON_SW2) || wanted;
    uint8_t byte;
    while (uart_read(&byte)) {
        toggles = toggles != (byte == 's');
        wanted = wanted || byte == 'r';
    }
    if (toggles) {
        start_or_stop();
    }
}

/* Until a byte comes or the timer's next wake-up: buttons are looked at ten times a second. */
static void idle(void)
{
    if (!may_sleep()) {
        clock_spend_cycles(IDLE_CYCLES);
        return;
    }
    interrupts_disable();
    uart_watch(0U);
    if (!uart_received()) {
        wait_for_interrupt();
    }
    interrupts_enable();
}

static void start_sensor(void)
{
    static const char *const errors[] = {
        [SENSOR_NO_POWER] = "error=power-chip",
        [SENSOR_NO_ANSWER] = "error=no-sensor",
        [SENSOR_UNKNOWN] = "error=unknown-sensor",
        [SENSOR_REFUSED] = "error=sensor-register",
    };
    capture_init();
    for (;;) {
        const enum sensor_state state = sensor_init();
        if (state == SENSOR_READY) {
            return;
        }
        text(errors[state]);
        text_end();
        timer_wait(RETRY_US);
    }
}

int main(void)
{
    const uint32_t core_hz = clock_init();
    const uint16_t reset_cause = boot_take_reset_cause();
    timer_init(core_hz);
    window_begin = timer_now();
    if (reset_cause == RESET_CAUSE_POWER_ON) {
        timer_wait(SUPPLY_SETTLE_US);
    }
    gpio_init();
    buttons_init();
    uart_init(LINK_DEFAULT_BAUD);
    text("\r\nnetwork=" NETWORK_NAME " id=");
    text_hex(network.id);
    text_item("reset", reset_cause);
    text_item("rows", CAMERA_ROWS);
    text_item("columns", CAMERA_COLUMNS);
    text_end();
    cnn_bring_up();
    start_sensor();
    for (;;) {
        take_wishes();
        if (started) {
            take_picture();
        } else {
            idle();
        }
    }
}
