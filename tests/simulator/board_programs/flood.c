// Fills the transmit FIFO, writes one byte too many, and waits until all is sent.
#include "board.h"
volatile uint32_t full_after, busy, spent;
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    uart_init();
    const uint32_t begin = TMR_CNT(0);
    while (!(UART_STATUS & 1u << 7)) UART_FIFO = full_after++;
    UART_FIFO = 0xEE;
    busy = UART_STATUS & 1;
    while ((UART_STATUS & (1u << 6 | 1)) != 1u << 6) {}
    spent = TMR_CNT(0) - begin;
    uart_put('!');
}
