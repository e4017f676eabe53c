/* Real sandboxes on this kernel, as root, with images and volumes made to break out of
 * them: what stands in the way holds, and the same thing works where nothing does. */
#include "runtime/box_test.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define HOSTILE(...) ((const char *const[]){"/hostile", __VA_ARGS__, NULL})
#define attack(b, ...)                                                                   \
	do {                                                                             \
		box_must_start(b, HOSTILE(__VA_ARGS__));                                 \
		box_end(b);                                                              \
	} while (0)
#define CANARY "nobody may read or change this\n"
#define SHARED 0x51u  /* the volume that two apps have */
#define PRIVATE 0x52u /* the victim's */
#define OTHERS 0x77u  /* a volume of neither */
#define RACE_ROUNDS 2000

static uint64_t next_layer = 0x1000;
static char outside[128]; /* a folder of the host with the canary */

static void write_file(const char *path, const char *text)
{
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static void assert_file(const char *path, const char *text)
{
	autobuf b = BUF_INIT;

	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	assert_string_equal(b.data, text);
}

static unsigned int entries(const char *path)
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
static void assert_untouched(void)
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

/* ---- images ---- */

enum plant {
	LINK_OUTSIDE,
	LINK_UP,
	LINK_STATE,
	LINK_PROC,
	LINK_APP,
	LINK_ROOT,
	LINK_LOOP,
	A_FIFO,
	A_FILE,
	A_SETUID_FILE,
	A_NODE,
	A_SOCKET,
	A_FOLDER,
	PLANTS
};

static int make_link(const char *path, const char *fmt, ...) PRINTF(2, 3);
static int make_link(const char *path, const char *fmt, ...)
{
	char to[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to, sizeof(to), fmt, ap);
	va_end(ap);
	return symlink(to, path);
}

static int make_socket(const char *path)
{
	int fd = io_unix_listen(path, SOCK_STREAM, 0666);

	return fd < 0 ? -1 : close(fd);
}

static int make_file(const char *path, mode_t mode)
{
	write_file(path, "planted\n");
	return chmod(path, mode);
}

static void plant(const char *path, enum plant what)
{
	const char *name = strrchr(path, '/') + 1;
	int r = -1;

	switch (what) {
	case LINK_OUTSIDE:
		r = make_link(path, "%s", outside);
		break;
	case LINK_UP:
		r = make_link(path, "../../../../../../../../../..%s", outside);
		break;
	case LINK_STATE: /* as the child sees them before it has its root */
		r = make_link(path, "/volumes/%016x", OTHERS);
		break;
	case LINK_PROC:
		r = make_link(path, "/proc/self/root/proc/sys");
		break;
	case LINK_APP:
		r = make_link(path, "/app/a/b");
		break;
	case LINK_ROOT:
		r = make_link(path, "/");
		break;
	case LINK_LOOP:
		r = make_link(path, "%s", name);
		break;
	case A_FIFO:
		r = mkfifo(path, 0666);
		break;
	case A_FILE:
		r = make_file(path, 0644);
		break;
	case A_SETUID_FILE:
		r = make_file(path, 06755);
		break;
	case A_NODE:
		r = mknod(path, S_IFCHR | 0666, makedev(1, 1)); /* the memory */
		break;
	case A_SOCKET:
		r = make_socket(path);
		break;
	case A_FOLDER:
		r = mkdir(path, 0777);
		break;
	case PLANTS:
		break;
	}
	assert_int_equal(r, 0);
}

/* Makes the folders above name in fs, as an image would have them. */
static void make_parents(const char *fs, const char *name, char path[400])
{
	for (const char *slash = strchr(name, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		snprintf(path, 400, "%s/%.*s", fs, (int)(slash - name), name);
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	}
	snprintf(path, 400, "%s/%s", fs, name);
}

/* The name is hostile in the topmost layer, or in an upper layer of a build that begins. */
static void plant_in_image(struct box *b, const char *name, enum plant what, bool upper)
{
	char fs[200], path[400];
	uint64_t id = next_layer++;

	b->start.flags = START_HOST_APT | START_NO_NET;
	if (upper) {
		b->start.upper = id;
		assert_int_equal(layer_make_upper(w.rt, id), 0);
		snprintf(fs, sizeof(fs), "%s/layers/%016" PRIx64 ".tmp/fs", w.state, id);
	} else {
		b->start.layers[b->start.n_layers++] = id;
		layer_new(id, fs);
	}
	make_parents(fs, name, path);
	plant(path, what);
}

/* One start for each plant; every one shows the places as a harmless image does. */
static void try_places(const char *name, const char *wanted, bool upper)
{
	for (int what = 0; what < A_FOLDER; what++) {
		struct box b = box_new();

		plant_in_image(&b, name, what, upper);
		box_must_start(&b, HOSTILE("places"));
		box_end(&b);
		if (strcmp(b.text, wanted) != 0)
			print_message("%s planted %d, upper %d\n", name, what, upper);
		assert_string_equal(b.text, wanted);
		assert_end(&b, EXIT_REASON_EXITED, 0);
	}
}

static void what_an_image_has_at_our_places_is_not_used(void **state)
{
	static const char *const names[] = {"proc", "dev", "tmp", "etc", "etc/ssl",
		"etc/ssl/certs", "berth", "berth/host", "app"};
	struct box plain = box_new();

	(void)state;
	plain.start.flags = START_HOST_APT;
	attack(&plain, "places");
	assert_non_null(strstr(plain.text, "/dev/null: 20666 103 on 1021994"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		try_places(names[i], plain.text, false);
		try_places(names[i], plain.text, true);
	}
	assert_untouched();
}

/* ... and what lies in the folders of that name is covered: the sources of the masks are
 * never looked for in the image (CVE-2025-31133, CVE-2025-52565). */
static void devices_of_an_image_are_not_used(void **state)
{
	static const char *const names[] = {"dev/null", "dev/console", "dev/pts",
		"dev/pts/ptmx", "dev/ptmx", "dev/tty", "dev/shm", "dev/zero", "empty",
		"files", "null", "proc/kcore", "proc/sys", "proc/sys/kernel", "root",
		"l/u"};
	struct box plain = box_new(), masks = box_new();

	(void)state;
	plain.start.flags = START_HOST_APT;
	attack(&plain, "places");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		try_places(names[i], plain.text, false);
	plant_in_image(&masks, "dev/null", LINK_PROC, false);
	attack(&masks, "touch", "/proc/keys", "/proc/timer_list", "/proc/sysrq-trigger",
		"/proc/sys/kernel/core_pattern", "/proc/sys/vm/panic_on_oom");
	assert_non_null(
		strstr(masks.text, "/proc/keys: read 0, write DONE")); /* into null */
	assert_non_null(strstr(masks.text, "/proc/timer_list: read 0,"));
	assert_non_null(strstr(masks.text, "core_pattern: read"));
	assert_null(strstr(masks.text, "core_pattern: read 0, write DONE"));
	assert_null(strstr(masks.text, "panic_on_oom: read 2, write DONE"));
	assert_untouched();
}

static void the_terminal_of_such_an_image_is_berths(void **state)
{
	static const char *const names[] = {
		"dev", "dev/pts", "dev/pts/ptmx", "dev/console", "dev/ptmx"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (int what = 0; what < A_FOLDER; what++) {
			struct box b = box_new();
			char text[64] = "";
			size_t len = 0;
			ssize_t n;

			plant_in_image(&b, names[i], what, false);
			b.start.flags |= START_TTY;
			box_must_start(&b, PROBE("tty"));
			while (!strchr(text, '\n') &&
				(n = read(b.master, text + len, sizeof(text) - 1 - len)) >
					0)
				len += (size_t)n;
			assert_string_equal(text, "/dev/pts/0\r\n");
			box_end(&b);
		}
	assert_untouched();
}

/* The files that berth puts into /etc. A folder there is refused with a sentence. */
static void files_for_etc_go_nowhere_else(void **state)
{
	static const char *const names[] = {
		"etc/hosts", "etc/hostname", "etc/resolv.conf"};
	char inside[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct box plain = box_new(), folder = box_new();

		snprintf(inside, sizeof(inside), "/%s", names[i]);
		run(&plain, "cat", inside);
		for (int what = 0; what < A_FOLDER; what++) {
			struct box b = box_new();

			plant_in_image(&b, names[i], what, what & 1);
			run(&b, "cat", inside);
			assert_string_equal(b.text, plain.text);
		}
		plant_in_image(&folder, names[i], A_FOLDER, false);
		assert_int_equal(box_start(&folder, PROBE("exit", "0")), -EISDIR);
		assert_non_null(strstr(folder.e.text, names[i]));
		close(folder.exit_fd);
		close(folder.output[0]);
	}
	assert_untouched();
}

/* The control of the three above: without a root of one's own, such a link leads there. */
static void such_links_lead_outside_for_others(void **state)
{
	struct box b = box_new();
	char path[256];

	(void)state;
	plant_in_image(&b, "proc", LINK_OUTSIDE, false);
	snprintf(path, sizeof(path), "%s/layers/%016" PRIx64 "/fs/proc/canary", w.state,
		next_layer - 1);
	assert_file(path, CANARY);
}

/* ---- rights that come with a file ---- */

static void copy_privileged(const char *to, uid_t owner, mode_t mode)
{
	autobuf b = {.max = 16 << 20};
	int fd autoclose = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	assert_int_equal(io_read_file(AT_FDCWD, "build/test/runtime/hostile", &b), 0);
	assert_int_equal(io_write_all(fd, b.data, b.len), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(fchmod(fd, mode), 0); /* chown takes set-id bits away */
}

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

static void volume_path(uint64_t id, char out[160])
{
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, id), 0);
	snprintf(out, 160, "%s/volumes/%016" PRIx64, w.state, id);
}

static void mount_at(struct box *b, uint64_t id, const char *path)
{
	struct msg_mount *m = &b->start.mounts[b->start.n_mounts++];

	*m = (struct msg_mount){.id = id, .kind = MOUNT_VOLUME};
	snprintf(m->path, sizeof(m->path), "%s", path);
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

/* ---- descriptors and working folders (CVE-2024-21626) ---- */

static void a_working_folder_is_inside_or_refused(void **state)
{
	static const char *const folders[] = {"/proc/self/cwd", "/proc/self/root",
		"/proc/1/cwd", "/proc/1/root", "/proc/thread-self/root", "/app/wd",
		"/app", "/proc/self/cwd/../../../../../.."};
	char fs[200], path[400], cwd[64];

	(void)state;
	layer_new(next_layer++, fs);
	make_parents(fs, "app/wd", path);
	assert_int_equal(symlink("/proc/self/fd/8", path), 0);
	for (int i = 0; i < 40; i++) {
		struct box b = box_new();

		b.start.layers[b.start.n_layers++] = next_layer - 1;
		snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", i);
		b.cwd = i < (int)ARRAY_LEN(folders) ? folders[i] : cwd;
		if (i >= 32)
			snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", i - 32);
		box_must_start(&b, HOSTILE("where"));
		box_end(&b);
		if (b.exited.reason == EXIT_REASON_EXEC)
			continue;
		assert_string_equal(b.text, "inside 0 1 2\n");
	}
}

static void a_leaked_folder_leads_outside_for_others(void **state)
{
	int fd autoclose = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[64];
	int status;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pid_t pid = fork();
	if (pid == 0)
		_exit(chdir("/proc") == 0 && chdir(path) == 0 &&
					access("canary", R_OK) == 0
				? 0
				: 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- /proc/self/exe (CVE-2019-5736) ---- */

static uint64_t sum_of(const char *path)
{
	autobuf b = {.max = 64 << 20};
	uint64_t h = 0;

	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ (unsigned char)b.data[i]) * 0x100000001b3u;
	return h;
}

static void berths_programs_are_not_opened_by_what_they_start(void **state)
{
	static const char *const self[] = {"/proc/self/exe", "-", NULL},
				 *const script[] = {"/app/script", NULL};
	uint64_t before = sum_of("build/bin/berth-init");
	struct box b = box_new(), again = box_new(), by_script = box_new(),
		   later = box_new();
	char fs[200], path[400];

	(void)state;
	attack(&b, "exe");
	assert_string_equal(b.text, "0\n");
	/* the image has the host's program run once more, as its own */
	box_must_start(&again, self);
	box_end(&again);
	assert_end(&again, EXIT_REASON_EXITED, 125);
	layer_new(next_layer, fs);
	by_script.start.layers[by_script.start.n_layers++] = next_layer++;
	make_parents(fs, "app/script", path);
	write_file(path, "#!/proc/self/exe\n");
	assert_int_equal(chmod(path, 0755), 0);
	box_must_start(&by_script, script);
	box_end(&by_script);
	assert_int_equal(by_script.exited.reason == EXIT_REASON_EXITED &&
				 by_script.exited.value == 0,
		0);
	run(&later, "exit", "3");
	assert_end(&later, EXIT_REASON_EXITED, 3);
	assert_int_equal(sum_of("build/bin/berth-init"), before);
}

/* The attack itself, on a program of the host that is not a sealed copy. */
static void a_program_on_disk_can_be_overwritten_through_its_link(void **state)
{
	char path[200], link[64];
	int ready[2];

	(void)state;
	snprintf(path, sizeof(path), "%s/victim", w.dir);
	copy_privileged(path, 0, 0755);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(ready[1], 1) == 1)
			execl(path, path, "hog", "0", (char *)NULL);
		_exit(127);
	}
	assert_true(read(ready[0], link, 6) > 0);
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	int fd autoclose = open(link, O_RDONLY | O_CLOEXEC);
	assert_int_equal(open(link, O_WRONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, ETXTBSY);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	write_file(link, "overwritten\n");
	assert_file(path, "overwritten\n");
	close(ready[0]);
	close(ready[1]);
}

/* ---- cgroups, keys, sockets, terminals ---- */

/* CVE-2022-0492 */
static void no_release_agent_can_be_set(void **state)
{
	struct box app = box_new(), root = box_new();

	(void)state;
	attack(&app, "release-agent");
	root.start.profile = PROFILE_BUILD_ROOT;
	attack(&root, "release-agent");
	assert_non_null(strstr(app.text, "unshare: Operation not permitted"));
	assert_non_null(strstr(app.text, "mounted: none"));
	assert_null(strstr(app.text, "DONE"));
	assert_null(strstr(root.text, "DONE"));
	/* the control: root of the host may write there, where the host has version 1 */
	if (access("/sys/fs/cgroup/memory/release_agent", F_OK) == 0)
		assert_int_equal(access("/sys/fs/cgroup/memory/release_agent", W_OK), 0);
}

static void the_hosts_keys_cannot_be_used(void **state)
{
	struct box b = box_new(), root = box_new();

	(void)state;
	/* a session keyring with a key, which every child would inherit */
	if (syscall(SYS_keyctl, 1, NULL) < 0)
		skip(); /* a kernel without keys, or they are closed to us too */
	assert_true(syscall(SYS_add_key, "user", "berth-canary", "x", 1, -3) > 0);
	attack(&b, "keys", "berth-canary");
	root.start.profile = PROFILE_BUILD_ROOT;
	attack(&root, "keys", "berth-canary");
	assert_non_null(strstr(b.text, "search: Operation not permitted"));
	assert_non_null(strstr(b.text, "listed: 0 0"));
	assert_null(strstr(b.text, "DONE"));
	assert_null(strstr(root.text, "DONE"));
	/* the control: another child of ours finds it */
	assert_true(syscall(SYS_keyctl, 10, -3, "user", "berth-canary", 0) > 0);
}

/* CVE-2020-15257 */
static void abstract_sockets_of_the_host_are_not_there(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct box b = box_new(), without = box_new();
	int fd autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	       control autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[64];
	int n = snprintf(name, sizeof(name), "berth-hostile-%d", (int)getpid());
	socklen_t len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	(void)state;
	memcpy(a.sun_path + 1, name, (size_t)n);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	attack(&b, "abstract", name);
	assert_string_equal(b.text, "Connection refused\n");
	without.start.flags = START_NO_NET;
	attack(&without, "abstract", name);
	assert_string_equal(without.text, "Connection refused\n");
	assert_int_equal(connect(control, (struct sockaddr *)&a, len), 0);
}

static void a_terminal_gives_no_way_to_type_or_load(void **state)
{
	struct box b = box_new();
	char text[1024] = "";
	size_t len = 0;
	ssize_t n;

	(void)state;
	b.start.flags = START_TTY;
	box_must_start(&b, HOSTILE("tty-calls"));
	while (len < sizeof(text) - 1 &&
		(n = read(b.master, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	box_end(&b);
	assert_non_null(strstr(text, "tty: /dev/pts/0"));
	assert_non_null(strstr(text, "type: Operation not permitted"));
	assert_non_null(strstr(text, "discipline: Operation not permitted"));
	assert_null(strstr(text, "DONE"));
}

/* ---- the exchange race on a shared volume (CVE-2021-30465) ---- */

struct race {
	const char *to; /* where the exchanged link leads */
	unsigned int rounds, started, refused, links;
};

/* The victim has the shared volume, and its own below a name that is exchanged now. */
static void race_once(struct race *r, const char *shared)
{
	static const char *const look[] = {"/hostile", "touch", "/v/dir/sub/mine",
		"/v/dir/sub/canary", "/v/dir/canary", "/v/dir/sub/../canary", NULL};
	struct box b = box_new();
	char path[200];
	struct stat st;

	b.start.flags = START_NO_NET;
	mount_at(&b, SHARED, "/v");
	mount_at(&b, PRIVATE, "/v/dir/sub");
	snprintf(path, sizeof(path), "%s/dir", shared);
	assert_int_equal(lstat(path, &st), 0);
	r->links += S_ISLNK(st.st_mode) != 0;
	r->rounds++;
	if (box_start(&b, look) < 0) {
		r->refused++;
		close(b.exit_fd);
		close(b.output[0]);
		return;
	}
	r->started++;
	box_end(&b);
	assert_non_null(strstr(b.text, "/v/dir/sub/mine: "));
	for (char *at = b.text; (at = strstr(at, "canary: read ")); at++)
		assert_true(strncmp(at, "canary: read -1, write ", 23) == 0 &&
			    strncmp(at + 23, "DONE", 4) != 0);
}

static void race_for(struct race *r)
{
	struct box exchanger = box_new();
	char shared[160], path[200];

	volume_path(SHARED, shared);
	snprintf(path, sizeof(path), "%s/link", shared);
	unlink(path);
	snprintf(path, sizeof(path), "%s/dir", shared);
	if (unlink(path) < 0 && errno == EISDIR)
		assert_int_equal(io_remove_tree(AT_FDCWD, path), 0);
	snprintf(path, sizeof(path), "%s/link", shared);
	io_remove_tree(AT_FDCWD, path);
	assert_int_equal(symlink(r->to, path), 0);
	snprintf(path, sizeof(path), "%s/dir", shared);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(path, 0777), 0);
	exchanger.start.app = 8;
	mount_at(&exchanger, SHARED, "/s");
	box_must_start(&exchanger, HOSTILE("exchange", "/s", "dir", "link"));
	wait_for_line(&exchanger);
	while (r->rounds < RACE_ROUNDS / 5)
		race_once(r, shared);
	sandbox_kill(w.rt, &exchanger.rec);
	box_end(&exchanger);
	assert_string_equal(exchanger.text, ""); /* it never stopped by itself */
}

static void an_exchanged_link_leads_no_mount_outside(void **state)
{
	char canary[200], others[160], mine[160], to[200], up[200];
	struct race races[] = {{.to = to}, {.to = up}, {.to = "/app"},
		{.to = "../../../../../../volumes/0000000000000077"},
		{.to = "/proc/self/root/proc"}};
	unsigned int started = 0, links = 0, rounds = 0;

	(void)state;
	volume_path(OTHERS, others);
	snprintf(canary, sizeof(canary), "%s/canary", others);
	write_file(canary, CANARY);
	volume_path(PRIVATE, mine);
	snprintf(canary, sizeof(canary), "%s/mine", mine);
	write_file(canary, "mine\n");
	snprintf(to, sizeof(to), "%s", outside);
	snprintf(up, sizeof(up), "../../../../../../../../../..%s", outside);
	for (size_t i = 0; i < ARRAY_LEN(races); i++) {
		race_for(&races[i]);
		print_message("# to %s: %u started, %u refused, a link %u times\n",
			races[i].to, races[i].started, races[i].refused, races[i].links);
		started += races[i].started;
		links += races[i].links;
		rounds += races[i].rounds;
	}
	/* it was a race: both were seen between the starts, and starts came through */
	assert_int_equal(rounds, RACE_ROUNDS);
	assert_in_range(links, RACE_ROUNDS / 20, RACE_ROUNDS - RACE_ROUNDS / 20);
	assert_in_range(started, RACE_ROUNDS / 20, RACE_ROUNDS);
	assert_untouched();
	snprintf(canary, sizeof(canary), "%s/canary", others);
	assert_file(canary, CANARY);
	assert_int_equal(entries(others), 3);
}

/* The control: who follows that name on the host comes to the canary. */
static void an_exchanged_link_leads_outside_for_others(void **state)
{
	char shared[160], path[300];
	int fd = -1;

	(void)state;
	volume_path(SHARED, shared);
	snprintf(path, sizeof(path), "%s/naive", shared);
	assert_int_equal(symlink(outside, path), 0);
	snprintf(path, sizeof(path), "%s/naive/canary", shared);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

static int set_up_hostile(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_image_has_at_our_places_is_not_used),
		cmocka_unit_test(devices_of_an_image_are_not_used),
		cmocka_unit_test(the_terminal_of_such_an_image_is_berths),
		cmocka_unit_test(files_for_etc_go_nowhere_else),
		cmocka_unit_test(such_links_lead_outside_for_others),
		cmocka_unit_test(privileges_of_files_count_for_nothing),
		cmocka_unit_test(the_same_files_have_an_effect_outside),
		cmocka_unit_test(device_nodes_do_not_open),
		cmocka_unit_test(a_working_folder_is_inside_or_refused),
		cmocka_unit_test(a_leaked_folder_leads_outside_for_others),
		cmocka_unit_test(berths_programs_are_not_opened_by_what_they_start),
		cmocka_unit_test(a_program_on_disk_can_be_overwritten_through_its_link),
		cmocka_unit_test(no_release_agent_can_be_set),
		cmocka_unit_test(the_hosts_keys_cannot_be_used),
		cmocka_unit_test(abstract_sockets_of_the_host_are_not_there),
		cmocka_unit_test(a_terminal_gives_no_way_to_type_or_load),
		cmocka_unit_test(an_exchanged_link_leads_no_mount_outside),
		cmocka_unit_test(an_exchanged_link_leads_outside_for_others),
	};

	if (geteuid() != 0) {
		print_message("skipped: sandboxes need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up_hostile, tear_down);
}
