/* SPDX-License-Identifier: Apache-2.0 */
/* The console UART. */

#include "uart.h"

#include "clock.h"
#include "cortex_m4.h"
#include "timer.h"

#define RING_BYTES 4096U /* a power of two, larger than the longest frame */
#define TX_RING_BYTES 2048U
#define TX_POLL_CYCLES 1000U
#define TX_POLLS 30000U /* 0.3 s: a full ring lasts 0.18 s at the lowest rate */

static volatile uint8_t ring[RING_BYTES];
static volatile uint32_t ring_head; /* written by the interrupt alone */
static volatile uint32_t ring_tail; /* written outside of it alone */
static volatile uint8_t tx_ring[TX_RING_BYTES];
static volatile uint32_t tx_head; /* written outside of the interrupt alone */
static volatile uint32_t tx_tail;
static volatile uint32_t line_errors;

/* From the ring to the FIFO of eight bytes; with the interrupt masked or inside it. */
static void fill_transmitter(void)
{
    while (tx_tail != tx_head && (UART_STATUS(UART0_BASE) & UART_STATUS_TX_FULL) == 0U) {
        UART_FIFO(UART0_BASE) = tx_ring[tx_tail % TX_RING_BYTES];
        tx_tail++;
    }
}

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
    fill_transmitter();
    dsb();
}

/* The divisor counts the internal 7.3728 MHz clock, of which the usual rates are exact parts, or
 * for the others the peripheral clock, whose frequency the timer has too. */
static void set_divisor(uint32_t baud)
{
    const bool from_ibro = IBRO_HZ % baud == 0U;
    const uint32_t clock_hz = from_ibro ? IBRO_HZ : timer_hz();
    const uint32_t source = from_ibro ? UART_CLOCK_SOURCE_IBRO : 0U;
    const uint32_t fields = UART_CTRL_BCLKEN | UART_CTRL_BCLKSRC_MASK;
    UART_CTRL(UART0_BASE) = (UART_CTRL(UART0_BASE) & ~fields) | UART_CTRL_BCLKSRC(source);
    UART_OSR(UART0_BASE) = UART_OVERSAMPLING;
    UART_CLKDIV(UART0_BASE) = (clock_hz + baud / 2U) / baud;
    UART_CTRL(UART0_BASE) |= UART_CTRL_BCLKEN;
    clock_wait_bits(&UART_CTRL(UART0_BASE), UART_CTRL_BCLKRDY, true);
}

void uart_init(uint32_t baud)
{
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_UART0;
    GCR_RST0 = GCR_RST0_UART0;
    clock_wait_bits(&GCR_RST0, GCR_RST0_UART0, false);
    UART_CTRL(UART0_BASE) = UART_CTRL_RX_THD_VAL(1) | UART_CTRL_CHAR_SIZE(3);
    set_divisor(baud);
    UART_INT_FL(UART0_BASE) = UART_INT_FL(UART0_BASE);
    UART_INT_EN(UART0_BASE) =
        UART_INT_EN_RX_THD | UART_INT_EN_RX_FERR | UART_INT_EN_RX_OV | UART_INT_EN_TX_HE;
    interrupt_enable_line(IRQ_UART0);
}

/* The interrupt refills a FIFO that runs empty; the first bytes, and those after a missed
 * interrupt, are handed over here. */
static void start_transmitter(void)
{
    interrupts_disable();
    fill_transmitter();
    interrupts_enable();
}

void uart_finish(void)
{
    for (uint32_t poll = 0; poll < TX_POLLS && tx_tail != tx_head; poll++) {
        start_transmitter();
        clock_spend_cycles(TX_POLL_CYCLES);
    }
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
        for (uint32_t poll = 0; poll < TX_POLLS && tx_head - tx_tail == TX_RING_BYTES; poll++) {
            start_transmitter();
            clock_spend_cycles(TX_POLL_CYCLES);
        }
        if (tx_head - tx_tail < TX_RING_BYTES) {
            tx_ring[tx_head % TX_RING_BYTES] = bytes[index];
            tx_head++;
        }
    }
    start_transmitter();
}

uint32_t uart_take_errors(void)
{
    interrupts_disable();
    const uint32_t errors = line_errors;
    line_errors = 0U;
    interrupts_enable();
    return errors;
}
