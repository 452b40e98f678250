/* SPDX-License-Identifier: Apache-2.0 */
/* Text on the console. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

void text(const char *string);
void text_unsigned(uint32_t value);
void text_signed(int32_t value);
void text_hex(uint32_t value); /* eight digits */
void text_base64(const uint8_t *bytes, size_t count);
void text_end(void); /* of a line */

/* " name=" and a number */
void text_item(const char *name, uint32_t value);

#endif
