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
#define BITS_PER_BYTE 10U

/* One byte a request, as it comes; a byte that is sent leaves room for the next. */
#define RX_CHANNEL 0U
#define TX_CHANNEL 1U
#define TX_THRESHOLD 2U
#define RX_CONTROL                                                                                 \
    (DMA_CTRL_EN | DMA_CTRL_RLDEN | DMA_CTRL_REQUEST(DMA_REQUEST_UART0_RX) | DMA_CTRL_DSTINC |     \
     DMA_CTRL_CTZ_IE)
#define TX_CONTROL                                                                                 \
    (DMA_CTRL_EN | DMA_CTRL_PRI(1) | DMA_CTRL_REQUEST(DMA_REQUEST_UART0_TX) | DMA_CTRL_SRCINC |    \
     DMA_CTRL_CTZ_IE)
#define DMA_FLAGS (DMA_STATUS_CTZ | DMA_STATUS_RLD | DMA_STATUS_BUS_ERR | DMA_STATUS_TO)
#define RX_ERRORS (UART_INT_FL_RX_FERR | UART_INT_FL_RX_OV)

static volatile uint8_t ring[RING_BYTES]; /* written by DMA */
static volatile uint32_t ring_turns;      /* written by the interrupt alone */
static uint32_t ring_head;                /* bytes received up to the last look */
static uint32_t ring_tail;
static uint32_t watched_head;
static uint32_t byte_cycles;
static volatile uint8_t tx_ring[TX_RING_BYTES];
static volatile uint32_t tx_head; /* written outside of the interrupt alone */
static volatile uint32_t tx_tail;
static volatile uint32_t tx_bytes; /* under way by DMA */
static volatile uint32_t line_errors;

static uint32_t address_of(const volatile uint8_t *memory)
{
    return (uint32_t)(uintptr_t)memory;
}

/* From the beginning of the ring, again and again as long as each turn is followed up. */
static void start_receiver(void)
{
    DMA_DST(RX_CHANNEL) = address_of(ring);
    DMA_CNT(RX_CHANNEL) = RING_BYTES;
    DMA_DSTRLD(RX_CHANNEL) = address_of(ring);
    DMA_CNTRLD(RX_CHANNEL) = RING_BYTES;
    DMA_CTRL(RX_CHANNEL) = RX_CONTROL;
}

void DMA0_Handler(void);
void DMA0_Handler(void)
{
    const uint32_t status = DMA_STATUS(RX_CHANNEL);
    DMA_STATUS(RX_CHANNEL) = DMA_FLAGS;
    ring_turns++;
    if ((status & DMA_STATUS_RUNNING) != 0U) {
        DMA_CNTRLD(RX_CHANNEL) = DMA_CNTRLD_EN | RING_BYTES; /* the enable holds for one turn */
    } else {
        line_errors++;
        start_receiver();
    }
    dsb();
}

/* Bytes received since the start. The address to write to tells what is in memory; the count is
 * already lower when a byte has been fetched. */
static uint32_t received(void)
{
    for (;;) {
        const uint32_t turns = ring_turns;
        uint32_t place = DMA_DST(RX_CHANNEL) - address_of(ring);
        bool uncounted = (DMA_STATUS(RX_CHANNEL) & DMA_STATUS_CTZ) != 0U;
        if (uncounted) { /* a turn has ended, its interrupt is masked */
            place = DMA_DST(RX_CHANNEL) - address_of(ring);
            uncounted = place < RING_BYTES / 2U; /* else the last byte is still to be written */
        }
        if (turns == ring_turns) {
            return (turns + (uncounted ? 1U : 0U)) * RING_BYTES + place;
        }
    }
}

