/* SPDX-License-Identifier: Apache-2.0 */
/* Amplitude, level, mean and gain of channel state information. */

#include "csi.h"

static uint32_t square_root(uint32_t value)
{
    uint32_t root = 0U;
    for (uint32_t bit = 1U << 30; bit != 0U; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

bool csi_setup(struct csi_window *window, uint32_t packets, uint32_t values, uint32_t gain,
               const uint8_t *subcarriers, uint32_t channels)
{
    window->packets = 0U;
    window->taken = 0U;
    if (channels == 0U || channels > CSI_MOST_CHANNELS || packets == 0U ||
        packets > window->room / channels || values > CSI_MOST_VALUES || values % 2U != 0U ||
        gain == 0U || gain > CSI_MOST_GAIN) {
        return false;
    }
    for (uint32_t channel = 0; channel < channels; channel++) {
        if (subcarriers[channel] >= values / 2U) {
            return false;
        }
        window->subcarriers[channel] = subcarriers[channel];
    }
    window->packets = packets;
    window->channels = channels;
    window->values = values;
    window->gain = gain;
    return true;
}

void csi_take(struct csi_window *window, const int8_t *packet)
{
    if (window->packets == 0U) {
        return;
    }
    const uint32_t channels = window->channels;
    uint32_t amplitude[CSI_MOST_CHANNELS]; /* in sixteenths, at most 2,896 */
    uint32_t sum = 0U;
    for (uint32_t channel = 0; channel < channels; channel++) {
        const int8_t *pair = packet + 2U * window->subcarriers[channel];
        amplitude[channel] = square_root(256U * (uint32_t)(pair[0] * pair[0] + pair[1] * pair[1]));
        sum += amplitude[channel];
    }
    uint16_t *row = window->scaled + (window->taken % window->packets) * channels;
    for (uint32_t channel = 0; channel < channels; channel++) {
        const uint32_t scaled = amplitude[channel] * channels * CSI_LEVEL + sum / 2U;
        row[channel] = (uint16_t)(sum == 0U ? 0U : scaled / sum);
    }
    /* beyond the first window only the place in the ring counts */
    window->taken++;
    if (window->taken == 2U * window->packets) {
        window->taken = window->packets;
    }
}

bool csi_input(const struct csi_window *window, int8_t *input)
{
    const uint32_t packets = window->packets;
    if (packets == 0U || window->taken < packets) {
        return false;
    }
    const uint32_t oldest = window->taken % packets;
    for (uint32_t channel = 0; channel < window->channels; channel++) {
        uint32_t sum = 0U;
        for (uint32_t index = 0; index < packets; index++) {
            sum += window->scaled[index * window->channels + channel];
        }
        const int32_t mean = (int32_t)((sum + packets / 2U) / packets);
        uint32_t place = oldest;
        for (uint32_t index = 0; index < packets; index++) {
            const int32_t change = window->scaled[place * window->channels + channel] - mean;
            const int32_t value = (change * (int32_t)window->gain + 128) >> 8;
            *input++ = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
            place = place + 1U == packets ? 0U : place + 1U;
        }
    }
    return true;
}
