/* SPDX-License-Identifier: Apache-2.0 */
/* The console UART. */

#include "uart.h"

#include "clock.h"
#include "cortex_m4.h"

#define RING_BYTES 2048U /* a power of two, larger than the longest frame */
#define TX_POLL_CYCLES 1000U
#define TX_POLLS 100U /* a byte lasts 87 us at the lowest rate, the wait ends after 1 ms */

static volatile uint8_t ring[RING_BYTES];
static volatile uint32_t ring_head; /* written by the interrupt alone */
static volatile uint32_t ring_tail; /* written outside of it alone */
static volatile uint32_t line_errors;

void UART0_Handler(void);
void UART0_Handler(void)
{
    /* Flags first: a byte that arrives while the FIFO is emptied raises a new interrupt. */
    const uint32_t flags = UART_INT_FL(UART0_BASE);
    UART_INT_FL(UART0_BASE) = flags;
    while ((UART_STATUS(UART0_BASE) & UART_STATUS_RX_EM) == 0U) {
        const uint8_t byte = (uint8_t)UART_FIFO(UART0_BASE);
        if (ring_head - ring_tail < RING_BYTES) {
            ring[ring_head % RING_BYTES] = byte;
            ring_head++;
        } else {
            line_errors++;
        }
    }
    if ((flags & (UART_INT_FL_RX_FERR | UART_INT_FL_RX_OV)) != 0U) {
        line_errors++;
    }
    dsb();
}

/* The divisor counts the internal 7.3728 MHz clock, of which the usual rates are exact parts. */
static void set_divisor(uint32_t baud)
{
    UART_CTRL(UART0_BASE) &= ~UART_CTRL_BCLKEN;
    UART_OSR(UART0_BASE) = UART_OVERSAMPLING;
    UART_CLKDIV(UART0_BASE) = (IBRO_HZ + baud / 2U) / baud;
    UART_CTRL(UART0_BASE) |= UART_CTRL_BCLKEN;
    clock_wait_bits(&UART_CTRL(UART0_BASE), UART_CTRL_BCLKRDY, true);
}

void uart_init(uint32_t baud)
{
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_UART0;
    GCR_RST0 = GCR_RST0_UART0;
    clock_wait_bits(&GCR_RST0, GCR_RST0_UART0, false);
    UART_CTRL(UART0_BASE) = UART_CTRL_RX_THD_VAL(1) | UART_CTRL_CHAR_SIZE(3) |
                            UART_CTRL_BCLKSRC(UART_CLOCK_SOURCE_IBRO);
    set_divisor(baud);
    UART_INT_FL(UART0_BASE) = UART_INT_FL(UART0_BASE);
    UART_INT_EN(UART0_BASE) = UART_INT_EN_RX_THD | UART_INT_EN_RX_FERR | UART_INT_EN_RX_OV;
    interrupt_enable_line(IRQ_UART0);
}

void uart_finish(void)
{
    clock_wait_bits(&UART_STATUS(UART0_BASE), UART_STATUS_TX_EM, true);
    clock_wait_bits(&UART_STATUS(UART0_BASE), UART_STATUS_TX_BUSY, false);
}

void uart_set_baud(uint32_t baud)
{
    uart_finish();
    interrupts_disable();
    set_divisor(baud);
    UART_CTRL(UART0_BASE) |= UART_CTRL_RX_FLUSH;
    clock_wait_bits(&UART_CTRL(UART0_BASE), UART_CTRL_RX_FLUSH, false);
    ring_tail = ring_head;
    line_errors = 0U;
    interrupts_enable();
}

bool uart_received(void)
{
    return ring_head != ring_tail;
}

bool uart_read(uint8_t *byte)
{
    if (!uart_received()) {
        return false;
    }
    *byte = ring[ring_tail % RING_BYTES];
    ring_tail++;
    return true;
}

void uart_write(const uint8_t *bytes, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        /* The FIFO holds eight bytes: there is no need to ask the status all the time. */
        for (uint32_t poll = 0; poll < TX_POLLS; poll++) {
            if ((UART_STATUS(UART0_BASE) & UART_STATUS_TX_FULL) == 0U) {
                break;
            }
            clock_spend_cycles(TX_POLL_CYCLES);
        }
        UART_FIFO(UART0_BASE) = bytes[index];
    }
}

uint32_t uart_take_errors(void)
{
    interrupts_disable();
    const uint32_t errors = line_errors;
    line_errors = 0U;
    interrupts_enable();
    return errors;
}
