/* The overlays of a sandbox: its root, layers below an upper one, each seen through the
 * app's own ids; and a build's cache. */
#include "runtime/guards.h"
#include "runtime/sandbox/root.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mount.h>

/* Some of the layers in the start message, over the skeleton or alone. */
struct lowers {
	uint32_t first, n;
	bool alone;
};

static void layer_path(const struct child *c, struct lowers l, uint32_t i, char out[64])
{
	if (i < l.n)
		snprintf(out, 64, "/layers/%016" PRIx64 "/fs",
			c->start->layers[l.first + l.n - 1 - i]);
	else
		snprintf(out, 64, "/skel/fs");
}

static void upper_path(const struct child *c, char out[64])
{
	if (c->start->upper)
		snprintf(out, 64, "/layers/%016" PRIx64 ".tmp", c->start->upper);
	else
		snprintf(out, 64, "/scratch/%016" PRIx64, c->id);
}

/* Lower layer i in the order overlayfs wants: topmost first, the skeleton below all. */
static int clone_lower(struct root *r, struct lowers l, uint32_t i)
{
	char path[64];
	int fd;

	layer_path(r->c, l, i, path);
	fd = root_clone(path, r->c->idmap, MOUNT_ATTR_RDONLY);
	if (fd < 0) {
		errno = -fd;
		return root_step(r, "open layer %s", path);
	}
	return fd;
}

/* fsconfig takes no O_PATH descriptor before Linux 6.15: reopen. */
static int set_fd(struct root *r, int fs, const char *option, int tree, const char *name)
{
	int fd autoclose = openat(tree, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsconfig(fs, FSCONFIG_SET_FD, option, NULL, fd) < 0)
		return root_step(r, "overlay %s", option);
	return 0;
}

/* Where an overlay's writes go: two folders of one mount. */
struct upper {
	int tree;	   /* open until the end of the process, as the layers */
	const char *place; /* where it is attached below /l, for older kernels */
	const char *fs, *work;
};

static int set_upper_by_fd(struct root *r, int fs, const struct upper *u)
{
	int result;

	if (u->tree != r->c->scratch)
		r->spent->fds[r->spent->n++] = u->tree;
	result = set_fd(r, fs, "upperdir", u->tree, u->fs);

	return result < 0 ? result : set_fd(r, fs, "workdir", u->tree, u->work);
}

/* keep: they stay open in it, because closing one would dissolve the mount before overlayfs has it. */
static int add_layers_by_fd(
	struct root *r, int fs, struct lowers l, struct mount_fds *keep)
{
	int result;

	for (uint32_t i = 0; i < l.n + !l.alone; i++) {
		int tree = clone_lower(r, l, i);
		if (tree < 0)
			return tree;
		keep->fds[keep->n++] = tree;
		if ((result = set_fd(r, fs, "lowerdir+", tree, ".")) < 0)
			return result;
	}
	return 0;
}

/* Before Linux 6.13: attached below /l, short relative names (the option string has one
 * page at most). */
static int set_upper_by_name(struct root *r, int fs, const struct upper *u)
{
	char upper[64], work[64];

	if (chdir("/l") < 0 ||
		move_mount(u->tree, "", AT_FDCWD, u->place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return root_step(r, "attach the %s layer", "upper");
	snprintf(upper, sizeof(upper), "%s/%s", u->place, u->fs);
	snprintf(work, sizeof(work), "%s/%s", u->place, u->work);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0) < 0 ||
		fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0) < 0)
		return root_step(r, "overlay %s", "by names");
	return 0;
}

/* A second time, over the first ones: an overlay keeps what it was made of. */
static int add_layers_by_name(struct root *r, int fs, struct lowers l)
{
	char names[512] = "", at[32];
	size_t len = 0;

	if (chdir("/l") < 0)
		return root_step(r, "enter %s", "/l");
	for (uint32_t i = 0; i < l.n + !l.alone; i++) {
		int tree autoclose = clone_lower(r, l, i);
		if (tree < 0)
			return tree;
		snprintf(at, sizeof(at), "%u", i);
		if (move_mount(tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return root_step(r, "attach layer %s", at);
		len += (size_t)snprintf(
			names + len, sizeof(names) - len, "%s%u", i ? ":" : "", i);
	}
	return fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", names, 0) < 0
		       ? root_step(r, "overlay %s", "by names")
		       : 0;
}

/* The folder, or the file system made for it, with the app's ids. */
static int open_upper(struct root *r)
{
	struct mount_attr a = {
		.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)r->c->idmap};
	char path[64];
	int fd;

	if (r->c->scratch >= 0)
		return mount_setattr(r->c->scratch, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0
			       ? root_step(r, "map the ids of the %s", "scratch")
			       : r->c->scratch;
	upper_path(r->c, path);
	fd = root_clone(path, r->c->idmap, 0);
	if (fd >= 0)
		return fd;
	errno = -fd;
	return root_step(r, "open %s", path);
}

/* The kernel's own words, "e overlay: ..." (fsopen(2)). */
static int explain(struct root *r, int fs)
{
	int error = errno;
	char text[ROOT_STEP_MAX - 32];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	errno = error;
	return text[0] ? root_step(r, "put the layers together (%s)", text)
		       : root_step(r, "put the layers %s", "together");
}

static int new_overlay(struct root *r)
{
	/* No redirects and no metadata-only copies: a layer must read the same without
	 * the ones below it. */
	static const char *const options[][2] = {{"source", "overlay"},
		{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}};
	int fs autoclose = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return root_step(r, "make an %s", "overlay");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) <
			0)
			return root_step(r, "overlay option %s", options[i][0]);
	/* an unfinished upper layer is never used again, and a cache is one: nothing
	 * waits for the disk */
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return root_step(r, "overlay option %s", "volatile");
	return TAKE_FD(fs);
}

