/* SPDX-License-Identifier: Apache-2.0 */
/* The image sensor OVM7692. */
#ifndef SENSOR_H
#define SENSOR_H

enum sensor_state {
    SENSOR_READY,
    SENSOR_NO_POWER,  /* the power chip does not answer */
    SENSOR_NO_ANSWER, /* nobody on the control bus */
    SENSOR_UNKNOWN,   /* somebody else */
    SENSOR_REFUSED,   /* a register was not taken */
};

/* Power, clock, identity, registers: afterwards pictures of CAMERA_ROWS x CAMERA_COLUMNS pixels of
 * RGB565 come all the time. Takes about half a second. */
enum sensor_state sensor_init(void);

#endif
