/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and bytes as text. */

#include "text.h"

#include "uart.h"

#define LONGEST_NUMBER 10U

void text(const char *string)
{
    size_t count = 0;
    while (string[count] != '\0') {
        count++;
    }
    uart_write((const uint8_t *)string, count);
}

void text_unsigned(uint32_t value)
{
    uint8_t digits[LONGEST_NUMBER];
    size_t begin = sizeof digits;
    do {
        digits[--begin] = (uint8_t)('0' + value % 10U);
        value /= 10U;
    } while (value != 0U);
    uart_write(&digits[begin], sizeof digits - begin);
}

void text_signed(int32_t value)
{
    if (value < 0) {
        text("-");
    }
    text_unsigned(value < 0 ? 0U - (uint32_t)value : (uint32_t)value);
}

void text_hex(uint32_t value)
{
    uint8_t digits[8];
    for (size_t index = sizeof digits; index-- > 0U;) {
        digits[index] = (uint8_t)"0123456789abcdef"[value & 0xFU];
        value >>= 4;
    }
    uart_write(digits, sizeof digits);
}

void text_base64(const uint8_t *bytes, size_t count)
{
    static const char characters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t index = 0; index < count; index += 3U) {
        const size_t there = count - index < 3U ? count - index : 3U;
        uint32_t bits = 0U;
        for (size_t byte = 0; byte < 3U; byte++) {
            bits = bits << 8 | (byte < there ? bytes[index + byte] : 0U);
        }
        uint8_t four[4];
        for (size_t place = 0; place < sizeof four; place++) {
            const uint32_t six = bits >> (18U - 6U * place) & 0x3FU;
            four[place] = (uint8_t)(place <= there ? characters[six] : '=');
        }
        uart_write(four, sizeof four);
    }
}

void text_end(void)
{
    text("\r\n");
}

void text_item(const char *name, uint32_t value)
{
    text(" ");
    text(name);
    text("=");
    text_unsigned(value);
}
