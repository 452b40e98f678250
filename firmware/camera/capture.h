/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures from the sensor into memory. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

/* Pins and clocks of the camera interface. */
void capture_init(void);

/* Has the next picture put into memory, so many bytes, a multiple of four, while the core does
 * something else. Does nothing if one is on its way. */
void capture_start(uint32_t *picture, uint32_t bytes);

/* Waits for the picture; false if it does not come whole within half a second of its start. */
bool capture_wait(bool may_sleep);

/* Gives up the picture that is on its way, if there is one. */
void capture_cancel(void);

/* Timer ticks from the start of the last picture to its end. */
uint32_t capture_ticks(void);

#endif
