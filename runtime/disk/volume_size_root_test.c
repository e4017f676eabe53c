/* Volumes with a size, as root: images and quotas, in real sandboxes of different apps, on file systems of their own. */
#include "runtime/sandbox/box_test.h"

#include "runtime/command.h"
#include "runtime/disk/loopdev.h"
#include "runtime/disk/quota.h"
#include "runtime/disk/volume_image.h"
#include "runtime/disk/volume_size.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define MB ((uint64_t)1 << 20)
#define WAIT_MS 10000

static uint64_t next_volume = 0x50;

static int size_to(uint64_t id, uint64_t size, uint32_t flags, struct err *e)
{
	const struct msg_volume_size m = {.id = id, .size_bytes = size, .flags = flags};
	int dirfd autoclose = -1;
	char path[128];

	snprintf(path, sizeof(path), "%s/volumes", w.state);
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	*e = (struct err){0};
	return volume_set_size(dirfd, &m, e);
}

static struct msg_volume_info info_of(uint64_t id)
{
	struct msg_volume_info info;
	int dirfd autoclose = -1;
	char path[128];

	snprintf(path, sizeof(path), "%s/volumes", w.state);
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(volume_info(dirfd, id, &info), 0);
	return info;
}

static uint64_t new_volume(uint64_t size)
{
	struct err e;

	if (size_to(++next_volume, size, VOLUME_NEW, &e) < 0)
		fail_msg("%s", e.text);
	return next_volume;
}

static void image_path(uint64_t id, char out[160])
{
	snprintf(out, 160, "%s/volumes/%016" PRIx64 ".img", w.state, id);
}

static struct box box_with(uint32_t app, uint64_t volume)
{
	struct box b = box_new();

	b.start.app = app;
	b.start.n_mounts = 1;
	b.start.mounts[0] =
		(struct msg_mount){.id = volume, .kind = MOUNT_VOLUME, .path = "/data"};
	return b;
}

/* Whether the file of a loop device is one of this state folder's images. Asked of the device: sysfs may not have it. */
static bool has_image(int fd)
{
	struct loop_info64 info;
	char path[160];
	DIR *d;
	struct dirent *e;
	struct stat st;
	bool is = false;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/volumes", w.state);
	d = opendir(path);
	while (d && !is && (e = readdir(d)))
		is = strstr(e->d_name, ".img") &&
		     fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
		     st.st_ino == info.lo_inode && st.st_dev == info.lo_device;
	if (d)
		closedir(d);
	return is;
}

/* The loop devices with an image of this state folder. */
static int loops(void)
{
	int n = 0;

	for (int i = 0; i < 512; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/dev/loop%d", i);
		int fd autoclose = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		n += fd >= 0 && has_image(fd);
	}
	return n;
}

static void wait_for_loops(int wanted)
{
	for (int ms = 0; loops() != wanted; ms += 5) {
		if (ms > WAIT_MS)
			fail_msg("%d loop devices instead of %d", loops(), wanted);
		usleep(5000);
	}
}

static void stop(struct box *b)
{
	sandbox_kill(w.rt, &b->rec);
	box_end(b);
}

/* ---- what both kinds promise ---- */

static void fill_up(uint32_t app, uint64_t id, const char *why)
{
	struct box b = box_with(app, id);

	run(&b, "fill", "/data/much", "100");
	assert_end(&b, EXIT_REASON_EXITED, 1);
	if (!strstr(b.text, why))
		fail_msg("it says %s", b.text);
}

/* The kernel asks that of who grows an ext4 that is mounted. */
static bool may_resize(void)
{
	return prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1;
}

