#include "board.h"
volatile uint32_t sink;
__attribute__((noinline)) uint32_t deeper(uint32_t n)
{
    volatile uint8_t pad[256];
    pad[n & 255] = (uint8_t)n;
    for (volatile uint32_t i = 0; i < 100; i++) {}
    return n ? deeper(n - 1) + pad[n & 255] : 0;
}
void program(void) { for (int i = 0; i < 20; i++) sink = deeper(20); }
