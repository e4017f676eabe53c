/*
 * Who has which block of uids and addresses: a folder for all berths of the host, one
 * file a block that holds the state path, changed only under its lock. An entry whose
 * state folder is gone, with no process left, is free.
 */
#include "lib/io.h"
#include "runtime/inside.h"
#include "runtime/network/ipv6.h"
#include "runtime/network/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* IP forwarding, and in which file stands what it was before the first berth. */
static const struct {
	const char *path, *saved;
} forwards[] = {
	[REGISTRY_IPV4] = {"/proc/sys/net/ipv4/ip_forward", "ip_forward"},
	[REGISTRY_IPV6] = {"/proc/sys/net/ipv6/conf/all/forwarding", "ipv6_forward"},
};

static int lock_registry(const char *path, int *ret_dir, struct err *e)
{
	int dir autoclose = -1;
	int lock, r = io_mkdirs(path, 0700);

	if (r < 0)
		return err_sys(e, -r, "cannot make %s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock = dir < 0 ? -1 : openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0) {
		r = err_sys(e, errno, "cannot lock %s", path);
		if (lock >= 0)
			close(lock);
		return r;
	}
	*ret_dir = TAKE_FD(dir);
	return lock; /* closing it unlocks */
}

static void entry_name(char out[32], unsigned int block)
{
	snprintf(out, 32, "block-%02u", block);
}

/* "ID STATEPATH\n". 1 when there is an entry, else 0. */
static int read_entry(int dir, unsigned int block, char id[9], char path[PATH_MAX])
{
	autobuf b = {.max = PATH_MAX + 16};
	char name[32], *end;

	entry_name(name, block);
	if (io_read_file(dir, name, &b) < 0 || b.len < 11 ||
		!(end = strchr(b.data, '\n')))
		return 0;
	*end = '\0';
	snprintf(id, 9, "%.8s", b.data);
	snprintf(path, PATH_MAX, "%s", b.data + 9);
	return 1;
}

static void remove_group(void *arg, uint64_t id)
{
	cgroup_remove(arg, id);
}

/* The leftovers of a berth whose folder was deleted; false while something of it still
 * runs. */
static bool bury(const char *id)
{
	struct cgroups g;
	bool gone = true;

	if (cgroups_open(&g, id, NULL) == 0) {
		cgroups_list(&g, remove_group, &g);
		gone = cgroups_remove(&g) == 0;
	}
	cgroups_close(&g);
	if (gone)
		nft_remove(id);
	return gone;
}

static int find_block(int dir, const char *state, unsigned int *ret_block)
{
	char id[9], path[PATH_MAX], name[32];
	int unused = -1;

	for (unsigned int i = 0; i < RUNTIME_BLOCKS; i++) {
		int used = read_entry(dir, i, id, path);
		if (used && strcmp(path, state) == 0) {
			*ret_block = i;
			return 1;
		}
		if (used && access(path, F_OK) < 0 && errno == ENOENT && bury(id)) {
			entry_name(name, i);
			unlinkat(dir, name, 0);
			used = 0;
		}
		if (!used && unused < 0)
			unused = (int)i;
	}
	*ret_block = (unsigned int)unused;
	return unused < 0 ? -EAGAIN : 0;
}

int registry_claim(const char *registry, const char *state, const char *id,
	unsigned int *ret_block, struct err *e)
{
	int dir autoclose = -1;
	int lock autoclose = lock_registry(registry, &dir, e);
	autobuf b = BUF_INIT;
	char name[32];
	int r;

	if (lock < 0)
		return lock;
	r = find_block(dir, state, ret_block);
	if (r == 1)
		return 0;
	if (r < 0)
		return err_set(e, EAGAIN,
			"this host already has %u berths; remove one (berthd --remove)",
			RUNTIME_BLOCKS);
	entry_name(name, *ret_block);
	buf_addf(&b, "%s %s\n", id, state);
	if (b.failed || (r = io_replace_file(dir, name, b.data, b.len, 0600)) < 0)
		return err_sys(
			e, r < 0 ? -r : ENOMEM, "cannot write %s/%s", registry, name);
	return 0;
}

static int write_forward(enum registry_family f, const char *value)
{
	int fd autoclose = open(forwards[f].path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_all(fd, value, strlen(value));
}

int registry_forward_on(const char *registry, enum registry_family f, struct err *e)
{
	int dir autoclose = -1;
	int lock autoclose = lock_registry(registry, &dir, e);
	autobuf now = {.max = 64};
	int r;

	if (lock < 0)
		return lock;
	if ((r = io_read_file(AT_FDCWD, forwards[f].path, &now)) < 0 || !now.data)
		return err_sys(e, -r, "cannot read %s", forwards[f].path);
	if (now.data[0] == '1')
		return 0; /* already on, or by us: then it is recorded */
	if (f == REGISTRY_IPV6 && (r = ipv6_keep_advertisements(dir)) < 0)
		return err_sys(e, -r, "cannot keep router advertisements on");
	if ((r = io_replace_file(dir, forwards[f].saved, now.data, now.len, 0600)) < 0 ||
		(r = write_forward(f, "1")) < 0)
		return err_sys(e, -r, "cannot switch IP forwarding on");
	return 0;
}

static void forward_restore(int dir, enum registry_family f)
{
	autobuf saved = {.max = 64};

	if (io_read_file(dir, forwards[f].saved, &saved) < 0 || !saved.data)
		return;
	write_forward(f, saved.data);
	unlinkat(dir, forwards[f].saved, 0);
	if (f == REGISTRY_IPV6)
		ipv6_restore_advertisements(dir);
}

static bool has_entries(int dir)
{
	char id[9], path[PATH_MAX];

	for (unsigned int i = 0; i < RUNTIME_BLOCKS; i++)
		if (read_entry(dir, i, id, path))
			return true;
	return false;
}

int registry_release(const char *registry, const char *state, struct err *e)
{
	int dir autoclose = -1;
	int lock autoclose = lock_registry(registry, &dir, e);
	char id[9], path[PATH_MAX], name[32];

	if (lock < 0)
		return lock;
	for (unsigned int i = 0; i < RUNTIME_BLOCKS; i++)
		if (read_entry(dir, i, id, path) && strcmp(path, state) == 0) {
			entry_name(name, i);
			unlinkat(dir, name, 0);
		}
	if (has_entries(dir))
		return 0;
	forward_restore(dir, REGISTRY_IPV4);
	forward_restore(dir, REGISTRY_IPV6);
	unlinkat(dir, "lock", 0);
	rmdir(registry);
	return 0;
}
