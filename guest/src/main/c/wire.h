/* Framing and channels over the port. */
#ifndef CUBE_WIRE_H
#define CUBE_WIRE_H

#include <stdbool.h>

void wire_use_port(int fd);
void wire_use_listener(int fd);
bool wire_connected(void);      /* a host has said HELLO and is still there */
void wire_input(void);
void wire_flush(void);

#endif
