/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the Cortex-M4's private peripherals that the firmware uses, and its barriers.
 * Names and addresses: Armv7-M Architecture Reference Manual. */
#ifndef CORTEX_M4_H
#define CORTEX_M4_H

#include "max78000.h"

#define SYST_CSR MMIO32(0xE000E010U)
#define SYST_CSR_ENABLE (1U << 0)
#define SYST_CSR_TICKINT (1U << 1)
#define SYST_CSR_CLKSOURCE_CORE (1U << 2)
#define SYST_RVR MMIO32(0xE000E014U)
#define SYST_CVR MMIO32(0xE000E018U)

#define NVIC_ISER(irq) MMIO32(0xE000E100U + 4U * ((irq) / 32U))
#define NVIC_ICPR(irq) MMIO32(0xE000E280U + 4U * ((irq) / 32U))

#define SCB_VTOR MMIO32(0xE000ED08U)
#define SCB_AIRCR MMIO32(0xE000ED0CU)
#define SCB_AIRCR_SYSRESETREQ 0x05FA0004U /* with the write key */
#define SCB_CFSR MMIO32(0xE000ED28U)
#define SCB_HFSR MMIO32(0xE000ED2CU)
#define SCB_CPACR MMIO32(0xE000ED88U)
#define SCB_CPACR_FPU_FULL (0xFU << 20)

#define MPU_CTRL MMIO32(0xE000ED94U)
#define MPU_CTRL_ENABLE (1U << 0)
#define MPU_CTRL_PRIVDEFENA (1U << 2) /* the default map holds outside the regions */
#define MPU_RNR MMIO32(0xE000ED98U)
#define MPU_RBAR MMIO32(0xE000ED9CU)
#define MPU_RASR MMIO32(0xE000EDA0U)
#define MPU_RASR_ENABLE (1U << 0)
#define MPU_RASR_SIZE(log2_bytes) (((uint32_t)(log2_bytes) - 1U) << 1)
#define MPU_RASR_XN (1U << 28) /* with AP = 0: no access at all */

static inline void dsb(void)
{
    __asm volatile("dsb" ::: "memory");
}

static inline void isb(void)
{
    __asm volatile("isb" ::: "memory");
}

static inline void wait_for_interrupt(void)
{
    __asm volatile("dsb\n wfi" ::: "memory");
}

static inline void interrupts_disable(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void interrupts_enable(void)
{
    __asm volatile("cpsie i\n isb" ::: "memory"); /* a pending interrupt is taken here */
}

static inline void interrupt_enable_line(uint32_t irq)
{
    NVIC_ICPR(irq) = 1U << (irq % 32U);
    NVIC_ISER(irq) = 1U << (irq % 32U);
}

#endif
