/* SPDX-License-Identifier: Apache-2.0 */
/* Middle, grey, mean of areas. In both directions lengths are counted in parts of a pixel, so that
 * a pixel of the picture has as many parts as the input has pixels, and the other way round: all
 * borders then lie between parts. */

#include "prepare.h"

enum channel { RED, GREEN, BLUE, GREY };

/* The upper bits of a colour are repeated below it: the brightest has 255. */
static uint8_t level(const uint8_t *bytes, enum channel channel)
{
    const uint32_t pixel = (uint32_t)bytes[0] << 8 | bytes[1];
    const uint32_t red = pixel >> 11;
    const uint32_t green = pixel >> 5 & 0x3FU;
    const uint32_t blue = pixel & 0x1FU;
    const uint32_t red8 = red << 3 | red >> 2;
    const uint32_t green8 = green << 2 | green >> 4;
    const uint32_t blue8 = blue << 3 | blue >> 2;
    switch (channel) {
    case RED:
        return (uint8_t)red8;
    case GREEN:
        return (uint8_t)green8;
    case BLUE:
        return (uint8_t)blue8;
    case GREY:
        break;
    }
    return (uint8_t)((9798U * red8 + 19235U * green8 + 3735U * blue8 + 16384U) >> 15);
}

static void read_levels(const struct prepare_plan *plan, const uint8_t *row, enum channel channel,
                        uint8_t *levels)
{
    const uint8_t *bytes = row + 2U * plan->left;
    for (uint32_t column = 0; column < plan->width; column++) {
        levels[column] = level(bytes, channel);
        bytes += 2;
    }
}

/* Adds weight times the sums over the areas' columns. */
static void add_row(const struct prepare_plan *plan, const uint8_t *levels, uint32_t weight,
                    uint32_t *sums)
{
    uint32_t left = plan->columns; /* parts of the picture's pixel not yet taken */
    for (uint32_t column = 0; column < plan->columns; column++) {
        uint32_t sum = 0U;
        for (uint32_t missing = plan->width; missing != 0U;) {
            const uint32_t taken = left < missing ? left : missing;
            sum += taken * *levels;
            missing -= taken;
            left -= taken;
            if (left == 0U) {
                left = plan->columns;
                levels++;
            }
        }
        sums[column] += weight * sum;
    }
}

/* The network reads pixels of the same place in their squares as pictures of their own: first those
 * of the first row and column, then of the next column. */
static int8_t *place_of(const struct prepare_plan *plan, uint32_t channel, uint32_t row,
                        uint32_t column, int8_t *input)
{
    const uint32_t fold = plan->fold;
    const uint32_t part = row % fold * fold + column % fold;
    const uint32_t rows = plan->rows / fold;
    const uint32_t columns = plan->columns / fold;
    const uint32_t line = (part * plan->channels + channel) * rows + row / fold;
    return input + line * columns + column / fold;
}

static void prepare_channel(const struct prepare_plan *plan, const uint8_t *picture,
                            uint32_t index, uint8_t *levels, uint32_t *sums, int8_t *input)
{
    static const enum channel colours[] = {RED, GREEN, BLUE};
    const enum channel channel = plan->channels == 1U ? GREY : colours[index];
    const uint32_t area = plan->height * plan->width;
    const uint32_t row_bytes = 2U * plan->picture_columns;
    const uint8_t *row = picture + plan->top * row_bytes;
    uint32_t left = 0U;
    for (uint32_t number = 0; number < plan->rows; number++) {
        for (uint32_t column = 0; column < plan->columns; column++) {
            sums[column] = 0U;
        }
        for (uint32_t missing = plan->height; missing != 0U;) {
            if (left == 0U) {
                left = plan->rows;
                read_levels(plan, row, channel, levels);
                row += row_bytes;
            }
            const uint32_t taken = left < missing ? left : missing;
            add_row(plan, levels, taken, sums);
            missing -= taken;
            left -= taken;
        }
        for (uint32_t column = 0; column < plan->columns; column++) {
            const uint32_t mean = (2U * sums[column] + area) / (2U * area);
            *place_of(plan, index, number, column, input) =
                (int8_t)(uint8_t)(mean - plan->offset);
        }
    }
}

void prepare(const struct prepare_plan *plan, const uint8_t *picture, uint8_t *levels,
             uint32_t *sums, int8_t *input)
{
    for (uint32_t index = 0; index < plan->channels; index++) {
        prepare_channel(plan, picture, index, levels, sums, input);
    }
}
