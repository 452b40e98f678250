/* SPDX-License-Identifier: Apache-2.0 */
/* Pins: LEDs, console, marks for a current meter. */

#include "gpio.h"

#include "max78000.h"

#define LED_PINS 0x7U     /* P2.0 red, P2.1 green, P2.2 blue; lit when low */
#define CONSOLE_PINS 0x3U /* P0.0 RX, P0.1 TX */
#define MARK_SHIFT 6U     /* P2.6, P2.7: on the board's header J8, beside ground */
#define MARK_PINS (0x3U << MARK_SHIFT)

void gpio_init(void)
{
    GCR_PCLKDIS0 &= ~(GCR_PCLKDIS0_GPIO0 | GCR_PCLKDIS0_GPIO1);
    LPGCR_PCLKDIS &= ~LPGCR_PCLKDIS_GPIO2; /* port 2 is clocked by the low-power block */

    const uint32_t outputs = LED_PINS | MARK_PINS;
    GPIO_VSSEL(GPIO2_BASE) |= outputs; /* 3.3 V */
    GPIO_OUT_SET(GPIO2_BASE) = LED_PINS;
    GPIO_OUT_CLR(GPIO2_BASE) = MARK_PINS;
    GPIO_OUTEN_SET(GPIO2_BASE) = outputs;
    GPIO_EN0_SET(GPIO2_BASE) = outputs;
    GPIO_EN1_CLR(GPIO2_BASE) = outputs;
    GPIO_EN2_CLR(GPIO2_BASE) = outputs;

    /* Alternate function 1: EN0 = EN1 = EN2 = 0. */
    GPIO_EN2_CLR(GPIO0_BASE) = CONSOLE_PINS;
    GPIO_EN1_CLR(GPIO0_BASE) = CONSOLE_PINS;
    GPIO_EN0_CLR(GPIO0_BASE) = CONSOLE_PINS;
}

void gpio_set_led(enum led led, bool on)
{
    if (on) {
        GPIO_OUT_CLR(GPIO2_BASE) = 1U << (uint32_t)led;
    } else {
        GPIO_OUT_SET(GPIO2_BASE) = 1U << (uint32_t)led;
    }
}

void gpio_mark(enum mark mark)
{
    const uint32_t pins = (uint32_t)mark << MARK_SHIFT;
    GPIO_OUT_CLR(GPIO2_BASE) = MARK_PINS & ~pins;
    GPIO_OUT_SET(GPIO2_BASE) = pins;
}
