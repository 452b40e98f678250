// Registers for the test programs, which are written as for silicon.
#pragma once
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define GCR_CLKCTRL REG(0x40000008)
#define GCR_RST0 REG(0x40000004)
#define GCR_PCLKDIV REG(0x40000018)
#define GCR_PCLKDIS0 REG(0x40000024)
#define GCR_PCLKDIS1 REG(0x40000048)
#define GCFR(n) REG(0x40005800 + 4 * (n))
#define WDT_CTRL REG(0x40003000)
#define WDT_RST REG(0x40003004)
#define LPGCR_PCLKDIS REG(0x4008000C)
#define UART_CTRL REG(0x40042000)
#define UART_STATUS REG(0x40042004)
#define UART_INT_EN REG(0x40042008)
#define UART_INT_FL REG(0x4004200C)
#define UART_CLKDIV REG(0x40042010)
#define UART_FIFO REG(0x40042020)
#define TMR_CNT(n) REG(0x40010000 + 0x1000 * (n))
#define TMR_CMP(n) REG(0x40010004 + 0x1000 * (n))
#define TMR_PWM(n) REG(0x40010008 + 0x1000 * (n))
#define TMR_INTFL(n) REG(0x4001000C + 0x1000 * (n))
#define TMR_CTRL0(n) REG(0x40010010 + 0x1000 * (n))
#define TMR_CTRL1(n) REG(0x40010018 + 0x1000 * (n))
#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define NVIC_ISER(n) REG(0xE000E100 + 4 * (n))
#define NVIC_ISPR(n) REG(0xE000E200 + 4 * (n))
#define NVIC_IPR(n) (*(volatile uint8_t *)(0xE000E400 + (n)))
#define ICSR REG(0xE000ED04)
#define AIRCR REG(0xE000ED0C)
#define SHCSR REG(0xE000ED24)
#define CFSR REG(0xE000ED28)
#define HFSR REG(0xE000ED2C)
#define BFAR REG(0xE000ED38)
#define CPACR REG(0xE000ED88)
#define DEMCR REG(0xE000EDFC)
#define DWT_CTRL REG(0xE0001000)
#define DWT_CYCCNT REG(0xE0001004)

#define WFI() __asm volatile("dsb\n wfi" ::: "memory")
#define BARRIER() __asm volatile("dsb\n isb" ::: "memory")

// A test program is `program`; handlers have the names in start.c. After it the core sleeps.
void program(void);
void finish(void);

static inline void irq_enable(unsigned n) { NVIC_ISER(n / 32) = 1u << (n % 32); }

static inline void clock_100mhz(void)
{
    GCR_CLKCTRL |= 1u << 19;
    while (!(GCR_CLKCTRL & (1u << 27))) {}
    GCR_CLKCTRL = (GCR_CLKCTRL & ~(7u << 9)) | 4u << 9;
    while (!(GCR_CLKCTRL & (1u << 13))) {}
}

static inline void uart_init(void)
{
    GCR_PCLKDIS0 &= ~(1u << 9 | 1u);
    REG(0x40008008) = 3;  // P0.0 and P0.1 are its pins
    UART_CTRL = 1u | 3u << 10 | 2u << 16;
    UART_CLKDIV = 64;
    UART_CTRL |= 1u << 15;
    while (!(UART_CTRL & (1u << 19))) {}
}

static inline void uart_put(uint8_t byte)
{
    while (UART_STATUS & (1u << 7)) {}
    UART_FIFO = byte;
}
