// UART0 echo by interrupt, adding one to each byte; sleeps between bytes.
#include "board.h"
static volatile uint8_t ring[256];
static volatile uint32_t head, tail;
void uart0_handler(void)
{
    UART_INT_FL = UART_INT_FL;
    while (!(UART_STATUS & (1u << 4))) ring[head++ % 256] = (uint8_t)UART_FIFO;
}
void program(void)
{
    clock_100mhz();
    uart_init();
    UART_INT_EN = 1u << 4;
    irq_enable(14);
    for (;;) {
        __asm volatile("cpsid i" ::: "memory");
        if (head == tail) WFI();
        __asm volatile("cpsie i" ::: "memory");
        while (tail != head) uart_put((uint8_t)(ring[tail++ % 256] + 1));
    }
}
