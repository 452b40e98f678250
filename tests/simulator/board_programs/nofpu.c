// Uses the floating-point unit; built with NO_FPU the start-up code leaves it off.
#include "board.h"
volatile float x = 2.0f;
void program(void) { x = x * 1.5f; }
