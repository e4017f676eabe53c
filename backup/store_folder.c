/* A backup in a folder, beside others. */
#include "backup/store_inside.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define HEADER "berth-backup"
#define RUNNING "running"
#define TEMP "new"

/* ---- the folder ---- */

static int open_sub(struct store *s, const char *name, struct err *e)
{
	int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "open %s/", name) : fd;
}

static int read_header(struct store *s, struct err *e)
{
	int fd autoclose = openat(s->fd, HEADER, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_sys(e, errno, "open " HEADER);
	if (fstat(fd, &st) < 0 || st.st_size != sizeof(s->header) ||
		io_read_full(fd, &s->header, sizeof(s->header)) < 0)
		return err_set(e, EBADMSG,
			HEADER " is damaged: it has not the %zu bytes of a header",
			sizeof(s->header));
	return 0;
}

static bool is_empty(int fd)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *entry;
	bool empty = d != NULL;

	while (d && (entry = readdir(d)))
		empty = empty && (entry->d_name[0] == '.' ||
					 strcmp(entry->d_name, "lost+found") == 0);
	if (d)
		closedir(d);
	return empty;
}

static int make_new(
	struct store *s, const char *path, const struct secret *secret, struct err *e)
{
	char name[16];
	int r;

	if (!is_empty(s->fd))
		return err_set(e, EEXIST,
			"%s has files in it and is no folder of backups: name an empty "
			"one",
			path);
	r = key_make(secret, &s->header, &s->keys, e);
	if (r < 0)
		return r;
	if ((mkdirat(s->fd, "chunks", 0700) < 0 && errno != EEXIST) ||
		(mkdirat(s->fd, "backups", 0700) < 0 && errno != EEXIST))
		return err_sys(e, errno, "make folders in %s", path);
	for (unsigned int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "chunks/%02x", i);
		if (mkdirat(s->fd, name, 0700) < 0 && errno != EEXIST)
			return err_sys(e, errno, "make %s/%s", path, name);
	}
	r = io_replace_file(s->fd, HEADER, &s->header, sizeof(s->header), 0600);
	return r < 0 ? err_sys(e, -r, "write %s/" HEADER, path) : 0;
}

/* An older one that was cut off may have left chunks that never came to the disk whole. */
static int mark_running(struct store *s, const char *path, struct err *e)
{
	s->lock = openat(s->fd, HEADER, O_RDONLY | O_CLOEXEC);
	if (s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, EBUSY, "another backup into %s is under way",
					 path)
			       : err_sys(e, errno, "lock %s", path);
	int fd autoclose =
		openat(s->fd, RUNNING, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	s->careful = fd < 0 && errno == EEXIST;
	if (fd < 0 && !s->careful)
		return err_sys(e, errno, "write %s/" RUNNING, path);
	return fd < 0				   ? 0
	       : fsync(fd) < 0 || fsync(s->fd) < 0 ? err_sys(e, errno, "sync")
						   : 0;
}

int folder_make(
	struct store *s, const char *path, const struct secret *secret, struct err *e)
{
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", path);
	s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(e, errno, "open %s", path);
	r = read_header(s, e);
	if (r == -ENOENT)
		r = make_new(s, path, secret, e);
	else if (r == 0 && secret->kind == KEY_NONE && s->header.kind != KEY_NONE)
		r = err_set(e, EINVAL,
			"the backups in %s are encrypted: leave --no-encryption out",
			path);
	else if (r == 0 && secret->kind != KEY_NONE && s->header.kind == KEY_NONE)
		r = err_set(e, EINVAL,
			"the backups in %s are not encrypted: --no-encryption, or "
			"another folder",
			path);
	else if (r == 0)
		r = key_open(secret, &s->header, &s->keys, e);
	return r < 0 ? r : mark_running(s, path, e);
}

int folder_open(
	struct store *s, const char *path, const struct secret *secret, struct err *e)
{
	s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(e, errno, "open %s", path);
	int r = read_header(s, e);
	if (r == -ENOENT)
		return err_set(
			e, ENOENT, "%s is no folder of backups: it has no " HEADER, path);
	return r < 0 ? r : key_open(secret, &s->header, &s->keys, e);
}

/* ---- chunks ---- */

static void chunk_path(const unsigned char id[ID_SIZE], char out[96])
{
	char hex[2 * ID_SIZE + 1];

	id_hex(id, hex);
	snprintf(out, 96, "chunks/%.2s/%s", hex, hex);
}

static int read_sealed(struct store *s, const char *path, struct err *e)
{
	int r;

	buf_reset(&s->sealed);
	r = io_read_file(s->fd, path, &s->sealed);
	return r < 0 ? err_sys(e, -r, "%s", path) : 0;
}

int folder_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e)
{
	char path[96];
	int r;

	chunk_path(id, path);
	r = read_sealed(s, path, e);
	if (r == 0 && (r = unseal(s->sealer, 'C', 0, id, s->sealed.data, s->sealed.len,
			       out)) < 0)
		err_set(e, -r, "%s is damaged", path);
	return r;
}

