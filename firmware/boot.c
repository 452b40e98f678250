/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up, the vector table, and what happens after a fault. */

#include "boot.h"

#include <stdbool.h>

#include "cortex_m4.h"
#include "link_protocol.h"

#define CORE_EXCEPTIONS 16
#define RECORD_MAGIC 0x4D37384BU

/* Symbols of the linker script. */
extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];
extern uint32_t __stack_guard[], __stack_top[];

int main(void);
void reset_handler(void);
void fault_handler(void);
void record_fault(const uint32_t *frame);
void SysTick_Handler(void);
void UART0_Handler(void);
void CNN_ISR(void);
/* Only an application that uses this channel of the DMA has a handler for it. */
__attribute__((weak, alias("fault_handler"))) void DMA3_Handler(void);

typedef void (*handler)(void);

/* The first word is the initial stack pointer. The part has 104 interrupt lines. */
struct vector_table {
    uint32_t *stack;
    handler handlers[CORE_EXCEPTIONS - 1 + IRQ_COUNT];
};

#define CORE(exception) [(exception)-1]
#define LINE(irq) [CORE_EXCEPTIONS - 1 + (irq)]
#define LINES(first, last) [CORE_EXCEPTIONS - 1 + (first)... CORE_EXCEPTIONS - 1 + (last)]

extern const struct vector_table vectors;
__attribute__((section(".vectors"), used)) const struct vector_table vectors = {
    .stack = __stack_top,
    .handlers = {
        CORE(1) = reset_handler,
        CORE(2) = fault_handler, /* NMI */
        CORE(3) = fault_handler, /* hard fault; the others below escalate to it */
        CORE(4) = fault_handler,
        CORE(5) = fault_handler,
        CORE(6) = fault_handler,
        CORE(11) = fault_handler, /* SVC: never used */
        CORE(14) = fault_handler, /* PendSV: never used */
        CORE(15) = SysTick_Handler,
        LINES(0, IRQ_UART0 - 1) = fault_handler,
        LINE(IRQ_UART0) = UART0_Handler,
        LINES(IRQ_UART0 + 1, IRQ_DMA0 + 2) = fault_handler,
        LINE(IRQ_DMA0 + 3) = DMA3_Handler,
        LINES(IRQ_DMA0 + 4, IRQ_CNN - 1) = fault_handler,
        LINE(IRQ_CNN) = CNN_ISR,
        LINES(IRQ_CNN + 1, IRQ_COUNT - 1) = fault_handler,
    },
};

/* What the last run left behind. After power-on the content is random: a valid record has both
 * the magic number and its complement. A debugger finds the place of the last fault here. */
struct run_record {
    uint32_t magic;
    uint32_t inverse_magic;
    uint32_t starts;
    uint32_t reset_cause;
    uint32_t fault_address; /* program counter, 0 if it could not be read */
    uint32_t fault_status;  /* CFSR */
    uint32_t hard_fault_status;
};
__attribute__((section(".noinit"))) static volatile struct run_record record;

/* An access beyond the stack's end faults instead of overwriting data. */
static void guard_stack(void)
{
    MPU_RNR = 0U;
    MPU_RBAR = (uint32_t)__stack_guard;
    MPU_RASR = MPU_RASR_XN | MPU_RASR_SIZE(5) | MPU_RASR_ENABLE;
    MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    dsb();
    isb();
}

__attribute__((used)) void reset_handler(void)
{
    SCB_CPACR |= SCB_CPACR_FPU_FULL; /* before anything that may use a floating-point register */
    SCB_VTOR = (uint32_t)&vectors;
    dsb();
    isb();
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = __bss_start; to < __bss_end; to++) {
        *to = 0U;
    }
    guard_stack();
    main();
    boot_restart();
}

static _Noreturn void reset_now(void)
{
    dsb();
    SCB_AIRCR = SCB_AIRCR_SYSRESETREQ;
    dsb();
    for (;;) {
    }
}

/* The stack may be unusable: take the frame's address, then begin on a fresh stack. */
__attribute__((naked, used)) void fault_handler(void)
{
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =__stack_top\n"
                   "mov sp, r1\n"
                   "b record_fault\n");
}

__attribute__((used)) void record_fault(const uint32_t *frame)
{
    const uint32_t *lowest = (const uint32_t *)((uintptr_t)__stack_guard + 32U);
    record.fault_address = frame >= lowest && frame + 8 <= __stack_top ? frame[6] : 0U;
    record.fault_status = SCB_CFSR;
    record.hard_fault_status = SCB_HFSR;
    record.reset_cause = RESET_CAUSE_FAULT;
    reset_now();
}

static bool watchdog_ended_last_run(void)
{
    const uint32_t flags = WDT0_CTRL_RST_EARLY | WDT0_CTRL_RST_LATE;
    GCR_PCLKDIS1 &= ~GCR_PCLKDIS1_WDT0; /* its registers need its clock */
    const bool ended = (WDT0_CTRL & flags) != 0U;
    if (ended) {
        WDT0_CTRL &= ~flags;
    }
    GCR_PCLKDIS1 |= GCR_PCLKDIS1_WDT0;
    return ended;
}

uint16_t boot_take_reset_cause(void)
{
    uint32_t cause = RESET_CAUSE_POWER_ON;
    if (record.magic == RECORD_MAGIC && record.inverse_magic == ~RECORD_MAGIC) {
        cause = record.reset_cause;
        record.starts++;
    } else {
        record.starts = 1U;
    }
    if (watchdog_ended_last_run()) {
        cause = RESET_CAUSE_WATCHDOG;
    }
    record.magic = RECORD_MAGIC;
    record.inverse_magic = ~RECORD_MAGIC;
    record.reset_cause = RESET_CAUSE_POWER_ON; /* unless this run says otherwise: pin, brown-out */
    return (uint16_t)cause;
}

uint32_t boot_count(void)
{
    return record.starts;
}

void boot_restart(void)
{
    record.reset_cause = RESET_CAUSE_SOFTWARE;
    reset_now();
}
