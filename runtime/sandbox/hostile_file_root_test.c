/* Real sandboxes on this kernel, as root, with files in images and volumes that bring rights
 * along: there they count for nothing, elsewhere they do. */
#include "runtime/sandbox/hostile_test.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* CAP_SETUID, effective; rootid 0: the form without. capabilities(7), "File capability
 * extended attribute versioning" */
static void give_capabilities(const char *path, uint32_t rootid)
{
	uint32_t v[6] = {
		(rootid ? 0x03000000u : 0x02000000u) | 1, 1 << 7, 0, 0, 0, rootid};

	assert_int_equal(
		setxattr(path, "security.capability", v, rootid ? 24 : 20, 0), 0);
}

static const char *const privileged[] = {"suid", "sgid", "other", "caps", "caps3"};

/* In a folder of a layer, a volume or the host, where ids begin at base. */
static void make_privileged(const char *folder, uid_t base)
{
	char path[400];

	for (size_t i = 0; i < ARRAY_LEN(privileged); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, privileged[i]);
		copy_privileged(path, i == 2 ? base + 33 : base, i < 3 ? 06755 : 0755);
		if (i >= 3)
			give_capabilities(path, i == 4 ? base : 0);
	}
}

static void make_nodes(const char *folder)
{
	static const struct {
		const char *name;
		mode_t type;
		unsigned int major, minor;
	} nodes[] = {{"mem", S_IFCHR, 1, 1}, {"null", S_IFCHR, 1, 3},
		{"zero", S_IFCHR, 1, 5}, {"loop", S_IFBLK, 7, 0}, {"tty", S_IFCHR, 5, 0},
		{"disk", S_IFBLK, 254, 0}};
	char path[400];

	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, nodes[i].name);
		assert_int_equal(mknod(path, nodes[i].type | 0666,
					 makedev(nodes[i].major, nodes[i].minor)),
			0);
		assert_int_equal(chmod(path, 0666), 0);
	}
}

static void give_nothing(const struct box *like, const char *folder)
{
	for (size_t i = 0; i < ARRAY_LEN(privileged); i++) {
		struct box b = box_new();
		char path[64];

		memcpy(b.start.layers, like->start.layers, sizeof(b.start.layers));
		memcpy(b.start.mounts, like->start.mounts, sizeof(b.start.mounts));
		b.start.n_layers = like->start.n_layers;
		b.start.n_mounts = like->start.n_mounts;
		snprintf(path, sizeof(path), "%s/%s", folder, privileged[i]);
		box_must_start(&b, (const char *const[]){path, "who", NULL});
		box_end(&b);
		assert_string_equal(b.text, "1000 1000 1000 1000 0000000000000000\n");
	}
}

static void privileges_of_files_count_for_nothing(void **state)
{
	struct box layer = box_new(), volume = box_new();
	char fs[200], path[160];

	(void)state;
	layer_new(next_layer, fs);
	layer.start.layers[layer.start.n_layers++] = next_layer++;
	make_privileged(fs, RUNTIME_DISK_UID_BASE);
	give_nothing(&layer, "");
	volume_path(0x60, path);
	make_privileged(path, RUNTIME_DISK_UID_BASE);
	mount_at(&volume, 0x60, "/data");
	give_nothing(&volume, "/data");
}

/* What such a file says when an ordinary user of the host runs it. */
static void run_as_user(const char *path, char text[128])
{
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(ends[1], 1) == 1 && setresgid(65534, 65534, 65534) == 0 &&
			setresuid(65534, 65534, 65534) == 0)
			execl(path, path, "who", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	n = read(ends[0], text, 127);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	waitpid(pid, NULL, 0);
}

static void the_same_files_have_an_effect_outside(void **state)
{
	char folder[160], path[400], text[128];
	struct statvfs fs;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/privileged", w.dir);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(statvfs(folder, &fs), 0);
	if (fs.f_flag & ST_NOSUID)
		skip(); /* here they have none either */
	assert_int_equal(chmod(w.dir, 0711), 0);
	make_privileged(folder, 0);
	for (size_t i = 0; i < ARRAY_LEN(privileged); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, privileged[i]);
		run_as_user(path, text);
		assert_true(
			strncmp(text, "65534 65534 65534 65534 0000000000000000", 40));
		assert_true(strncmp(text, "65534 ", 6) == 0);
	}
	make_nodes(folder);
	snprintf(path, sizeof(path), "%s/zero", folder);
	int fd autoclose = fs.f_flag & ST_NODEV ? 0 : open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(chmod(w.dir, 0700), 0);
}

static void device_nodes_do_not_open(void **state)
{
	struct box b = box_new(), volume = box_new(), root = box_new();
	char fs[200], path[160];

	(void)state;
	layer_new(next_layer, fs);
	b.start.layers[b.start.n_layers++] = next_layer;
	root.start.layers[root.start.n_layers++] = next_layer++;
	root.start.profile = PROFILE_BUILD_ROOT;
	strcat(fs, "/nodes");
	assert_int_equal(mkdir(fs, 0755), 0);
	make_nodes(fs);
	attack(&b, "nodes", "/nodes");
	attack(&root, "nodes", "/nodes");
	assert_string_equal(root.text, b.text);
	assert_non_null(strstr(b.text, "zero: Permission denied"));
	assert_null(strstr(b.text, "DONE"));
	volume_path(0x61, path);
	make_nodes(path);
	mount_at(&volume, 0x61, "/data");
	attack(&volume, "nodes", "/data");
	assert_non_null(strstr(volume.text, "zero: Permission denied"));
	assert_null(strstr(volume.text, "DONE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(privileges_of_files_count_for_nothing),
		cmocka_unit_test(the_same_files_have_an_effect_outside),
		cmocka_unit_test(device_nodes_do_not_open),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}
