/* Where a backup lies: what its two forms share. */
#include "backup/store_inside.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LEVEL 1 /* of zstd: the disk is slower than it */

void id_hex(const unsigned char id[ID_SIZE], char out[2 * ID_SIZE + 1])
{
	for (size_t i = 0; i < ID_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int id_parse(const char *hex, unsigned char out[ID_SIZE])
{
	if (!hex || strlen(hex) != 2 * ID_SIZE)
		return -EBADMSG;
	for (size_t i = 0; i < ID_SIZE; i++) {
		int a = digit(hex[2 * i]), b = digit(hex[2 * i + 1]);

		if (a < 0 || b < 0)
			return -EBADMSG;
		out[i] = (unsigned char)(a << 4 | b);
	}
	return 0;
}

void list_name(const struct store *s, const char *id, unsigned char out[ID_SIZE])
{
	key_hmac(s->keys.name, id, strlen(id), out);
}

static bool is_folder(const char *path)
{
	struct stat st;
	size_t n = strlen(path);

	return strcmp(path, "-") != 0 && ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) ||
						 (n && path[n - 1] == '/'));
}

static struct store *new_store(bool folder)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s) {
		s->folder = folder;
		s->fd = s->lock = -1;
		s->sealed.max = SEALED_MAX + 1024;
	}
	return s;
}

static int begin(struct store *s, int r, struct store **ret, struct err *e)
{
	if (r == 0 && !(s->sealer = sealer_open(&s->keys, LEVEL)))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0 && !s->folder)
		stream_check_end(s);
	if (r < 0)
		store_close(s);
	else
		*ret = s;
	return r;
}

int store_make(
	const char *path, const struct secret *secret, struct store **ret, struct err *e)
{
	struct store *s = new_store(is_folder(path));

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	return begin(s,
		s->folder ? folder_make(s, path, secret, e)
			  : stream_make(s, path, secret, e),
		ret, e);
}

int store_open(
	const char *path, const struct secret *secret, struct store **ret, struct err *e)
{
	struct store *s = new_store(is_folder(path));

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	return begin(s,
		s->folder ? folder_open(s, path, secret, e)
			  : stream_open(s, path, secret, e),
		ret, e);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->fd > STDERR_FILENO)
		close(s->fd);
	if (s->lock >= 0)
		close(s->lock);
	sealer_close(s->sealer);
	keys_clear(&s->keys);
	buf_free(&s->sealed);
	free(s->spots);
	free(s);
}

bool store_is_folder(const struct store *s)
{
	return s->folder;
}

struct sealer *store_sealer(struct store *s)
{
	return s->sealer;
}

const struct keys *store_keys(const struct store *s)
{
	return &s->keys;
}

struct store_sums store_sums(const struct store *s)
{
	return s->sums;
}

const char *store_fault(const struct store *s)
{
	return s->fault;
}

void store_only_names(struct store *s)
{
	s->only_names = true;
}

bool store_has(struct store *s, const unsigned char id[ID_SIZE])
{
	return s->folder ? folder_has(s, id) : stream_find(s, id) != NULL;
}

int store_put(struct store *s, const void *data, size_t size, unsigned char id[ID_SIZE],
	struct err *e)
{
	seal_name(s->sealer, data, size, id);
	s->sums.chunks++;
	s->sums.bytes += size;
	if (s->only_names || store_has(s, id))
		return 0;
	int r = s->folder ? folder_put(s, id, data, size, e)
			  : stream_put(s, id, data, size, e);
	if (r < 0)
		return r;
	s->sums.new_chunks++;
	s->sums.new_bytes += size;
	s->sums.written += s->sealed.len;
	return 0;
}

int store_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e)
{
	unsigned char name[ID_SIZE];
	int r = s->folder ? folder_get(s, id, out, e) : stream_get(s, id, out, e);

	if (r < 0)
		return r;
	seal_name(s->sealer, out->data, out->len, name);
	return memcmp(name, id, ID_SIZE) == 0
		       ? 0
		       : err_set(e, EBADMSG, "a chunk is another than its name says");
}

int store_finish(struct store *s, const char *id, const json_t *list, struct err *e)
{
	return s->folder ? folder_finish(s, id, list, e) : stream_finish(s, id, list, e);
}

static int one(struct store *s, char (**ret)[STORE_ID_MAX], struct err *e)
{
	json_t *list;
	int r = stream_read(s, &list, e);

	if (r < 0)
		return r;
	*ret = calloc(1, STORE_ID_MAX);
	if (*ret)
		snprintf(**ret, STORE_ID_MAX, "%s",
			json_string_value(json_object_get(list, "id")));
	json_decref(list);
	return *ret ? 1 : err_set(e, ENOMEM, "out of memory");
}

int store_list(struct store *s, char (**ret)[STORE_ID_MAX], struct err *e)
{
	return s->folder ? folder_list(s, ret, e) : one(s, ret, e);
}

int store_read(struct store *s, const char *id, json_t **ret, struct err *e)
{
	char(*all)[STORE_ID_MAX] autofree = NULL;
	int n;

	if (!s->folder)
		return stream_read(s, ret, e);
	if (id)
		return folder_read(s, id, ret, e);
	n = folder_list(s, &all, e);
	if (n <= 0)
		return n < 0 ? n
			     : err_set(e, ENOENT, "there is no backup in this folder");
	return folder_read(s, all[n - 1], ret, e);
}
