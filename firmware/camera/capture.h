/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures from the sensor into memory. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

/* Pins and clocks of the camera interface. */
void capture_init(void);

/* Takes the next picture, so many bytes, a multiple of four; false if it does not come whole within
 * half a second. */
bool capture(uint32_t *picture, uint32_t bytes, bool may_sleep);

#endif
