// LEDs, a button with an interrupt, random numbers, an unclocked block, an unknown block.
#include "board.h"
volatile uint32_t pressed, random_word, level;
void gpio0_handler(void) { pressed++; REG(0x40008048) = 1u << 2; }
void program(void)
{
    LPGCR_PCLKDIS &= ~1u;
    REG(0x4008041C) = 7; REG(0x40080410) = 7;
    REG(0x40080420) = 2;  // green on
    GCR_PCLKDIS1 &= ~(1u << 2);
    random_word = REG(0x4004D008);
    TMR_CMP(0) = 5;       // its clock is off
    level = REG(0x40088000);
    GCR_PCLKDIS0 &= ~1u;
    REG(0x40008028) |= 4; REG(0x40008038) = 4;  // falling edge of P0.2
    irq_enable(24);
    while (!pressed) WFI();
    REG(0x4008041C) = 2;
}
