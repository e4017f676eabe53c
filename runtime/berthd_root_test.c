/*
 * berthd as a whole, in a state folder of its own: what survives the death of which
 * process. The test program stands in for berth-control (it hands the descriptor of its
 * pair to the test) and for berth-router (it waits); everything else is real. Needs root
 * and the users of packaging/berth-users.
 */
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/msg.h"
#include "lib/proto.h"
#include "lib/spec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "runtime/berthd_root_test.h"
#include "runtime/process.h"

#define DEADLINE_MS 60000 /* on an emulated machine, too */
#define LAYER 1u

static int control = -1; /* control's end of the pair */
static uint32_t next_seq = 1;
static struct msg reply;
static struct msg_exited last_exit;
static struct msg_oom last_oom;
static uint64_t next_id = 1;

/* --- standing in --- */

static int send_fd(int sock, int fd)
{
	return msg_send(sock, 1, 0, 0, NULL, 0, &fd, 1);
}

/* As berth-control: whoever connects gets the pair. Records go nowhere. */
static _Noreturn void stand_in_control(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct pollfd p[] = {{.fd = 5, .events = POLLIN}, {.fd = 3}};
		int c;

		poll(p, 2, -1);
		/* Everybody else who held the pair is gone. */
		if (p[1].revents & POLLHUP)
			_exit(0);
		c = accept(5, NULL, NULL);
		if (c < 0)
			continue;
		(void)send_fd(c, 3);
		close(c);
	}
}

/* --- running berthd --- */

/* Runs berthd with one more word, or in the background without. */
static int run_berthd(const char *word)
{
	char program[PATH_MAX], state[PATH_MAX], run[PATH_MAX];
	int status;
	pid_t pid;

	join(program, bin, "berthd");
	path_of(state, "state");
	path_of(run, "run");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(program, "berthd", "--state", state, "--run", run, "--http",
			"127.0.0.1:0", "--https", "127.0.0.1:0", "--workers", "1", word,
			NULL);
		_exit(127);
	}
	if (!word)
		return 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void nap(void)
{
	usleep(10000);
}

