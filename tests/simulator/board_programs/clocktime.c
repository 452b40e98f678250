// Slow timers: RTC with both alarms, WUT, TMR4 on 32 kHz, all measured with TMR0 at 50 MHz.
#include "board.h"
#define RTC(offset) REG(0x40006000 + (offset))
#define WUT(offset) REG(0x40006400 + (offset))
#define LPTMR(offset) REG(0x40080C00 + (offset))
volatile uint32_t happened, sub[2], day, wut, tmr4, seconds, parts;
void rtc_handler(void)
{
    happened = RTC(0x10);
    RTC(0x10) &= ~(3u << 6);
}
void wut_handler(void) { WUT(0x0C) = 1; happened = 1; }
void tmr4_handler(void) { LPTMR(0x0C) = 1; happened = 1; }
static uint32_t wait_from(uint32_t before)
{
    happened = 0;
    while (!happened) WFI();
    return TMR_CNT(0) - before;
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    LPGCR_PCLKDIS &= ~(1u << 2);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    irq_enable(3); irq_enable(53); irq_enable(9);
    while (RTC(0x10) & 1u << 3) {}
    RTC(0x10) = 1u << 15;
    RTC(0x00) = 100;
    RTC(0x04) = 0;
    RTC(0x0C) = 0u - 409;  // 409/4096 s
    RTC(0x10) |= 1;
    RTC(0x10) |= 1u << 2;
    uint32_t before = TMR_CNT(0);
    sub[0] = wait_from(before);
    before = TMR_CNT(0);
    sub[1] = wait_from(before);
    RTC(0x10) &= ~(1u << 2);
    RTC(0x08) = 101;
    RTC(0x10) |= 1u << 1;
    wait_from(0);
    day = happened >> 6 & 1;
    seconds = RTC(0x00);
    parts = RTC(0x04);
    RTC(0x10) &= ~(1u << 1);
    WUT(0x10) = 0;
    WUT(0x00) = 1;
    WUT(0x04) = 100;
    WUT(0x10) = 1u << 7 | 3u << 3;  // 4096 Hz, once
    wut = wait_from(TMR_CNT(0));
    LPTMR(0x18) = 1u << 31 | 1u << 8 | 1;
    LPTMR(0x10) = 1u << 14;
    while (!(LPTMR(0x18) & 1u << 3)) {}
    LPTMR(0x00) = 1;
    LPTMR(0x04) = 3277;
    LPTMR(0x10) |= 1u << 15;
    tmr4 = wait_from(TMR_CNT(0));
}