/* The limit holds for both, and grows while the first runs. */
static void two_apps_share_a_size(const char *full, enum volume_backing backing)
{
	uint64_t id = new_volume(32 * MB);
	struct box first = box_with(7, id), second = box_with(9, id);
	struct msg_volume_info info;
	struct err e;

	box_must_start(&first, PROBE("fill-and-wait", "/data/file", "8"));
	wait_for_line(&first);
	run(&second, "stat", "/data/file");
	assert_string_equal(second.text, "100644 1000 1000\n");
	fill_up(9, id, full);
	info = info_of(id);
	assert_int_equal(info.backing, backing);
	assert_int_equal(info.size_bytes, 32 * MB);
	assert_in_range(info.used_bytes, 20 * MB, 32 * MB);
	assert_in_range(info.files, 2, 30);
	assert_in_range(info.files_max, 1024, 2100);
	int later = size_to(id, 64 * MB, 0, &e);
	assert_int_equal(later, backing == VOLUME_IMAGE && !may_resize());
	if (later)
		stop(&first);
	assert_int_equal(info_of(id).size_bytes, 64 * MB);
	struct box more = box_with(9, id);
	run(&more, "fill", "/data/more", "24");
	assert_end(&more, EXIT_REASON_EXITED, 0);
	assert_int_equal(size_to(id, 48 * MB, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "does not shrink"));
	assert_int_equal(size_to(id, 64 * MB, VOLUME_NEW, &e), -EEXIST);
	if (!later)
		stop(&first);
}

static void a_size_has_a_range(void **state UNUSED)
{
	struct err e;

	assert_int_equal(size_to(0x4000, 0, VOLUME_NEW, &e), -ERANGE);
	assert_int_equal(size_to(0x4000, 1, VOLUME_NEW, &e), -ERANGE);
	assert_int_equal(size_to(0x4000, UINT64_MAX, VOLUME_NEW, &e), -ERANGE);
	assert_int_equal(size_to(0x4000, VOLUME_SIZE_MAX, VOLUME_NEW, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "MB are free"));
	assert_int_equal(size_to(0x4000, 32 * MB, 0, &e), -ENOENT);
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 0x4001), 0);
	assert_int_equal(size_to(0x4001, 32 * MB, 0, &e), -EOPNOTSUPP);
	assert_int_equal(info_of(0x4001).backing, VOLUME_FOLDER);
}

/* ---- images ---- */

static void an_image_is_shared_filled_and_grown(void **state UNUSED)
{
	two_apps_share_a_size("No space left", VOLUME_IMAGE);
	wait_for_loops(0);
}

static void its_space_is_taken_when_it_is_made(void **state UNUSED)
{
	char path[160];
	struct stat st;

	image_path(new_volume(32 * MB), path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 32 * MB);
	assert_true((uint64_t)st.st_blocks * 512 >= 32 * MB);
	assert_int_equal(st.st_mode & 07777, 0600);
	wait_for_loops(0);
}

static void every_sandbox_has_the_same_device(void **state UNUSED)
{
	uint64_t id = new_volume(16 * MB);
	struct box first = box_with(7, id), second = box_with(9, id),
		   ro = box_with(9, id);

	box_must_start(&first, PROBE("fill-and-wait", "/data/a", "1"));
	wait_for_line(&first);
	box_must_start(&second, PROBE("fill-and-wait", "/data/b", "1"));
	wait_for_line(&second);
	assert_int_equal(loops(), 1);
	ro.start.mounts[0].flags = MOUNT_READ_ONLY_FLAG;
	run(&ro, "put", "/data/a", "changed");
	assert_non_null(strstr(ro.text, "Read-only"));
	stop(&first);
	assert_int_equal(loops(), 1);
	stop(&second);
	wait_for_loops(0);
	struct box later = box_with(7, id);
	run(&later, "stat", "/data/b");
	assert_string_equal(later.text, "100644 1000 1000\n");
}

/* "None has it" would be an invitation to a second file system in the same image. */
static void a_device_that_cannot_be_opened_may_have_the_image(void **state UNUSED)
{
	char path[160], device[LOOPDEV_PATH];
	struct rlimit before, few;

	image_path(new_volume(16 * MB), path);
	int image autoclose = open(path, O_RDWR | O_CLOEXEC);
	int loop autoclose = loopdev_attach(image, LOOPDEV_DIRECT, device);
	int next = dup(image);
	assert_true(image >= 0 && loop >= 0 && next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)next + 1; /* for the list of the devices */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int unknown = loopdev_find(image, device);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(unknown, -EMFILE);
	int found autoclose = loopdev_find(image, device);
	assert_true(found >= 0);
	close(TAKE_FD(found));
	close(TAKE_FD(loop));
	wait_for_loops(0);
}

