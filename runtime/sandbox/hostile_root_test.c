/* Real sandboxes on this kernel, as root, with the published ways out: what stands in the
 * way holds, and the same thing works where nothing does. */
#include "runtime/sandbox/hostile_test.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/un.h>

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
		/* a process made ahead meanwhile may hold the copy open for a moment */
		for (int i = 0; i < 500 && dup2(ready[1], 1) == 1; i++) {
			execl(path, path, "hog", "0", (char *)NULL);
			usleep(10000);
		}
		_exit(127);
	}
	close(ready[1]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_working_folder_is_inside_or_refused),
		cmocka_unit_test(a_leaked_folder_leads_outside_for_others),
		cmocka_unit_test(berths_programs_are_not_opened_by_what_they_start),
		cmocka_unit_test(a_program_on_disk_can_be_overwritten_through_its_link),
		cmocka_unit_test(no_release_agent_can_be_set),
		cmocka_unit_test(the_hosts_keys_cannot_be_used),
		cmocka_unit_test(abstract_sockets_of_the_host_are_not_there),
		cmocka_unit_test(a_terminal_gives_no_way_to_type_or_load),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}
