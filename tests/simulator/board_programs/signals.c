// SPI by polling and by DMA, ADC, I2S by its interrupt, 1-Wire, AES, remainder by DMA.
#include "board.h"
#define SPI(offset) REG(0x40046000 + (offset))
#define SPI_BYTE (*(volatile uint8_t *)0x40046000)
#define ADC(offset) REG(0x40034000 + (offset))
#define I2S(offset) REG(0x40060000 + (offset))
#define OWM(offset) REG(0x4003D000 + (offset))
#define AES(offset) REG(0x40007400 + (offset))
#define KEY(n) REG(0x40007800 + 4 * (n))
#define CHANNEL(n, offset) REG(0x40028100 + 0x20 * (n) + (offset))
volatile uint32_t spi_ticks, code, i2s_ticks, presence, touched, crc, i2s_interrupts, limits;
volatile uint8_t answer[8], by_dma[8];
volatile uint32_t samples[16], taken, cipher[4];
static const uint8_t text[8] = {1, 2, 3, 4, 5, 6, 7, 8};
void i2s_handler(void)
{
    while (I2S(0x30) >> 24 && taken < 16) samples[taken++] = I2S(0x40);
    i2s_interrupts++;
    if (taken == 16) I2S(0x54) = 0;
}
static void spi_start(uint32_t dma)
{
    SPI(0x04) &= ~1u;
    SPI(0x08) = 8u | 8u << 16;
    SPI(0x1C) = 1u << 6 | 1u << 7 | 1u << 22 | 1u << 23 | dma;
    SPI(0x04) |= 1;
    SPI(0x20) = 1u << 11;
}
static void spi_polled(void)
{
    SPI(0x04) = 3u | 1u << 16;
    SPI(0x0C) = 8u << 8;
    SPI(0x14) = 5u | 5u << 8;  // 5 MHz
    spi_start(0);
    REG(0x40046000) = 0x04030201;
    for (int n = 4; n < 8; n++) SPI_BYTE = text[n];
    const uint32_t begin = TMR_CNT(0);
    SPI(0x04) |= 1u << 5;
    while (!(SPI(0x20) & 1u << 11)) {}
    spi_ticks = TMR_CNT(0) - begin;
    for (uint32_t n = 0; n < 8 && SPI(0x1C) >> 24 & 63; n++) answer[n] = SPI_BYTE;
}
static void spi_by_dma(void)
{
    spi_start(1u << 15 | 1u << 31 | 1);
    CHANNEL(0, 8) = (uint32_t)text; CHANNEL(0, 0x10) = 8;
    CHANNEL(0, 0) = 0x21u << 4 | 1u << 18 | 1;
    CHANNEL(1, 0x0C) = (uint32_t)by_dma; CHANNEL(1, 0x10) = 8;
    CHANNEL(1, 0) = 1u << 4 | 1u << 22 | 1;
    SPI(0x04) |= 1u << 5;
    while (!(CHANNEL(1, 4) & 4)) {}
}
static void adc(void)
{
    ADC(0x00) |= 1u << 11;
    ADC(0x0C) = 1u << 17;
    ADC(0x00) |= 2;
    ADC(0x00) |= 8;
    while (!(ADC(0x0C) & 1u << 17)) {}
    ADC(0x0C) = 1u << 17;
    ADC(0x10) = 3u << 24 | 100u << 12 | 1u << 30;
    ADC(0x00) |= 3u << 12 | 1u << 17;  // channel 3, divided by two
    ADC(0x0C) = 1u << 16;
    ADC(0x00) |= 1;
    while (ADC(0x04) & 1) {}
    code = ADC(0x08);
    limits = ADC(0x0C) >> 16 & 31;
}
static void microphone(void)
{
    irq_enable(99);
    I2S(0x00) = 4u << 24 | 2u << 14 | 2u << 12;
    I2S(0x10) = 5u << 16 | 31u;  // 12.288 MHz / 12 / 64 = 16 kHz
    I2S(0x10) |= 1u << 8;
    I2S(0x54) = 2;
    const uint32_t begin = TMR_CNT(0);
    I2S(0x00) |= 1u << 17;
    while (taken < 16) WFI();
    i2s_ticks = TMR_CNT(0) - begin;
}
static void aes(void)
{
    AES(0x00) = 0;
    while (AES(0x04) & 1) {}
    AES(0x00) |= 1;
    for (uint32_t n = 0; n < 4; n++) KEY(n) = 0x0C0D0E0F - n * 0x04040404;
    static const uint32_t block[4] = {0xCCDDEEFF, 0x8899AABB, 0x44556677, 0x00112233};
    AES(0x00) |= 1u << 4;
    AES(0x00) |= 1u << 5;
    for (int n = 0; n < 4; n++) AES(0x10) = block[n];
    while (!(AES(0x08) & 1)) {}
    AES(0x08) |= 1;
    for (int n = 0; n < 4; n++) cipher[n] = AES(0x10);
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15 | 1u << 6 | 1u << 5 | 1u << 23);
    GCR_PCLKDIS1 &= ~(1u << 23 | 1u << 13 | 1u << 15 | 1u << 14);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    spi_polled();
    spi_by_dma();
    adc();
    microphone();
    OWM(0x10) = 1;
    OWM(0x08) |= 1;
    while (!(OWM(0x10) & 1)) {}
    presence = OWM(0x08) >> 7 & 1;
    OWM(0x10) = 6;
    OWM(0x0C) = 0x33;
    while ((OWM(0x10) & 6) != 6) {}
    touched = OWM(0x0C);
    aes();
    REG(0x4000F008) = 0xEDB88320; REG(0x4000F00C) = 0xFFFFFFFF; REG(0x4000F000) = 3;
    CHANNEL(2, 8) = (uint32_t)text; CHANNEL(2, 0x10) = 8;
    CHANNEL(2, 0) = 0x2Cu << 4 | 1u << 18 | 1;
    while (!(CHANNEL(2, 4) & 4)) {}
    crc = ~REG(0x4000F00C);
}
