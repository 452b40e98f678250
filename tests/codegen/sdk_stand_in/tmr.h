#ifndef TMR_H
#define TMR_H

typedef struct mxc_tmr_regs mxc_tmr_regs_t;
#define MXC_TMR0 ((mxc_tmr_regs_t *)0x40010000)
#define MXC_TMR1 ((mxc_tmr_regs_t *)0x40011000)
#define MXC_TMR2 ((mxc_tmr_regs_t *)0x40012000)

void MXC_TMR_SW_Start(mxc_tmr_regs_t *timer);
unsigned MXC_TMR_SW_Stop(mxc_tmr_regs_t *timer); /* microseconds */

#endif
