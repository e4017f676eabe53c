/* The state and run folders: who owns what. */
#include "runtime/folders.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum owner { ROOT, CONTROL, LOGGER_CONTROL, SSH_CONTROL, ROOT_SSH };

struct folder {
	const char *name;
	enum owner owner;
	mode_t mode;
};

static const struct folder state_folders[] = {
	{"control", CONTROL, 0700},
	{"repos", SSH_CONTROL, 02750},
	/* root's, so that whoever logs in cannot change which keys may */
	{"ssh", ROOT_SSH, 0750},
	{"layers", ROOT, 0700},
	{"volumes", ROOT, 0700},
	{"snapshots", ROOT, 0700},
	{"cache", ROOT, 0700},
	{"scratch", ROOT, 0700},
	{"logs", LOGGER_CONTROL, 02750},
	{"drains", CONTROL, 0750}, /* files that logs are sent to */
	{"trash", ROOT, 0700},
	/* mmdebstrap works here as _berth-build; its sub ids must pass through */
	{"stack-build", ROOT, 0711},
};
static const struct folder run_folders[] = {
	{"fifo", ROOT, 0700},
	{"instances", ROOT, 0700},
	{"empty", ROOT, 0755},
};

static void owner_ids(const struct daemon_ids *ids, enum owner o, uid_t *uid, gid_t *gid)
{
	*uid = o == CONTROL	     ? ids->control_uid
	       : o == LOGGER_CONTROL ? ids->logger_uid
	       : o == SSH_CONTROL    ? ids->ssh_uid
				     : 0;
	*gid = o == CONTROL || o == LOGGER_CONTROL || o == SSH_CONTROL ? ids->control_gid
	       : o == ROOT_SSH					       ? ids->ssh_gid
								       : 0;
}

static int make_one(
	int parent, const struct folder *f, const struct daemon_ids *ids, struct err *e)
{
	int fd autoclose = -1;
	uid_t uid;
	gid_t gid;

	owner_ids(ids, f->owner, &uid, &gid);
	if (mkdirat(parent, f->name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make folder %s", f->name);
	fd = openat(parent, f->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "cannot open folder %s", f->name);
	/* chown clears the setgid bit, so the mode comes after. */
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, f->mode) < 0)
		return err_sys(e, errno, "cannot give folder %s to its owner", f->name);
	return 0;
}

static int make_all(const char *path, const struct folder *list, size_t n,
	const struct daemon_ids *ids, struct err *e)
{
	int fd autoclose = -1;
	int r = io_mkdirs(path, 0755);

	if (r < 0)
		return err_sys(e, -r, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	for (size_t i = 0; i < n; i++)
		if ((r = make_one(fd, &list[i], ids, e)) < 0)
			return err_add(e, "%s", path);
	return 0;
}

int folders_make(const struct settings *s, const struct daemon_ids *ids, struct err *e)
{
	int r = make_all(s->state, state_folders, ARRAY_LEN(state_folders), ids, e);

	return r < 0 ? r : make_all(s->run, run_folders, ARRAY_LEN(run_folders), ids, e);
}

static int open_one(int parent, const char *path, int *ret, struct err *e)
{
	*ret = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, errno, "cannot open folder %s", path) : 0;
}

int folders_open(struct folders *f, const struct settings *s, struct err *e)
{
	int r;

	memset(f, -1, sizeof(*f));
	if ((r = open_one(AT_FDCWD, s->state, &f->state, e)) < 0 ||
		(r = open_one(AT_FDCWD, s->run, &f->run, e)) < 0 ||
		(r = open_one(f->state, "layers", &f->layers, e)) < 0 ||
		(r = open_one(f->state, "volumes", &f->volumes, e)) < 0 ||
		(r = open_one(f->state, "snapshots", &f->snapshots, e)) < 0 ||
		(r = open_one(f->state, "cache", &f->cache, e)) < 0 ||
		(r = open_one(f->state, "repos", &f->repos, e)) < 0 ||
		(r = open_one(f->state, "ssh", &f->ssh, e)) < 0 ||
		(r = open_one(f->state, "logs", &f->logs, e)) < 0 ||
		(r = open_one(f->state, "trash", &f->trash, e)) < 0 ||
		(r = open_one(f->run, "fifo", &f->fifo, e)) < 0)
		return r;
	return open_one(f->run, "instances", &f->instances, e);
}

void folders_close(struct folders *f)
{
	int *fds[] = {&f->state, &f->layers, &f->volumes, &f->snapshots, &f->cache,
		&f->repos, &f->ssh, &f->logs, &f->trash, &f->run, &f->fifo,
		&f->instances};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
