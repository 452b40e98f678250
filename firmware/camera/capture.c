/* SPDX-License-Identifier: Apache-2.0 */
/* The parallel camera interface, emptied by a channel of the DMA. */

#include "capture.h"

#include "clock.h"
#include "cortex_m4.h"
#include "pins.h"
#include "timer.h"

#define CHANNEL 3U
#define WORD_WIDTH 2U
#define WORD_BURST 3U /* bytes - 1 */
#define SINGLE_PICTURE 1U
#define FIFO_WORDS 64U /* no FIFO is deeper: bounds the loop that empties it */
#define LONGEST_US 500000U
#define IDLE_CYCLES 1000U

#define PORT0_PINS (0xFFU << 20 | 1U << 15) /* data, vertical synchronization */
#define PORT1_PINS (3U << 8)                /* horizontal synchronization, pixel clock */

static bool under_way; /* started, and neither waited for nor given up */
static uint32_t begin_tick;
static volatile uint32_t end_tick;

void DMA3_Handler(void);
void DMA3_Handler(void)
{
    end_tick = timer_now();
    DMA_STATUS(CHANNEL) = DMA_STATUS_CTZ; /* the end of the transfer ends a sleep */
    dsb();
}

void capture_init(void)
{
    GCR_PCLKDIS1 &= ~GCR_PCLKDIS1_PCIF;
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_DMA;
    pins_select(GPIO0_BASE, PORT0_PINS, PIN_ALTERNATE_2);
    pins_select(GPIO1_BASE, PORT1_PINS, PIN_ALTERNATE_1);
    DMA_INTEN |= 1U << CHANNEL;
    interrupt_enable_line(IRQ_DMA0 + CHANNEL);
}

void capture_start(uint32_t *picture, uint32_t bytes)
{
    if (under_way) {
        return;
    }
    under_way = true;
    begin_tick = timer_now();
    PCIF_CTRL = PCIF_CTRL_PCIF_SYS;
    for (uint32_t word = 0; word < FIFO_WORDS; word++) {
        if ((PCIF_INT_FL & PCIF_INT_FL_FIFO_NOT_EMPTY) == 0U) {
            break;
        }
        (void)PCIF_FIFO_DATA; /* of a picture that was given up */
    }
    PCIF_INT_FL = PCIF_INT_FL;
    DMA_STATUS(CHANNEL) = DMA_STATUS(CHANNEL);
    DMA_DST(CHANNEL) = (uint32_t)(uintptr_t)picture;
    DMA_CNT(CHANNEL) = bytes;
    DMA_CTRL(CHANNEL) = DMA_CTRL_CTZ_IE | DMA_CTRL_BURST(WORD_BURST) | DMA_CTRL_DSTINC |
                    DMA_CTRL_DSTWD(WORD_WIDTH) | DMA_CTRL_SRCWD(WORD_WIDTH) |
                    DMA_CTRL_REQUEST(DMA_REQUEST_PCIF) | DMA_CTRL_EN;
    PCIF_CTRL = PCIF_CTRL_PCIF_SYS | PCIF_CTRL_RX_DMA | PCIF_CTRL_RX_DMA_THRSH(1U) |
                PCIF_CTRL_READ_MODE(SINGLE_PICTURE);
}

static bool running(void)
{
    return (DMA_STATUS(CHANNEL) & DMA_STATUS_RUNNING) != 0U;
}

void capture_cancel(void)
{
    DMA_CTRL(CHANNEL) = 0U;
    PCIF_CTRL = 0U;
    under_way = false;
}

uint32_t capture_ticks(void)
{
    return end_tick - begin_tick;
}

bool capture_wait(bool may_sleep)
{
    while (running()) {
        if (timer_now() - begin_tick > timer_ticks(LONGEST_US)) {
            capture_cancel();
            return false;
        }
        if (!may_sleep) {
            clock_spend_cycles(IDLE_CYCLES);
            continue;
        }
        interrupts_disable(); /* an end from here on still ends the sleep */
        if (running()) {
            wait_for_interrupt();
        }
        interrupts_enable();
    }
    under_way = false;
    return true;
}
