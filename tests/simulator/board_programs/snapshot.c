// Takes three pictures of 8x8 pixels and prints the strongest colour of each.
#include "board.h"
#define PCIF(offset) REG(0x4000E000 + (offset))
#define PIXELS 64
static void capture(uint32_t *sums)
{
    uint32_t taken = 0;
    PCIF(0x10) = 0xF;
    PCIF(0x08) = 1u << 31 | 1u << 30 | 2u << 2 | 8u << 5 | 1;
    while (taken < PIXELS) {
        if (!(PCIF(0x10) & 8u)) continue;
        const uint32_t pixel = PCIF(0x30);
        for (int colour = 0; colour < 3; colour++) sums[colour] += pixel >> 8 * colour & 0xFF;
        taken++;
    }
}
void program(void)
{
    clock_100mhz();
    uart_init();
    GCR_PCLKDIS1 &= ~(1u << 18);
    for (int picture = 0; picture < 3; picture++) {
        uint32_t sums[3] = {0, 0, 0};
        capture(sums);
        const int green = sums[1] > sums[0] && sums[1] > sums[2];
        uart_put(green ? 'G' : sums[0] > sums[2] ? 'R' : 'B');
    }
    uart_put('\n');
    while (UART_STATUS & 1u) {}
}
