#ifndef ICC_H
#define ICC_H

typedef struct mxc_icc_regs mxc_icc_regs_t;
#define MXC_ICC0 ((mxc_icc_regs_t *)0x4002A000)

void MXC_ICC_Enable(mxc_icc_regs_t *cache);

#endif
