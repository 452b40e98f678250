// The camera's control bus, bit by bit: scan for the address, identity, a register, a reset.
#include "board.h"
#define SCL (1u << 30)
#define SDA (1u << 31)
#define GPIO0(offset) REG(0x40008000 + (offset))
volatile uint32_t found, product, maker, format, after_reset;
static void wait(void) { for (volatile int n = 0; n < 5; n++) {} }
static void scl(int level) { if (level) GPIO0(0x1C) = SCL; else GPIO0(0x20) = SCL; wait(); }
static void sda(int level)
{
    if (level) GPIO0(0x1C) = SDA; else GPIO0(0x20) = SDA;
    GPIO0(0x10) = SDA;
    wait();
}
static int sda_in(void) { GPIO0(0x14) = SDA; wait(); return (GPIO0(0x24) & SDA) != 0; }
static void start(void) { sda(1); scl(1); sda(0); scl(0); }
static void stop(void) { sda(0); scl(1); sda(1); }
static int put(uint8_t byte)
{
    for (int bit = 7; bit >= 0; bit--) { sda(byte >> bit & 1); scl(1); scl(0); }
    sda_in();
    scl(1);
    const int nack = sda_in();
    scl(0);
    return nack;
}
static uint8_t get(void)
{
    uint8_t byte = 0;
    sda_in();
    for (int bit = 0; bit < 8; bit++) { scl(1); byte = (uint8_t)(byte << 1 | sda_in()); scl(0); }
    sda(1);  // no more
    scl(1);
    scl(0);
    return byte;
}
static uint32_t read_register(uint8_t number)
{
    start(); put((uint8_t)(found << 1)); put(number); stop();
    start(); put((uint8_t)(found << 1 | 1));
    const uint32_t value = get();
    stop();
    return value;
}
static void write_register(uint8_t number, uint8_t value)
{
    start(); put((uint8_t)(found << 1)); put(number); put(value); stop();
}
void program(void)
{
    GCR_PCLKDIS0 &= ~1u;
    GPIO0(0x1C) = SCL | SDA;
    GPIO0(0x10) = SCL | SDA;
    for (uint32_t address = 1; address < 0x7F && !found; address++) {
        start();
        if (!put((uint8_t)(address << 1))) found = address;
        stop();
    }
    product = read_register(0x0A) << 8 | read_register(0x0B);
    maker = read_register(0x1C) << 8 | read_register(0x1D);
    write_register(0x12, 6);
    format = read_register(0x12);
    write_register(0x12, 0x80);
    after_reset = read_register(0x12);
}
