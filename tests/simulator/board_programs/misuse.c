// What silicon passes over in silence; CASE is the mistake.
#include "board.h"
volatile uint32_t value;
#define FLC(offset) REG(0x40029000 + (offset))
void tmr0_handler(void) { value++; }  // does not clear its flag
static void __attribute__((noinline)) culprit(void)
{
#if CASE == 1
    value = *(volatile uint32_t *)0x40008002;
#elif CASE == 2
    *(volatile uint8_t *)0x40008018 = 1;
#elif CASE == 3
    GCR_CLKCTRL = (GCR_CLKCTRL & ~(7u << 9)) | 4u << 9;  // IPO without its enable
#elif CASE == 4
    FLC(0x04) = 60;
    FLC(0x00) = 0x1007E000;
    FLC(0x08) = 0x55u << 8 | 4;  // locked
#elif CASE == 5
    FLC(0x04) = 100;  // at 60 MHz
    FLC(0x00) = 0x1007E000;
    FLC(0x08) = 2u << 28 | 0x55u << 8 | 4;
#elif CASE == 6
    FLC(0x04) = 60;
    FLC(0x00) = 0x1007E000;
    for (int n = 0; n < 2; n++) {
        FLC(0x30) = n ? 0xFFFFFFFF : 0;
        FLC(0x08) = 2u << 28 | 1;  // twice the same word
    }
#elif CASE == 7
    TMR_CNT(0) = 1;  // its clock is off
#elif CASE == 8
    REG(0x4000F100) = 0;
    REG(0x40088000) = 1;  // nobody modelled this block
#elif CASE == 9
    GCR_PCLKDIS0 &= ~(1u << 9);
    UART_CTRL = 1u << 15 | 3u << 10 | 2u << 16;
    UART_CLKDIV = 64;
    UART_FIFO = 'x';  // its pins are those of the GPIO
#elif CASE == 11
    GCR_PCLKDIS1 &= ~(1u << 31);  // the other core
#elif CASE == 10
    GCR_PCLKDIS0 &= ~(1u << 15);
    irq_enable(5);
    TMR_CTRL1(0) = 1u << 31 | 1u << 8;
    TMR_CMP(0) = 100;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14;
    while (value < 1000) {}
#endif
}
void program(void)
{
    GCR_PCLKDIS0 &= ~1u;
    GCR_PCLKDIS1 &= ~(1u << 14);
    culprit();
}
