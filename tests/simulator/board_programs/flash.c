// Erases the last page and writes 16 bytes to it.
#include "board.h"
volatile uint32_t before, after, wrong;
void program(void)
{
    REG(0x40029004) = 60;  // MHz of the core
    REG(0x40029000) = 0x7E000;
    REG(0x40029008) = 2u << 28 | 0x55u << 8;
    REG(0x40029008) |= 1u << 2;
    before = REG(0x1007E000);
    for (uint32_t i = 0; i < 4; i++) REG(0x40029030 + 4 * i) = 0x11111111 * (i + 1);
    REG(0x40029008) = 2u << 28 | 1;
    after = REG(0x1007E004);
    REG(0x10070000) = 1;  // not without the flash controller
}
void hard_fault(void) { wrong = BFAR; finish(); }
