/* SPDX-License-Identifier: Apache-2.0 */
/* The power chip MAX20303 on I2C1. */
#ifndef PMIC_H
#define PMIC_H

#include <stdbool.h>

/* Switches the camera's 2.8 V on; false if the chip does not answer as it should. */
bool pmic_camera_on(void);

#endif
