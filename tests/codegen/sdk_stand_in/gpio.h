#ifndef STAND_IN_GPIO_H
#define STAND_IN_GPIO_H

#include <stdint.h>

typedef struct mxc_gpio_regs mxc_gpio_regs_t; /* complete in the stand-in's own source */
#define MXC_GPIO0 ((mxc_gpio_regs_t *)0x40008000)
#define MXC_GPIO1 ((mxc_gpio_regs_t *)0x40009000)
#define MXC_GPIO2 ((mxc_gpio_regs_t *)0x40080400)
#define MXC_GPIO_PIN_2 (1U << 2)
#define MXC_GPIO_PIN_5 (1U << 5)

typedef enum { MXC_GPIO_PAD_NONE } mxc_gpio_pad_t;
typedef enum { MXC_GPIO_FUNC_IN, MXC_GPIO_FUNC_OUT } mxc_gpio_func_t;
typedef struct {
    mxc_gpio_regs_t *port;
    uint32_t mask;
    mxc_gpio_func_t func;
    mxc_gpio_pad_t pad;
} mxc_gpio_cfg_t;

int MXC_GPIO_Config(const mxc_gpio_cfg_t *configuration);
void MXC_GPIO_OutSet(mxc_gpio_regs_t *port, uint32_t mask);
void MXC_GPIO_OutClr(mxc_gpio_regs_t *port, uint32_t mask);

#endif
