/* From pictures on standard input to inputs on standard output, as the firmware makes them. */

#include <stdio.h>
#include <stdlib.h>

#include "prepare.h"

int main(void)
{
    struct prepare_plan plan;
    uint32_t rows;
    while (fread(&rows, sizeof rows, 1, stdin) == 1 && fread(&plan, sizeof plan, 1, stdin) == 1) {
        const size_t bytes = 2U * rows * plan.picture_columns;
        const size_t values = plan.channels * plan.rows * plan.columns;
        uint8_t *picture = malloc(bytes);
        uint8_t *levels = malloc(plan.width);
        uint32_t *sums = malloc(plan.columns * sizeof *sums);
        int8_t *input = malloc(values);
        if (fread(picture, 1, bytes, stdin) != bytes) {
            return 1;
        }
        prepare(&plan, picture, levels, sums, input);
        fwrite(input, 1, values, stdout);
        free(picture);
        free(levels);
        free(sums);
        free(input);
    }
    return 0;
}
