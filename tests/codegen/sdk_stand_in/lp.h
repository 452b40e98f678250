#ifndef LP_H
#define LP_H

void MXC_LP_EnterSleepMode(void);

#endif