/* When the layers are set. A detached mount, or -errno. */
static int mount_overlay(struct root *r, int fs, unsigned int attrs)
{
	int fd;

	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return explain(r, fs);
	fd = fsmount(fs, FSMOUNT_CLOEXEC,
		GUARD_ATTRS(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | attrs));
	return fd < 0 ? root_step(r, "mount the %s", "overlay") : fd;
}

/* With its upper layer, when the lower ones are set. */
static int finish_overlay(struct root *r, int fs, const struct upper *u)
{
	int result = r->c->rt->overlay_by_fd ? set_upper_by_fd(r, fs, u)
					     : set_upper_by_name(r, fs, u);

	return result < 0 ? result : mount_overlay(r, fs, 0);
}

static int add_layers(struct root *r, int fs, struct lowers l, struct mount_fds *keep)
{
	return r->c->rt->overlay_by_fd ? add_layers_by_fd(r, fs, l, keep)
				       : add_layers_by_name(r, fs, l);
}

/* A stack being made has no layers: it lies over the skeleton alone. */
int root_make(struct root *r)
{
	struct upper u = {.place = "u", .fs = "fs", .work = "work"};
	int fs autoclose = new_overlay(r);
	int result;

	if (fs < 0)
		return fs;
	if ((u.tree = open_upper(r)) < 0)
		return u.tree;
	result = add_layers(r, fs, (struct lowers){.n = r->c->start->n_layers}, r->spent);
	if (result < 0)
		return result;
	r->fd = finish_overlay(r, fs, &u);
	return r->fd < 0 ? r->fd : 0;
}

/* As a layer is stored: the skeleton is no part of an image. One alone needs no overlay. */
int root_make_merged(struct root *r, uint64_t id)
{
	struct lowers l = {
		.first = (uint32_t)(id >> 32), .n = (uint32_t)id, .alone = true};
	struct mount_fds keep = {.n = 0};
	int fs autoclose = -1;
	char path[64];
	int result;

	if (l.n == 1) {
		layer_path(r->c, l, 0, path);
		return mounts_open_tree(r, path, r->c->idmap, MOUNT_ATTR_RDONLY);
	}
	fs = new_overlay(r);
	if (fs < 0)
		return fs;
	result = add_layers(r, fs, l, &keep);
	if (result == 0)
		result = mount_overlay(r, fs, MOUNT_ATTR_RDONLY);
	while (keep.n > 0)
		close(keep.fds[--keep.n]);
	return result;
}

/*
 * An overlay over an empty folder: what is written lies in the cache as it is, and the
 * mount names no path of the host.
 */
static int make_cache(struct root *r, const char *name, const char *work)
{
	struct upper u = {.place = "c"};
	int fs autoclose = new_overlay(r);
	int empty autoclose = open("/empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fs < 0)
		return fs;
	u.tree = root_clone("/cache", r->c->idmap, 0);
	if (u.tree < 0 || empty < 0) {
		errno = u.tree < 0 ? -u.tree : errno;
		return root_step(r, "open %s", "/cache");
	}
	u.fs = name;
	u.work = work;
	result = r->c->rt->overlay_by_fd ? set_fd(r, fs, "lowerdir+", empty, ".")
		 : fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", "/empty", 0) < 0
			 ? root_step(r, "overlay %s", "by names")
			 : 0;
	return result < 0 ? result : finish_overlay(r, fs, &u);
}

int root_make_cache(struct root *r, const struct msg_mount *m)
{
	char name[32], work[32];

	if (m->kind == MOUNT_CACHE) {
		snprintf(name, sizeof(name), "%" PRIu64, m->id);
		cache_work_name(r->c->id, work);
	} else {
		cache_part_name(r->c->start->app, m->id, name);
		cache_part_work_name(
			r->c->id, (unsigned int)(m - r->c->start->mounts), work);
	}
	return make_cache(r, name, work);
}
