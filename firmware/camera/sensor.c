/* SPDX-License-Identifier: Apache-2.0 */
/* The image sensor OVM7692: a sensor of 640 x 480 pixels that scales pictures down by itself. */

#include "sensor.h"

#include <stdbool.h>
#include <stdint.h>

#include "camera.h"
#include "max78000.h"
#include "pins.h"
#include "pmic.h"
#include "sccb.h"
#include "timer.h"

#define CLOCK_PIN (1U << 18) /* P0.18 */
#define SQUARE_WAVE 1U
/* For the nominal 10 MHz from 50 MHz the drivers of this chip program 4; whether a step is half a
 * period or a quarter, the result lies within the 6 ... 27 MHz that the sensor takes. */
#define CLOCK_STEPS 4U
#define CLOCK_SETTLE_US 300000U
#define RESET_US 10000U

#define USUAL_ADDRESS 0x3CU
#define LAST_ADDRESS 0x77U
#define REG_PRODUCT_HIGH 0x0AU
#define REG_PRODUCT_LOW 0x0BU
#define PRODUCT 0x7692U
#define REG_CONTROL 0x12U
#define CONTROL_RESET 0x80U

#define SENSOR_ROWS 480U
#define SENSOR_COLUMNS 640U
#define HIGH(value) (uint8_t)((value) >> 8)
#define LOW(value) (uint8_t)((value)&0xFFU)

struct setting {
    uint8_t number;
    uint8_t value;
};

static const struct setting settings[] = {
    /* The second bank holds the serial interface, which is not used: off. */
    {0xFF, 0x01}, {0xB5, 0x30}, {0xFF, 0x00},
    /* Clocks: no prescaler, system clock / 2, pixel clock = system clock, slower for small
     * pictures. */
    {0x11, 0x00}, {0x31, 0x82}, {0x37, 0x00}, {0x5E, 0x10}, {0x64, 0x11}, {0x16, 0x07},
    /* Format: RGB565; scaling both ways, colour matrix; both axes turned as the board holds it. */
    {REG_CONTROL, 0x06}, {0x82, 0x03}, {0x81, 0x3F}, {0x0C, 0xD6},
    /* Sizes: what goes into the scaler, what comes out. */
    {0xC8, HIGH(SENSOR_COLUMNS)}, {0xC9, LOW(SENSOR_COLUMNS)},
    {0xCA, HIGH(SENSOR_ROWS)}, {0xCB, LOW(SENSOR_ROWS)},
    {0xCC, HIGH(CAMERA_COLUMNS)}, {0xCD, LOW(CAMERA_COLUMNS)},
    {0xCE, HIGH(CAMERA_ROWS)}, {0xCF, LOW(CAMERA_ROWS)},
    /* Exposure, gain (at most 16) and white balance by themselves, with the flicker filter. */
    {0x13, 0xEF}, {0x14, 0x30}, {0x69, 0x02},
    /* Run. */
    {0x0E, 0x00},
};

static void start_clock(void)
{
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_PT;
    pins_select(GPIO0_BASE, CLOCK_PIN, PIN_ALTERNATE_1);
    PTG_ENABLE &= ~1U;
    PTG_RATE_LENGTH0 = PTG_RATE_LENGTH0_RATE(CLOCK_STEPS) | PTG_RATE_LENGTH0_MODE(SQUARE_WAVE);
    PTG_ENABLE |= 1U;
    timer_wait(CLOCK_SETTLE_US);
}

/* The documents disagree on the address: ask for the usual one first, then for all. */
static uint8_t find_address(void)
{
    if (sccb_answers(USUAL_ADDRESS)) {
        return USUAL_ADDRESS;
    }
    for (uint8_t address = 1U; address <= LAST_ADDRESS; address++) {
        if (sccb_answers(address)) {
            return address;
        }
    }
    return 0U;
}

static bool is_ovm7692(uint8_t address)
{
    uint8_t high = 0U;
    uint8_t low = 0U;
    return sccb_read(address, REG_PRODUCT_HIGH, &high) &&
           sccb_read(address, REG_PRODUCT_LOW, &low) && ((uint32_t)high << 8 | low) == PRODUCT;
}

enum sensor_state sensor_init(void)
{
    if (!pmic_camera_on()) {
        return SENSOR_NO_POWER;
    }
    start_clock();
    sccb_init();
    const uint8_t address = find_address();
    if (address == 0U) {
        return SENSOR_NO_ANSWER;
    }
    if (!is_ovm7692(address)) {
        return SENSOR_UNKNOWN;
    }
    bool taken = sccb_write(address, REG_CONTROL, CONTROL_RESET);
    timer_wait(RESET_US);
    for (uint32_t index = 0; index < sizeof settings / sizeof settings[0]; index++) {
        taken = sccb_write(address, settings[index].number, settings[index].value) && taken;
    }
    return taken ? SENSOR_READY : SENSOR_REFUSED;
}
