/* SPDX-License-Identifier: Apache-2.0 */
/* From the camera's picture to the network's input, on whole numbers alone. The host does the same
 * in max78k/datasets/images.py, bit by bit. Needs no hardware. */
#ifndef PREPARE_H
#define PREPARE_H

#include <stdint.h>

/* The middle part of a picture that becomes the input; it has at least the input's size. */
struct prepare_plan {
    uint32_t picture_columns;
    uint32_t top;
    uint32_t left;
    uint32_t height;
    uint32_t width;
    uint32_t rows; /* of the input before it is folded */
    uint32_t columns;
    uint32_t channels; /* 1 grey, 3 red, green, blue */
    uint32_t fold;     /* side of the squares of pixels whose places become channels; 1: none */
    uint32_t offset;   /* is subtracted from a level */
};

/* Fills input [fold][fold][channels][rows / fold][columns / fold].
 * picture: RGB565, high byte first, row after row.
 * levels, sums: room for width bytes and for columns words. */
void prepare(const struct prepare_plan *plan, const uint8_t *picture, uint8_t *levels,
             uint32_t *sums, int8_t *input);

#endif
