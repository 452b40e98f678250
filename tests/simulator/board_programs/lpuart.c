// UART3 on the 32 kHz oscillator at 9600 baud by half clocks, echo with its interrupt.
#include "board.h"
#define U(offset) REG(0x40081400 + (offset))
void uart3_handler(void)
{
    U(0x0C) = U(0x0C);
    while (!(U(0x04) & 1u << 4)) U(0x20) = U(0x20) ^ 0x20;
}
void program(void)
{
    LPGCR_PCLKDIS &= ~(1u << 4 | 1u);
    REG(0x40080408) = 3u << 6;  // P2.6 and P2.7 are its pins
    U(0x00) = 1u | 3u << 10 | 1u << 16 | 1u << 21;
    U(0x10) = 7;
    U(0x00) |= 1u << 15;
    while (!(U(0x00) & 1u << 19)) {}
    U(0x08) = 1u << 4;
    irq_enable(88);
}
