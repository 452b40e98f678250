/* SPDX-License-Identifier: Apache-2.0 */
/* The board's buttons: low while they are pressed. */

#include "buttons.h"

#include "max78000.h"
#include "pins.h"

static const struct {
    uint32_t port_base;
    uint32_t mask;
} places[] = {
    [BUTTON_SW1] = {GPIO0_BASE, 1U << 2},
    [BUTTON_SW2] = {GPIO1_BASE, 1U << 7},
};
static bool held[2];

void buttons_init(void)
{
    pins_watch(places[BUTTON_SW1].port_base, places[BUTTON_SW1].mask);
    pins_watch(places[BUTTON_SW2].port_base, places[BUTTON_SW2].mask);
}

bool button_pressed(enum button button)
{
    const bool fell = pins_take_edges(places[button].port_base, places[button].mask) != 0U;
    /* A button that was down at the last look falls again only as it bounces when let go. */
    const bool pressed = fell && !held[button];
    held[button] = (GPIO_IN(places[button].port_base) & places[button].mask) == 0U;
    return pressed;
}
