/* An app's bare repository on disk: made by berth-shell, its refs written by berth-hook.
 */
#include "receiver/repo.h"

#include "lib/buf.h"
#include "lib/io.h"
#include "lib/name.h"
#include "lib/stow.h"
#include "receiver/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another push of the app may be writing the same ref; it holds the lock for
 * microseconds. */
#define LOCK_TRIES 100
#define LOCK_WAIT_US 10000

/*
 * Refs below refs/berth are control's and hidden. A force push is normal here: what runs
 * is named by its commit. gc is control's matter: a push must not wait for it. The three
 * fsck ids occur in old, honest histories.
 */
static const char config[] =
	"[core]\n"
	"\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
	"\tlogAllRefUpdates = true\n\tbigFileThreshold = 64m\n\thooksPath = %s\n"
	"[receive]\n"
	"\tfsckObjects = true\n\tmaxInputSize = 2g\n\tdenyNonFastForwards = false\n"
	"\tdenyDeletes = false\n\tdenyCurrentBranch = ignore\n\tdenyDeleteCurrent = "
	"ignore\n"
	"\tautogc = false\n\tunpackLimit = 1\n\tadvertisePushOptions = true\n"
	"[receive \"fsck\"]\n"
	"\tzeroPaddedFilemode = warn\n\tmissingSpaceBeforeDate = warn\n\tbadTimezone = "
	"warn\n"
	"[transfer]\n\thideRefs = refs/berth\n"
	"[gc]\n\tauto = 0\n"
	"[pack]\n\tthreads = 1\n\twindowMemory = 64m\n"
	"[uploadpack]\n\tallowAnySHA1InWant = false\n";

static int write_new(int dir, const char *name, const char *text, size_t len)
{
	int fd autoclose = openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);

	return fd < 0 ? -errno : io_write_all(fd, text, len);
}

static int build(int dir, const char *hooks)
{
	static const char *const folders[] = {"objects", "objects/info", "objects/pack",
		"refs", "refs/heads", "refs/tags", "info"};
	static const char head[] = "ref: refs/heads/main\n";
	autobuf text = BUF_INIT;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdirat(dir, folders[i], 0777) < 0)
			return -errno;
	buf_addf(&text, config, hooks);
	if (text.failed)
		return -ENOMEM;
	r = write_new(dir, "config", text.data, text.len);
	return r < 0 ? r : write_new(dir, "HEAD", head, strlen(head));
}

/* Builds it in a temporary folder and renames. Losing the race against another push is as
 * good as winning. */
