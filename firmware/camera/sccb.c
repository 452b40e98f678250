/* SPDX-License-Identifier: Apache-2.0 */
/* Start, bytes with an acknowledgement each, stop. The data line changes while the clock is low. */

#include "sccb.h"

#include "max78000.h"
#include "pins.h"
#include "timer.h"

#define CLOCK_PIN (1U << 30)
#define DATA_PIN (1U << 31)
#define STEP_US 2U

static void drive(uint32_t pin, bool high)
{
    if (high) {
        GPIO_OUT_SET(GPIO0_BASE) = pin;
    } else {
        GPIO_OUT_CLR(GPIO0_BASE) = pin;
    }
    GPIO_OUTEN_SET(GPIO0_BASE) = pin;
    timer_wait(STEP_US);
}

/* Leaves the data line to the sensor for one clock and returns its level. */
static bool sample(void)
{
    GPIO_OUTEN_CLR(GPIO0_BASE) = DATA_PIN;
    drive(CLOCK_PIN, true);
    const bool high = (GPIO_IN(GPIO0_BASE) & DATA_PIN) != 0U;
    drive(CLOCK_PIN, false);
    return high;
}

static void start(void)
{
    drive(DATA_PIN, true);
    drive(CLOCK_PIN, true);
    drive(DATA_PIN, false);
    drive(CLOCK_PIN, false);
}

static void stop(void)
{
    drive(DATA_PIN, false);
    drive(CLOCK_PIN, true);
    drive(DATA_PIN, true);
}

static bool put(uint32_t byte)
{
    for (uint32_t mask = 0x80U; mask != 0U; mask >>= 1) {
        drive(DATA_PIN, (byte & mask) != 0U);
        drive(CLOCK_PIN, true);
        drive(CLOCK_PIN, false);
    }
    return !sample(); /* low: acknowledged */
}

void sccb_init(void)
{
    GPIO_OUT_SET(GPIO0_BASE) = CLOCK_PIN | DATA_PIN;
    GPIO_OUTEN_SET(GPIO0_BASE) = CLOCK_PIN | DATA_PIN;
    pins_select(GPIO0_BASE, CLOCK_PIN | DATA_PIN, PIN_GPIO);
    GPIO_PADCTRL0(GPIO0_BASE) |= DATA_PIN; /* high where the sensor does not pull it low */
}

bool sccb_answers(uint8_t address)
{
    start();
    const bool there = put((uint32_t)address << 1);
    stop();
    return there;
}

bool sccb_write(uint8_t address, uint8_t number, uint8_t value)
{
    start();
    const bool taken = put((uint32_t)address << 1) && put(number) && put(value);
    stop();
    return taken;
}

bool sccb_read(uint8_t address, uint8_t number, uint8_t *value)
{
    start();
    const bool selected = put((uint32_t)address << 1) && put(number);
    stop();
    start();
    const bool there = selected && put((uint32_t)address << 1 | 1U);
    uint32_t byte = 0U;
    for (uint32_t bit = 0; bit < 8U; bit++) {
        byte = byte << 1 | (sample() ? 1U : 0U);
    }
    drive(DATA_PIN, true); /* not acknowledged: no more */
    drive(CLOCK_PIN, true);
    drive(CLOCK_PIN, false);
    stop();
    *value = (uint8_t)byte;
    return there;
}
