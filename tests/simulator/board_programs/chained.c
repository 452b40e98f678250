// A handler that runs over and over for good reasons: each time its request has been taken back.
#include "board.h"
volatile uint32_t runs;
void tmr0_handler(void)
{
    TMR_INTFL(0) = 1;
    if (++runs < 400) {
        NVIC_ISPR(0) = 1u << 5;
    }
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31 | 1u << 8;
    TMR_CMP(0) = 200;
    irq_enable(5);
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    while (runs < 500) WFI();
}
