// All modes of a timer: one-shot and compare in halves of 16 bits, PWM, capture by software and by
// the pin of SW1, counter, gated, capture and compare.
#include "board.h"
volatile uint32_t halves[2], pwm_flags, compare_count, captured, events, counted, gated, between, ready;
volatile uint32_t interrupts;
void tmr0_handler(void) { TMR_INTFL(0) = 1; interrupts++; captured = TMR_PWM(0); }
static void set_up(uint32_t mode, uint32_t compare, uint32_t pulse)
{
    TMR_CTRL0(0) = 0;
    while (TMR_CTRL1(0) & 1u << 3) {}
    TMR_CTRL1(0) = 1u << 31 | 1u << 8;
    TMR_CTRL0(0) = 1u << 14;
    while (!(TMR_CTRL1(0) & 1u << 3)) {}
    TMR_CTRL0(0) |= mode;
    TMR_CNT(0) = 1;
    while (!(TMR_INTFL(0) & 1u << 8)) {}
    TMR_CMP(0) = compare;
    TMR_PWM(0) = pulse;
    TMR_INTFL(0) = 1;
    TMR_CTRL0(0) |= 1u << 15;
}
static void wait_ticks(uint32_t ticks)
{
    const uint32_t begin = TMR_CNT(1);
    while (TMR_CNT(1) - begin < ticks) {}
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(3u << 15 | 1u);
    TMR_CTRL1(1) = 1u << 31;
    TMR_CMP(1) = 0xFFFFFFFF;
    TMR_CTRL0(1) = 1u << 15 | 1u << 14 | 1;
    TMR_CTRL1(0) = 0;
    TMR_CTRL0(0) = 1u << 14 | 1u << 30 | 4u << 4 | 4u << 20 | 5u << 16;  // PCLK / 16
    TMR_CMP(0) = 1000 | 2000u << 16;
    uint32_t begin = TMR_CNT(1);
    TMR_CTRL0(0) |= 1u << 15 | 1u << 31;
    while (!(TMR_INTFL(0) & 1u)) {}
    halves[0] = TMR_CNT(1) - begin;
    while (!(TMR_INTFL(0) & 1u << 16)) {}
    halves[1] = TMR_CNT(1) - begin;
    compare_count = TMR_CNT(0) >> 16;  // it has not begun again
    TMR_INTFL(0) = 1u << 16 | 1;

    set_up(3, 5000, 2000);
    begin = TMR_CNT(1);
    while (TMR_CNT(1) - begin < 51000)  // ten periods
        if (TMR_INTFL(0) & 1u) { TMR_INTFL(0) = 1; pwm_flags++; }

    set_up(4, 0xFFFFFFFF, 0);
    irq_enable(5);
    wait_ticks(10000);
    TMR_CTRL1(0) |= 1u << 11;  // by software
    while (!interrupts) {}
    REG(0x40008008) = 1u << 2;  // the pin is the timer's now
    interrupts = 0;
    ready = 1;
    while (!interrupts) WFI();
    events = interrupts;

    set_up(2, 100, 0);
    ready = 2;
    while (TMR_CNT(0) < 4) {}
    counted = TMR_CNT(0);

    set_up(6, 0xFFFFFFFF, 0);
    ready = 3;
    while (ready == 3) {}
    gated = TMR_CNT(0);

    interrupts = 0;
    set_up(7, 0xFFFFFFFF, 0);
    ready = 4;
    while (!interrupts) WFI();
    between = TMR_PWM(0);
    ready = 5;
}
