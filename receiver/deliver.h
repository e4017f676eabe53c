/*
 * A pack that was made here becomes a push: git's client side, as far as it takes (gitprotocol-pack(5), pushing), so that
 * what git receive-pack and its hooks do is what they do for anybody. Libc only.
 */
#ifndef RECEIVER_DELIVER_H
#define RECEIVER_DELIVER_H

#include "lib/base.h"

#define DELIVER_OPTION_MAX 1024

/* "message=" and the message's first line, as a push option takes it: cut, without control characters. False: it has none. */
bool deliver_option(const char *message, char out[DELIVER_OPTION_MAX]);
/*
 * Reads "OLD NEW REF\n" from fd `in`; what follows there is the pack. Nothing at all there: nothing to do, 0. Else start(arg)
 * has git receive-pack run as a child with its input and output at in_fd and out_fd, and returns its pid or -1. option:
 * of the push, "KEY=VALUE", or NULL. Watches fd 1: when its reader goes the child's descriptors are closed, so that it
 * ends. The exit status, 0 when the ref is where it should be; failures were said.
 */
int deliver(int in, const char *option, int (*start)(void *arg, int in_fd, int out_fd),
	void *arg);

#endif