bool folder_has(struct store *s, const unsigned char id[ID_SIZE])
{
	autobuf out = {.max = SEALED_MAX};
	char path[96];

	chunk_path(id, path);
	if (faccessat(s->fd, path, F_OK, 0) < 0)
		return false;
	return !s->careful || folder_get(s, id, &out, NULL) == 0;
}

static int write_file(struct store *s, const char *path, bool sync, struct err *e)
{
	int fd autoclose =
		openat(s->fd, TEMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_write_all(fd, s->sealed.data, s->sealed.len);

	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(s->fd, TEMP, s->fd, path) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

int folder_put(struct store *s, const unsigned char id[ID_SIZE], const void *data,
	size_t size, struct err *e)
{
	char path[96];
	int r = seal(s->sealer, 'C', 0, id, data, size, &s->sealed);

	chunk_path(id, path);
	return r < 0 ? err_sys(e, -r, "seal a chunk") : write_file(s, path, false, e);
}

/* ---- lists ---- */

/* The bytes first, all of them on the disk; then the list that names them. */
int folder_finish(struct store *s, const char *id, const json_t *list, struct err *e)
{
	char *text autofree = json_dumps(list, JSON_COMPACT), path[96];
	unsigned char name[ID_SIZE];
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	if (syncfs(s->fd) < 0)
		return err_sys(e, errno, "write the backup to disk");
	list_name(s, id, name);
	snprintf(path, sizeof(path), "backups/%s", id);
	r = seal(s->sealer, 'L', 0, name, text, strlen(text), &s->sealed);
	if (r < 0)
		return err_sys(e, -r, "seal the list");
	s->sums.written += s->sealed.len;
	r = write_file(s, path, true, e);
	if (r < 0)
		return r;
	int backups autoclose = open_sub(s, "backups", e);
	if (backups < 0 || fsync(backups) < 0)
		return err_sys(e, errno, "sync");
	unlinkat(s->fd, RUNNING, 0);
	return fsync(s->fd) < 0 ? err_sys(e, errno, "sync") : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int folder_list(struct store *s, char (**ret)[STORE_ID_MAX], struct err *e)
{
	int fd = open_sub(s, "backups", e), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	*ret = NULL;
	if (!d)
		return fd < 0 ? fd : (close(fd), err_set(e, ENOMEM, "out of memory"));
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= STORE_ID_MAX)
			continue;
		void *grown = realloc(*ret, (size_t)(n + 1) * STORE_ID_MAX);
		if (!grown)
			break;
		*ret = grown;
		snprintf((*ret)[n++], STORE_ID_MAX, "%s", entry->d_name);
	}
	closedir(d);
	if (n)
		qsort(*ret, (size_t)n, STORE_ID_MAX, by_name);
	return n;
}

int folder_read(struct store *s, const char *id, json_t **ret, struct err *e)
{
	char path[96];
	autobuf text = {.max = SEALED_MAX};
	unsigned char name[ID_SIZE];
	int r;

	if (strchr(id, '/') || strlen(id) >= STORE_ID_MAX || *id == '.')
		return err_set(e, EINVAL, "no backup is called %.80s", id);
	snprintf(path, sizeof(path), "backups/%s", id);
	r = read_sealed(s, path, e);
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			"there is no backup %s: berth backup:list FOLDER shows all", id);
	if (r < 0)
		return r;
	list_name(s, id, name);
	r = unseal(s->sealer, 'L', 0, name, s->sealed.data, s->sealed.len, &text);
	*ret = r < 0 ? NULL : json_loadb(text.data, text.len, 0, NULL);
	return *ret ? 0 : err_set(e, EBADMSG, "the list of backup %s is damaged", id);
}
