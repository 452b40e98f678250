/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_H
#define BOOT_H

#include <stdint.h>

/* Why this run started, a RESET_CAUSE_ value of the link protocol. Valid once; call at start. */
uint16_t boot_take_reset_cause(void);

/* Starts since power came on, counted in memory that a reset keeps. */
uint32_t boot_count(void);

/* Ends this run; the next one reports RESET_CAUSE_SOFTWARE. */
_Noreturn void boot_restart(void);

#endif
