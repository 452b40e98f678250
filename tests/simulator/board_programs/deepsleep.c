// Deep sleep until the RTC alarm; MODE 8 LPM, 4 backup with bank 0 of the RAM retained.
#include "board.h"
#define RTC(offset) REG(0x40006000 + (offset))
#define PWRSEQ(offset) REG(0x40006800 + (offset))
#define GCR_PM REG(0x4000000C)
#define SCR REG(0xE000ED10)
__attribute__((section(".noinit"))) volatile uint32_t magic, starts;
volatile uint32_t woken, ticks, status, seconds, pin_status, pin_wakes;
#define LAST_BANK REG(0x2001D000)
volatile uint32_t last_bank;
void rtc_handler(void) { woken++; RTC(0x10) &= ~(3u << 6 | 1u << 1); }
void systick_handler(void) { ticks++; }
void gpio0_handler(void) { REG(0x40008048) = 1u << 2; woken++; }
void gpiowake_handler(void)
{
    pin_wakes++;
    pin_status = PWRSEQ(0x04);
    PWRSEQ(0x04) = 0xFFFFFFFF;
}
void program(void)
{
    if (magic != 0xC0FFEE) { magic = 0xC0FFEE; starts = 0; }
    last_bank = LAST_BANK;
    if (starts++) { seconds = RTC(0x00); return; }
    clock_100mhz();
    LAST_BANK = 0x12345678;
    RTC(0x10) = 1u << 15;
    RTC(0x08) = 2;
    RTC(0x10) = 1u << 15 | 1u << 1 | 1;
    irq_enable(3); irq_enable(24); irq_enable(54);
    PWRSEQ(0x04) = 0xFFFFFFFF;
    PWRSEQ(0x30) = 0xFFFFFFFF;
    status = PWRSEQ(0x04) | PWRSEQ(0x30);
    PWRSEQ(0x00) = 1;
    SYST_RVR = 99999;
    SYST_CVR = 0;
    SYST_CSR = 7;
    GCR_PCLKDIS0 &= ~1u;
    REG(0x40008028) |= 4; REG(0x40008038) = 4;  // falling edge of P0.2
    if (WAKE) { GCR_PM |= 1u << 5 | 1u << 4; PWRSEQ(0x08) |= 1u << 2; }
    SCR |= 4;
    GCR_PM |= MODE;
    WFI();
    SCR = 0;
    seconds = RTC(0x00);
    SYST_CSR = 0;
    woken |= 0x100;
}
