/* Reads a layer inside an archive of an image. */
#include "buildpacks/image/layer_in.h"
#include "buildpacks/image/blob.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PART ((size_t)128 << 10)

struct layer_in {
	struct archive *outer; /* NULL: the file itself is the layer */
	struct archive *plain; /* its bytes, decompressed */
	struct archive *tar;
	SHA2_CTX hash;
	uint64_t bytes, max_bytes;
	char part[PART];
};

int tar_in_error(struct archive *a, const char *what, struct err *e)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	return err_set(e, code > 0 ? code : EBADMSG, "%s: %s", what,
		text ? text : "not readable");
}

void tar_in_filters(struct archive *a)
{
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_bzip2(a);
}

struct archive *tar_in_open(int fd, struct err *e)
{
	struct archive *a = archive_read_new();

	if (!a || lseek(fd, 0, SEEK_SET) < 0) {
		archive_read_free(a);
		err_set(e, ENOMEM, "the archive cannot be read from its beginning");
		return NULL;
	}
	tar_in_filters(a);
	archive_read_support_format_tar(a);
	if (archive_read_open_fd(a, fd, PART) == ARCHIVE_OK)
		return a;
	tar_in_error(a, "the archive", e);
	archive_read_free(a);
	return NULL;
}

int tar_in_path(const char *path, char out[TAR_PATH_MAX], struct err *e)
{
	size_t len;

	if (!path || *path == '/')
		return err_set(e, EPERM,
			"refused: the path %.200s is absolute or missing",
			path ? path : "");
	while (path[0] == '.' && path[1] == '/')
		for (path += 2; *path == '/'; path++)
			;
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (len >= TAR_PATH_MAX)
		return err_set(e, ENAMETOOLONG, "refused: a path of %zu bytes", len);
	memcpy(out, path, len);
	out[len] = '\0';
	if (strcmp(out, ".") == 0)
		out[0] = '\0';
	for (const char *s = out; *s; s += *s == '/') {
		size_t n = strcspn(s, "/");

		if ((n == 2 && s[0] == '.' && s[1] == '.') || (n == 1 && s[0] == '.') ||
			n == 0)
			return err_set(e, EPERM,
				"refused: the path %.200s has a part that is empty or "
				"dots",
				out);
		s += n;
	}
	return 0;
}

static la_ssize_t read_outer(struct archive *a UNUSED, void *arg, const void **ret)
{
	struct layer_in *l = arg;
	la_int64_t offset;
	size_t len = 0;
	int r = archive_read_data_block(l->outer, ret, &len, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	return r < ARCHIVE_OK ? -1 : (la_ssize_t)len;
}

static la_ssize_t read_plain(struct archive *a, void *arg, const void **ret)
{
	struct layer_in *l = arg;
	char text[64];
	la_ssize_t n = archive_read_data(l->plain, l->part, sizeof(l->part));

	if (n < 0) {
		archive_set_error(a, EBADMSG, "%s",
			archive_error_string(l->plain) ? archive_error_string(l->plain)
						       : "not readable");
		return -1;
	}
	SHA256Update(&l->hash, (const uint8_t *)l->part, (size_t)n);
	l->bytes += (uint64_t)n;
	if (l->bytes > l->max_bytes) {
		/* its own formats know no %llu */
		snprintf(text, sizeof(text), "refused: larger than %llu MB unpacked",
			(unsigned long long)(l->max_bytes >> 20));
		archive_set_error(a, EFBIG, "%s", text);
		return -1;
	}
	*ret = l->part;
	return n;
}

static int find(struct archive *a, const char *path, struct err *e)
{
	struct archive_entry *entry;
	char name[TAR_PATH_MAX];
	int r;

	while ((r = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN &&
		r != ARCHIVE_EOF)
		if (archive_entry_filetype(entry) == AE_IFREG &&
			tar_in_path(archive_entry_pathname(entry), name, e) == 0 &&
			strcmp(name, path) == 0)
			return 0;
	return r == ARCHIVE_EOF ? err_set(e, ENOENT, "the archive has no %s", path)
				: tar_in_error(a, "the archive", e);
}

static int open_plain(struct layer_in *l, int fd, const char *path, struct err *e)
{
	struct archive_entry *entry;
	int r;

	tar_in_filters(l->plain);
	archive_read_support_format_raw(l->plain);
	archive_read_support_format_empty(l->plain);
	if (*path) {
		l->outer = tar_in_open(fd, e);
		if (!l->outer || (r = find(l->outer, path, e)) < 0)
			return l->outer ? r : -EBADMSG;
		r = archive_read_open2(l->plain, l, NULL, read_outer, NULL, NULL);
	} else {
		if (lseek(fd, 0, SEEK_SET) < 0)
			return err_sys(e, errno, "read the archive");
		r = archive_read_open_fd(l->plain, fd, PART);
	}
	if (r != ARCHIVE_OK || archive_read_next_header(l->plain, &entry) < ARCHIVE_WARN)
		return tar_in_error(l->plain, "the layer", e);
	return 0;
}

struct layer_in *layer_in_open(
	int fd, const char *path, uint64_t max_bytes, struct err *e)
{
	struct layer_in *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	l->plain = archive_read_new();
	l->tar = archive_read_new();
	l->max_bytes = max_bytes;
	SHA256Init(&l->hash);
	r = l->plain && l->tar ? open_plain(l, fd, path, e)
			       : err_set(e, ENOMEM, "out of memory");
	if (r == 0) {
		archive_read_support_format_tar(l->tar);
		archive_read_support_format_empty(l->tar);
		if (archive_read_open2(l->tar, l, NULL, read_plain, NULL, NULL) ==
			ARCHIVE_OK)
			return l;
		tar_in_error(l->tar, "the layer", e);
	}
	layer_in_close(l);
	return NULL;
}

int layer_in_next(struct layer_in *l, struct archive_entry **ret, struct err *e)
{
	int r = archive_read_next_header(l->tar, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	return r < ARCHIVE_WARN ? tar_in_error(l->tar, "the layer", e) : 1;
}

struct archive *layer_in_tar(struct layer_in *l)
{
	return l->tar;
}

int layer_in_end(struct layer_in *l, char digest[65], struct err *e)
{
	const void *data;
	la_ssize_t n;

	/* what lies behind the end mark is hashed too */
	while ((n = read_plain(l->tar, l, &data)) > 0)
		;
	if (n < 0)
		return tar_in_error(l->tar, "the layer", e);
	blob_hex(&l->hash, digest);
	return 0;
}

void layer_in_close(struct layer_in *l)
{
	if (!l)
		return;
	archive_read_free(l->tar);
	archive_read_free(l->plain);
	archive_read_free(l->outer);
	free(l);
}
