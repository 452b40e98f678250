/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UART0, the console, 8 data bits, no parity, one stop bit. Both directions run by DMA from and
 * into ring buffers that hold more than one frame. */
void uart_init(uint32_t baud);

/* Changes the rate once everything is sent; what was received and not yet read is dropped. */
void uart_set_baud(uint32_t baud);

bool uart_received(void);

/* Call before a sleep, with interrupts masked: a byte will end it, or, while bytes come in, the
 * time in which the next `missing` of them arrive, so that not each of them costs an interrupt. */
void uart_watch(size_t missing);

/* Takes one received byte; returns false if there is none. */
bool uart_read(uint8_t *byte);

/* Hands bytes to the transmitter; waits only while its ring is full. */
void uart_write(const uint8_t *bytes, size_t count);

/* Waits until the last bit is out. */
void uart_finish(void);

/* Framing errors and overruns since the last call: signs of a wrong rate. */
uint32_t uart_take_errors(void);

#endif
