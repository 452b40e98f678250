// Sends a dot every 100 ms and sleeps between.
#include "board.h"
volatile uint32_t ticks;
void systick_handler(void) { ticks++; }
void program(void)
{
    clock_100mhz();
    uart_init();
    SYST_RVR = 9999999;
    SYST_CVR = 0;
    SYST_CSR = 7;
    for (uint32_t seen = 0;; seen = ticks) {
        while (ticks == seen) WFI();
        uart_put('.');
    }
}
