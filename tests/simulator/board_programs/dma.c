// DMA: a copy in memory, a message out of the UART, bytes into memory from the UART.
#include "board.h"
#define DMA_INTEN REG(0x40028000)
#define DMA_INTFL REG(0x40028004)
#define CHANNEL(n, offset) REG(0x40028100 + 0x20 * (n) + (offset))
volatile uint32_t interrupts, copied[8], left, received, status, ticks, bus_error;
static const uint32_t words[8] = {1, 2, 3, 4, 5, 6, 7, 0x12345678};
static const char text[] = "sent by DMA, without the core";
volatile uint8_t into[16];
void dma0_handler(void)
{
    if (DMA_INTFL & 1u) {
        CHANNEL(0, 4) = CHANNEL(0, 4);
        interrupts++;
    }
}
static void start(uint32_t n, uint32_t control, const volatile void *from, volatile void *to,
                  uint32_t count)
{
    CHANNEL(n, 0) = 0;
    CHANNEL(n, 4) = 0x5E;
    CHANNEL(n, 0x08) = (uint32_t)from;
    CHANNEL(n, 0x0C) = (uint32_t)to;
    CHANNEL(n, 0x10) = count;
    CHANNEL(n, 0) = control;
    CHANNEL(n, 0) |= 1;
}
void program(void)
{
    clock_100mhz();
    uart_init();
    GCR_PCLKDIS0 &= ~(1u << 5);
    DMA_INTEN = 1;
    irq_enable(28);
    // word to word, both count up, interrupt at the end
    start(0, 1u << 31 | 1u << 22 | 2u << 20 | 1u << 18 | 2u << 16, words, copied, sizeof words);
    while (!interrupts) WFI();
    REG(0x40042030) = 1u << 4 | 4;  // transmit request while at most four bytes wait
    start(1, 0x24u << 4 | 1u << 18, text, 0, sizeof text - 1);
    REG(0x40042030) |= 1u << 9 | 1u << 5;  // receive request from one byte on
    start(2, 4u << 4 | 1u << 22, 0, into, 10);
    while (CHANNEL(2, 4) & 1u) {}
    status = CHANNEL(2, 4);
    left = CHANNEL(2, 0x10);
    received = 1;
    start(3, 1u << 22 | 1u << 18, words, (void *)0x10070000, 4);  // flash takes no writes
    while (CHANNEL(3, 4) & 1u) {}
    bus_error = CHANNEL(3, 4) >> 4 & 1;
}
