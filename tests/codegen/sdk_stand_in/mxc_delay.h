#ifndef MXC_DELAY_H
#define MXC_DELAY_H

#define SEC(s) ((s) * 1000000U)
#define MSEC(ms) ((ms) * 1000U)

int MXC_Delay(unsigned long microseconds);

#endif
