/* Real sandboxes on this kernel, as root: people enter them while the app lies in wait for
 * whoever comes. */
#include "runtime/sandbox/hostile_test.h"

#include <sched.h>

#define ENTERED 150
#define QUICK_MS 10000 /* a start that hangs is given up after 20 s */

static const char *const nothing[] = {"/no/such/program", NULL};

/* One more layer for b: links, and folders (to NULL) that are the app's. */
struct entry {
	const char *name, *to;
};

static void add_layer(struct box *b, const struct entry *e)
{
	char fs[200], path[256];

	layer_new(next_layer, fs);
	for (; e->name; e++) {
		snprintf(path, sizeof(path), "%s/%s", fs, e->name);
		assert_int_equal(e->to ? symlink(e->to, path) : mkdir(path, 0755), 0);
		assert_int_equal(lchown(path, RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID,
					 RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID),
			0);
	}
	b->start.layers[b->start.n_layers++] = next_layer++;
}

static void lie_in_wait(struct box *b, const char *const *argv)
{
	box_must_start(b, argv);
	wait_for_line(b);
}

static void leave(struct box *b)
{
	sandbox_kill(w.rt, &b->rec);
	box_end(b);
}

/* What is typed or printed at a terminal until the text appears. */
static void expect(int master, const char *text)
{
	char seen[4096] = "";
	size_t len = 0;
	struct pollfd p = {.fd = master, .events = POLLIN};

	while (!strstr(seen, text)) {
		assert_int_equal(poll(&p, 1, END_MS), 1);
		ssize_t n = read(master, seen + len, sizeof(seen) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
}

/* ---- what the entering process shows ---- */

/* Ends the watcher, which must not have said the word: how many it saw. */
static int seen_by(struct box *b, const char *word)
{
	sandbox_signal(w.rt, &b->rec, SIGTERM);
	box_end(b);
	if (strstr(b->text, word))
		print_message("%s\n", b->text);
	assert_null(strstr(b->text, word));
	const char *seen = strstr(b->text, "seen ");
	assert_non_null(seen);
	return atoi(seen + 5);
}

/* How many of those who entered it the watcher saw. */
static int watched(void)
{
	struct box b = box_new();

	lie_in_wait(&b, HOSTILE("watch", "root_test"));
	for (int i = 0; i < ENTERED; i++) {
		struct box in = box_new();

		box_must_enter(&b, &in, PROBE("exit", "0"));
		box_end(&in);
	}
	return seen_by(&b, "FOREIGN");
}

static void who_enters_shows_nothing_of_the_host(void **state)
{
	int seen = 0;

	(void)state;
	/* On a busy host many are gone before it looks. */
	for (int i = 0; i < 10 && seen <= ENTERED / 20; i++)
		seen += watched();
	assert_true(seen > ENTERED / 20); /* it did look at them */
}

/* The control: the same program, among processes of the host. */
static void others_of_the_host_show_it(void **state)
{
	char program[256], text[65536] = "";
	size_t len = 0;
	ssize_t n;
	/* on a quiet host there may be no other socket to see */
	int listener autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), out[2];

	(void)state;
	assert_true(listener >= 0);
	snprintf(program, sizeof(program), "%s/layers/%016x/fs/hostile", w.state,
		ROOT_LAYER);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		/* its mounts and sockets are others than ours */
		if (unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 && dup2(out[1], 1) == 1)
			execl(program, "hostile", "watch", "root_test", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], text, 6) == 6);
	for (int i = 0; i < 50; i++) {
		pid_t other = fork();
		if (other == 0) {
			usleep(10000);
			_exit(0);
		}
		waitpid(other, NULL, 0);
	}
	kill(pid, SIGTERM);
	while (len < sizeof(text) - 1 &&
		(n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	waitpid(pid, NULL, 0);
	assert_non_null(strstr(text, "FOREIGN net/unix"));
	assert_non_null(strstr(text, "FOREIGN cmdline"));
}

/* How many of those who entered it the watcher saw; it may look into none. */
static int looked_at(uint32_t profile)
{
	struct box b = box_new();

	b.start.profile = profile;
	lie_in_wait(&b, HOSTILE("open-others"));
	for (int i = 0; i < ENTERED; i++) {
		struct box in = box_new();

		/* there is never a command, which would be the app's own */
		box_must_enter(&b, &in, nothing);
		box_end(&in);
		assert_end(&in, EXIT_REASON_EXEC, ENOENT);
	}
	return seen_by(&b, "OPENED");
}

/* /proc/PID/{root,cwd,fd,mem,exe,…} of the processes between the host and the command. */
static void who_enters_cannot_be_looked_into(void **state)
{
	static const uint32_t profiles[] = {PROFILE_APP, PROFILE_BUILD_ROOT};
	struct box open = box_new();

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(profiles); k++) {
		int seen = 0;

		/* it saw some of them: on a busy machine most are gone before its turn */
		for (int i = 0; i < 10 && seen <= ENTERED / 20; i++)
			seen += looked_at(profiles[k]);
		assert_true(seen > ENTERED / 20);
	}
	/* the control: a command can be, it is the app's */
	lie_in_wait(&open, HOSTILE("open-others"));
	struct box in = box_new();
	box_must_enter(&open, &in, PROBE("sleep", "5"));
	box_end(&in);
	sandbox_signal(w.rt, &open.rec, SIGTERM);
	box_end(&open);
	assert_non_null(strstr(open.text, "OPENED"));
}

