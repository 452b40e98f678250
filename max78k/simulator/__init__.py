"""A virtual MAX78000FTHR: Cortex-M4, peripherals and the CNN accelerator."""
