/* COPY --from, the side that reads. */
#include "buildpacks/dockerfile/docker_copy.h"
#include "buildpacks/dockerfile/dockerignore.h"
#include "lib/buf.h"
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK (128u << 10)
#define FOUND_MAX 100000u

struct pack {
	struct archive *out;
	struct archive_entry_linkresolver *links;
	const char *top; /* what is being packed, and what it is called */
	const char *as;
};

static int fault(struct archive *a, const char *path, struct err *e)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	return err_set(
		e, code > 0 ? code : EIO, "%s: %s", path, text ? text : "unknown error");
}

/* ---- globs ---- */

struct found {
	char **list;
	size_t n;
};

static void free_found(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i]);
	free(f->list);
	*f = (struct found){0};
}

static int add_found(struct found *f, const char *folder, const char *name)
{
	if (f->n >= FOUND_MAX)
		return -E2BIG;
	if ((f->n & (f->n - 1)) == 0) {
		char **more = reallocarray(f->list, f->n ? f->n * 2 : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		f->list = more;
	}
	if (asprintf(&f->list[f->n], "%s/%s", strcmp(folder, "/") == 0 ? "" : folder,
		    name) < 0)
		return -ENOMEM;
	f->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int match_folder(struct found *to, const char *folder, const char *part)
{
	DIR *d = opendir(folder);
	size_t first = to->n;
	int r = 0;

	if (!d)
		return 0;
	for (const struct dirent *entry; r == 0 && (entry = readdir(d));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			docker_glob(part, entry->d_name, false))
			r = add_found(to, folder, entry->d_name);
	closedir(d);
	qsort(to->list + first, to->n - first, sizeof(*to->list), compare);
	return r;
}

/* Everything that an absolute path with globs names. 0 or -errno; free_found in any case. */
static int find(const char *glob, struct found *ret)
{
	char part[NAME_MAX + 1];
	int r = 0;

	*ret = (struct found){0};
	r = add_found(ret, "", "");
	for (const char *s = glob; r == 0 && *s;) {
		s += strspn(s, "/");
		size_t len = strcspn(s, "/");
		struct found next = {0};
		if (!len)
			break;
		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, s, len);
		part[len] = '\0';
		for (size_t i = 0; r == 0 && i < ret->n; i++)
			r = docker_is_glob(part) ? match_folder(&next, ret->list[i], part)
						 : add_found(&next, ret->list[i], part);
		free_found(ret);
		*ret = next;
		s += len;
	}
	return r;
}

/* ---- writing ---- */

/* What berthd mounts over the image, and what is no file that could be copied. */
static bool is_foreign(const char *path, mode_t type)
{
	static const char *const places[] = {"/proc", "/dev", "/sys", "/berth",
		"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		size_t n = strlen(places[i]);
		if (strncmp(path, places[i], n) == 0 &&
			(path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO ||
	       type == AE_IFSOCK;
}

static int write_data(
	struct pack *p, struct archive *disk, const char *path, struct err *e)
{
	const void *data;
	la_int64_t offset, at = 0;
	static const char zeros[4096];
	size_t len;
	int r;

	while ((r = archive_read_data_block(disk, &data, &len, &offset)) == ARCHIVE_OK) {
		for (; at < offset; at += (la_int64_t)sizeof(zeros)) /* a hole */
			if (archive_write_data(p->out, zeros,
				    offset - at < (la_int64_t)sizeof(zeros)
					    ? (size_t)(offset - at)
					    : sizeof(zeros)) < 0)
				return fault(p->out, path, e);
		if (archive_write_data(p->out, data, len) < 0)
			return fault(p->out, path, e);
		at = offset + (la_int64_t)len;
	}
	return r == ARCHIVE_EOF ? 0 : fault(disk, path, e);
}

static int rename_entry(struct pack *p, struct archive_entry *entry, const char *path)
{
	const char *rest = path + strlen(p->top);
	char *name autofree = NULL;

	rest += strspn(rest, "/");
	if (asprintf(&name, "%s%s%s", p->as, *rest ? "/" : "", rest) < 0)
		return -ENOMEM;
	archive_entry_copy_pathname(entry, name);
	return 0;
}

static int write_one(
	struct pack *p, struct archive *disk, struct archive_entry *entry, struct err *e)
{
	char *path autofree = strdup(archive_entry_pathname(entry));
	struct archive_entry *spare = NULL;

	if (!path || rename_entry(p, entry, path) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (is_foreign(path, archive_entry_filetype(entry)))
		return 0;
	archive_entry_sparse_clear(entry);
	archive_entry_linkify(p->links, &entry, &spare);
	if (archive_write_header(p->out, entry) < ARCHIVE_WARN)
		return fault(p->out, path, e);
	if (archive_entry_size(entry) > 0 && archive_entry_filetype(entry) == AE_IFREG &&
		!archive_entry_hardlink(entry))
		return write_data(p, disk, path, e);
	return 0;
}

static int write_tree(struct pack *p, struct err *e)
{
	struct archive *disk = archive_read_disk_new();
	struct archive_entry *entry = archive_entry_new();
	int r = disk && entry ? 0 : err_set(e, ENOMEM, "out of memory");

	if (r == 0) {
		archive_read_disk_set_symlink_physical(disk);
		archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
		if (archive_read_disk_open(disk, p->top) != ARCHIVE_OK)
			r = fault(disk, p->top, e);
	}
	while (r == 0) {
		archive_entry_clear(entry);
		int n = archive_read_next_header2(disk, entry);
		if (n == ARCHIVE_EOF)
			break;
		if (n < ARCHIVE_WARN) {
			r = fault(disk, p->top, e);
			break;
		}
		const char *path = archive_entry_pathname(entry);
		if (archive_read_disk_can_descend(disk) && !is_foreign(path, AE_IFDIR))
			archive_read_disk_descend(disk);
		r = write_one(p, disk, entry, e);
	}
	archive_entry_free(entry);
	archive_read_free(disk);
	return r;
}

/* A path that was named: where a link leads is what is copied, under the link's name. */
static int pack_path(struct pack *p, const char *path, struct err *e)
{
	char *real autofree = realpath(path, NULL);
	char *as autofree = NULL;
	struct stat st;

	if (!real || stat(real, &st) < 0)
		return err_set(e, ENOENT, "%s is not in that image or stage", path);
	const char *slash = strrchr(path, '/');
	if (S_ISDIR(st.st_mode))
		as = strdup("d");
	else if (asprintf(&as, "f/%s", slash ? slash + 1 : path) < 0)
		as = NULL;
	if (!as)
		return err_set(e, ENOMEM, "out of memory");
	p->top = real;
	p->as = as;
	return write_tree(p, e);
}

static int pack_source(struct pack *p, const char *glob, size_t *n, struct err *e)
{
	struct found f;
	int r = find(glob, &f);

	if (r < 0)
		err_sys(e, -r, "%s", glob);
	else if (f.n == 0)
		r = err_set(e, ENOENT, "%s fits nothing in that image or stage", glob);
	for (size_t i = 0; r == 0 && i < f.n; i++)
		r = pack_path(p, f.list[i], e);
	*n += f.n;
	free_found(&f);
	return r;
}

static int pack_all(struct pack *p, const json_t *todo, struct err *e)
{
	const json_t *source;
	size_t n = 0, i;
	int r = 0;

	json_array_foreach (json_object_get(todo, "sources"), i, source)
		if (r == 0)
			r = pack_source(p, json_string_value(source), &n, e);
	if (r == 0 && n > 1 && !json_is_true(json_object_get(todo, "folder")))
		r = err_set(e, EINVAL,
			"%zu files need a folder: end the last word with /", n);
	return r;
}

int docker_pack(int fd, const json_t *todo, struct err *e)
{
	struct pack p = {
		.out = archive_write_new(), .links = archive_entry_linkresolver_new()};
	int r = p.out && p.links ? 0 : err_set(e, ENOMEM, "out of memory");

	if (r == 0) {
		archive_write_set_format_pax_restricted(p.out);
		archive_entry_linkresolver_set_strategy(
			p.links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
		archive_write_set_bytes_per_block(p.out, BLOCK);
		archive_write_set_bytes_in_last_block(p.out, 1);
		if (archive_write_open_fd(p.out, fd) != ARCHIVE_OK)
			r = fault(p.out, "what is copied", e);
	}
	if (r == 0)
		r = pack_all(&p, todo, e);
	if (r == 0 && archive_write_close(p.out) < ARCHIVE_WARN)
		r = fault(p.out, "what is copied", e);
	else if (r < 0 && p.out)
		archive_write_fail(p.out);
	archive_write_free(p.out);
	archive_entry_linkresolver_free(p.links);
	return r;
}