static void berths_programs_stay_closed_while_entering(void **state)
{
	struct box b = box_new();

	(void)state;
	lie_in_wait(&b, PROBE("trap", "15"));
	for (int i = 0; i < 20; i++) {
		struct box sleeper = box_new(), in = box_new();

		box_must_enter(&b, &sleeper, PROBE("trap", "15"));
		wait_for_line(&sleeper);
		box_must_enter(
			&b, &in, (const char *const[]){"/proc/self/exe", "t", NULL});
		box_end(&in);
		assert_end(&in, EXIT_REASON_EXITED, 125); /* berth-init without a spec */
		sandbox_signal(w.rt, &sleeper.rec, SIGTERM);
		box_end(&sleeper);
		assert_end(&sleeper, EXIT_REASON_EXITED, 7);
	}
	leave(&b);
}

/* ---- what it is given ---- */

static void entering_brings_no_right_and_no_descriptor(void **state)
{
	struct box b = box_new();

	(void)state;
	lie_in_wait(&b, PROBE("trap", "15"));
	for (int i = 0; i < 24; i++) {
		struct box in = box_new(), who = box_new();
		char cwd[64];

		snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", i);
		in.cwd = i == 0 ? "/proc/1/cwd" : i == 1 ? "/proc/self/cwd" : cwd;
		box_must_enter(&b, &in, HOSTILE("where"));
		box_end(&in);
		if (in.exited.reason != EXIT_REASON_EXEC)
			assert_string_equal(in.text, "inside 0 1 2\n");
		box_must_enter(&b, &who, HOSTILE("who"));
		box_end(&who);
		assert_string_equal(who.text, "1000 1000 1000 1000 0000000000000000\n");
	}
	leave(&b);
}

/* What is run is the app's, the shell too: it gets no more than the app has. */
static void a_shell_of_the_apps_own_has_the_apps_rights(void **state)
{
	struct box b = box_new(), in = box_new(), calls = box_new();

	(void)state;
	add_layer(&b, (struct entry[]){{"bin", NULL}, {"bin/sh", "../hostile"}, {0}});
	lie_in_wait(&b, PROBE("trap", "15"));
	box_must_enter(&b, &in, (const char *const[]){"/bin/sh", "who", NULL});
	box_end(&in);
	assert_string_equal(in.text, "1000 1000 1000 1000 0000000000000000\n");
	box_must_enter(&b, &calls, PROBE("forbidden"));
	box_end(&calls);
	assert_non_null(strstr(calls.text, "ptrace: refused"));
	assert_null(strstr(calls.text, "DONE"));
	leave(&b);
}

/* ---- what it opens ---- */

/* In the image the way to /dev leads over a link that is the app's: it puts another folder
 * there, with a FIFO in place of the terminals. */
