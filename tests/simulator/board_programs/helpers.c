// Semaphores, remainders, a level interrupt of a pin, the low-power watchdog.
#include "board.h"
#define SEMA(offset) REG(0x4003E000 + (offset))
#define CRC(offset) REG(0x4000F000 + (offset))
#define CRC_BYTE (*(volatile uint8_t *)0x4000F004)
#define WDT1(offset) REG(0x40080800 + (offset))
__attribute__((section(".noinit"))) volatile uint32_t magic, starts;
volatile uint32_t took[3], status, mails, by_byte, by_word, msb, level_interrupts;
void sema_handler(void) { mails++; SEMA(0x40) = 1; }
void gpio0_handler(void)
{
    level_interrupts++;
    REG(0x40008048) = 1u << 2;
    if (level_interrupts == 3) REG(0x4000803C) = 1u << 2;
}
void program(void)
{
    if (magic != 0xC0FFEE) { magic = 0xC0FFEE; starts = 0; }
    starts++;
    GCR_PCLKDIS0 &= ~1u;
    GCR_PCLKDIS1 &= ~(1u << 9 | 1u << 14);
    LPGCR_PCLKDIS &= ~2u;
    took[0] = SEMA(8); took[1] = SEMA(8); status = SEMA(0x100);
    SEMA(8) = 0;
    took[2] = SEMA(8);
    irq_enable(63);
    SEMA(0x40) = 1u << 16 | 1;
    CRC(0x00) = 1; CRC(0x08) = 0xEDB88320; CRC(0x0C) = 0xFFFFFFFF;
    for (const char *c = "123456789"; *c; c++) CRC_BYTE = (uint8_t)*c;
    by_byte = ~CRC(0x0C);
    CRC(0x0C) = 0xFFFFFFFF;
    CRC(0x04) = 0x34333231; CRC(0x04) = 0x38373635; CRC_BYTE = '9';
    by_word = ~CRC(0x0C);
    CRC(0x00) = 5; CRC(0x08) = 0x04C11DB7; CRC(0x0C) = 0xFFFFFFFF;
    for (const char *c = "123456789"; *c; c++) CRC_BYTE = (uint8_t)*c;
    msb = CRC(0x0C);
    REG(0x4000802C) = 1u << 2;  // low
    REG(0x40008038) = 1u << 2;
    irq_enable(24);
    while (!level_interrupts) WFI();
    if (starts == 1) {
        WDT1(0x04) = 0xA5; WDT1(0x04) = 0x5A;
        WDT1(0x08) = 1;  // 32 kHz
        WDT1(0x00) = 15u | 15u << 4 | 1u << 11 | 1u << 8;  // reset after 2^16 clocks: 2 s
    }
}
