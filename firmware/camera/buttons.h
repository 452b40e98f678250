/* SPDX-License-Identifier: Apache-2.0 */
/* The board's buttons SW1 and SW2. */
#ifndef BUTTONS_H
#define BUTTONS_H

#include <stdbool.h>

enum button { BUTTON_SW1, BUTTON_SW2 };

void buttons_init(void);

/* Whether a button has been pressed since the last call; a press between two calls is not lost. */
bool button_pressed(enum button button);

#endif
