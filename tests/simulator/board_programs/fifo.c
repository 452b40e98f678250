// Feeds a streaming layer through a FIFO, with or without waiting for room.
#include "board.h"
#define L(offset) REG(0x50100000 + (offset))
volatile uint32_t waited, done;
void program(void)
{
    clock_100mhz();
    GCFR(3) = 0xF; GCFR(1) = 1; GCFR(0) = 1; GCFR(2) = 0xE; GCFR(3) = 0;
    GCR_PCLKDIV = 4u << 14;
    GCR_PCLKDIS0 &= ~(1u << 25);
    L(0) = 0x18C008;
    L(0x010) = 7 + 2 | 1u << 16; L(0x090) = 7 + 2 | 1u << 16;
    L(0x590) = 0xB20; L(0x610) = 63 * 8; L(0xA10) = (63 * 8) << 8;
    L(0x310) = 0x1000; L(0x410) = 0x2000;
    L(0x690) = 7; L(0x710) = 0xF000F; L(0x810) = 1; L(0x910) = 2; L(0x990) = 64;
    REG(0x50000000) = 0x1908;
    L(0) = 0x18C808; L(0) = 0x18C809;
    for (uint32_t i = 0; i < 64; i++) {
#ifdef POLLING
        while (REG(0x50000004) & 1) waited++;
#endif
        REG(0x50000008) = i;
    }
    while (!(L(0) & 1u << 12)) {}
    done = 1;
}
