/* The last lines that one instance wrote, for who waited for its start or its end. */
#ifndef CONTROL_TAIL_H
#define CONTROL_TAIL_H

#include "control/control.h"

/*
 * Appends at most n last lines of source ("app[web.1]") stamped at or after since_us, without stamp and source. The
 * logger may still be writing: waits until the log stands still, at most 300 ms. False: there were more lines, or may have
 * been before what is read, the end of the newest segment.
 */
bool tail_read(struct control *c, uint32_t app, const char *source, uint64_t since_us,
	unsigned int n, struct buf *out);

#endif
