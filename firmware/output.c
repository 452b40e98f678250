/* SPDX-License-Identifier: Apache-2.0 */
/* The last output of the accelerator. */

#include "output.h"

#include "cnn.h"
#include "cnn_tables.h"
#include "link_protocol.h"
#include "network.h"

static uint32_t output[(NETWORK_OUTPUT_BYTES + 3U) / 4U]; /* as cnn_unload leaves it */
static bool there;

/* Goes through the values of the output in order. */
struct cursor {
    const struct cnn_output_run *run;
    const uint8_t *bytes;
    uint32_t left; /* values of the run that are still to come */
};

static struct cursor begin(void)
{
    return (struct cursor){network.output_runs, (const uint8_t *)output,
                           network.output_runs[0].count};
}

static int32_t next(struct cursor *cursor)
{
    while (cursor->left == 0U) {
        cursor->run++;
        cursor->left = cursor->run->count;
    }
    cursor->left--;
    if (cursor->run->width == 8U) {
        return (int8_t)*cursor->bytes++;
    }
    const uint8_t *bytes = cursor->bytes;
    cursor->bytes += 4;
    return (int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

void output_take(void)
{
    cnn_unload(output);
    there = true;
}

bool output_there(void)
{
    return there;
}

void output_forget(void)
{
    there = false;
}

void output_values(uint32_t first, uint32_t count, uint8_t *bytes)
{
    struct cursor cursor = begin();
    for (uint32_t index = 0; index < first; index++) {
        (void)next(&cursor);
    }
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t value = (uint32_t)next(&cursor);
        for (uint32_t byte = 0; byte < 4U; byte++) {
            *bytes++ = (uint8_t)(value >> (8U * byte));
        }
    }
}

uint16_t output_class(void)
{
    if (!NETWORK_IS_VECTOR) {
        return LINK_NO_CLASS;
    }
    struct cursor cursor = begin();
    int32_t largest = INT32_MIN;
    uint32_t where = 0U;
    for (uint32_t index = 0; index < NETWORK_OUTPUT_VALUES; index++) {
        const int32_t value = next(&cursor);
        if (value > largest) {
            largest = value;
            where = index;
        }
    }
    return (uint16_t)where;
}
