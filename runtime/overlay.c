/* The root of a sandbox: its layers below an upper one, each seen through the app's own
 * ids. */
#include "runtime/guards.h"
#include "runtime/root.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mount.h>

static void layer_path(const struct child *c, uint32_t i, char out[64])
{
	if (i < c->start->n_layers)
		snprintf(out, 64, "/layers/%016" PRIx64 "/fs", c->start->layers[i]);
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
static int clone_lower(struct root *r, uint32_t i)
{
	uint32_t n = r->c->start->n_layers;
	char path[64];
	int fd;

	layer_path(r->c, i < n ? n - 1 - i : n, path);
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

static int add_layers_by_fd(struct root *r, int fs, int upper)
{
	int result;

	for (uint32_t i = 0; i <= r->c->start->n_layers; i++) {
		int tree = clone_lower(r, i);
		if (tree < 0)
			return tree;
		/* stays open: closing it would dissolve the mount before overlayfs has it
		 */
		r->spent->fds[r->spent->n++] = tree;
		if ((result = set_fd(r, fs, "lowerdir+", tree, ".")) < 0)
			return result;
	}
	if (upper != r->c->scratch)
		r->spent->fds[r->spent->n++] = upper;
	if ((result = set_fd(r, fs, "upperdir", upper, "fs")) < 0)
		return result;
	return set_fd(r, fs, "workdir", upper, "work");
}

/* Before Linux 6.13: the layers attached below /l, short relative names (the option
 * string has one page at most). */
static int add_layers_by_name(struct root *r, int fs, int upper)
{
	char names[512] = "", at[32];
	size_t len = 0;

	if (chdir("/l") < 0 ||
		move_mount(upper, "", AT_FDCWD, "u", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return root_step(r, "attach the %s layer", "upper");
	for (uint32_t i = 0; i <= r->c->start->n_layers; i++) {
		int tree autoclose = clone_lower(r, i);
		if (tree < 0)
			return tree;
		snprintf(at, sizeof(at), "%u", i);
		if (move_mount(tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return root_step(r, "attach layer %s", at);
		len += (size_t)snprintf(
			names + len, sizeof(names) - len, "%s%u", i ? ":" : "", i);
	}
	if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", names, 0) < 0 ||
		fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", "u/fs", 0) < 0 ||
		fsconfig(fs, FSCONFIG_SET_STRING, "workdir", "u/work", 0) < 0)
		return root_step(r, "overlay %s", "by names");
	return 0;
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
	return root_step(r, "put the layers together (%s)", text);
}

static int make_overlay(struct root *r)
{
	/* No redirects and no metadata-only copies: a layer must read the same without
	 * the ones below it. */
	static const char *const options[][2] = {{"source", "overlay"},
		{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}};
	int fs autoclose = fsopen("overlay", FSOPEN_CLOEXEC);
	int upper; /* stays open, as the layers */
	int result;

	if (fs < 0)
		return root_step(r, "make an %s", "overlay");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) <
			0)
			return root_step(r, "overlay option %s", options[i][0]);
	/* an unfinished upper layer is never used again: nothing waits for the disk */
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return root_step(r, "overlay option %s", "volatile");
	upper = open_upper(r);
	if (upper < 0)
		return upper;
	result = r->c->rt->overlay_by_fd ? add_layers_by_fd(r, fs, upper)
					 : add_layers_by_name(r, fs, upper);
	if (result < 0)
		return result;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return explain(r, fs);
	r->fd = fsmount(
		fs, FSMOUNT_CLOEXEC, GUARD_ATTRS(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
	return r->fd < 0 ? root_step(r, "mount the %s", "overlay") : 0;
}

/* A stack being made has no layers: it lies over the skeleton alone. */
int root_make(struct root *r)
{
	return make_overlay(r);
}
