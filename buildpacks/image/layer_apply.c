/* Writes a foreign layer, trusting nothing in it. */
#include "buildpacks/image/layer_apply.h"
#include "buildpacks/image/layer_in.h"
#include "lib/base64.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define CAPABILITIES_MAX 200
#define ID_MAX 65534u /* what a sandbox has, and a bit less: the last is nobody's */
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

struct apply {
	const struct layer_apply *a;
	struct layer_in *in;
	struct archive *disk;
	int root;
	json_t *capabilities;
	uint64_t skipped;
	struct folder
		*folders; /* that were there: libarchive sets their times too early */
	size_t n_folders, room;
	struct err *e;
};

struct folder {
	char *path;
	struct timespec mtime;
};

static const int write_flags =
	ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
	ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
	ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

/* The folder that path lies in: no link on the way, no other file system. fd, -ENOENT, -ELOOP, -EXDEV (dev, proc). */
static int open_parent(struct apply *y, const char *path, const char **ret_name)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	const char *slash = strrchr(path, '/');
	char parent[TAR_PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	long fd = syscall(SYS_openat2, y->root, slash ? parent : ".", &how, sizeof(how));
	return fd < 0 ? (errno == ENOTDIR ? -ELOOP : -errno) : (int)fd;
}

static int refuse(struct apply *y, int code, const char *path)
{
	if (code == -ELOOP)
		return err_set(y->e, EPERM,
			"refused: %s lies below something that is not a folder", path);
	return err_sys(y->e, -code, "%s", path);
}

static bool is_whiteout(const char *name)
{
	return strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0;
}

/* ---- the first time: names, sizes, whiteouts, digest ---- */

/* /dev and /proc are mounted. */
static bool is_mount(const struct stat *st, const struct stat *parent)
{
	return S_ISDIR(st->st_mode) && st->st_dev != parent->st_dev;
}

/* All that lies in the folder, which is of layers below: nothing of this one is written yet. */
static int empty_folder(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct stat own, st;
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	if (fstat(fd, &own) < 0)
		r = -errno;
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
			fstatat(parent, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!is_mount(&st, &own))
			r = io_remove_tree(parent, d->d_name);
	closedir(dir);
	return r;
}