static void a_trap_at_the_terminals_path_catches_nobody(void **state)
{
	struct box b = box_new();

	(void)state;
	add_layer(&b, (struct entry[]){{"app", NULL}, {"app/real", NULL},
			      {"app/real/dev", NULL}, {"app/real/proc", NULL},
			      {"app/a", "real"}, {"dev", "app/a/dev"},
			      {"proc", "app/a/proc"}, {0}});
	lie_in_wait(&b, HOSTILE("trap", "/app/a/dev/pts/ptmx"));
	for (int i = 0; i < 3; i++) {
		struct box in = box_new();
		uint64_t began = io_mono_ns();

		in.start.flags = START_TTY;
		box_must_enter(&b, &in, PROBE("tty"));
		expect(in.master, "/dev/pts/");
		box_end(&in);
		assert_end(&in, EXIT_REASON_EXITED, 0);
		assert_true(io_mono_ns() - began < QUICK_MS * 1000000ull);
	}
	leave(&b);
}

/* ---- its terminal ---- */

static void a_terminal_is_gone_when_its_session_is(void **state)
{
	struct box b = box_new(), in = box_new(), next = box_new();
	char line[256] = "";

	(void)state;
	lie_in_wait(&b, HOSTILE("overhear", "/dev/pts/0"));
	in.start.flags = next.start.flags = START_TTY;
	box_must_enter(&b, &in, PROBE("trap", "15"));
	wait_for_line(&b); /* it has opened it too: same user */
	assert_int_equal(write(in.master, "secret\r", 7), 7);
	struct pollfd p = {.fd = b.output[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, END_MS), 1); /* the control: now it is heard */
	assert_true(read(b.output[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "heard secret"));
	sandbox_signal(w.rt, &in.rec, SIGTERM);
	box_end(&in);
	/* the next session has the same number */
	box_must_enter(&b, &next, PROBE("trap", "15"));
	expect(next.master, "ready");
	assert_int_equal(write(next.master, "other secret\r", 13), 13);
	/* longer than it listens */
	usleep(600000);
	sandbox_signal(w.rt, &next.rec, SIGTERM);
	box_end(&next);
	box_end(&b);
	assert_non_null(strstr(b.text, "gone "));
	assert_non_null(strstr(b.text, "write Input/output error"));
	assert_non_null(strstr(b.text, "later nothing"));
	assert_null(strstr(b.text, "other secret"));
}

/* ---- who waits for whom ---- */

static void nobody_waits_for_a_process_that_the_app_stops(void **state)
{
	struct box b = box_new();

	(void)state;
	lie_in_wait(&b, HOSTILE("stop-all"));
	for (int i = 0; i < 5; i++) {
		struct box in = box_new();
		uint64_t began = io_mono_ns();

		box_must_enter(&b, &in, PROBE("exit", "0"));
		assert_true(io_mono_ns() - began < QUICK_MS * 1000000ull);
		sandbox_kill(w.rt, &in.rec);
		box_end(&in);
	}
	leave(&b);
}

static void nobody_waits_for_the_apps_share_of_the_processor(void **state)
{
	struct box b = box_new(), in[3];

	(void)state;
	b.start.limits.cpu_millis = 10;
	lie_in_wait(&b, HOSTILE("hog", "40"));
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		uint64_t began = io_mono_ns();

		in[i] = box_new();
		box_must_enter(&b, &in[i], PROBE("exit", "0"));
		assert_true(io_mono_ns() - began < QUICK_MS * 1000000ull);
	}
	sandbox_kill(w.rt, &b.rec);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		box_end(&in[i]);
	box_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_enters_shows_nothing_of_the_host),
		cmocka_unit_test(others_of_the_host_show_it),
		cmocka_unit_test(who_enters_cannot_be_looked_into),
		cmocka_unit_test(berths_programs_stay_closed_while_entering),
		cmocka_unit_test(entering_brings_no_right_and_no_descriptor),
		cmocka_unit_test(a_shell_of_the_apps_own_has_the_apps_rights),
		cmocka_unit_test(a_trap_at_the_terminals_path_catches_nobody),
		cmocka_unit_test(a_terminal_is_gone_when_its_session_is),
		cmocka_unit_test(nobody_waits_for_a_process_that_the_app_stops),
		cmocka_unit_test(nobody_waits_for_the_apps_share_of_the_processor),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}