#define WAIT_FOR(condition)                                                              \
	do {                                                                             \
		uint64_t until_ = io_mono_ns() + DEADLINE_MS * 1000000ull;               \
		while (!(condition)) {                                                   \
			if (io_mono_ns() > until_)                                       \
				fail_msg("waited too long for: %s", #condition);         \
			nap();                                                           \
		}                                                                        \
	} while (0)

static int try_connect(void)
{
	char path[PATH_MAX];
	int sock autoclose = -1;

	path_of(path, "run/api.sock");
	sock = io_unix_connect(path, SOCK_STREAM);
	if (sock < 0)
		return -1;
	if (msg_recv(sock, &reply) != 1 || reply.nfds != 1)
		return -1;
	return reply.fds[0];
}

static void connect_control(void)
{
	struct msg_hello hello = {.epoch = io_now_us(), .pid = 1};

	if (control >= 0)
		close(control);
	control = -1;
	WAIT_FOR((control = try_connect()) >= 0);
	assert_int_equal(
		msg_send(control, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL, 0), 0);
}

static void start_berthd(void)
{
	run_berthd(NULL);
	connect_control();
}

/* pid of a line in run/daemons, 0 when there is none. */
static pid_t daemon_pid(const char *name)
{
	char path[PATH_MAX], *at;
	autobuf b = BUF_INIT;

	path_of(path, "run/daemons");
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return 0;
	at = strstr(b.data, name);
	return at ? (pid_t)strtol(at + strlen(name), NULL, 10) : 0;
}

static pid_t monitor_pid(void)
{
	char path[PATH_MAX];
	autobuf b = BUF_INIT;

	path_of(path, "run/berthd.pid");
	return io_read_file(AT_FDCWD, path, &b) < 0 || !b.data
		       ? 0
		       : (pid_t)strtol(b.data, NULL, 10);
}

static bool is_berthd(pid_t pid)
{
	char link[64], exe[PATH_MAX], want[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	join(want, bin, "berthd");
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	return strcmp(exe, want) == 0;
}

/* The child of the monitor that is berthd, too. */
static pid_t worker_pid(void)
{
	char path[64], *p;
	autobuf b = BUF_INIT;
	pid_t monitor = monitor_pid();

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)monitor,
		(int)monitor);
	if (monitor == 0 || io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return 0;
	for (p = b.data; *p;) {
		pid_t pid = (pid_t)strtol(p, &p, 10);

		if (pid > 0 && is_berthd(pid))
			return pid;
		while (*p == ' ')
			p++;
	}
	return 0;
}

static bool alive(pid_t pid)
{
	uint64_t start;

	/* Not a zombie that nobody has reaped yet. */
	return pid > 0 && process_start_time(pid, &start) == 0;
}

/* --- messages --- */

static void take_event(void)
{
	if (reply.head.type == MSG_EXITED)
		memcpy(&last_exit, reply.body, sizeof(last_exit));
	if (reply.head.type == MSG_OOM)
		memcpy(&last_oom, reply.body, sizeof(last_oom));
	msg_close_fds(&reply);
}

/* Next message; false when none comes within ms. */
static bool receive(int ms)
{
	struct pollfd p = {.fd = control, .events = POLLIN};

	return poll(&p, 1, ms) > 0 && msg_recv(control, &reply) == 1;
}

static int request(
	uint32_t type, const void *body, size_t size, const int *fds, unsigned int n)
{
	uint32_t seq = next_seq++;

	assert_int_equal(msg_send(control, type, seq, 0, body, size, fds, n), 0);
	for (;;) {
		if (!receive(DEADLINE_MS))
			fail_msg("no answer to message %u", type);
		if (reply.head.seq == seq && reply.head.type == type)
			return reply.head.status;
		take_event();
	}
}

static struct msg_start start_of(uint64_t id)
{
	struct msg_start m = {.id = id,
		.app = 3,
		.profile = PROFILE_APP,
		.n_layers = 1,
		.layers = {LAYER},
		.limits = {.memory_bytes = 64 << 20,
			.cpu_millis = 1000,
			.pids = 64,
			.nofile = 256},
		.stop_timeout_ms = 500,
		.name = "web.1"};

	return m;
}

/* Runs a shell line in a sandbox; its id. */
static uint64_t start_shell(const char *line, pid_t *ret_pid)
{
	const char *argv[] = {"/bin/sh", "-c", line, NULL};
	const char *env[] = {"PATH=/bin", NULL};
	struct msg_start m = start_of(next_id++);
	struct msg_started s;
	int spec = spec_pack(argv, env, "/");
	int status;

	assert_true(spec >= 0);
	status = request(MSG_START, &m, sizeof(m), &spec, 1);
	close(spec);
	memcpy(&s, reply.body, sizeof(s));
	if (status < 0)
		fail_msg("start: %s", s.error);
	if (ret_pid)
		*ret_pid = (pid_t)s.pid;
	return m.id;
}

static bool saw_exit(uint64_t id)
{
	while (last_exit.id != id && receive(0))
		take_event();
	return last_exit.id == id;
}

static void wait_exit(uint64_t id)
{
	struct msg_instance ack = {.id = id};

	WAIT_FOR(saw_exit(id));
	assert_int_equal(
		msg_send(control, MSG_EXITED_ACK, 0, 0, &ack, sizeof(ack), NULL, 0), 0);
}

static void stop_app(uint64_t id)
{
	struct msg_stop m = {.id = id};

	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	wait_exit(id);
}

static struct msg_list found;

static uint32_t listed(void)
{
	assert_int_equal(request(MSG_LIST, NULL, 0, NULL, 0), 0);
	memcpy(&found, reply.body, sizeof(found));
	return found.n;
}

static bool listed_frozen(uint64_t id)
{
	for (uint32_t i = 0, n = listed(); i < n; i++)
		if (found.rows[i].id == id)
			return found.rows[i].state == LIST_FROZEN;
	return false;
}

static int freeze(uint64_t id)
{
	struct msg_freeze m = {.id = id, .flags = FREEZE_RECLAIM};

	return request(MSG_FREEZE, &m, sizeof(m), NULL, 0);
}

static int thaw(uint64_t id)
{
	struct msg_instance m = {.id = id};

	return request(MSG_THAW, &m, sizeof(m), NULL, 0);
}

/* --- logs --- */

static void read_log(struct buf *out)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct dirent **list;
	int n;

	buf_reset(out);
	path_of(path, "state/logs/3");
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		autobuf one = BUF_INIT;

		join(file, path, list[i]->d_name);
		if (strstr(list[i]->d_name, ".log") &&
			io_read_file(AT_FDCWD, file, &one) == 0)
			buf_add(out, one.data ? one.data : "", one.len);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static bool logged(const char *text)
{
	autobuf b = BUF_INIT;

	read_log(&b);
	return b.data && strstr(b.data, text);
}

/* Highest N of "WORD N" lines; fails on a hole. */
static long check_count(const char *word)
{
	autobuf b = BUF_INIT;
	char mark[64];
	long last = 0;

	read_log(&b);
	snprintf(mark, sizeof(mark), ": %s ", word);
	for (char *p = b.data; p && (p = strstr(p, mark)); p++) {
		long n = strtol(p + strlen(mark), NULL, 10);

		if (n > last + 1)
			fail_msg("%s: after line %ld comes %ld", word, last, n);
		if (n > last)
			last = n;
	}
	return last;
}

/* --- tests --- */

static void an_app_runs_and_its_exit_status_and_output_arrive(void **state UNUSED)
{
	uint64_t id = start_shell("echo hello; exit 3", NULL);

	wait_exit(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_int_equal(last_exit.value, 3);
	/* The end is told after the last line is in the file. */
	assert_true(logged(" app[web.1]: hello\n"));
	assert_int_equal(listed(), 0);
}

static void a_command_that_does_not_exist_says_so(void **state UNUSED)
{
	const char *argv[] = {"/bin/nothing", NULL}, *env[] = {NULL};
	struct msg_start m = start_of(next_id++);
	int spec = spec_pack(argv, env, "/");

	assert_int_equal(request(MSG_START, &m, sizeof(m), &spec, 1), 0);
	close(spec);
	wait_exit(m.id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXEC);
	assert_int_equal(last_exit.value, ENOENT);
}

static void requests_out_of_range_are_refused(void **state UNUSED)
{
	struct msg_start m = start_of(next_id++);
	struct msg_instance nobody = {.id = 12345};
	const char *argv[] = {"/bin/sh", NULL}, *env[] = {NULL};
	int spec = spec_pack(argv, env, "/");

	m.layers[0] = 99;
	assert_int_equal(request(MSG_START, &m, sizeof(m), &spec, 1), -ENOENT);
	m = start_of(next_id++);
	m.profile = 77;
	assert_int_equal(request(MSG_START, &m, sizeof(m), &spec, 1), -EINVAL);
	assert_int_equal(request(MSG_START, &m, sizeof(m) - 1, &spec, 1), -EPROTO);
	assert_int_equal(request(MSG_START, &m, sizeof(m), NULL, 0), -EPROTO);
	assert_int_equal(request(MSG_PORTS, &nobody, sizeof(nobody), NULL, 0), -ESRCH);
	assert_int_equal(request(4242, NULL, 0, NULL, 0), -EPROTO);
	assert_int_equal(listed(), 0);
	close(spec);
}

static void stop_is_sigterm_and_then_sigkill(void **state UNUSED)
{
	uint64_t polite = start_shell(
		"trap 'echo bye; exit 0' TERM; echo up1; while :; do sleep 0.05; done",
		NULL);
	uint64_t deaf =
		start_shell("trap '' TERM; echo up2; while :; do sleep 0.05; done", NULL);
	struct msg_stop m = {.id = polite, .timeout_ms = 5000};

	WAIT_FOR(logged(": up1\n") && logged(": up2\n"));
	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	wait_exit(polite);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_true(logged(": bye\n"));
	m = (struct msg_stop){.id = deaf, .timeout_ms = 200};
	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	wait_exit(deaf);
	assert_int_equal(last_exit.reason, EXIT_REASON_SIGNALED);
	assert_int_equal(last_exit.value, SIGKILL);
}

static bool saw_oom(uint64_t id, uint32_t kills)
{
	while (!(last_oom.id == id && last_oom.kills >= kills) && receive(0))
		take_event();
	return last_oom.id == id && last_oom.kills >= kills;
}

/* A child that doubles its variable until the kernel kills it. */
#define EAT "(x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done); "

static void a_child_killed_for_memory_is_told_while_the_app_lives_on(void **state UNUSED)
{
	uint64_t id = start_shell(EAT "echo child $?; read x </dev/zero", NULL);

	WAIT_FOR(saw_oom(id, 1));
	assert_int_equal(last_oom.kills, 1);
	assert_int_equal(last_oom.memory_limit_bytes, 64 << 20);
	WAIT_FOR(logged(": child 137\n"));
	assert_int_equal(listed(), 1);
	/* a later worker knows and tells it again, for a control that missed it */
	last_oom.id = 0;
	assert_int_equal(kill(worker_pid(), SIGKILL), 0);
	WAIT_FOR(saw_oom(id, 1));
	assert_int_equal(last_oom.kills, 1);
	/* that kill is not why it ends now */
	usleep(2100000);
	stop_app(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_SIGNALED);
	assert_int_equal(last_exit.value, SIGKILL);
}

static void each_kill_for_memory_is_counted_and_the_end_by_one_is_named(
	void **state UNUSED)
{
	uint64_t fine = start_shell(EAT EAT "exit 6", NULL), dead;

	wait_exit(fine);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_int_equal(last_exit.value, 6);
	assert_true(saw_oom(fine, 2)); /* told before its end */
	assert_int_equal(last_oom.kills, 2);
	dead = start_shell("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", NULL);
	wait_exit(dead);
	assert_int_equal(last_exit.reason, EXIT_REASON_OOM);
}

static void open_files_and_what_the_host_has_are_told(void **state UNUSED)
{
	uint64_t id = start_shell("while :; do sleep 0.05; done", NULL);
	struct msg_limits m = {.id = id,
		.limits = {.nofile = 200, .scratch_bytes = 1 << 30},
		.which = LIMIT_NOFILE | LIMIT_SCRATCH};
	struct msg_limited done;
	struct msg_host host;

	assert_int_equal(request(MSG_LIMITS, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(reply.head.size, sizeof(done));
	memcpy(&done, reply.body, sizeof(done));
	assert_int_equal(done.now, LIMIT_NOFILE); /* scratch: from the next start */
	assert_int_equal(done.nofile, 200);
	m.which = LIMIT_MEMORY;
	assert_int_equal(request(MSG_LIMITS, &m, sizeof(m), NULL, 0), -EINVAL);
	m.which = 1u << 31;
	assert_int_equal(request(MSG_LIMITS, &m, sizeof(m), NULL, 0), -EINVAL);
	assert_int_equal(request(MSG_HOST, NULL, 0, NULL, 0), 0);
	memcpy(&host, reply.body, sizeof(host));
	assert_true(host.memory_bytes > 64 << 20 && host.cpu_millis >= 1000 &&
		    host.pids > 64 && host.nofile > 200);
	stop_app(id);
}

#define COUNT(word) "i=0; while :; do i=$((i+1)); echo " word " $i; sleep 0.003; done"

static void killing_the_worker_or_the_monitor_changes_nothing_for_an_app(
	void **state UNUSED)
{
	pid_t app, monitor = monitor_pid(), worker = worker_pid(),
		   logger = daemon_pid("logger ");
	uint64_t id = start_shell(COUNT("one"), &app);

	WAIT_FOR(check_count("one") > 10);
	assert_int_equal(kill(worker, SIGKILL), 0);
	WAIT_FOR(worker_pid() != 0 && worker_pid() != worker);
	assert_int_equal(listed(), 1);
	assert_int_equal(monitor_pid(), monitor);
	worker = worker_pid();
	assert_int_equal(kill(monitor, SIGKILL), 0);
	/* The worker is the monitor now. */
	WAIT_FOR(monitor_pid() == worker && worker_pid() != 0);
	assert_int_equal(listed(), 1);
	assert_true(alive(app));
	assert_int_equal(daemon_pid("logger "), logger);
	stop_app(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_SIGNALED);
	assert_true(check_count("one") > 10);
}

static void a_frozen_app_is_found_frozen_and_stopped_as_any_other(void **state UNUSED)
{
	pid_t app, worker = worker_pid();
	uint64_t id = start_shell("trap 'echo woken; exit 0' TERM; " COUNT("ice"), &app);
	struct msg_stop m = {.id = id, .timeout_ms = 5000};
	long seen;

	WAIT_FOR(check_count("ice") > 10);
	assert_false(listed_frozen(id));
	assert_int_equal(freeze(id), 0);
	assert_true(listed_frozen(id));
	usleep(200000); /* what it wrote is in the log */
	seen = check_count("ice");
	assert_int_equal(kill(worker, SIGKILL), 0);
	WAIT_FOR(worker_pid() != 0 && worker_pid() != worker);
	assert_true(listed_frozen(id));
	usleep(200000);
	assert_int_equal(check_count("ice"), seen);
	assert_int_equal(thaw(id), 0);
	assert_false(listed_frozen(id));
	WAIT_FOR(check_count("ice") > seen);
	assert_int_equal(freeze(id), 0);
	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(freeze(id), -EBUSY);
	wait_exit(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_true(logged(": woken\n"));
	assert_int_equal(freeze(id), -ESRCH);
	assert_int_equal(thaw(id), -ESRCH);
}

static int enter(uint64_t target, uint64_t *ret_id)
{
	const char *argv[] = {"/bin/sleep", "60", NULL}, *env[] = {NULL};
	struct msg_enter m = {.id = next_id++, .target = target, .flags = START_STDIO};
	int spec = spec_pack(argv, env, "/");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[] = {spec, null, null, null}, r;

	r = request(MSG_ENTER, &m, sizeof(m), fds, 4);
	close(spec);
	close(null);
	*ret_id = m.id;
	return r;
}

static void nobody_is_frozen_inside_an_app(void **state UNUSED)
{
	uint64_t id = start_shell("while :; do sleep 0.05; done", NULL), inside;

	assert_int_equal(enter(id, &inside), 0);
	assert_int_equal(freeze(id), -EBUSY);
	assert_int_equal(freeze(inside), -EINVAL);
	stop_app(inside);
	assert_int_equal(freeze(id), 0);
	assert_int_equal(enter(id, &inside), -EBUSY);
	stop_app(id); /* SIGKILL reaches it as it is */
	assert_int_equal(listed(), 0);
}

static void an_end_that_no_worker_saw_is_told_by_the_next(void **state UNUSED)
{
	pid_t worker = worker_pid();
	uint64_t id = start_shell("sleep 0.3; echo last words; exit 7", NULL);

	/* Both stand still while the app ends. */
	assert_int_equal(kill(monitor_pid(), SIGSTOP), 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	usleep(600000);
	assert_int_equal(kill(monitor_pid(), SIGCONT), 0);
	wait_exit(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_int_equal(last_exit.value, 7);
	WAIT_FOR(logged(": last words\n"));
}

static void killing_the_logger_loses_no_line(void **state UNUSED)
{
	uint64_t id = start_shell(COUNT("two"), NULL);

	for (int i = 0; i < 3; i++) {
		pid_t logger = daemon_pid("logger ");
		long seen = check_count("two");

		WAIT_FOR(check_count("two") > seen + 10);
		assert_int_equal(kill(logger, SIGKILL), 0);
		WAIT_FOR(daemon_pid("logger ") != 0 && daemon_pid("logger ") != logger);
	}
	stop_app(id);
	assert_true(check_count("two") > 30);
}

static void a_restarted_control_is_told_of_unrecorded_ends(void **state UNUSED)
{
	pid_t pid = daemon_pid("control ");
	uint64_t id = start_shell("exit 4", NULL);

	WAIT_FOR(saw_exit(id));
	last_exit.id = 0;
	assert_int_equal(kill(pid, SIGKILL), 0);
	WAIT_FOR(daemon_pid("control ") != 0 && daemon_pid("control ") != pid);
	connect_control();
	wait_exit(id);
	assert_int_equal(last_exit.value, 4);
}

static void a_later_berthd_finds_the_apps_of_a_killed_one(void **state UNUSED)
{
	pid_t app, worker = worker_pid();
	uint64_t id = start_shell(COUNT("three"), &app);

	WAIT_FOR(check_count("three") > 10);
	assert_int_equal(kill(monitor_pid(), SIGSTOP), 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	assert_int_equal(kill(monitor_pid(), SIGKILL), 0);
	close(control);
	control = -1;
	usleep(200000);
	start_berthd();
	assert_true(alive(app));
	assert_int_equal(listed(), 1);
	stop_app(id);
	assert_true(check_count("three") > 10);
}

static void stop_leaves_apps_and_stop_all_ends_them(void **state UNUSED)
{
	pid_t app;
	uint64_t id = start_shell("while :; do sleep 0.05; done", &app);

	assert_int_equal(run_berthd("--stop"), 0);
	assert_true(alive(app));
	assert_int_equal(daemon_pid("logger "), 0);
	start_berthd();
	assert_int_equal(listed(), 1);
	assert_int_equal(run_berthd("--stop-all"), 0);
	assert_false(alive(app));
	start_berthd();
	wait_exit(id);
	assert_int_equal(listed(), 0);
}

static int setup(void **state UNUSED)
{
	struct passwd *pw = getpwnam("_berth");
	char path[PATH_MAX];

	if (geteuid() != 0 || !pw || !getpwnam("berth")) {
		fprintf(stderr,
			"skipped: needs root and the users of packaging/berth-users\n");
		return -1;
	}
	snprintf(top, sizeof(top), "/tmp/berthd-test-XXXXXX");
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return -1;
	path_of(path, "state/layers");
	if (io_mkdirs(path, 0755) < 0)
		return -1;
	make_programs();
	make_layer();
	start_berthd();
	return 0;
}

static int teardown(void **state UNUSED)
{
	int r;

	close(control);
	if (run_berthd("--stop-all") != 0)
		return -1;
	r = run_berthd("--remove");
	if (io_remove_tree(AT_FDCWD, top) < 0)
		return -1;
	return r;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_app_runs_and_its_exit_status_and_output_arrive),
		cmocka_unit_test(a_command_that_does_not_exist_says_so),
		cmocka_unit_test(requests_out_of_range_are_refused),
		cmocka_unit_test(stop_is_sigterm_and_then_sigkill),
		cmocka_unit_test(
			a_child_killed_for_memory_is_told_while_the_app_lives_on),
		cmocka_unit_test(
			each_kill_for_memory_is_counted_and_the_end_by_one_is_named),
		cmocka_unit_test(open_files_and_what_the_host_has_are_told),
		cmocka_unit_test(
			killing_the_worker_or_the_monitor_changes_nothing_for_an_app),
		cmocka_unit_test(a_frozen_app_is_found_frozen_and_stopped_as_any_other),
		cmocka_unit_test(nobody_is_frozen_inside_an_app),
		cmocka_unit_test(an_end_that_no_worker_saw_is_told_by_the_next),
		cmocka_unit_test(killing_the_logger_loses_no_line),
		cmocka_unit_test(a_restarted_control_is_told_of_unrecorded_ends),
		cmocka_unit_test(a_later_berthd_finds_the_apps_of_a_killed_one),
		cmocka_unit_test(stop_leaves_apps_and_stop_all_ends_them),
	};

	if (argc == 1 && strstr(argv[0], "berth-control"))
		stand_in_control();
	if (argc == 1 && strstr(argv[0], "berth-router"))
		return pause();
	return cmocka_run_group_tests(tests, setup, teardown);
}