/* A new folder in the place of path's, with its owner, mode and time: overlayfs makes such a one opaque. */
static int renew_folder(struct apply *y, const char *path)
{
	char folder[TAR_PATH_MAX];
	const char *name;
	struct stat st;
	int r;

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	int above autoclose = open_parent(y, folder, &name);
	if (above < 0)
		return above;
	if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = io_remove_tree(above, name);
	if (r < 0)
		return r;
	const struct timespec times[2] = {st.st_mtim, st.st_mtim};
	if (mkdirat(above, name, 0700) < 0 ||
		fchownat(above, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(above, name, st.st_mode & 07777, 0) < 0 ||
		utimensat(above, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int white_out(struct apply *y, const char *path)
{
	const char *name, *hidden;
	int parent autoclose = open_parent(y, path, &name);
	int r;

	if (parent == -ENOENT || parent == -EXDEV)
		return 0;
	if (parent < 0)
		return refuse(y, parent, path);
	hidden = name + strlen(WHITEOUT);
	if (strcmp(name, OPAQUE) == 0)
		r = strchr(path, '/') ? renew_folder(y, path) : empty_folder(parent);
	else if (is_whiteout(hidden)) /* other marks of aufs */
		return 0;
	else if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_set(y->e, EPERM, "refused: %s hides nothing", path);
	else
		r = io_remove_tree(parent, hidden);
	return r < 0 && r != -ENOENT ? refuse(y, r, path) : 0;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int check_entry(
	struct apply *y, struct archive_entry *entry, uint64_t *bytes, uint64_t *count)
{
	char path[TAR_PATH_MAX];
	int r = tar_in_path(archive_entry_pathname(entry), path, y->e);

	if (r < 0)
		return r;
	if (++*count > y->a->max_entries)
		return err_set(y->e, EFBIG, "refused: more than %llu files",
			(unsigned long long)y->a->max_entries);
	/* what a sparse file claims to be */
	if (archive_entry_size(entry) > 0)
		*bytes += (uint64_t)archive_entry_size(entry);
	if (archive_entry_size(entry) < 0 || *bytes > y->a->max_bytes)
		return err_set(y->e, EFBIG, "refused: larger than %llu MB unpacked",
			(unsigned long long)(y->a->max_bytes >> 20));
	return is_whiteout(base_of(path)) ? white_out(y, path) : 0;
}

static int first_pass(struct apply *y)
{
	struct archive_entry *entry;
	uint64_t bytes = 0, count = 0;
	char digest[65];
	int r;

	while ((r = layer_in_next(y->in, &entry, y->e)) > 0)
		if ((r = check_entry(y, entry, &bytes, &count)) < 0)
			return r;
	if (r == 0)
		r = layer_in_end(y->in, digest, y->e);
	if (r == 0 && strcmp(digest, y->a->diff_id) != 0)
		return err_set(y->e, EBADMSG,
			"refused: the layer's digest is %.12s..., the image says "
			"%.12s...",
			digest, y->a->diff_id);
	return r;
}

/* ---- the second time: files ---- */

static void note_capability(
	struct apply *y, const char *path, const void *value, size_t size)
{
	autobuf b = BUF_INIT;

	if (json_object_size(y->capabilities) < CAPABILITIES_MAX &&
		base64_encode(value, size, &b) == 0)
		json_object_set_new(y->capabilities, path, json_string(b.data));
}

/* Only user.*, and not what overlayfs would take for its own. */
static void filter_xattrs(struct apply *y, struct archive_entry *entry, const char *path)
{
	struct archive_entry *kept = archive_entry_new();
	const char *name;
	const void *value;
	size_t size;

	if (!kept)
		abort();
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (strcmp(name, "security.capability") == 0)
			note_capability(y, path, value, size);
		else if (strncmp(name, "user.", 5) == 0 &&
			 strncmp(name, "user.overlay.", 13) != 0)
			archive_entry_xattr_add_entry(kept, name, value, size);
	}
	archive_entry_xattr_clear(entry);
	archive_entry_xattr_reset(kept);
	while (archive_entry_xattr_next(kept, &name, &value, &size) == ARCHIVE_OK)
		archive_entry_xattr_add_entry(entry, name, value, size);
	archive_entry_free(kept);
}

/* Makes way: what is there goes, unless both are folders: 1. */
static int clear_place(int parent, const char *name, bool folder)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode) && folder)
		return 1;
	return S_ISDIR(st.st_mode)	       ? io_remove_tree(parent, name)
	       : unlinkat(parent, name, 0) < 0 ? -errno
					       : 0;
}

static void keep_folder(struct apply *y, const char *path, struct archive_entry *entry)
{
	if (y->n_folders == y->room) {
		y->room = y->room ? y->room * 2 : 64;
		y->folders = reallocarray(y->folders, y->room, sizeof(*y->folders));
	}
	char *copy = strdup(path);
	if (!y->folders || !copy)
		abort();
	y->folders[y->n_folders++] = (struct folder){
		copy, {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)}};
}

/* When all files are written. */
static void set_folder_times(struct apply *y)
{
	for (size_t i = 0; i < y->n_folders; i++) {
		const struct timespec times[2] = {
			y->folders[i].mtime, y->folders[i].mtime};
		const char *name;
		int parent autoclose = open_parent(y, y->folders[i].path, &name);

		/* replaced since: whatever it is now, a time does no harm */
		if (parent >= 0)
			(void)utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
		free(y->folders[i].path);
	}
	free(y->folders);
}

/* Its target, below the root and no link on the way, is there and no folder. */
static int check_hardlink(struct apply *y, struct archive_entry *entry, const char *path)
{
	char target[TAR_PATH_MAX];
	const char *name;
	struct stat st;
	int r = tar_in_path(archive_entry_hardlink(entry), target, y->e);

	if (r < 0)
		return r;
	int parent autoclose = open_parent(y, target, &name);
	if (parent < 0 || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		S_ISDIR(st.st_mode))
		return err_set(y->e, EPERM,
			"refused: %s is a hard link to %s, which is not there", path,
			target);
	if (strcmp(target, path) == 0)
		return 1;
	archive_entry_copy_hardlink(entry, target);
	return 0;
}

static bool is_skipped(struct archive_entry *entry, const char *path)
{
	const mode_t type = archive_entry_filetype(entry);

	return !*path || strcmp(path, "dev") == 0 || strcmp(path, "proc") == 0 ||
	       is_whiteout(base_of(path)) ||
	       (!archive_entry_hardlink(entry) && type != AE_IFREG && type != AE_IFDIR &&
		       type != AE_IFLNK);
}

