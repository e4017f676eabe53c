/* COPY and ADD, the side that writes. */
#include "buildpacks/dockerfile/docker_copy.h"
#include "buildpacks/dockerfile/docker_users.h"
#include "buildpacks/run.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK (128u << 10)
#define PART ".berth-add" /* an archive of ADD, until it is known to be one */

static const int flags =
	ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
	ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
	ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

struct place {
	const json_t *todo;
	const char *to;
	bool folder;	  /* `to` is one, or shall be */
	bool entered;	  /* and the working folder; else nothing was decided */
	const char *name; /* of the one file, when `to` is not a folder */
	uid_t uid;
	gid_t gid;
	long mode; /* -1: as it is */
	bool unpack;
	struct archive *out;
};

static int fault(struct archive *a, const char *path, struct err *e)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	return err_set(e, code > 0 ? code : EBADMSG, "%s: %s", path,
		text ? text : "unknown error");
}

int docker_make_folders(const char *path, uid_t uid, gid_t gid)
{
	char part[PATH_MAX];
	struct stat st;

	for (const char *s = path; s; s = strchr(s + 1, '/')) {
		const char *end = strchr(s + 1, '/');
		size_t len = end ? (size_t)(end - path) : strlen(path);
		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		if (len <= 1)
			continue;
		if (mkdir(part, 0755) == 0) {
			if (chmod(part, 0755) < 0 || lchown(part, uid, gid) < 0)
				return -errno;
		} else if (errno != EEXIST) {
			return -errno;
		} else if (stat(part, &st) < 0) {
			return -errno;
		} else if (!S_ISDIR(st.st_mode)) {
			return -ENOTDIR;
		}
	}
	return 0;
}

/* ---- where to ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int enter(struct place *p, const char *folder, struct err *e)
{
	int r = docker_make_folders(folder, p->uid, p->gid);

	if (r == 0 && chdir(folder) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, -r, "cannot make the folder %s in the image", folder);
	p->entered = true;
	return 0;
}

/* At the first entry: a file goes to `to` itself unless that is a folder. */
static int decide(struct place *p, bool is_file, struct err *e)
{
	char above[PATH_MAX];
	const char *slash = strrchr(p->to, '/');

	if (p->entered)
		return 0;
	if (p->folder || !is_file || is_folder(p->to)) {
		p->folder = true;
		return enter(p, p->to, e);
	}
	size_t len = (size_t)(slash - p->to);
	snprintf(above, sizeof(above), "%.*s", (int)(len ? len : 1), p->to);
	p->name = slash + 1;
	return enter(p, above, e);
}

/* The name that an entry of the tree has in the tar of docker_pack: by the longest item that it is
 * or lies below. NULL: it is only on the way to one. */
static char *name_by_items(const json_t *items, const char *path)
{
	const char *best = NULL, *rest = NULL;
	size_t best_len = 0, i;
	const json_t *item;
	char *out;

	json_array_foreach (items, i, item) {
		const char *from = json_string_value(json_object_get(item, "from"));
		size_t n = strlen(from);
		if (n && (strncmp(path, from, n) != 0 || (path[n] && path[n] != '/')))
			continue;
		if (best && n < best_len)
			continue;
		best = json_string_value(json_object_get(item, "to"));
		best_len = n;
		rest = path + n + (n && path[n] == '/');
	}
	if (!best)
		return NULL;
	return asprintf(&out, "%s%s%s", best, *rest ? "/" : "", rest) < 0 ? NULL : out;
}

/* "d/a/b" and "f/NAME" to a path in the folder that is entered. NULL: the folder itself. */
static const char *place_name(struct place *p, const char *name)
{
	if (strcmp(name, "d") == 0 || strcmp(name, "d/") == 0)
		return NULL;
	name += 2;
	return p->name ? p->name : name;
}

/* ---- writing ---- */

/* What is a folder in the source must be one in the image: a link there leads elsewhere. */
static int check_folder(const char *path, bool *ret_there, struct err *e)
{
	struct stat st;

	*ret_there = lstat(path, &st) == 0;
	if (!*ret_there || S_ISDIR(st.st_mode))
		return 0;
	return err_set(e, ENOTDIR,
		"%s is a folder here and %s in the image; copy into where it belongs",
		path, S_ISLNK(st.st_mode) ? "a link" : "a file");
}

