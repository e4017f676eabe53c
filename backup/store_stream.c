/* A backup in one stream. */
#include "backup/store_inside.h"
#include "lib/io.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct record {
	char kind, zeros[3];
	uint32_t size;
	uint64_t number;
	unsigned char id[ID_SIZE];
};
_Static_assert(sizeof(struct record) == 48, "a record's head has no gaps");

/* ---- what is where ---- */

static struct spot *place(
	struct spot *spots, size_t room, const unsigned char id[ID_SIZE])
{
	uint64_t h;

	memcpy(&h, id, sizeof(h));
	while (spots[h & (room - 1)].size &&
		memcmp(spots[h & (room - 1)].id, id, ID_SIZE) != 0)
		h++;
	return &spots[h & (room - 1)];
}

const struct spot *stream_find(const struct store *s, const unsigned char id[ID_SIZE])
{
	const struct spot *p = s->room ? place(s->spots, s->room, id) : NULL;

	return p && p->size ? p : NULL;
}

static int add_spot(struct store *s, const struct spot *new)
{
	if (s->n_spots * 2 >= s->room) {
		size_t room = s->room ? s->room * 2 : 1024;
		struct spot *spots = calloc(room, sizeof(*spots));

		if (!spots)
			return -ENOMEM;
		for (size_t i = 0; i < s->room; i++)
			if (s->spots[i].size)
				*place(spots, room, s->spots[i].id) = s->spots[i];
		free(s->spots);
		s->spots = spots;
		s->room = room;
	}
	*place(s->spots, s->room, new->id) = *new;
	s->n_spots++;
	return 0;
}

/* ---- writing ---- */

static int put(struct store *s, char kind, const unsigned char id[ID_SIZE],
	const void *data, size_t size, struct err *e)
{
	struct record head = {.kind = kind, .number = htole64(s->number)};
	int r = seal(s->sealer, kind, s->number, id, data, size, &s->sealed);

	memcpy(head.id, id, ID_SIZE);
	head.size = htole32((uint32_t)s->sealed.len);
	if (r == 0)
		r = io_write_all(s->fd, &head, sizeof(head));
	if (r == 0)
		r = io_write_all(s->fd, s->sealed.data, s->sealed.len);
	if (r < 0)
		return err_sys(e, -r, "write the backup");
	struct spot spot = {.offset = s->at + sizeof(head),
		.number = s->number,
		.size = (uint32_t)s->sealed.len};
	memcpy(spot.id, id, ID_SIZE);
	s->number++;
	s->at += sizeof(head) + s->sealed.len;
	return kind == 'C' && add_spot(s, &spot) < 0 ? err_set(e, ENOMEM, "out of memory")
						     : 0;
}

int stream_put(struct store *s, const unsigned char id[ID_SIZE], const void *data,
	size_t size, struct err *e)
{
	return put(s, 'C', id, data, size, e);
}

int stream_make(
	struct store *s, const char *path, const struct secret *secret, struct err *e)
{
	int r;

	s->fd = strcmp(path, "-") == 0
			? STDOUT_FILENO
			: open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return errno == EEXIST ? err_set(e, EEXIST, "%s is there already", path)
				       : err_sys(e, errno, "make %s", path);
	r = key_make(secret, &s->header, &s->keys, e);
	if (r == 0 && (r = io_write_all(s->fd, &s->header, sizeof(s->header))) < 0)
		err_sys(e, -r, "write %s", path);
	s->at = sizeof(s->header);
	if (r < 0 && s->fd != STDOUT_FILENO)
		unlink(path);
	return r;
}

int stream_finish(struct store *s, const char *id, const json_t *list, struct err *e)
{
	char *text autofree = json_dumps(list, JSON_COMPACT);
	unsigned char name[ID_SIZE], end[ID_SIZE] = {0};
	uint64_t count;
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	list_name(s, id, name);
	r = put(s, 'L', name, text, strlen(text), e);
	count = htole64(s->number + 1);
	if (r == 0)
		r = put(s, 'E', end, &count, sizeof(count), e);
	if (r == 0 && s->fd != STDOUT_FILENO && fsync(s->fd) < 0)
		r = err_sys(e, errno, "write the backup to disk");
	return r;
}

/* ---- reading ---- */

