#ifndef STAND_IN_STDIO_H
#define STAND_IN_STDIO_H

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
