/* SPDX-License-Identifier: Apache-2.0 */
/* The power chip takes commands: arguments in registers, then the command, then an answer. */

#include "pmic.h"

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "max78000.h"
#include "pins.h"
#include "timer.h"

#define ADDRESS 0x28U
#define BUS_HZ 100000U
#define BUS_PINS (3U << 16) /* P0.16 clock, P0.17 data */

#define REGISTER_ARGUMENTS 0x0FU
#define REGISTER_COMMAND 0x17U
#define REGISTER_RESULT 0x18U
#define COMMAND_LDO2 0x42U
#define LDO_ON 0x01U
#define LDO_2V8 0x13U
#define COMMAND_US 10000U

#define FAILURES                                                                                   \
    (I2C_INTFL0_ARB_ERR | I2C_INTFL0_TO_ERR | I2C_INTFL0_ADDR_NACK_ERR | I2C_INTFL0_DATA_ERR |      \
     I2C_INTFL0_DNR_ERR | I2C_INTFL0_START_ERR | I2C_INTFL0_STOP_ERR)

static void bus_init(void)
{
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_I2C1;
    pins_select(GPIO0_BASE, BUS_PINS, PIN_ALTERNATE_1);
    I2C_CTRL(I2C1_BASE) = I2C_CTRL_EN | I2C_CTRL_MST_MODE;
    const uint32_t half = timer_hz() / BUS_HZ / 2U - 1U; /* both count the peripheral clock */
    I2C_CLKLO(I2C1_BASE) = half;
    I2C_CLKHI(I2C1_BASE) = half;
}

static void begin(void)
{
    I2C_TXCTRL0(I2C1_BASE) |= I2C_TXCTRL0_FLUSH;
    I2C_RXCTRL0(I2C1_BASE) |= I2C_RXCTRL0_FLUSH;
    I2C_INTFL0(I2C1_BASE) = I2C_INTFL0(I2C1_BASE);
}

static bool end(void)
{
    I2C_MSTCTRL(I2C1_BASE) |= I2C_MSTCTRL_STOP;
    const bool stopped = clock_wait_bits(&I2C_INTFL0(I2C1_BASE), I2C_INTFL0_STOP, true);
    return stopped && (I2C_INTFL0(I2C1_BASE) & FAILURES) == 0U;
}

/* count + 1 bytes fit the FIFO of eight beside the address. */
static bool write_registers(uint8_t first, const uint8_t *values, size_t count)
{
    begin();
    I2C_FIFO(I2C1_BASE) = ADDRESS << 1;
    I2C_FIFO(I2C1_BASE) = first;
    for (size_t index = 0; index < count; index++) {
        I2C_FIFO(I2C1_BASE) = values[index];
    }
    I2C_MSTCTRL(I2C1_BASE) |= I2C_MSTCTRL_START;
    clock_wait_bits(&I2C_STATUS(I2C1_BASE), I2C_STATUS_TX_EM, true);
    return end();
}

static bool read_register(uint8_t number, uint8_t *value)
{
    begin();
    I2C_FIFO(I2C1_BASE) = ADDRESS << 1;
    I2C_FIFO(I2C1_BASE) = number;
    I2C_MSTCTRL(I2C1_BASE) |= I2C_MSTCTRL_START;
    clock_wait_bits(&I2C_INTFL0(I2C1_BASE), I2C_INTFL0_DONE, true);
    I2C_RXCTRL0(I2C1_BASE) = I2C_RXCTRL0_THD(1);
    I2C_RXCTRL1(I2C1_BASE) = I2C_RXCTRL1_CNT(1);
    I2C_MSTCTRL(I2C1_BASE) |= I2C_MSTCTRL_RESTART;
    clock_wait_bits(&I2C_MSTCTRL(I2C1_BASE), I2C_MSTCTRL_RESTART, false);
    I2C_FIFO(I2C1_BASE) = ADDRESS << 1 | 1U;
    const bool there = clock_wait_bits(&I2C_INTFL0(I2C1_BASE), I2C_INTFL0_RX_THD, true);
    *value = (uint8_t)I2C_FIFO(I2C1_BASE);
    return end() && there;
}

bool pmic_camera_on(void)
{
    bus_init();
    static const uint8_t arguments[] = {LDO_ON, LDO_2V8};
    static const uint8_t command = COMMAND_LDO2;
    uint8_t result;
    if (!write_registers(REGISTER_ARGUMENTS, arguments, sizeof arguments) ||
        !write_registers(REGISTER_COMMAND, &command, 1U)) {
        return false;
    }
    timer_wait(COMMAND_US);
    return read_register(REGISTER_RESULT, &result) && result == COMMAND_LDO2;
}
