#include "board.h"
__attribute__((noinline)) void culprit(void) { REG(0x30000000) = 1; }
void program(void) { culprit(); }
