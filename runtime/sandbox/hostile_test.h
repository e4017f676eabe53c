/* For the tests of images and volumes made to break out: the program that tries, a folder
 * of the host with a canary, and ways to plant things. */
#ifndef RUNTIME_HOSTILE_TEST_H
#define RUNTIME_HOSTILE_TEST_H

#include "runtime/sandbox/box_test.h"

#define HOSTILE(...) ((const char *const[]){"/hostile", __VA_ARGS__, NULL})
#define attack(b, ...)                                                                   \
	do {                                                                             \
		box_must_start(b, HOSTILE(__VA_ARGS__));                                 \
		box_end(b);                                                              \
	} while (0)
#define CANARY "nobody may read or change this\n"

static UNUSED uint64_t next_layer = 0x1000;
static char outside[128]; /* a folder of the host with the canary */

static UNUSED void write_file(const char *path, const char *text)
{
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static UNUSED void assert_file(const char *path, const char *text)
{
	autobuf b = BUF_INIT;

	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	assert_string_equal(b.data, text);
}

static UNUSED unsigned int entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* The folder of the host, its file and its mode are as they were made. */
static UNUSED void assert_untouched(void)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/canary", outside);
	assert_file(path, CANARY);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(entries(outside), 3);
	assert_int_equal(stat(outside, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 0);
}

/* ---- planting ---- */

/* Makes the folders above name in fs, as an image would have them. */
static UNUSED void make_parents(const char *fs, const char *name, char path[400])
{
	for (const char *slash = strchr(name, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		snprintf(path, 400, "%s/%.*s", fs, (int)(slash - name), name);
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	}
	snprintf(path, 400, "%s/%s", fs, name);
}

static UNUSED void copy_privileged(const char *to, uid_t owner, mode_t mode)
{
	autobuf b = {.max = 16 << 20};
	int fd autoclose = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	assert_int_equal(io_read_file(AT_FDCWD, "build/test/runtime/hostile", &b), 0);
	assert_int_equal(io_write_all(fd, b.data, b.len), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(fchmod(fd, mode), 0); /* chown takes set-id bits away */
}

static UNUSED void volume_path(uint64_t id, char out[160])
{
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, id), 0);
	snprintf(out, 160, "%s/volumes/%016" PRIx64, w.state, id);
}

static UNUSED void mount_at(struct box *b, uint64_t id, const char *path)
{
	struct msg_mount *m = &b->start.mounts[b->start.n_mounts++];

	*m = (struct msg_mount){.id = id, .kind = MOUNT_VOLUME};
	snprintf(m->path, sizeof(m->path), "%s", path);
}

static UNUSED int set_up_hostile(void **state)
{
	char path[256];

	if (set_up(state) < 0)
		return -1;
	snprintf(outside, sizeof(outside), "%s/outside", w.dir);
	snprintf(path, sizeof(path), "%s/canary", outside);
	if (mkdir(outside, 0755) < 0)
		return -1;
	write_file(path, CANARY);
	if (chmod(path, 0600) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/layers/%016x/fs", w.state, ROOT_LAYER);
	return copy_program("hostile", path);
}

#endif
