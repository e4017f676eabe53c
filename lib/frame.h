/*
 * Frames: what berth-backup, berth-control and the program that reads or writes files say to each other over pipes. A head
 * of eight bytes, little endian: the kind and how many bytes follow. Blocking descriptors; nothing is read beyond a frame,
 * so that another program may read the next one.
 */
#ifndef LIB_FRAME_H
#define LIB_FRAME_H

#include "lib/base.h"
#include "lib/buf.h"

#define FRAME_MAX ((size_t)1 << 20) /* of what follows the head: memory at both ends */
#define FRAME_HEAD 8u

enum frame_kind {
	FRAME_JSON = 'J',  /* a request of berth-backup's or control's answer to it */
	FRAME_ENTRY = 'E', /* of a tree (lib/stow.h) */
	FRAME_DATA = 'D',  /* bytes of the last entry, or of what was asked for */
	FRAME_HOLE = 'H',  /* uint64_t: so many zeros of the last entry, as a hole */
	FRAME_SAME =
		'S', /* uint64_t: the entry of that number in what the sender was given, with its bytes */
	FRAME_LOST =
		'L', /* of a tree, between its entries: text, what cannot be kept and why */
	FRAME_END = 'Z', /* of a tree or of bytes: struct frame_end */
};

struct frame_end {
	uint64_t entries, bytes; /* of files, holes not counted */
	uint64_t left_out;	 /* sockets, devices and what went while it was read */
};

struct frame {
	enum frame_kind kind;
	struct buf body; /* memory is kept from one to the next */
};

/* Writes one. 0, -EMSGSIZE over FRAME_MAX, or -errno of write(2). */
int frame_write(int fd, enum frame_kind kind, const void *data, size_t size);
/* Reads the next. 0; -EPIPE: the end came before its end; -EBADMSG: no frame; -errno. */
int frame_read(int fd, struct frame *f);
void frame_free(struct frame *f);
/* Only the head, at out. */
void frame_head(unsigned char out[FRAME_HEAD], enum frame_kind kind, size_t size);
/* The number in a FRAME_HOLE or FRAME_SAME. 0 or -EBADMSG. */
int frame_number(const struct frame *f, uint64_t *ret);
int frame_end_read(const struct frame *f, struct frame_end *ret);

#endif
