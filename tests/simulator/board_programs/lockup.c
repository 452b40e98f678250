// A fault inside the handler of the last resort.
#include "board.h"
void hard_fault(void) { REG(0x30000004) = 1; }
void program(void) { REG(0x30000000) = 1; }
