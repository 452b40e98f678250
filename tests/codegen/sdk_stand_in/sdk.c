/* The stand-in's functions. The start-up code calls __wrap_main in the place of main. */

#include <stdarg.h>
#include <stdbool.h>

#include "clock.h"
#include "cortex_m4.h"
#include "icc.h"
#include "led.h"
#include "lp.h"
#include "mxc_delay.h"
#include "mxc_device.h"
#include "mxc_sys.h"
#include "nvic_table.h"
#include "stdio.h"
#include "timer.h"
#include "tmr.h"
#include "uart.h"

#include "gpio.h"

#define LED_PINS 3U

int __wrap_main(void);
int __real_main(void);
void CNN_ISR(void);

int vectors_set; /* seen by the tests, like the next one */
int sleeps;
static uint32_t stop_watch;

int __wrap_main(void)
{
    GCR_PCLKDIS0 &= ~(GCR_PCLKDIS0_GPIO0 | GCR_PCLKDIS0_GPIO1);
    LPGCR_PCLKDIS &= ~LPGCR_PCLKDIS_GPIO2;
    GPIO_OUT_SET(GPIO2_BASE) = LED_PINS;
    GPIO_OUTEN_SET(GPIO2_BASE) = LED_PINS;
    GPIO_EN0_SET(GPIO2_BASE) = LED_PINS;
    GPIO_EN0_CLR(GPIO0_BASE) = 3U; /* the console's pins */
    timer_init(clock_init());
    uart_init(115200U);
    SIMO_VREGO_C = SIMO_VREGO_C_CNN;
    __real_main();
    uart_finish();
    for (;;) {
        wait_for_interrupt();
    }
}

int MXC_SYS_Clock_Select(mxc_sys_system_clock_t clock)
{
    (void)clock; /* main has selected it */
    return 0;
}

void SystemCoreClockUpdate(void) {}

void MXC_ICC_Enable(mxc_icc_regs_t *cache)
{
    (void)cache;
}

void MXC_SYS_ClockEnable(mxc_sys_periph_clock_t clock)
{
    (void)clock;
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_CNN;
}

void MXC_SYS_ClockDisable(mxc_sys_periph_clock_t clock)
{
    (void)clock;
    GCR_PCLKDIS0 |= GCR_PCLKDIS0_CNN;
}

void MXC_NVIC_SetVector(IRQn_Type irq, void (*handler)(void))
{
    vectors_set += irq == CNN_IRQn && handler == CNN_ISR; /* it is in the table already */
}

void NVIC_EnableIRQ(IRQn_Type irq)
{
    interrupt_enable_line((uint32_t)irq);
}

int MXC_Delay(unsigned long microseconds)
{
    const uint32_t begin = timer_now();
    const uint32_t ticks = timer_ticks((uint32_t)microseconds);
    while (timer_now() - begin < ticks) {
        wait_for_interrupt(); /* the system tick at the latest; asleep, virtual time flies */
    }
    return 0;
}

void MXC_LP_EnterSleepMode(void)
{
    sleeps++;
    wait_for_interrupt();
}

void MXC_TMR_SW_Start(mxc_tmr_regs_t *timer)
{
    (void)timer;
    stop_watch = timer_now();
}

unsigned MXC_TMR_SW_Stop(mxc_tmr_regs_t *timer)
{
    (void)timer;
    return (timer_now() - stop_watch) / (timer_hz() / 1000000U);
}

void LED_On(unsigned number)
{
    GPIO_OUT_CLR(GPIO2_BASE) = 1U << number;
}

void LED_Off(unsigned number)
{
    GPIO_OUT_SET(GPIO2_BASE) = 1U << number;
}

int MXC_GPIO_Config(const mxc_gpio_cfg_t *configuration)
{
    if (configuration->func == MXC_GPIO_FUNC_OUT) {
        GPIO_OUTEN_SET((uint32_t)configuration->port) = configuration->mask;
        GPIO_EN0_SET((uint32_t)configuration->port) = configuration->mask;
    }
    return 0;
}

void MXC_GPIO_OutSet(mxc_gpio_regs_t *port, uint32_t mask)
{
    GPIO_OUT_SET((uint32_t)port) = mask;
}

void MXC_GPIO_OutClr(mxc_gpio_regs_t *port, uint32_t mask)
{
    GPIO_OUT_CLR((uint32_t)port) = mask;
}

static void put(char character)
{
    const uint8_t byte = (uint8_t)character;
    uart_write(&byte, 1U);
}

static void put_number(uint32_t value, uint32_t base, bool negative, int width, char fill)
{
    char digits[12];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0U);
    if (negative) {
        digits[count++] = '-';
    }
    for (; width > count; width--) {
        put(fill);
    }
    while (count > 0) {
        put(digits[--count]);
    }
}

static void put_item(char kind, int width, char fill, va_list *arguments)
{
    if (kind == 'd') {
        const int value = va_arg(*arguments, int);
        put_number(value < 0 ? 0U - (uint32_t)value : (uint32_t)value, 10U, value < 0, width, fill);
    } else if (kind == 'u' || kind == 'x') {
        put_number(va_arg(*arguments, unsigned), kind == 'x' ? 16U : 10U, false, width, fill);
    } else if (kind == 's') {
        for (const char *text = va_arg(*arguments, const char *); *text != '\0'; text++) {
            put(*text);
        }
    } else {
        put(kind);
    }
}

int printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        format++;
        const char fill = *format == '0' ? '0' : ' ';
        int width = 0;
        for (; *format >= '0' && *format <= '9'; format++) {
            width = 10 * width + (*format - '0');
        }
        put_item(*format, width, fill, &arguments);
    }
    va_end(arguments);
    return 0;
}
