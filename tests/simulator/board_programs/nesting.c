// Priorities: a high one preempts a low one; equal ones wait and run after one another.
#include "board.h"
volatile char order[32];
volatile uint32_t used, depth, level_at_high;
volatile float sum;
static void note(char c) { order[used++] = c; }
void tmr0_handler(void)  // low priority
{
    note('l');
    NVIC_ISPR(0) = 1u << 14;  // higher: at once
    BARRIER();
    NVIC_ISPR(0) = 1u << 6;   // the same: afterwards
    BARRIER();
    sum += 0.5f;
    note('L');
}
void tmr1_handler(void) { note('e'); }
void uart0_handler(void)
{
    volatile float x = 3.0f;
    level_at_high = ICSR & 0x1FF;
    for (int i = 0; i < 10; i++) x *= 1.25f;
    note('h');
}
void pendsv_handler(void) { note('p'); }
void svc_handler(void) { note('s'); ICSR = 1u << 28; BARRIER(); note('S'); }
void program(void)
{
    NVIC_IPR(5) = 0x80;
    NVIC_IPR(6) = 0x80;
    NVIC_IPR(14) = 0x40;
    (*(volatile uint8_t *)0xE000ED22) = 0xE0;  // PendSV lowest
    irq_enable(5); irq_enable(6); irq_enable(14);
    volatile float keep = 1.5f;
    float product = keep * 2.0f;
    note('a');
    __asm volatile("cpsid i" ::: "memory");
    NVIC_ISPR(0) = 1u << 5;
    BARRIER();
    note('b');
    __asm volatile("cpsie i\n isb" ::: "memory");
    for (volatile int i = 0; i < 100; i++) {}
    note('c');
    __asm volatile("svc #0" ::: "memory");
    note('d');
    sum += product * keep;
}
