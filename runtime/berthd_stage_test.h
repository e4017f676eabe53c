/*
 * berthd as a whole, in a state folder of its own. The test program stands in for
 * berth-control (it hands the descriptor of its pair to the test) and for berth-router (it
 * waits); everything else is real. Needs root and the users of packaging/berth-users.
 */
#ifndef RUNTIME_BERTHD_STAGE_TEST_H
#define RUNTIME_BERTHD_STAGE_TEST_H

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

#include "runtime/berthd_files_test.h"
#include "runtime/process.h"
#include "runtime/sweep_test.h"

#define DEADLINE_MS 60000 /* on an emulated machine, too */
#define LAYER 1u
#define TOPS "/tmp/berthd-test-"

static int control = -1; /* control's end of the pair */
static uint32_t next_seq = 1;
static struct msg reply;
static struct msg_exited last_exit;
static UNUSED struct msg_oom last_oom;
static uint64_t next_id = 1;
static UNUSED char http[64] = "127.0.0.1:0"; /* of the next berthd */

/* --- standing in --- */

static UNUSED int send_fd(int sock, int fd)
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
static UNUSED int run_berthd(const char *word)
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
		execl(program, "berthd", "--state", state, "--run", run, "--http", http,
			"--https", "127.0.0.1:0", "--workers", "1", word, NULL);
		_exit(127);
	}
	if (!word)
		return 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static UNUSED void nap(void)
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

static UNUSED int try_connect(void)
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

static UNUSED void connect_control(void)
{
	struct msg_hello hello = {.epoch = io_now_us(), .pid = 1};

	if (control >= 0)
		close(control);
	control = -1;
	WAIT_FOR((control = try_connect()) >= 0);
	assert_int_equal(
		msg_send(control, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL, 0), 0);
}

static UNUSED void start_berthd(void)
{
	run_berthd(NULL);
	connect_control();
}

/* pid of a line in run/daemons, 0 when there is none. */
static UNUSED pid_t daemon_pid(const char *name)
{
	char path[PATH_MAX], *at;
	autobuf b = BUF_INIT;

	path_of(path, "run/daemons");
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return 0;
	at = strstr(b.data, name);
	return at ? (pid_t)strtol(at + strlen(name), NULL, 10) : 0;
}

static UNUSED pid_t monitor_pid(void)
{
	char path[PATH_MAX];
	autobuf b = BUF_INIT;

	path_of(path, "run/berthd.pid");
	return io_read_file(AT_FDCWD, path, &b) < 0 || !b.data
		       ? 0
		       : (pid_t)strtol(b.data, NULL, 10);
}

static UNUSED bool is_berthd(pid_t pid)
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
static UNUSED pid_t worker_pid(void)
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

static UNUSED bool alive(pid_t pid)
{
	uint64_t start;

	/* Not a zombie that nobody has reaped yet. */
	return pid > 0 && process_start_time(pid, &start) == 0;
}

/* --- messages --- */

static UNUSED void take_event(void)
{
	if (reply.head.type == MSG_EXITED)
		memcpy(&last_exit, reply.body, sizeof(last_exit));
	if (reply.head.type == MSG_OOM)
		memcpy(&last_oom, reply.body, sizeof(last_oom));
	msg_close_fds(&reply);
}

/* Next message; false when none comes within ms. */
static UNUSED bool receive(int ms)
{
	struct pollfd p = {.fd = control, .events = POLLIN};

	return poll(&p, 1, ms) > 0 && msg_recv(control, &reply) == 1;
}

