#ifndef LED_H
#define LED_H

void LED_On(unsigned number);
void LED_Off(unsigned number);

#endif
