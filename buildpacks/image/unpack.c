/* Unpacks a stack's root file system (the tar that mmdebstrap writes) into an empty root.
 */
#include "buildpacks/image/unpack.h"
#include "buildpacks/run.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define APP_ID 1000
#define BLOCK (128u << 10)

static const int extract_flags =
	ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
	ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK |
	ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT;

/* Whether path (relative, no "./") is or lies below a folder that berthd mounts over. */
static bool is_mounted(const char *path)
{
	static const char *const tops[] = {"dev", "proc", "sys", "berth", "cache"};

	for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
		size_t n = strlen(tops[i]);
		if (strncmp(path, tops[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	return false;
}

static const char *relative(const char *path)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return path;
}

static bool wanted(struct archive_entry *entry, const char *path)
{
	const mode_t type = archive_entry_filetype(entry);

	if (!*path || strcmp(path, ".") == 0 || is_mounted(path))
		return false;
	return type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK;
}

static int archive_err(struct archive *a, const char *path, struct err *e)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	return err_set(e, code > 0 ? code : EBADMSG, "%s: %s", path,
		text ? text : "unknown error");
}

static int copy_data(
	struct archive *in, struct archive *out, const char *path, struct err *e)
{
	const void *data;
	size_t len;
	la_int64_t offset;
	int r;

	while ((r = archive_read_data_block(in, &data, &len, &offset)) == ARCHIVE_OK)
		if (archive_write_data_block(out, data, len, offset) < ARCHIVE_OK)
			return archive_err(out, path, e);
	return r == ARCHIVE_EOF ? 0 : archive_err(in, path, e);
}

static int extract_one(struct archive *in, struct archive *out,
	struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry);
	const char *path = raw ? relative(raw) : "";
	const char *target = archive_entry_hardlink(entry);

	if (!raw || raw[0] == '/')
		return err_set(e, EPERM, "refused: the absolute path %s in the stack",
			raw ? raw : "?");
	if (!wanted(entry, path))
		return 0;
	/* pathname is freed by the set below: path points into it. */
	char *name autofree = strdup(path);
	char *link autofree = target ? strdup(relative(target)) : NULL;
	if (!name || (target && !link))
		return err_set(e, ENOMEM, "out of memory");
	archive_entry_copy_pathname(entry, name);
	if (link)
		archive_entry_copy_hardlink(entry, link);
	int r = archive_write_header(out, entry);
	if (r < ARCHIVE_WARN)
		return archive_err(out, name, e);
	if (r == ARCHIVE_WARN)
		say_warning("%s: %s", name, archive_error_string(out));
	r = archive_entry_size(entry) > 0 ? copy_data(in, out, name, e) : 0;
	if (r < 0)
		return r;
	r = archive_write_finish_entry(out);
	if (r < ARCHIVE_WARN)
		return archive_err(out, name, e);
	if (r == ARCHIVE_WARN) /* an extended attribute that a user namespace may not set
				*/
		say_warning("%s: %s", name, archive_error_string(out));
	return 0;
}

static int extract_all(struct archive *in, struct archive *out, int fd, struct err *e)
{
	struct archive_entry *entry;
	unsigned int count = 0;
	int r;

	if (archive_read_support_format_tar(in) != ARCHIVE_OK ||
		archive_read_open_fd(in, fd, BLOCK) != ARCHIVE_OK)
		return archive_err(in, "the stack", e);
	archive_write_disk_set_options(out, extract_flags);
	while ((r = archive_read_next_header(in, &entry)) >= ARCHIVE_WARN &&
		r != ARCHIVE_EOF) {
		r = extract_one(in, out, entry, e);
		if (r < 0)
			return r;
		count++;
	}
	if (r != ARCHIVE_EOF)
		return archive_err(in, "the stack", e);
	/* Folders get their modes and times here. */
	if (archive_write_close(out) < ARCHIVE_WARN)
		return archive_err(out, "the stack", e);
	return count > 0 ? 0 : err_set(e, EBADMSG, "the stack's archive is empty");
}

int unpack_archive(int fd, const char *root, struct err *e)
{
	struct archive *in = archive_read_new();
	struct archive *out = archive_write_disk_new();
	int r;

	umask(022);
	if (!in || !out)
		r = err_set(e, ENOMEM, "out of memory");
	else if (chdir(root) < 0)
		r = err_sys(e, errno, "cannot enter %s", root);
	else
		r = extract_all(in, out, fd, e);
	archive_write_free(out);
	archive_read_free(in);
	return r;
}

/* Appends line to the file unless one of its lines begins with the same name and colon.
 */
static int add_account(int root, const char *path, const char *line)
{
	autobuf b = BUF_INIT;
	size_t n = strcspn(line, ":") + 1;
	int r = io_read_file(root, path, &b);

	if (r < 0 && r != -ENOENT)
		return r;
	for (const char *s = b.len ? b.data : ""; s && *s;
		s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
		if (strncmp(s, line, n) == 0)
			return 0;
	int fd autoclose = openat(
		root, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : io_write_all(fd, line, strlen(line));
}

static int make_dir(int root, const char *path, mode_t mode)
{
	if (mkdirat(root, path, mode) == 0)
		return fchmodat(root, path, mode, 0) < 0 ? -errno : 0;
	return errno == EEXIST ? 0 : -errno;
}

/* An empty regular file; what is there (a symlink into /run, the builder's own settings)
 * goes. */
static int make_empty(int root, const char *path)
{
	if (unlinkat(root, path, 0) < 0 &&
		errno != ENOENT) /* EBUSY: mounted over already */
		return errno == EBUSY ? 0 : -errno;
	int fd autoclose =
		openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : 0;
}

int unpack_finish(const char *root_path, struct err *e)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {{"dev", 0755}, {"proc", 0555}, {"sys", 0555}, {"run", 0755},
		{"tmp", 01777}, {"etc", 0755}, {"berth", 0755}, {"berth/packs", 0755},
		{"cache", 0755}, {"app", 0755}};
	static const char *const files[] = {
		"etc/resolv.conf", "etc/hosts", "etc/hostname"};
	int root autoclose = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (root < 0)
		return err_sys(e, errno, "cannot open %s", root_path);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if ((r = make_dir(root, dirs[i].path, dirs[i].mode)) < 0)
			return err_sys(e, -r, "cannot make /%s", dirs[i].path);
	if (fchownat(root, "app", APP_ID, APP_ID, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "cannot give /app to user app");
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if ((r = make_empty(root, files[i])) < 0)
			return err_sys(e, -r, "cannot make /%s", files[i]);
	if ((r = add_account(root, "etc/passwd", "app:x:1000:1000:app:/app:/bin/sh\n")) <
			0 ||
		(r = add_account(root, "etc/group", "app:x:1000:\n")) < 0)
		return err_sys(e, -r, "cannot add user app");
	return 0;
}
