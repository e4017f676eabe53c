/* A strict reader for the tar streams that berth-control writes. */
#include "buildpacks/source/untar.h"
#include "lib/io.h"
#include "lib/tar.h"
#include "lib/ustar.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BUFFER (128u << 10) /* two pipe buffers */

struct untar {
	int fd;
	size_t start, end; /* unread bytes of buffer */
	uint64_t left;	   /* of the current entry's data */
	unsigned int pad;  /* after it, up to the block */
	struct {	   /* from pax records, for the next entry */
		bool path, link, size;
		uint64_t size_bytes;
	} pax;
	char pax_path[UNTAR_PATH_MAX], pax_link[UNTAR_PATH_MAX];
	char buffer[BUFFER];
};

struct untar *untar_open(int fd)
{
	struct untar *t = calloc(1, sizeof(*t));

	if (t)
		t->fd = fd;
	return t;
}

void untar_close(struct untar *t)
{
	free(t);
}

/* At least one unread byte. 1, 0 at the end of the stream, -errno. */
static int fill(struct untar *t)
{
	if (t->start < t->end)
		return 1;
	for (;;) {
		ssize_t n = read(t->fd, t->buffer, sizeof(t->buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		t->start = 0;
		t->end = (size_t)n;
		return n > 0;
	}
}

/* Exactly len bytes to data (NULL: thrown away). 0, -EPIPE at the end of the stream,
 * -errno. */
static int take(struct untar *t, char *data, uint64_t len)
{
	while (len > 0) {
		int r = fill(t);
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		size_t n = t->end - t->start;
		if (n > len)
			n = (size_t)len;
		if (data) {
			memcpy(data, t->buffer + t->start, n);
			data += n;
		}
		t->start += n;
		len -= n;
	}
	return 0;
}

static int stream_error(struct err *e, int r)
{
	if (r == -EPIPE)
		return err_set(e, EBADMSG, "the source stream ended too early");
	return err_sys(e, -r, "cannot read the source stream");
}

static int parse_octal(const char *s, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && s[i] == ' ')
		i++;
	for (; i < len && s[i] >= '0' && s[i] <= '7'; i++) {
		if (v >> 60)
			return -ERANGE;
		v = v << 3 | (uint64_t)(s[i] - '0');
	}
	for (; i < len; i++)
		if (s[i] != ' ' && s[i] != '\0')
			return -EINVAL;
	*ret = v;
	return 0;
}

static bool checksum_ok(const struct ustar *h)
{
	const unsigned char *p = (const unsigned char *)h;
	const size_t from = offsetof(struct ustar, check);
	uint64_t want, sum = 0;

	if (parse_octal(h->check, sizeof(h->check), &want) < 0)
		return false;
	for (size_t i = 0; i < USTAR_BLOCK; i++)
		sum += i >= from && i < from + sizeof(h->check) ? ' ' : p[i];
	return sum == want;
}

static bool all_zero(const struct ustar *h)
{
	const char *p = (const char *)h;

	for (size_t i = 0; i < USTAR_BLOCK; i++)
		if (p[i])
			return false;
	return true;
}

/* One pax record "LEN KEY=VALUE\n" at s; ret_len is its length. */
static int parse_record(struct untar *t, char *s, size_t avail, size_t *ret_len)
{
	size_t len = 0, i = 0;

	while (i < avail && s[i] >= '0' && s[i] <= '9' && len <= UNTAR_PAX_MAX)
		len = len * 10 + (size_t)(s[i++] - '0');
	if (i == 0 || i >= avail || s[i] != ' ' || len <= i + 1 || len > avail ||
		s[len - 1] != '\n')
		return -EBADMSG;
	char *key = s + i + 1;
	s[len - 1] = '\0';
	char *value = strchr(key, '=');
	size_t value_len = value ? (size_t)(s + len - 1 - (value + 1)) : 0;
	if (!value || strlen(value + 1) != value_len)
		return -EBADMSG;
	*value++ = '\0';
	*ret_len = len;
	if (strcmp(key, "size") == 0) {
		char *end;
		errno = 0;
		t->pax.size_bytes = strtoull(value, &end, 10);
		t->pax.size = true;
		return *value < '0' || *value > '9' || *end || errno ? -EBADMSG : 0;
	}
	bool is_path = strcmp(key, "path") == 0;
	if (!is_path && strcmp(key, "linkpath") != 0)
		return strncmp(key, "GNU.sparse", 10) == 0 ? -EBADMSG : 0;
	if (value_len >= UNTAR_PATH_MAX)
		return -EBADMSG;
	memcpy(is_path ? t->pax_path : t->pax_link, value, value_len + 1);
	*(is_path ? &t->pax.path : &t->pax.link) = true;
	return 0;
}

static int read_pax(struct untar *t, uint64_t size, bool global, struct err *e)
{
	char *text autofree = NULL;

	if (size == 0 || size > UNTAR_PAX_MAX)
		return err_set(e, EBADMSG,
			"the source stream has a pax header of %llu bytes",
			(unsigned long long)size);
	text = malloc((size_t)size + 1);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	int r = take(t, text, size);
	if (r == 0)
		r = take(t, NULL, (USTAR_BLOCK - size % USTAR_BLOCK) % USTAR_BLOCK);
	if (r < 0)
		return stream_error(e, r);
	text[size] = '\0';
	for (size_t at = 0, len; !global && at < size; at += len)
		if (parse_record(t, text + at, (size_t)size - at, &len) < 0)
			return err_set(e, EBADMSG,
				"the source stream has a malformed pax record");
	return 0;
}

/* name may fill its field without a NUL; prefix is used by ustar alone. */
static void copy_name(const struct ustar *h, char out[UNTAR_PATH_MAX])
{
	bool ustar = memcmp(h->magic, "ustar", 6) == 0;
	int prefix = ustar ? (int)strnlen(h->prefix, sizeof(h->prefix)) : 0;
	int name = (int)strnlen(h->name, sizeof(h->name));

	snprintf(out, UNTAR_PATH_MAX, "%.*s%s%.*s", prefix, h->prefix, prefix ? "/" : "",
		name, h->name);
}

static int fill_entry(struct untar *t, const struct ustar *h, uint64_t size,
	struct untar_entry *ret, struct err *e)
{
	uint64_t mode;

	if (t->pax.path)
		memcpy(ret->path, t->pax_path, UNTAR_PATH_MAX);
	else
		copy_name(h, ret->path);
	if (t->pax.link)
		memcpy(ret->link, t->pax_link, UNTAR_PATH_MAX);
	else
		snprintf(ret->link, UNTAR_PATH_MAX, "%.*s",
			(int)strnlen(h->link, sizeof(h->link)), h->link);
	if (t->pax.size)
		size = t->pax.size_bytes;
	memset(&t->pax, 0, sizeof(t->pax));
	if (parse_octal(h->mode, sizeof(h->mode), &mode) < 0)
		return err_set(e, EBADMSG, "%s: malformed mode", ret->path);
	switch (h->type) {
	case '0':
	case '\0':
		ret->type = UNTAR_FILE;
		break;
	case '2':
		ret->type = UNTAR_SYMLINK;
		break;
	case '5':
		ret->type = UNTAR_DIR;
		break;
	case TAR_GONE:
		ret->type = UNTAR_GONE;
		break;
	default:
		return err_set(e, EPERM,
			"%s: neither a file, a folder nor a symlink (tar type %d)",
			ret->path, h->type);
	}
	if (size > UNTAR_FILE_MAX || (ret->type != UNTAR_FILE && size > 0))
		return err_set(e, EBADMSG, "%s: impossible size", ret->path);
	ret->executable = (mode & 0111) != 0;
	ret->size = size;
	t->left = size;
	t->pad = (unsigned int)((USTAR_BLOCK - size % USTAR_BLOCK) % USTAR_BLOCK);
	return 0;
}

/* Reads on to the end of the stream, so that its writer never meets a closed pipe. */
static int drain(struct untar *t, struct err *e)
{
	int r;

	while ((r = fill(t)) > 0)
		t->start = t->end;
	return r < 0 ? stream_error(e, r) : 0;
}

int untar_next(struct untar *t, struct untar_entry *ret, struct err *e)
{
	struct ustar h;
	uint64_t size;
	int r;

	r = take(t, NULL, t->left + t->pad);
	t->left = t->pad = 0;
	for (;;) {
		if (r < 0)
			return stream_error(e, r);
		r = fill(t);
		if (r == 0 && !t->pax.path)
			return err_set(e, EBADMSG, "the source stream has no end mark");
		if (r < 0 || (r = take(t, (char *)&h, USTAR_BLOCK)) < 0)
			return stream_error(e, r);
		if (all_zero(&h))
			return drain(t, e);
		if (!checksum_ok(&h) || parse_octal(h.size, sizeof(h.size), &size) < 0)
			return err_set(
				e, EBADMSG, "the source stream is not a tar archive");
		if (h.type != 'x' && h.type != 'g')
			break;
		r = read_pax(t, size, h.type == 'g', e);
		if (r < 0)
			return r;
	}
	r = fill_entry(t, &h, size, ret, e);
	if (r == 0)
		r = untar_check_path(ret->path, e);
	return r < 0 ? r : 1;
}

int untar_read(struct untar *t, const char **ret_data, size_t *ret_len, struct err *e)
{
	if (t->left == 0)
		return 0;
	int r = fill(t);
	if (r <= 0)
		return stream_error(e, r < 0 ? r : -EPIPE);
	size_t n = t->end - t->start;
	if (n > t->left)
		n = (size_t)t->left;
	*ret_data = t->buffer + t->start;
	*ret_len = n;
	t->start += n;
	t->left -= n;
	return 1;
}

/* NULL, or what is wrong with one part of a path. */
static const char *part_fault(const char *s, size_t len)
{
	if (len == 0)
		return "has an empty part";
	if (len > 255)
		return "has a part longer than 255 bytes";
	if (len <= 2 && s[0] == '.' && (len == 1 || s[1] == '.'))
		return "has a part named . or ..";
	/* What git itself refuses to check out: CVE-2014-9390 and its kin. */
	if ((len == 4 && strncasecmp(s, ".git", 4) == 0) ||
		(len == 5 && strncasecmp(s, "git~1", 5) == 0))
		return "has a part named .git; a commit cannot hold git's own folder";
	return NULL;
}

int untar_check_path(char *path, struct err *e)
{
	const char *fault = NULL;
	size_t len, skip = 0;

	while (path[skip] == '.' && path[skip + 1] == '/')
		skip += 2;
	if (strcmp(path + skip, ".") == 0)
		skip++;
	memmove(path, path + skip, strlen(path + skip) + 1);
	len = strlen(path);
	if (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	if (len == 0)
		return skip ? 0 : err_set(e, EPERM, "refused: an entry without a name");
	if (path[0] == '/')
		fault = "is absolute";
	for (const char *s = path; !fault && s;) {
		const char *end = strchrnul(s, '/');
		fault = part_fault(s, (size_t)(end - s));
		s = *end ? end + 1 : NULL;
	}
	return fault ? err_set(e, EPERM, "refused: the path %s %s", path, fault) : 0;
}

bool untar_link_leaves(const char *path, const char *target, const char *root)
{
	size_t n = strlen(root);
	int depth = 0;

	if (target[0] == '/') {
		if (strncmp(target, root, n) != 0 || (target[n] && target[n] != '/'))
			return true;
		target += n;
	} else {
		for (const char *s = path; *s; s++)
			depth += *s == '/';
	}
	while (*target) {
		size_t len = strcspn(target, "/");
		if (len == 2 && target[0] == '.' && target[1] == '.')
			depth--;
		else if (len > 1 || (len == 1 && target[0] != '.'))
			depth++;
		if (depth < 0)
			return true;
		target += len + (target[len] == '/');
	}
	return false;
}
