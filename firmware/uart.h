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

/* Core cycles in which `missing` more bytes arrive, 0 if none has come since the last call. */
uint32_t uart_arrival(size_t missing);

/* Call before a sleep, with interrupts masked: it will end after so many cycles, so that not each
 * byte costs an interrupt, or with the next byte if that is 0. */
void uart_watch(uint32_t cycles);

/* Takes one received byte; returns false if there is none. */
bool uart_read(uint8_t *byte);

/* Hands bytes to the transmitter; waits only while its ring is full. */
void uart_write(const uint8_t *bytes, size_t count);

/* Waits until the last bit is out. */
void uart_finish(void);

/* Framing errors and overruns since the last call: signs of a wrong rate. */
uint32_t uart_take_errors(void);

#endif
