// Leaves received bytes in the FIFO.
#include "board.h"
volatile uint32_t level, flags, first;
void program(void)
{
    uart_init();
    while (!(UART_INT_FL & 1u << 3)) {}
    level = UART_STATUS >> 8 & 15;
    flags = UART_INT_FL;
    first = UART_FIFO;
}