static int copy_data(
	struct archive *in, struct archive *out, const char *path, struct err *e)
{
	const void *data;
	la_int64_t offset;
	size_t len;
	int r;

	while ((r = archive_read_data_block(in, &data, &len, &offset)) == ARCHIVE_OK)
		if (archive_write_data_block(out, data, len, offset) < ARCHIVE_OK)
			return fault(out, path, e);
	return r == ARCHIVE_EOF ? 0 : fault(in, path, e);
}

static int write_entry(struct archive *in, struct archive *out,
	struct archive_entry *entry, const char *path, struct err *e)
{
	bool there = false;

	if (archive_entry_filetype(entry) == AE_IFDIR) {
		int r = check_folder(path, &there, e);
		if (r < 0 || there)
			return r;
	}
	archive_entry_copy_pathname(entry, path);
	if (archive_write_header(out, entry) < ARCHIVE_WARN)
		return fault(out, path, e);
	int r = archive_entry_size(entry) > 0 && !archive_entry_hardlink(entry)
			? copy_data(in, out, path, e)
			: 0;
	if (r == 0 && archive_write_finish_entry(out) < ARCHIVE_WARN)
		r = fault(out, path, e);
	return r;
}

static void set_owner(const struct place *p, struct archive_entry *entry)
{
	archive_entry_set_uid(entry, p->uid);
	archive_entry_set_gid(entry, p->gid);
	archive_entry_copy_uname(entry, NULL);
	archive_entry_copy_gname(entry, NULL);
	if (p->mode >= 0 && archive_entry_filetype(entry) != AE_IFLNK)
		archive_entry_set_perm(entry, (__LA_MODE_T)p->mode);
}

/* ---- ADD of an archive ---- */

static struct archive *begin_tar(const char *path)
{
	struct archive *a = archive_read_new();

	if (!a)
		return NULL;
	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	if (archive_read_open_filename(a, path, BLOCK) == ARCHIVE_OK)
		return a;
	archive_read_free(a);
	return NULL;
}

/* NULL: it is no archive. An empty file is an empty archive to libarchive, and a file to ADD. */
static struct archive *open_tar(const char *path)
{
	struct archive *probe = begin_tar(path);
	struct archive_entry *entry;
	bool is = probe && archive_read_next_header(probe, &entry) == ARCHIVE_OK;

	archive_read_free(probe);
	return is ? begin_tar(path) : NULL;
}

static const char *relative(const char *path)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return path;
}

