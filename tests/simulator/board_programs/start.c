// Start-up and vector table of the test programs.
#include "board.h"

extern uint32_t __stack_top[], __bss_start[], __bss_end[];
void reset_handler(void);
void unused_handler(void);
#define WEAK __attribute__((weak, alias("unused_handler")))
void hard_fault(void) WEAK;
void bus_fault(void) WEAK;
void usage_fault(void) WEAK;
void svc_handler(void) WEAK;
void pendsv_handler(void) WEAK;
void systick_handler(void) WEAK;
void wdt_handler(void) WEAK;
void tmr0_handler(void) WEAK;
void tmr1_handler(void) WEAK;
void uart0_handler(void) WEAK;
void gpio0_handler(void) WEAK;
void cnn_handler(void) WEAK;
void rtc_handler(void) WEAK;
void tmr4_handler(void) WEAK;
void i2c1_handler(void) WEAK;
void dma0_handler(void) WEAK;
void dma1_handler(void) WEAK;
void wut_handler(void) WEAK;
void wdt1_handler(void) WEAK;
void sema_handler(void) WEAK;
void uart3_handler(void) WEAK;
void pcif_handler(void) WEAK;
void flc_handler(void) WEAK;
void spi1_handler(void) WEAK;
void adc_handler(void) WEAK;
void i2s_handler(void) WEAK;
void gpiowake_handler(void) WEAK;
void trng_handler(void) WEAK;

__attribute__((naked)) void unused_handler(void) { __asm volatile("b ."); }

__attribute__((section(".vectors"), used)) const void *const vectors[16 + 104] = {
    [0] = __stack_top,     [1] = reset_handler,   [3] = hard_fault,      [5] = bus_fault,
    [6] = usage_fault,     [11] = svc_handler,    [14] = pendsv_handler, [15] = systick_handler,
    [16 + 1] = wdt_handler, [16 + 5] = tmr0_handler, [16 + 6] = tmr1_handler,
    [16 + 14] = uart0_handler, [16 + 24] = gpio0_handler, [16 + 101] = cnn_handler,
    [16 + 3] = rtc_handler, [16 + 9] = tmr4_handler, [16 + 28] = dma0_handler,
    [16 + 29] = dma1_handler,
    [16 + 36] = i2c1_handler, [16 + 53] = wut_handler, [16 + 57] = wdt1_handler,
    [16 + 16] = spi1_handler, [16 + 20] = adc_handler, [16 + 23] = flc_handler,
    [16 + 4] = trng_handler, [16 + 54] = gpiowake_handler, [16 + 99] = i2s_handler,
    [16 + 63] = sema_handler, [16 + 88] = uart3_handler, [16 + 91] = pcif_handler,
};

void finish(void)
{
    for (;;) WFI();
}

__attribute__((used)) void reset_handler(void)
{
#ifndef NO_FPU
    CPACR |= 0xFu << 20;
    BARRIER();
#endif
    for (uint32_t *word = __bss_start; word < __bss_end; word++) *word = 0;
    program();
    finish();
}