static int copy_data(struct apply *y, const char *path)
{
	const void *data;
	size_t len;
	la_int64_t offset;
	int r;

	while ((r = archive_read_data_block(layer_in_tar(y->in), &data, &len, &offset)) ==
		ARCHIVE_OK)
		if (archive_write_data_block(y->disk, data, len, offset) < ARCHIVE_OK)
			return tar_in_error(y->disk, path, y->e);
	return r == ARCHIVE_EOF ? 0 : tar_in_error(layer_in_tar(y->in), path, y->e);
}

static void clean_entry(struct apply *y, struct archive_entry *entry, const char *path)
{
	if (archive_entry_uid(entry) < 0 || archive_entry_uid(entry) > ID_MAX)
		archive_entry_set_uid(entry, ID_MAX);
	if (archive_entry_gid(entry) < 0 || archive_entry_gid(entry) > ID_MAX)
		archive_entry_set_gid(entry, ID_MAX);
	archive_entry_set_uname(entry, NULL); /* names are the image's, not ours */
	archive_entry_set_gname(entry, NULL);
	archive_entry_acl_clear(entry);
	archive_entry_set_fflags(entry, 0, 0);
	filter_xattrs(y, entry, path);
	archive_entry_copy_pathname(entry, path);
}

static int write_entry(struct apply *y, struct archive_entry *entry)
{
	char path[TAR_PATH_MAX];
	const char *name;
	int r = tar_in_path(archive_entry_pathname(entry), path, y->e);

	if (r < 0)
		return r;
	if (is_skipped(entry, path)) {
		y->skipped += *path && !is_whiteout(base_of(path));
		return 0;
	}
	int parent autoclose = open_parent(y, path, &name);
	if (parent == -EXDEV) {
		y->skipped++;
		return 0;
	}
	if (parent < 0 && parent != -ENOENT)
		return refuse(y, parent, path);
	if (archive_entry_hardlink(entry) && (r = check_hardlink(y, entry, path)) != 0)
		return r < 0 ? r : 0;
	bool folder = archive_entry_filetype(entry) == AE_IFDIR &&
		      !archive_entry_hardlink(entry);
	r = parent >= 0 ? clear_place(parent, name, folder) : 0;
	if (r < 0)
		return refuse(y, r, path);
	if (r == 1)
		keep_folder(y, path, entry);
	clean_entry(y, entry, path);
	if (archive_write_header(y->disk, entry) < ARCHIVE_WARN)
		return tar_in_error(y->disk, path, y->e);
	r = archive_entry_size(entry) > 0 && !archive_entry_hardlink(entry)
		    ? copy_data(y, path)
		    : 0;
	if (r == 0 && archive_write_finish_entry(y->disk) < ARCHIVE_WARN)
		return tar_in_error(y->disk, path, y->e);
	return r;
}

static int second_pass(struct apply *y)
{
	struct archive_entry *entry;
	int r;

	y->disk = archive_write_disk_new();
	if (!y->disk)
		return err_set(y->e, ENOMEM, "out of memory");
	archive_write_disk_set_options(y->disk, write_flags);
	while ((r = layer_in_next(y->in, &entry, y->e)) > 0)
		if ((r = write_entry(y, entry)) < 0)
			return r;
	/* Folders get their modes and times here. */
	if (r == 0 && archive_write_close(y->disk) < ARCHIVE_WARN)
		return tar_in_error(y->disk, "the layer", y->e);
	return r;
}

static int with_layer(struct apply *y, int (*pass)(struct apply *y))
{
	int r;

	/* heads and padding come on top of what is in the files */
	y->in = layer_in_open(y->a->fd, y->a->path,
		y->a->max_bytes + y->a->max_entries * 2048 + (1 << 20), y->e);
	if (!y->in)
		return -EBADMSG;
	r = pass(y);
	layer_in_close(y->in);
	y->in = NULL;
	return r;
}

int layer_apply(const struct layer_apply *a, json_t **ret, struct err *e)
{
	int root autoclose = open(a->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct apply y = {.a = a, .root = root, .capabilities = json_object(), .e = e};
	int r;

	umask(022);
	if (root < 0 || chdir(a->root) < 0)
		r = err_sys(e, errno, "enter %s", a->root);
	else
		r = with_layer(&y, first_pass);
	if (r == 0)
		r = with_layer(&y, second_pass);
	archive_write_free(y.disk);
	set_folder_times(&y);
	if (r == 0) {
		*ret = json_pack("{s:I, s:o}", "skipped", (json_int_t)y.skipped,
			"capabilities", y.capabilities);
		return *ret ? 0 : -ENOMEM;
	}
	json_decref(y.capabilities);
	return r;
}
