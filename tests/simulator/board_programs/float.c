// A loop of floating-point arithmetic that a timer interrupt, which computes too, cuts anywhere.
#include "board.h"
volatile uint32_t hits;
volatile float result, other = 1.0f;
void systick_handler(void) { hits++; other = other * 1.0001f + 0.5f; }
void program(void)
{
    SYST_RVR = 96;
    SYST_CVR = 0;
    SYST_CSR = 7;
    float a = 0.0f, b = 1.0f;
    for (int i = 0; i < 20000; i++) {
        a += b * 0.5f;
        b = (i & 3) == 0 ? b + 0.25f : (i & 1) ? b - 0.125f : b;
        b = b > 100.0f ? 1.0f : b;
    }
    SYST_CSR = 0;
    result = a;
}