static void its_mount_names_no_path_of_the_host(void **state UNUSED)
{
	struct box b = box_with(7, new_volume(16 * MB));

	run(&b, "cat", "/proc/self/mountinfo");
	assert_null(strstr(b.text, "/volumes"));
	assert_null(strstr(b.text, w.dir));
	const char *line = strstr(b.text, " / /data ");
	assert_non_null(line);
	assert_int_equal(strncmp(line, " / /data rw,nosuid,nodev", 24), 0);
}

/* The runtime goes and comes back, as when berthd was killed: the sandbox has its mount. */
static void a_new_berthd_finds_the_device(void **state UNUSED)
{
	uint64_t id = new_volume(16 * MB);
	struct box first = box_with(7, id), second = box_with(9, id);
	int pidfd;
	struct err e;

	box_must_start(&first, PROBE("fill-and-wait", "/data/a", "1"));
	wait_for_line(&first);
	runtime_close(w.rt);
	w.rt = NULL;
	assert_int_equal(open_world(&e), 0);
	assert_int_equal(sandbox_adopt(w.rt, &first.rec, &pidfd), 0);
	close(pidfd);
	assert_int_equal(runtime_network(w.rt, &e), 0);
	run(&second, "stat", "/data/a");
	assert_string_equal(second.text, "100644 1000 1000\n");
	assert_int_equal(loops(), 1);
	stop(&first);
	wait_for_loops(0);
}

static void must_not_start(uint64_t id, const char *why)
{
	struct box b = box_with(7, id), other = box_new();

	assert_true(box_start(&b, PROBE("exit", "0")) < 0);
	close(b.exit_fd);
	close(b.output[0]);
	if (!strstr(b.e.text, why))
		fail_msg("it says: %s", b.e.text);
	run(&other, "exit", "0");
	assert_end(&other, EXIT_REASON_EXITED, 0);
	wait_for_loops(0);
}

static void write_at(uint64_t id, off_t at, const void *bytes, size_t n)
{
	char path[160];

	image_path(id, path);
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
}

static void one_that_does_not_mount_says_what_to_do(void **state UNUSED)
{
	const uint16_t clean = 1, errors = 3, mounts = 77;
	uint64_t id = new_volume(16 * MB);
	char path[160], zeros[4096] = "";
	struct err e;

	write_at(id, 1024 + 0x3a, &errors, sizeof(errors));
	must_not_start(
		id, "is marked as damaged. While nothing runs with it: e2fsck -f ");
	assert_int_equal(size_to(id, 64 * MB, 0, &e), -EUCLEAN);
	assert_int_equal(info_of(id).size_bytes, 16 * MB);
	write_at(id, 1024 + 0x3a, &clean, sizeof(clean));
	write_at(
		id, 1024 + 0x34, &mounts, sizeof(mounts)); /* its checksum is wrong now */
	must_not_start(id, "cannot be mounted");
	assert_int_not_equal(size_to(id, 64 * MB, 0, &e), 1);
	assert_non_null(strstr(e.text, "cannot be mounted"));
	assert_int_equal(info_of(id).size_bytes, 16 * MB);
	write_at(id, 0, zeros, sizeof(zeros));
	must_not_start(id, "there is no file system in its image");
	image_path(id, path);
	assert_int_equal(unlink(path), 0);
	must_not_start(id, "volumes/");
}

/* The file was enlarged, then berthd was killed. */
static void growth_that_was_interrupted_is_finished(void **state UNUSED)
{
	uint64_t id = new_volume(16 * MB);
	struct box b = box_with(7, id);
	char path[160];

	image_path(id, path);
	assert_int_equal(truncate(path, 64 * MB), 0);
	run(&b, "fill", "/data/much", "40");
	assert_end(&b, EXIT_REASON_EXITED, 0);
}

static void copy_image(uint64_t from, uint64_t to)
{
	char a[160], b[160];

	image_path(from, a);
	image_path(to, b);
	const char *const argv[] = {"cp", "--sparse=never", a, b, NULL};
	assert_int_equal(command_run(argv, NULL, 0, NULL), 0);
}

