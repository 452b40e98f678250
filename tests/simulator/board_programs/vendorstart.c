// What start-up code, board support and drivers in the vendor's style do to the registers before
// and while a program prints: cache, FPU, console with reset and pins, supply of the CNN, delays by
// SysTick, the change to 100 MHz with time-outs, text with CR LF.
#include "board.h"
#define ICC(offset) REG(0x4002A000 + (offset))
#define GPIO0(offset) REG(0x40008000 + (offset))
static uint32_t core_hz;
static volatile int overflows = -1;
static uint32_t end_tick, saved_control;

static void update_clock(void)
{
    static const uint32_t sources[8] = {60000000, 0, 0, 8000, 100000000, 7372800, 32768, 0};
    core_hz = sources[GCR_CLKCTRL >> 9 & 7] >> (GCR_CLKCTRL >> 6 & 7);
}
static void cache_on(void)
{
    ICC(0x100) &= ~1u;
    ICC(0x700) = 1;
    while (!(ICC(0x100) & 1u << 16)) {}
    ICC(0x100) |= 1;
    while (!(ICC(0x100) & 1u << 16)) {}
}
static void delay_begin(uint32_t us)
{
    uint32_t start = SYST_CVR, reload;
    saved_control = SYST_CSR & ~(1u << 16);
    if (!(SYST_CSR & 1)) {
        SYST_RVR = 0xFFFFFF;
        SYST_CVR = 0xFFFFFF;
        SYST_CSR = 5;
        start = 0xFFFFFF;
        reload = 0x1000000;
    } else {
        reload = SYST_RVR + 1;
    }
    const uint32_t ticks = (uint32_t)((uint64_t)us * (core_hz / 1000) / 1000), last = ticks % reload;
    overflows = (int)(ticks / reload);
    if (last >= start) {
        overflows++;
        end_tick = reload - (last - start);
    } else {
        end_tick = start - last;
    }
}
static void delay(uint32_t us)
{
    delay_begin(us);
    while (overflows > 0)
        if (SYST_CSR & 1u << 16) overflows--;
    while (SYST_CVR > end_tick) {}
    SYST_CSR = saved_control;
}
static int wait_ready(uint32_t bit)
{
    delay_begin(1000);
    while (!(GCR_CLKCTRL & bit))
        if (overflows == 0 && SYST_CVR <= end_tick) return -1;
    SYST_CSR = saved_control;
    return 0;
}
static int clock_ipo(void)
{
    GCR_CLKCTRL |= 1u << 19;
    if (wait_ready(1u << 27)) return -1;
    GCR_CLKCTRL = (GCR_CLKCTRL & ~(7u << 9)) | 4u << 9;
    if (wait_ready(1u << 13)) return -1;
    update_clock();
    return 0;
}
static void console(void)
{
    GCR_RST0 = 1u << 11;
    while (GCR_RST0 & 1u << 11) {}
    GCR_PCLKDIS0 &= ~(1u << 9);
    GCR_PCLKDIS0 &= ~1u;
    GPIO0(0x08) = 3;
    GPIO0(0x70) = 3;
    GPIO0(0x7C) = 3;
    GPIO0(0xC0) &= ~3u;
    UART_CTRL = (UART_CTRL & ~15u) | 1;
    UART_CTRL |= 3u << 10;
    UART_CTRL &= ~(1u << 4 | 1u << 12);
    UART_CTRL &= ~(1u << 15);
    UART_CTRL |= 2u << 16;
    UART_CLKDIV = 64;
    REG(0x40042014) = 5;
    UART_CTRL |= 1u << 15;
    while (!(UART_CTRL & 1u << 19)) {}
}
static void put(char c)
{
    if (c == '\n') uart_put('\r');
    uart_put((uint8_t)c);
}
static void print(const char *format, uint32_t value)
{
    char digits[10];
    for (; *format; format++) {
        if (*format != '#') {
            put(*format);
            continue;
        }
        int n = 0;
        do digits[n++] = (char)('0' + value % 10); while (value /= 10);
        while (n) put(digits[--n]);
    }
}
void program(void)
{
    REG(0xE000ED08) = 0x10000000;
    cache_on();
    update_clock();
    GCR_PCLKDIS0 &= ~3u;
    LPGCR_PCLKDIS &= ~1u;
    console();
    REG(0x4000440C) = 0x43;
    delay(200000);
    cache_on();
    if (clock_ipo()) print("no clock\n", 0);
    GCR_RST0 = 1u << 5;
    while (GCR_RST0 & 1u << 5) {}
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) |= 1u << 31;
    TMR_INTFL(0) |= 1u << 16 | 1;
    TMR_CTRL0(0) |= 1u << 14;
    while (!(TMR_CTRL1(0) & 1u << 3)) {}
    TMR_CNT(0) = 1;
    while (!(TMR_INTFL(0) & 1u << 8)) {}
    TMR_CMP(0) = 0xFFFFFFFF;
    print("hello at # Hz\n", core_hz);
    for (uint32_t count = 0; count < 3; count++) {
        TMR_CNT(0) = 1;
        TMR_CTRL0(0) |= 1u << 15;
        while (!(TMR_CTRL1(0) & 1u << 2)) {}
        delay(500000);
        TMR_CTRL0(0) &= ~(1u << 15);
        print("# us\n", TMR_CNT(0) / 50);
    }
    print("serial # ", REG(0x10800000) >> 31);
    while (UART_STATUS & 1u) {}
}
