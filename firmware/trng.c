/* SPDX-License-Identifier: Apache-2.0 */
/* The random number generator. */

#include "trng.h"

#include "clock.h"
#include "max78000.h"

bool trng_read(uint32_t *word)
{
    GCR_PCLKDIS1 &= ~GCR_PCLKDIS1_TRNG;
    if (!clock_wait_bits(&TRNG_STATUS, TRNG_STATUS_RDY, true)) {
        return false;
    }
    *word = TRNG_DATA;
    return true;
}
