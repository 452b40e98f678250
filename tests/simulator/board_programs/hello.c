// Prints two lines, as a known-answer test does, and sleeps; VERDICT is PASS or FAIL.
#include "board.h"
#define TEXT(x) #x
#define STRING(x) TEXT(x)
volatile uint32_t lines;
__attribute__((noinline)) void put_line(const char *text)
{
    while (*text) uart_put((uint8_t)*text++);
    uart_put('\r');
    uart_put('\n');
    lines++;
}
void program(void)
{
    clock_100mhz();
    uart_init();
    put_line("known-answer test");
    put_line(STRING(VERDICT));
    while (UART_STATUS & 1u) {}
}
