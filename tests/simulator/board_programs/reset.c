// Counts its own starts in RAM that no reset clears: software reset twice, then the watchdog.
#include "board.h"
__attribute__((section(".noinit"))) volatile uint32_t magic, starts, causes[4], first_word;
void program(void)
{
    GCR_PCLKDIS1 &= ~(1u << 27);
    if (magic != 0xC0FFEE) { first_word = magic; magic = 0xC0FFEE; starts = 0; }
    causes[starts & 3] = WDT_CTRL >> 30;
    starts++;
    if (starts == 1) { AIRCR = 0x05FA0004; for (;;) {} }
    if (starts == 2) { GCR_RST0 = 1u << 31; for (;;) {} }
    if (starts == 3) {
        WDT_RST = 0xA5; WDT_RST = 0x5A;
        WDT_CTRL = 10u << 4 | 1u << 11 | 1u << 8;  // reset after 2^21 clocks
        for (int i = 0; i < 3; i++) {
            for (volatile int wait = 0; wait < 100000; wait++) {}
            WDT_RST = 0xA5; WDT_RST = 0x5A;
        }
        starts = 13;
        finish();
    }
}