/* A pipe is copied to a file without a name: sealed as it is. */
static int spool(struct err *e)
{
	const char *folder = getenv("TMPDIR");
	int fd = open(folder && *folder ? folder : "/var/tmp",
		O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *part autofree = malloc(1 << 20);
	ssize_t n;

	if (fd < 0 || !part)
		return err_sys(e, errno,
			"make a file in %s (TMPDIR names another folder)",
			folder && *folder ? folder : "/var/tmp");
	while ((n = read(STDIN_FILENO, part, 1 << 20)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		int r = n < 0 ? -errno : io_write_all(fd, part, (size_t)n);
		if (r < 0) {
			close(fd);
			return err_sys(e, -r, "copy what comes in");
		}
	}
	return fd;
}

static int fault(struct store *s, const char *what)
{
	snprintf(s->fault, sizeof(s->fault), "%s at byte %llu, in record %llu", what,
		(unsigned long long)s->at, (unsigned long long)s->number);
	return 0;
}

/* Record by record, without what is in them; a fault ends it and is remembered. */
static int scan(struct store *s, uint64_t size, struct err *e)
{
	char last = 0;

	while (s->at < size && last != 'E') {
		struct record head;

		if (size - s->at < sizeof(head))
			return fault(s, "the stream is cut off");
		if (pread(s->fd, &head, sizeof(head), (off_t)s->at) != sizeof(head))
			return err_sys(e, errno, "read the backup");
		struct spot spot = {.offset = s->at + sizeof(head),
			.number = s->number,
			.size = le32toh(head.size)};
		memcpy(spot.id, head.id, ID_SIZE);
		if (le64toh(head.number) != s->number || !strchr("CLE", head.kind) ||
			!head.kind || spot.size < SEAL_EXTRA ||
			spot.size > SEALED_MAX + SEAL_EXTRA)
			return fault(s, "the stream is damaged");
		if (size - spot.offset < spot.size)
			return fault(s, "the stream is cut off");
		if (head.kind == 'C' && add_spot(s, &spot) < 0)
			return err_set(e, ENOMEM, "out of memory");
		if (head.kind == 'L')
			s->list = spot;
		if (head.kind == 'E')
			s->end = spot;
		last = head.kind;
		s->number++;
		s->at = spot.offset + spot.size;
	}
	if (last != 'E')
		return fault(s, "the stream is cut off");
	return s->at < size ? fault(s, "something follows the stream's end") : 0;
}

int stream_open(
	struct store *s, const char *path, const struct secret *secret, struct err *e)
{
	bool pipe = strcmp(path, "-") == 0;
	struct stat st;
	int r;

	if (pipe && secret->path && strcmp(secret->path, "-") == 0)
		return err_set(e, EINVAL,
			"the backup and the secret cannot both come from standard input");
	s->fd = pipe ? spool(e) : open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return pipe ? s->fd : err_sys(e, errno, "open %s", path);
	if (fstat(s->fd, &st) < 0 || st.st_size < (off_t)sizeof(s->header) ||
		pread(s->fd, &s->header, sizeof(s->header), 0) != sizeof(s->header))
		return err_set(
			e, EBADMSG, "%s is no backup: it is shorter than a header", path);
	r = key_open(secret, &s->header, &s->keys, e);
	s->at = sizeof(s->header);
	return r < 0 ? r : scan(s, (uint64_t)st.st_size, e);
}

static int get(
	struct store *s, char kind, const struct spot *p, struct buf *out, struct err *e)
{
	buf_reset(&s->sealed);
	char *at = buf_room(&s->sealed, p->size);

	if (!at)
		return err_set(e, ENOMEM, "out of memory");
	if (pread(s->fd, at, p->size, (off_t)p->offset) != (ssize_t)p->size)
		return err_sys(e, errno ? errno : EIO, "read the backup");
	int r = unseal(s->sealer, kind, p->number, p->id, at, p->size, out);
	return r < 0 ? err_set(e, -r, "record %llu, at byte %llu, is damaged",
			       (unsigned long long)p->number,
			       (unsigned long long)p->offset)
		     : 0;
}

void stream_check_end(struct store *s)
{
	autobuf text = {.max = SEALED_MAX};
	uint64_t count = 0;

	if (!s->end.size)
		return;
	if (get(s, 'E', &s->end, &text, NULL) == 0 && text.len == sizeof(count))
		memcpy(&count, text.data, sizeof(count));
	if (le64toh(count) != s->number)
		fault(s, "the stream's end is damaged");
}

int stream_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e)
{
	const struct spot *p = stream_find(s, id);

	return p ? get(s, 'C', p, out, e)
		 : err_set(e, ENOENT, "a chunk is missing%s%s", *s->fault ? ": " : "",
			   s->fault);
}

int stream_read(struct store *s, json_t **ret, struct err *e)
{
	autobuf text = {.max = SEALED_MAX};
	unsigned char name[ID_SIZE];
	const char *id;
	int r;

	if (!s->list.size)
		return err_set(e, EBADMSG,
			"%s: the list of what it has comes last and is missing",
			*s->fault ? s->fault : "the stream is cut off");
	r = get(s, 'L', &s->list, &text, e);
	if (r < 0)
		return r;
	*ret = json_loadb(text.data, text.len, 0, NULL);
	id = json_string_value(json_object_get(*ret, "id"));
	list_name(s, id ? id : "", name);
	if (*ret && memcmp(name, s->list.id, ID_SIZE) == 0)
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return err_set(e, EBADMSG, "the list of the backup is damaged");
}
