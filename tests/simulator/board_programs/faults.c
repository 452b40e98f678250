// Faults with handlers: bus fault (read), usage fault (undefined), escalation to hard fault.
#include "board.h"
volatile uint32_t bus_status, bus_address, usage_status, hard_status, stacked_pc;
__attribute__((used)) void skip(uint32_t *frame, uint32_t bytes) { stacked_pc = frame[6]; frame[6] += bytes; }
__attribute__((naked)) void bus_fault(void) { __asm volatile("mov r0, sp\n movs r1, #4\n push {r4, lr}\n bl skip\n bl note_bus\n pop {r4, pc}"); }
__attribute__((naked)) void usage_fault(void) { __asm volatile("mov r0, sp\n movs r1, #2\n push {r4, lr}\n bl skip\n bl note_usage\n pop {r4, pc}"); }
__attribute__((naked)) void hard_fault(void) { __asm volatile("mov r0, sp\n movs r1, #4\n push {r4, lr}\n bl skip\n bl note_hard\n pop {r4, pc}"); }
__attribute__((used)) void note_bus(void) { bus_status = CFSR; bus_address = BFAR; CFSR = CFSR; }
__attribute__((used)) void note_usage(void) { usage_status = CFSR; CFSR = CFSR; }
__attribute__((used)) void note_hard(void) { hard_status = HFSR; HFSR = HFSR; CFSR = CFSR; }
__attribute__((noinline)) void bad_read(void) { __asm volatile("movs r2, #0\n movt r2, #0x3000\n ldr.w r3, [r2]" ::: "r2", "r3"); }
__attribute__((noinline)) void bad_code(void) { __asm volatile("udf #7"); }
void program(void)
{
    SHCSR = 7u << 16;
    bad_read();
    bad_code();
    SHCSR = 0;
    bad_read();
}
