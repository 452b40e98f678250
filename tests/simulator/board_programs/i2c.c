// I2C1 as a driver uses it: PMIC identity, a command and its echo, an address nobody has.
#include "board.h"
#ifdef CAMERA
#define I2C(offset) REG(0x4001F000 + (offset))
#else
#define I2C(offset) REG(0x4001E000 + (offset))
#endif
#define INTFL0 I2C(0x08)
#define FIFO I2C(0x2C)
#define MSTCTRL I2C(0x30)
#define ERRORS 0x7F00u
volatile uint32_t identity, echo, nack, ticks, interrupts, pair;
void i2c1_handler(void) { interrupts++; I2C(0x0C) = 0; }
static int stop(void)
{
    MSTCTRL |= 4;
    while (!(INTFL0 & 1u << 6)) {}
    const uint32_t errors = INTFL0 & ERRORS;
    INTFL0 = INTFL0;
    return errors ? -1 : 0;
}
static void begin(void)
{
    I2C(0x24) |= 1u << 7;
    I2C(0x1C) |= 1u << 7;
    INTFL0 = INTFL0;
}
static int write_to(uint32_t address, const uint8_t *bytes, uint32_t count)
{
    begin();
    FIFO = address << 1;
    MSTCTRL |= 1;
    for (uint32_t n = 0; n < count; n++) {
        while (I2C(0x04) & 1u << 4) {}
        FIFO = bytes[n];
        if (INTFL0 & ERRORS) break;
    }
    return stop();
}
static uint32_t read_from(uint32_t address, uint8_t place, uint32_t count)
{
    uint32_t value = 0;
    begin();
    FIFO = address << 1;
    FIFO = place;
    MSTCTRL |= 1;
    while (!(INTFL0 & 1u)) {}
    INTFL0 = 1;
    I2C(0x1C) = 1u << 8;
    I2C(0x20) = count;
    MSTCTRL |= 2;
    while (MSTCTRL & 2u) {}
    FIFO = address << 1 | 1;
    for (uint32_t n = 0; n < count; n++) {
        while (!(INTFL0 & 1u << 4)) {}
        value = value << 8 | FIFO;
    }
    stop();
    return value;
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 28 | 1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    GCR_PCLKDIS1 &= ~(1u << 24);
    I2C(0x00) = 3;
    I2C(0x34) = 249;
    I2C(0x38) = 249;
#ifdef CAMERA
    identity = read_from(0x3C, 0x0A, 1) << 8;
    identity |= read_from(0x3C, 0x0B, 1);
    static const uint8_t format[] = {0x12, 6};
    write_to(0x3C, format, 2);
    echo = read_from(0x3C, 0x12, 1);
    return;
#endif
    identity = read_from(0x28, 0, 1);
    static const uint8_t command[] = {0x17, 0x42}, supply[] = {0x0F, 1, 0x13};
    const uint32_t before = TMR_CNT(0);
    write_to(0x28, command, 2);
    ticks = TMR_CNT(0) - before;
    echo = read_from(0x28, 0x18, 1);
    write_to(0x28, supply, 3);
    pair = read_from(0x28, 0x0F, 2);
    nack = write_to(0x55, command, 2) != 0;
    irq_enable(36);
    I2C(0x0C) = 1u << 6;
    write_to(0x28, command, 2);
}
