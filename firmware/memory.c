/* SPDX-License-Identifier: Apache-2.0 */
/* The memory functions that a compiler may call in a program without a C library. */

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

__attribute__((used)) void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    for (size_t index = 0; index < count; index++) {
        out[index] = in[index];
    }
    return to;
}

__attribute__((used)) void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if (out <= in) {
        return memcpy(to, from, count);
    }
    while (count-- > 0U) {
        out[count] = in[count];
    }
    return to;
}

__attribute__((used)) void *memset(void *to, int value, size_t count)
{
    uint8_t *out = to;
    for (size_t index = 0; index < count; index++) {
        out[index] = (uint8_t)value;
    }
    return to;
}
