/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax to the base 2 on 32-bit outputs with 14 fractional bits, results with 15. */

#include "cnn.h"

#define ONE (1 << 14)
#define HALF (ONE / 2)
#define WINDOW (16 * ONE) /* what lies further below the largest value counts as 0 */
#define LARGEST_RESULT 0x7FFF

void softmax_q17p14_q15(const q31_t *vec_in, uint16_t dim_vec, q15_t *p_out)
{
    int64_t base = vec_in[0];
    for (int i = 1; i < dim_vec; i++) {
        if (vec_in[i] > base) {
            base = vec_in[i];
        }
    }
    base -= WINDOW;
    int64_t sum = 0;
    for (int i = 0; i < dim_vec; i++) {
        if (vec_in[i] > base) {
            sum += (int64_t)1 << ((HALF + vec_in[i] - base) >> 14);
        }
    }
    /* The largest value adds 2^16 to the sum: the quotient is 2^16 at most. */
    const int32_t scale = (int32_t)(((int64_t)1 << 32) / sum);
    for (int i = 0; i < dim_vec; i++) {
        int32_t result = 0;
        if (vec_in[i] > base) {
            result = scale >> (17 + ((HALF - 1 + base - vec_in[i]) >> 14));
        }
        p_out[i] = (q15_t)(result > LARGEST_RESULT ? LARGEST_RESULT : result);
    }
}

void softmax_shift_q17p14_q15(q31_t *vec_in, uint16_t dim_vec, uint8_t in_shift, q15_t *p_out)
{
    for (int i = 0; i < dim_vec; i++) {
        vec_in[i] = (q31_t)((uint32_t)vec_in[i] << in_shift);
    }
    softmax_q17p14_q15(vec_in, dim_vec, p_out);
}
