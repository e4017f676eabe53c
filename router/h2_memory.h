/*
 * What nghttp2 keeps of a connection: 25 kB, most of it zero, and most of it never looked at while the connection idles (a
 * frame of 16 kB, a table of 256 streams, two of header fields). It lies in a room of whole pages of its own. At rest what is
 * not zero in them is packed, about 2 kB, and the pages go back to the kernel; before nghttp2 is called again the room is
 * as it was, byte by byte. So nothing here depends on what nghttp2 keeps where. What is small stays in malloc's hands.
 */
#ifndef ROUTER_H2_MEMORY_H
#define ROUTER_H2_MEMORY_H

#include "lib/base.h"
#include <nghttp2/nghttp2.h>

#define H2_ROOM                                                                          \
	(28u << 10) /* what a session takes when it is made, and its first table of streams; whole pages */

/* A worker's rooms that no connection has. */
struct h2_rooms {
	void **free, **chunks;
	uint32_t n_free, cap_free, n_chunks;
};

struct h2_memory {
	char *room; /* NULL: all is in malloc's hands */
	uint32_t used;
	bool filling; /* the session is being made: what is large goes into the room */
	char *packed; /* at rest, else NULL: the room is empty */
};

/* Takes a room, if there is one. *ret calls for m's, which must not move. */
void h2_memory_open(struct h2_memory *m, struct h2_rooms *rooms, nghttp2_mem *ret);
/* When the session is deleted. */
void h2_memory_close(struct h2_memory *m, struct h2_rooms *rooms);
/* Until h2_memory_wake nothing may look at the session. */
void h2_memory_rest(struct h2_memory *m);
void h2_memory_wake(struct h2_memory *m);
/* No room may be in use. */
void h2_rooms_free(struct h2_rooms *rooms);

#endif
