// Writes to the accelerator between equal reads of it; a run whose fault shows at its end alone.
#include "board.h"
#define CTL REG(0x50100000)
#define EN REG(0x50100710)
#define LCTL0 REG(0x50100590)
#define POST REG(0x50100790)
#define DATA REG(0x50400000)
volatile uint32_t ticks, interrupts;
void cnn_handler(void) { CTL = 0; interrupts++; }
__attribute__((noinline)) void begin_run(void) { CTL = 9; }
__attribute__((noinline)) void await_end(void) { while (!interrupts) WFI(); }
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15 | 1u << 25);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    GCFR(3) = 0xF; GCFR(1) = 1; GCFR(0) = 1; GCFR(2) = 0xE; GCFR(3) = 0;
    GCR_PCLKDIV = 4u << 14;
    const uint32_t begin = TMR_CNT(0);
    for (uint32_t word = 0; word < 200; word++) {
        DATA = word;
        (void)CTL;
    }
    ticks = TMR_CNT(0) - begin;
    irq_enable(101);
    EN = 1u << 4; // the processor of a data instance that nothing was written to
    LCTL0 = 1u << 5;
    POST = 3u << 24;
    begin_run();
    await_end();
}
