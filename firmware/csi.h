/* SPDX-License-Identifier: Apache-2.0 */
/* From packets of Wi-Fi channel state information to the network's input, on whole numbers alone.
 * The host does the same in max78k/csi/amplitude.py, value by value. Needs no hardware. */
#ifndef CSI_H
#define CSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSI_LEVEL 1024U         /* mean over the subcarriers that every packet is scaled to */
#define CSI_MOST_CHANNELS 63U   /* so that a scaled amplitude, at most channels * LEVEL, has 16 bits */
#define CSI_MOST_VALUES 256U    /* of a packet: 128 subcarriers */
#define CSI_MOST_GAIN 32767U    /* so that a scaled difference has 31 bits */

/* The last packets of a window, scaled; room is the caller's. */
struct csi_window {
    uint16_t *scaled;       /* [packets][channels], a ring */
    uint32_t room;          /* values of scaled */
    uint32_t packets;       /* of a window */
    uint32_t channels;
    uint32_t values;        /* of a packet, imaginary and real part in turn */
    uint32_t gain;          /* of the last step, in 1 / 256 */
    uint32_t taken;         /* packets since the setup */
    uint8_t subcarriers[CSI_MOST_CHANNELS];
};

/* Begins anew; false where the numbers cannot be, and the window is then not usable. */
bool csi_setup(struct csi_window *window, uint32_t packets, uint32_t values, uint32_t gain,
               const uint8_t *subcarriers, uint32_t channels);

/* Takes in one packet. */
void csi_take(struct csi_window *window, const int8_t *packet);

/* Writes the input [channels][packets] of the last packets; false before there are enough. */
bool csi_input(const struct csi_window *window, int8_t *input);

#endif