static int make(int repos, const char *app, const char *hooks)
{
	char temp[NAME_MAX_LEN + 32];
	char name[NAME_MAX_LEN + 8];
	int dir autoclose = -1;
	int r;

	snprintf(name, sizeof(name), "%.63s.git", app);
	snprintf(temp, sizeof(temp), ".new-%d-%.63s", (int)getpid(), app);
	io_remove_tree(repos, temp);
	if (mkdirat(repos, temp, 0777) < 0)
		return -errno;
	dir = openat(repos, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = dir < 0 ? -errno : build(dir, hooks);
	if (r == 0 && renameat(repos, temp, repos, name) < 0)
		r = -errno;
	if (r < 0)
		io_remove_tree(repos, temp);
	return r == -ENOTEMPTY || r == -EEXIST ? 0 : r;
}

int repo_ensure(const char *repos, const char *app, const char *hooks, struct err *e)
{
	int dir autoclose = open(repos, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX_LEN + 8];
	int r;

	if (dir < 0)
		return err_sys(e, errno, "cannot open the folder of the repositories");
	if (!name_valid(app))
		return err_set(e, EINVAL, "'%.80s' is not an app name", app);
	snprintf(name, sizeof(name), "%.63s.git", app);
	if (faccessat(dir, name, F_OK, 0) == 0)
		return 0;
	r = make(dir, app, hooks);
	return r < 0 ? err_sys(e, -r, "cannot make the repository of %s", app) : 0;
}

/* What hooks and settings it has is this host's matter; the folder is as old as it was. */
static int replace_own(int dir, const char *hooks)
{
	autobuf text = BUF_INIT;
	struct stat st;
	int r = fstat(dir, &st) < 0 ? -errno : 0;

	io_remove_tree(dir, "hooks");
	unlinkat(dir, "config", 0);
	buf_addf(&text, config, hooks);
	if (r == 0)
		r = text.failed ? -ENOMEM : write_new(dir, "config", text.data, text.len);
	const struct timespec times[2] = {st.st_mtim, st.st_mtim};
	return r == 0 && futimens(dir, times) < 0 ? -errno : r;
}

int repo_restore(
	const char *repos, const char *app, const char *hooks, int in, struct err *e)
{
	int top autoclose = open(repos, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX_LEN + 8], temp[NAME_MAX_LEN + 32];
	int dir autoclose = -1, r;

	snprintf(name, sizeof(name), "%.63s.git", app);
	snprintf(temp, sizeof(temp), ".restore-%.63s", app);
	io_remove_tree(top, temp);
	if (top < 0 || mkdirat(top, temp, 0777) < 0 ||
		(dir = openat(top, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "cannot make a folder in %s", repos);
	r = stow_receive(dir, in, false, UINT64_MAX, e);
	if (r == 0 && (r = replace_own(dir, hooks)) < 0)
		err_sys(e, -r, "cannot write its configuration");
	if (r == 0) {
		io_remove_tree(top, name);
		r = renameat(top, temp, top, name) < 0
			    ? err_sys(e, errno, "cannot name it")
			    : 0;
	}
	if (r < 0)
		io_remove_tree(top, temp);
	return r;
}

/* git-check-ref-format(1), less what cannot matter for a file's name. */
static bool ref_valid(const char *ref)
{
	size_t len = strlen(ref);

	if (strncmp(ref, "refs/", 5) != 0 || len > 1000 || ref[len - 1] == '/' ||
		ref[len - 1] == '.')
		return false;
	for (const unsigned char *s = (const unsigned char *)ref; *s; s++) {
		if (*s <= ' ' || *s == 127 || strchr("~^:?*[\\", *s))
			return false;
		if (*s == '/' && (s[1] == '/' || s[1] == '.'))
			return false;
		if (*s == '.' && s[1] == '.')
			return false;
	}
	return len < 5 || strcmp(ref + len - 5, ".lock") != 0;
}

static bool oid_valid(const char *s)
{
	return strlen(s) == REPO_OID_HEX && strspn(s, "0123456789abcdef") == REPO_OID_HEX;
}

static int make_parents(int dir, const char *ref)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s", ref);
	for (char *s = strchr(path, '/'); s; s = strchr(s + 1, '/')) {
		*s = 0;
		if (mkdirat(dir, path, 0777) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return 0;
}

static int replace(int dir, const char *ref, const char *text)
{
	char lock[1100];
	int r = make_parents(dir, ref);

	if (r < 0)
		return r;
	snprintf(lock, sizeof(lock), "%s.lock", ref);
	for (int i = 0; i < LOCK_TRIES; i++) {
		r = write_new(dir, lock, text, strlen(text));
		if (r != -EEXIST)
			break;
		usleep(LOCK_WAIT_US);
	}
	if (r == -EEXIST)
		return r;
	if (r == 0 && renameat(dir, lock, dir, ref) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, lock, 0);
	return r;
}

int repo_write_ref(const char *git_dir, const char *ref, const char *value, struct err *e)
{
	int dir autoclose = open(git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool head = strcmp(ref, "HEAD") == 0;
	char text[1100];
	int r;

	if (head ? !ref_valid(value) || strncmp(value, "refs/heads/", 11) != 0
		 : !ref_valid(ref) || !oid_valid(value))
		return err_set(e, EINVAL, "not a ref to write: '%.80s'", ref);
	if (dir < 0)
		return err_sys(e, errno, "cannot open the repository");
	snprintf(text, sizeof(text), "%s%s\n", head ? "ref: " : "", value);
	r = replace(dir, ref, text);
	return r < 0 ? err_sys(e, -r, "cannot write %s", ref) : 0;
}

/* ---- what a killed push left ---- */

#define REFS_DEPTH 8

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

/* Quarantines and half-written packs in objects; lock files elsewhere. */
static bool is_left(const char *name, bool objects)
{
	return objects ? strncmp(name, "tmp_", 4) == 0 ||
				 strncmp(name, "incoming-", 9) == 0
		       : ends_in(name, ".lock");
}

/* Removes what is left in the folder; below it too, where depth says so. */
static void tidy(int parent, const char *name, bool objects, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (is_left(entry->d_name, objects))
			(void)io_remove_tree(fd, entry->d_name);
		else if (depth > 0 && entry->d_type == DT_DIR)
			tidy(fd, entry->d_name, objects, depth - 1);
	}
	closedir(dir);
}

/* Who asked may have been slower than another push, which wrote it and moved the ref on: whoever moves one leaves it as a
 * file of its own. */
static bool is_moved(int dir, const struct repo_move *m)
{
	autobuf now = BUF_INIT;

	return io_read_file(dir, m->ref, &now) == 0 && now.len >= REPO_OID_HEX &&
	       strncmp(now.data, m->old, REPO_OID_HEX) != 0;
}

static void move_refs(int dir, const char *git_dir, const struct repo_move *m)
{
	struct err e = {0};

	if (m->ref[0] && !is_moved(dir, m) &&
		(repo_write_ref(git_dir, m->release, m->commit, &e) < 0 ||
			repo_write_ref(git_dir, m->ref, m->commit, &e) < 0))
		common_say("%s", e.text);
}

int repo_hold(const char *git_dir, const struct repo_move *behind)
{
	int fd autoclose = open(git_dir, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		tidy(fd, ".", false, 0);
		tidy(fd, "refs/heads", false, REFS_DEPTH);
		tidy(fd, "refs/tags", false, REFS_DEPTH);
		tidy(fd, "objects", true, 0);
		tidy(fd, "objects/pack", true, 0);
		move_refs(fd, git_dir, behind);
	}
	if (flock(fd, LOCK_SH) < 0)
		return -errno;
	return TAKE_FD(fd);
}
