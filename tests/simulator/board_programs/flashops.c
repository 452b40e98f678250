// The flash controller as a driver uses it, from flash and from RAM, with its interrupt; pages
// that are protected, locked, not erased.
#include "board.h"
#define FLC(offset) REG(0x40029000 + (offset))
#define PAGE 0x1007C000u
volatile uint32_t erase_ticks, write_ticks, words[4], interrupts, protected_flag, locked_flag, polls;
volatile uint32_t small;
void flc_handler(void) { FLC(0x24) &= ~3u; interrupts++; }
static void prepare(void)
{
    FLC(0x04) = 100;
    FLC(0x24) &= ~2u;
    FLC(0x08) = (FLC(0x08) & ~(15u << 28)) | 2u << 28;
}
static uint32_t finish_operation(void)
{
    while (FLC(0x08) & 1u << 24) {}
    while (FLC(0x08) & 7u) {}
    FLC(0x08) &= ~(15u << 28);
    const uint32_t failed = FLC(0x24) >> 1 & 1;
    FLC(0x24) &= ~2u;
    return failed;
}
static uint32_t erase(uint32_t address)
{
    prepare();
    FLC(0x08) = (FLC(0x08) & ~(0xFFu << 8)) | 0x55u << 8;
    FLC(0x00) = address;
    FLC(0x08) |= 4;
    return finish_operation();
}
static uint32_t write(uint32_t address, uint32_t seed)
{
    prepare();
    FLC(0x08) &= ~(1u << 4);
    FLC(0x00) = address;
    for (uint32_t n = 0; n < 4; n++) FLC(0x30 + 4 * n) = seed + n;
    FLC(0x08) |= 1;
    return finish_operation();
}
// Counts how often the busy bits are seen: position-independent, to be copied to RAM.
__attribute__((noinline, used)) static uint32_t start_and_poll(volatile uint32_t *control, uint32_t word)
{
    uint32_t seen = 0;
    *control = word;
    while (*control & 7u) seen++;
    return seen;
}
static uint32_t in_ram[32];
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    irq_enable(23);
    FLC(0x24) |= 1u << 8;
    uint32_t begin = TMR_CNT(0);
    erase(PAGE);
    erase_ticks = TMR_CNT(0) - begin;
    begin = TMR_CNT(0);
    write(PAGE + 0x20, 0x11110000);
    write_ticks = TMR_CNT(0) - begin;
    for (uint32_t n = 0; n < 4; n++) words[n] = REG(PAGE + 0x20 + 4 * n);
    const uint32_t *code = (const uint32_t *)((uint32_t)start_and_poll & ~3u);
    for (uint32_t n = 0; n < 32; n++) in_ram[n] = code[n];
    prepare();
    FLC(0x00) = PAGE + 0x40;
    FLC(0x30) = 0x600DF00D;
    const uint32_t place = (uint32_t)in_ram | ((uint32_t)start_and_poll & 3u);
    BARRIER();
    polls = ((uint32_t(*)(volatile uint32_t *, uint32_t))place)(&FLC(0x08), 2u << 28 | 1u << 4 | 1);
    small = REG(PAGE + 0x40);
    FLC(0x88) = 1u << (62 - 32);  // protect page 62
    protected_flag = erase(PAGE);
    FLC(0x08) = 0x55u << 8 | 4;
    locked_flag = FLC(0x24) >> 1 & 1;
}
