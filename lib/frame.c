/* Frames over pipes. */
#include "lib/frame.h"
#include "lib/io.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

void frame_head(unsigned char out[FRAME_HEAD], enum frame_kind kind, size_t size)
{
	uint32_t word[2] = {htole32((uint32_t)kind), htole32((uint32_t)size)};

	memcpy(out, word, FRAME_HEAD);
}

int frame_write(int fd, enum frame_kind kind, const void *data, size_t size)
{
	unsigned char head[FRAME_HEAD];
	int r;

	if (size > FRAME_MAX)
		return -EMSGSIZE;
	frame_head(head, kind, size);
	r = io_write_all(fd, head, sizeof(head));
	return r < 0 || size == 0 ? r : io_write_all(fd, data, size);
}

static bool is_kind(uint32_t word)
{
	return word == FRAME_JSON || word == FRAME_ENTRY || word == FRAME_DATA ||
	       word == FRAME_HOLE || word == FRAME_SAME || word == FRAME_LOST ||
	       word == FRAME_END;
}

int frame_read(int fd, struct frame *f)
{
	uint32_t word[2];
	int r = io_read_full(fd, word, sizeof(word));

	if (r < 0)
		return r;
	f->kind = (enum frame_kind)le32toh(word[0]);
	size_t size = le32toh(word[1]);
	if (!is_kind((uint32_t)f->kind) || size > FRAME_MAX)
		return -EBADMSG;
	buf_reset(&f->body);
	if (!buf_room(&f->body, size + 1))
		return -ENOMEM;
	r = io_read_full(fd, f->body.data, size);
	if (r < 0)
		return r;
	f->body.len = size;
	f->body.data[size] = '\0';
	return 0;
}

void frame_free(struct frame *f)
{
	buf_free(&f->body);
}

int frame_number(const struct frame *f, uint64_t *ret)
{
	uint64_t v;

	if (f->body.len != sizeof(v))
		return -EBADMSG;
	memcpy(&v, f->body.data, sizeof(v));
	*ret = le64toh(v);
	return 0;
}

int frame_end_read(const struct frame *f, struct frame_end *ret)
{
	uint64_t v[3];

	if (f->kind != FRAME_END || f->body.len != sizeof(v))
		return -EBADMSG;
	memcpy(v, f->body.data, sizeof(v));
	*ret = (struct frame_end){le64toh(v[0]), le64toh(v[1]), le64toh(v[2])};
	return 0;
}