/* As after a power cut: what lay on the disk then, with the journal not played. */
static void what_was_synced_survives_a_power_cut(void **state UNUSED)
{
	uint64_t id = new_volume(16 * MB), copy = ++next_volume;
	struct box b = box_with(7, id), after = box_with(9, copy);

	box_must_start(&b, PROBE("fill-and-wait", "/data/synced", "2"));
	wait_for_line(&b);
	copy_image(id, copy);
	stop(&b);
	run(&after, "stat", "/data/synced");
	assert_string_equal(after.text, "100644 1000 1000\n");
	fill_up(9, copy, "No space left");
	wait_for_loops(0);
}

/* ---- quotas ---- */

/* A world on a file system in an image beside it. The mounts are this process's alone. */
static void format(const char *const *mkfs, uint64_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/disk", w.dir);
	int fd autoclose = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	const char *argv[10] = {NULL};
	int n = 0;
	for (; mkfs[n]; n++)
		argv[n] = mkfs[n];
	argv[n] = path;
	assert_int_equal(command_run(argv, NULL, 0, NULL), 0);
}

static int mount_disk(const char *type, const char *options)
{
	char from[128], all[64];

	snprintf(from, sizeof(from), "%s/disk", w.dir);
	snprintf(all, sizeof(all), "loop,%s", options);
	const char *const argv[] = {"mount", "-t", type, "-o", all, from, w.state, NULL};
	return command_run(argv, NULL, 0, NULL);
}

static void quotas_keep_a_size(
	const char *const *mkfs, const char *type, uint64_t size, const char *full)
{
	struct world before = w;
	char dir[] = WORLDS "XXXXXX";
	struct err e;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(sweep_mark(dir), 0);
	name_world(dir);
	assert_int_equal(mkdir(w.state, 0755), 0);
	format(mkfs, size);
	if (mount_disk(type, "prjquota") != 0) {
		assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
		w = before;
		print_message("# this kernel has no quotas on %s\n", type);
		skip();
	}
	if (open_world(&e) < 0 || runtime_network(w.rt, &e) < 0)
		fail_msg("%s", e.text);
	w.next = before.next;
	assert_int_equal(make_root_layer(), 0);
	two_apps_share_a_size(full, VOLUME_QUOTA);
	assert_int_equal(loops(), 0);
	assert_int_equal(runtime_remove(w.rt, &e), 0);
	runtime_close(w.rt);
	assert_int_equal(umount2(w.state, 0), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
	before.next = w.next;
	w = before;
}

static void ext4_keeps_a_size(void **state UNUSED)
{
	static const char *const mkfs[] = {"mke2fs", "-q", "-t", "ext4", "-O",
		"quota,project", "-Equotatype=prjquota", NULL};

	quotas_keep_a_size(mkfs, "ext4", 300 * MB, "Disk quota exceeded");
}

static void xfs_keeps_a_size(void **state UNUSED)
{
	static const char *const mkfs[] = {"mkfs.xfs", "-q", NULL};

	quotas_keep_a_size(mkfs, "xfs", 320 * MB, "No space left");
}

static int set_up_alone(void **state)
{
	if (unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return set_up(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_has_a_range),
		cmocka_unit_test(an_image_is_shared_filled_and_grown),
		cmocka_unit_test(its_space_is_taken_when_it_is_made),
		cmocka_unit_test(every_sandbox_has_the_same_device),
		cmocka_unit_test(a_device_that_cannot_be_opened_may_have_the_image),
		cmocka_unit_test(its_mount_names_no_path_of_the_host),
		cmocka_unit_test(a_new_berthd_finds_the_device),
		cmocka_unit_test(one_that_does_not_mount_says_what_to_do),
		cmocka_unit_test(growth_that_was_interrupted_is_finished),
		cmocka_unit_test(what_was_synced_survives_a_power_cut),
		cmocka_unit_test(ext4_keeps_a_size),
		cmocka_unit_test(xfs_keeps_a_size),
	};

	return run_as_root(tests, set_up_alone, tear_down);
}