/* The part of the ring that is sent in one go; with interrupts masked or inside one. */
static void send_next(void)
{
    const uint32_t begin = tx_tail % TX_RING_BYTES;
    const uint32_t waiting = tx_head - tx_tail;
    if (tx_bytes == 0U && waiting != 0U) {
        tx_bytes = waiting < TX_RING_BYTES - begin ? waiting : TX_RING_BYTES - begin;
        DMA_SRC(TX_CHANNEL) = address_of(&tx_ring[begin]);
        DMA_CNT(TX_CHANNEL) = tx_bytes;
        dsb();
        DMA_CTRL(TX_CHANNEL) = TX_CONTROL;
    }
}

void DMA1_Handler(void);
void DMA1_Handler(void)
{
    DMA_STATUS(TX_CHANNEL) = DMA_FLAGS;
    tx_tail += tx_bytes;
    tx_bytes = 0U;
    send_next();
    dsb();
}

void UART0_Handler(void);
void UART0_Handler(void)
{
    const uint32_t flags = UART_INT_FL(UART0_BASE);
    UART_INT_EN(UART0_BASE) = RX_ERRORS; /* the sleep is over: no interrupt for every byte */
    UART_INT_FL(UART0_BASE) = flags;
    if ((flags & RX_ERRORS) != 0U) {
        line_errors++;
    }
    dsb();
}

uint32_t uart_arrival(size_t missing)
{
    const bool flows = ring_head != watched_head;
    watched_head = ring_head;
    return flows ? missing * byte_cycles : 0U;
}

void uart_watch(uint32_t cycles)
{
    if (cycles != 0U) {
        timer_wake_after(cycles);
    } else {
        UART_INT_FL(UART0_BASE) = UART_INT_FL_RX_THD; /* left by bytes that have been read */
        UART_INT_EN(UART0_BASE) = RX_ERRORS | UART_INT_EN_RX_THD;
    }
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
    byte_cycles = PCLK_DIVISOR * timer_hz() / baud * BITS_PER_BYTE;
    UART_CTRL(UART0_BASE) |= UART_CTRL_BCLKEN;
    clock_wait_bits(&UART_CTRL(UART0_BASE), UART_CTRL_BCLKRDY, true);
}

void uart_init(uint32_t baud)
{
    GCR_PCLKDIS0 &= ~(GCR_PCLKDIS0_UART0 | GCR_PCLKDIS0_DMA);
    GCR_RST0 = GCR_RST0_UART0 | GCR_RST0_DMA;
    clock_wait_bits(&GCR_RST0, GCR_RST0_UART0 | GCR_RST0_DMA, false);
    UART_CTRL(UART0_BASE) = UART_CTRL_RX_THD_VAL(1) | UART_CTRL_CHAR_SIZE(3);
    set_divisor(baud);
    DMA_INTEN = 1U << RX_CHANNEL | 1U << TX_CHANNEL;
    interrupt_enable_line(IRQ_DMA0 + RX_CHANNEL);
    interrupt_enable_line(IRQ_DMA0 + TX_CHANNEL);
    start_receiver();
    UART_DMA(UART0_BASE) =
        UART_DMA_RX_EN | UART_DMA_RX_THD_VAL(1) | UART_DMA_TX_EN | UART_DMA_TX_THD_VAL(TX_THRESHOLD);
    UART_INT_FL(UART0_BASE) = UART_INT_FL(UART0_BASE);
    UART_INT_EN(UART0_BASE) = RX_ERRORS;
    interrupt_enable_line(IRQ_UART0);
}

static void start_transmitter(void)
{
    interrupts_disable();
    send_next();
    interrupts_enable();
}

void uart_finish(void)
{
    for (uint32_t poll = 0; poll < TX_POLLS && tx_tail != tx_head; poll++) {
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
    ring_head = received();
    ring_tail = ring_head;
    line_errors = 0U;
    interrupts_enable();
}

bool uart_received(void)
{
    if (ring_head == ring_tail) {
        ring_head = received();
        if (ring_head - ring_tail > RING_BYTES) { /* overwritten before it was read */
            ring_tail = ring_head;
            line_errors++;
        }
    }
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
