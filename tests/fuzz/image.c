/*
 * An archive of an image: whatever it says, nothing is written outside of the folder, and only files, folders and links
 * are made. Needs root, and gives it away: the folder is another user's.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sums.h"

#include "buildpacks/image/image_plan.h"
#include "buildpacks/image/layer_apply.h"
#include "buildpacks/image/layer_in.h"

#include <errno.h>
#include <ftw.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NOBODY 65534
#define MAX_BYTES (1u << 20)
#define MAX_FILES 200

static unsigned int found;

static int look(
	const char *path UNUSED, const struct stat *st, int kind, struct FTW *w UNUSED)
{
	CHECK(kind != FTW_NS);
	CHECK(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode));
	found++;
	return 0;
}

static unsigned int look_at(const char *path)
{
	found = 0;
	CHECK(nftw(path, look, 16, FTW_PHYS) == 0);
	return found;
}

static void set_user(unsigned int id)
{
	(void)setfsgid(id);
	(void)setfsuid(id);
}

/* top/a/root is written into; it and the two above it, and only those, remain. */
static void apply(int fd, const char *path, const char *diff_id)
{
	char root[96];
	struct layer_apply a = {.fd = fd,
		.path = path,
		.diff_id = diff_id,
		.root = root,
		.max_bytes = MAX_BYTES,
		.max_entries = MAX_FILES};
	struct err e = {0};
	json_t *said = NULL;
	int here autoclose = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(root, sizeof(root), "%s/a/root", top);
	CHECK(mkdir(root, 0755) == 0 && chown(root, NOBODY, NOBODY) == 0);
	set_user(NOBODY);
	int r = layer_apply(&a, &said, &e);
	set_user(0);
	CHECK(fchdir(here) == 0);
	CHECK(r == 0 ? json_is_object(said) : r < 0 && e.text[0] && !said);
	json_decref(said);
	CHECK(look_at(root) <= 1 + MAX_FILES * 600u); /* parts of long paths */
	CHECK(io_remove_tree(AT_FDCWD, root) == 0);
}

/* The file as a layer, with its true digest. */
static void as_layer(int fd)
{
	struct err e = {0};
	struct layer_in *l = layer_in_open(fd, "", MAX_BYTES, &e);
	char hex[65];

	CHECK(l || e.text[0]);
	if (l && layer_in_end(l, hex, &e) == 0)
		apply(fd, "", hex);
	layer_in_close(l);
}

static void as_image(int fd)
{
	struct err e = {0};
	json_t *plan = NULL, *row;
	size_t i;
	int r = image_plan(fd, MAX_BYTES, false, &plan, &e);

	CHECK(r == 0 ? json_is_object(plan) : r < 0 && e.text[0] && !plan);
	json_array_foreach (json_object_get(plan, "layers"), i, row)
		if (i < 4)
			apply(fd, json_string_value(json_object_get(row, "path")),
				json_string_value(json_object_get(row, "diff_id")));
	json_decref(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = take_u8(&in);
	char path[96];

	CHECK(geteuid() == 0);
	if (!top[0])
		make_top();
	/* whoever unpacks may write to these, and must not */
	snprintf(path, sizeof(path), "%s/a", top);
	CHECK(mkdir(path, 0755) == 0 && chown(path, NOBODY, NOBODY) == 0);
	CHECK(chown(top, NOBODY, NOBODY) == 0 && chmod(top, 0755) == 0);
	char *tar = text_of(in.p, in.n);
	if (how & 1)
		fix_sums(tar, in.n);
	int fd autoclose = memfd_create("tar", MFD_CLOEXEC);
	CHECK(fd >= 0 && io_write_all(fd, tar, in.n) == 0);
	free(tar);
	as_layer(fd);
	as_image(fd);
	CHECK(look_at(top) == 2);
	CHECK(io_remove_tree(AT_FDCWD, path) == 0);
	return 0;
}
