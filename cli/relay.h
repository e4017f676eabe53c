/* Between this terminal (or these pipes) and a program inside berth, after the API's
 * upgrade. */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "lib/client.h"

/*
 * The upgraded connection's bytes and descriptors (docs/API.md, Upgrade), until the
 * program has ended and all it wrote is out. tty: the one descriptor is a pty's master;
 * fd 0 becomes raw meanwhile, when it is a terminal. Signals that end or resize us go to
 * the program. Its exit status; 141 when nobody reads what it writes, as SIGPIPE would have ended it; failed when control went
 * away or our output cannot be written, which is said.
 */
int relay_run(struct client *c, bool tty, int failed);

/* The size of the terminal at fd 0 or 1; 24 x 80 without one. */
void relay_size(unsigned int *rows, unsigned int *cols);

#endif