static UNUSED int request(
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

static UNUSED struct msg_start start_of(uint64_t id)
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
static UNUSED uint64_t start_shell_with(
	uint32_t stop_signal, const char *line, pid_t *ret_pid)
{
	const char *argv[] = {"/bin/sh", "-c", line, NULL};
	const char *env[] = {"PATH=/bin", NULL};
	struct msg_start m = start_of(next_id++);
	struct msg_started s;
	int spec = spec_pack(argv, env, "/");
	int status;

	assert_true(spec >= 0);
	m.stop_signal = stop_signal;
	status = request(MSG_START, &m, sizeof(m), &spec, 1);
	close(spec);
	memcpy(&s, reply.body, sizeof(s));
	if (status < 0)
		fail_msg("start: %s", s.error);
	if (ret_pid)
		*ret_pid = (pid_t)s.pid;
	return m.id;
}

static UNUSED uint64_t start_shell(const char *line, pid_t *ret_pid)
{
	return start_shell_with(0, line, ret_pid);
}

static UNUSED bool saw_exit(uint64_t id)
{
	while (last_exit.id != id && receive(0))
		take_event();
	return last_exit.id == id;
}

static UNUSED void wait_exit(uint64_t id)
{
	struct msg_instance ack = {.id = id};

	WAIT_FOR(saw_exit(id));
	assert_int_equal(
		msg_send(control, MSG_EXITED_ACK, 0, 0, &ack, sizeof(ack), NULL, 0), 0);
}

static UNUSED void stop_app(uint64_t id)
{
	struct msg_stop m = {.id = id};

	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	wait_exit(id);
}

static struct msg_list found;

static UNUSED uint32_t listed(void)
{
	assert_int_equal(request(MSG_LIST, NULL, 0, NULL, 0), 0);
	memcpy(&found, reply.body, sizeof(found));
	return found.n;
}

static UNUSED bool listed_frozen(uint64_t id)
{
	for (uint32_t i = 0, n = listed(); i < n; i++)
		if (found.rows[i].id == id)
			return found.rows[i].state == LIST_FROZEN;
	return false;
}

static UNUSED int freeze(uint64_t id)
{
	struct msg_freeze m = {.id = id, .flags = FREEZE_RECLAIM};

	return request(MSG_FREEZE, &m, sizeof(m), NULL, 0);
}

static UNUSED int thaw(uint64_t id)
{
	struct msg_instance m = {.id = id};

	return request(MSG_THAW, &m, sizeof(m), NULL, 0);
}

/* --- logs --- */

static UNUSED void read_log(struct buf *out)
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

static UNUSED bool logged(const char *text)
{
	autobuf b = BUF_INIT;

	read_log(&b);
	return b.data && strstr(b.data, text);
}

/* Highest N of "WORD N" lines; fails on a hole. */
static UNUSED long check_count(const char *word)
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

/* A shell that counts. */
#define COUNT(word) "i=0; while :; do i=$((i+1)); echo " word " $i; sleep 0.003; done"

/* --- the stage --- */

static void name_berthd(const char *dir)
{
	snprintf(top, sizeof(top), "%s", dir);
	snprintf(bin, sizeof(bin), "%s/bin", top);
}

static void remove_berthd(const char *dir)
{
	name_berthd(dir);
	if (run_berthd("--stop-all") != 0 || run_berthd("--remove") != 0 ||
		io_remove_tree(AT_FDCWD, top) < 0)
		print_message("%s cannot be removed\n", dir);
}

static UNUSED int setup(void **state UNUSED)
{
	struct passwd *pw = getpwnam("_berth");
	char path[PATH_MAX];

	if (geteuid() != 0 || !pw || !getpwnam("berth")) {
		fprintf(stderr,
			"skipped: needs root and the users of packaging/berth-users\n");
		return -1;
	}
	sweep_dead(TOPS "*", remove_berthd);
	snprintf(top, sizeof(top), TOPS "XXXXXX");
	if (!mkdtemp(top) || chmod(top, 0755) < 0 || sweep_mark(top) < 0)
		return -1;
	path_of(path, "state/layers");
	if (io_mkdirs(path, 0755) < 0)
		return -1;
	make_programs();
	make_layer();
	start_berthd();
	return 0;
}

static UNUSED int teardown(void **state UNUSED)
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

/* Does not return where this program was started as another. */
static UNUSED void stand_in(int argc, char **argv)
{
	if (argc == 1 && strstr(argv[0], "berth-control"))
		stand_in_control();
	if (argc == 1 && strstr(argv[0], "berth-router"))
		_exit(pause());
}

#endif
