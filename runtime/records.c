/* What berthd knows about a sandbox, on disk. */
#include "runtime/records.h"
#include "lib/io.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS 16

void id_name(char out[32], uint64_t id, const char *suffix)
{
	snprintf(out, 32, "%016llx%s", (unsigned long long)id, suffix);
}

bool id_parse(const char *name, const char *suffix, uint64_t *ret)
{
	uint64_t id = 0;

	for (int i = 0; i < ID_DIGITS; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	if (strcmp(name + ID_DIGITS, suffix) != 0)
		return false;
	*ret = id;
	return true;
}

int record_write(int dirfd, const struct record *r)
{
	char name[32], temp[32];
	int fd autoclose = -1;
	int e;

	id_name(name, r->id, "");
	id_name(temp, r->id, ".new");
	fd = openat(
		dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	e = io_write_all(fd, r, sizeof(*r));
	if (e == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		e = -errno;
	if (e < 0)
		unlinkat(dirfd, temp, 0);
	return e;
}

int record_read(int dirfd, uint64_t id, struct record *ret)
{
	char name[32];
	int fd autoclose = -1;
	int e;

	id_name(name, id, "");
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	e = io_read_full(fd, ret, sizeof(*ret));
	if (e < 0)
		return e;
	return ret->magic == RECORD_MAGIC && ret->id == id ? 0 : -EBADMSG;
}

int record_remove(int dirfd, uint64_t id)
{
	static const char *const suffixes[] = {".new", ".exit", ""};
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		id_name(name, id, suffixes[i]);
		if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int records_walk(int dirfd, void (*cb)(void *arg, const struct record *r), void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	struct record r;
	uint64_t id;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (id_parse(entry->d_name, ".new", &id))
			unlinkat(dirfd, entry->d_name, 0); /* was never finished */
		if (!id_parse(entry->d_name, "", &id))
			continue;
		if (record_read(dirfd, id, &r) == 0) {
			cb(arg, &r);
		} else {
			log_warn("the record of instance %llx cannot be read: removed",
				(unsigned long long)id);
			record_remove(dirfd, id);
		}
	}
	closedir(dir);
	return 0;
}

int record_exit_create(int dirfd, uint64_t id)
{
	char name[32];
	int fd;

	id_name(name, id, ".exit");
	fd = openat(
		dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

int record_exit_open(int dirfd, uint64_t id)
{
	char name[32];
	int fd;

	id_name(name, id, ".exit");
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

uint64_t records_boot(void)
{
	autobuf b = {.max = 256};
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b) < 0)
		return 0;
	for (size_t i = 0; i < b.len; i++)
		hash = (hash ^ (unsigned char)b.data[i]) * 0x100000001b3u;
	return hash;
}
