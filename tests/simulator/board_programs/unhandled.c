// An interrupt whose vector leads to an endless loop.
#include "board.h"
void program(void) { irq_enable(6); NVIC_ISPR(0) = 1u << 6; BARRIER(); }
