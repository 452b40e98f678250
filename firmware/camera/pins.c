/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of pins. */

#include "pins.h"

#include "max78000.h"

void pins_select(uint32_t port_base, uint32_t mask, enum pin_function function)
{
    GPIO_VSSEL(port_base) |= mask;
    GPIO_PADCTRL0(port_base) &= ~mask;
    GPIO_PADCTRL1(port_base) &= ~mask;
    GPIO_EN2_CLR(port_base) = mask;
    if (function == PIN_ALTERNATE_2) {
        GPIO_EN1_SET(port_base) = mask;
    } else {
        GPIO_EN1_CLR(port_base) = mask;
    }
    if (function == PIN_GPIO) {
        GPIO_EN0_SET(port_base) = mask;
    } else {
        GPIO_EN0_CLR(port_base) = mask;
    }
}

void pins_watch(uint32_t port_base, uint32_t mask)
{
    pins_select(port_base, mask, PIN_GPIO);
    GPIO_OUTEN_CLR(port_base) = mask;
    GPIO_PADCTRL0(port_base) |= mask;
    GPIO_PS(port_base) |= mask;
    GPIO_INTMODE(port_base) |= mask; /* edges */
    GPIO_INTPOL(port_base) &= ~mask; /* that fall */
    GPIO_DUALEDGE(port_base) &= ~mask;
    GPIO_INTFL_CLR(port_base) = mask;
    GPIO_INTEN_SET(port_base) = mask; /* for the flags; the core's interrupt line stays off */
}

uint32_t pins_take_edges(uint32_t port_base, uint32_t mask)
{
    const uint32_t edges = GPIO_INTFL(port_base) & mask;
    GPIO_INTFL_CLR(port_base) = edges;
    return edges;
}
