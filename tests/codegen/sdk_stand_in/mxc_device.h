/* Stands in for the vendor's SDK: what generated programs use of it, on our drivers. */
#ifndef MXC_DEVICE_H
#define MXC_DEVICE_H

#include <stdint.h>

typedef enum { CNN_IRQn = 101 } IRQn_Type;

typedef struct {
    volatile uint32_t before[6];
    volatile uint32_t pclkdiv;
} mxc_gcr_regs_t;
#define MXC_GCR ((mxc_gcr_regs_t *)0x40000000)
#define MXC_F_GCR_PCLKDIV_CNNCLKDIV (0x7U << 14)
#define MXC_S_GCR_PCLKDIV_CNNCLKDIV_DIV1 (0x4U << 14)
#define MXC_F_GCR_PCLKDIV_CNNCLKSEL (0x3U << 17)
#define MXC_S_GCR_PCLKDIV_CNNCLKSEL_PCLK 0U

void SystemCoreClockUpdate(void);
void NVIC_EnableIRQ(IRQn_Type irq);

static inline void __disable_irq(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void __enable_irq(void)
{
    __asm volatile("cpsie i\n isb" ::: "memory");
}

#endif