/* Names in an archive that do not stay below the folder are refused by libarchive's flags. */
static int unpack(struct place *p, struct archive *in, struct err *e)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(in, &entry)) >= ARCHIVE_WARN &&
		r != ARCHIVE_EOF) {
		const char *raw = archive_entry_pathname(entry);
		const mode_t type = archive_entry_filetype(entry);
		char *path autofree = strdup(raw ? relative(raw) : "");
		if (!path)
			return err_set(e, ENOMEM, "out of memory");
		if (!*path || strcmp(path, ".") == 0 || type == AE_IFCHR ||
			type == AE_IFBLK || type == AE_IFSOCK)
			continue;
		const char *chown = json_string_value(json_object_get(p->todo, "chown"));
		if (chown || p->mode >= 0) {
			if (!chown)
				return err_set(
					e, EINVAL, "--chmod does not go with an archive");
			set_owner(p, entry);
		}
		r = write_entry(in, p->out, entry, path, e);
		if (r < 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : fault(in, "the archive", e);
}

/* A file that was written as PART: unpacked, or given its name. */
static int add_file(struct place *p, const char *name, struct err *e)
{
	struct archive *in = open_tar(PART);
	int r;

	if (!in)
		return rename(PART, name) < 0 ? err_sys(e, errno, "cannot write %s", name)
					      : 0;
	unlink(PART);
	r = p->name ? enter(p, p->to, e) : 0; /* ADD x.tar /to: that is the folder */
	if (r == 0)
		r = unpack(p, in, e);
	archive_read_free(in);
	if (r < 0)
		err_add(e, "ADD %s", name);
	return r;
}

/* ---- the stream ---- */

static int put_entry(struct place *p, struct archive *in, struct archive_entry *entry,
	const char *name, struct err *e)
{
	bool is_file = name[0] == 'f';
	int r = decide(p, is_file, e);

	if (r < 0)
		return r;
	const char *at = place_name(p, name);
	if (!at)
		return 0;
	char *copy autofree = strdup(at);
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	set_owner(p, entry);
	if (p->unpack && is_file && archive_entry_filetype(entry) == AE_IFREG) {
		r = write_entry(in, p->out, entry, PART, e);
		return r < 0 ? r : add_file(p, copy, e);
	}
	return write_entry(in, p->out, entry, copy, e);
}

/* A hard link of the stream is to another of its entries. */
static int map_link(struct place *p, struct archive_entry *entry, struct err *e)
{
	const char *target = archive_entry_hardlink(entry);
	const char *at = target ? place_name(p, target) : NULL;
	char *copy autofree = at ? strdup(at) : NULL;

	if (target && !copy)
		return err_set(e, EBADMSG, "a hard link to nothing");
	if (copy)
		archive_entry_copy_hardlink(entry, copy);
	return 0;
}

static int put_stream(struct place *p, struct archive *in, struct err *e)
{
	const json_t *items = json_object_get(p->todo, "items");
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(in, &entry)) >= ARCHIVE_WARN &&
		r != ARCHIVE_EOF) {
		char path[PATH_MAX];
		const char *raw = archive_entry_pathname(entry);
		snprintf(path, sizeof(path), "%s", raw ? relative(raw) : "");
		size_t len = strlen(path);
		if (len > 0 && path[len - 1] == '/')
			path[len - 1] = '\0';
		char *name autofree = items ? name_by_items(items, path) : strdup(path);
		if (!name || (name[0] != 'd' && name[0] != 'f'))
			continue;
		r = map_link(p, entry, e);
		if (r == 0)
			r = put_entry(p, in, entry, name, e);
		if (r < 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : fault(in, "what was sent to copy", e);
}

static int put_inline(struct place *p, struct err *e)
{
	const json_t *file;
	size_t i;

	json_array_foreach (json_object_get(p->todo, "inline"), i, file) {
		const char *content = json_string_value(json_object_get(file, "content"));
		int r = decide(p, true, e);
		if (r < 0)
			return r;
		const char *name =
			p->name ? p->name
				: json_string_value(json_object_get(file, "name"));
		unlink(name);
		int fd autoclose = open(
			name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0 || io_write_all(fd, content, strlen(content)) < 0 ||
			fchown(fd, p->uid, p->gid) < 0 ||
			fchmod(fd, p->mode >= 0 ? (mode_t)p->mode : 0644) < 0)
			return err_sys(e, errno, "cannot write %s", name);
	}
	return 0;
}

static int read_options(struct place *p, struct err *e)
{
	const char *chown = json_string_value(json_object_get(p->todo, "chown"));
	const json_t *mode = json_object_get(p->todo, "chmod");
	struct docker_user u;

	p->to = json_string_value(json_object_get(p->todo, "to"));
	if (!p->to || *p->to != '/')
		return err_set(e, EINVAL, "the step has no target");
	p->folder = json_is_true(json_object_get(p->todo, "folder"));
	p->unpack = json_is_true(json_object_get(p->todo, "unpack"));
	p->mode = json_is_integer(mode) ? (long)json_integer_value(mode) : -1;
	if (!chown)
		return 0;
	int r = docker_user_find(chown, &u, e);
	p->uid = r == 0 ? u.uid : 0;
	/* --chown=USER gives the group of the same number where it names none */
	p->gid = r == 0 ? (strchr(chown, ':') || *chown < '0' || *chown > '9' ? u.gid
									      : u.uid)
			: 0;
	return r < 0 ? err_add(e, "--chown=%s", chown) : 0;
}

int docker_put(int fd, const json_t *todo, struct err *e)
{
	struct place p = {.todo = todo};
	struct archive *in = archive_read_new();
	int r = read_options(&p, e);

	umask(0);
	p.out = archive_write_disk_new();
	if (r == 0 && (!in || !p.out))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0) {
		archive_write_disk_set_options(p.out, flags);
		archive_read_support_format_tar(in);
		archive_read_support_format_empty(in);
		if (archive_read_open_fd(in, fd, BLOCK) != ARCHIVE_OK)
			r = fault(in, "what was sent to copy", e);
	}
	if (r == 0)
		r = put_stream(&p, in, e);
	if (r == 0 && archive_write_close(p.out) < ARCHIVE_WARN)
		r = fault(p.out, "the copied files", e);
	if (r == 0)
		r = put_inline(&p, e);
	archive_write_free(p.out);
	archive_read_free(in);
	return r;
}
