/* berthd as a whole: what survives the death of which process. */
#include "runtime/berthd_stage_test.h"

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

static void an_upgrade_goes_on_whoever_dies_meanwhile(void **state UNUSED)
{
	pid_t monitor = monitor_pid(), worker = worker_pid(),
	      logger = daemon_pid("logger "), router = daemon_pid("router.0 "),
	      old = daemon_pid("control ");

	assert_int_equal(kill(router, SIGSTOP), 0); /* it makes way when it goes on */
	assert_int_equal(kill(monitor, SIGUSR2), 0);
	WAIT_FOR(worker_pid() != 0 && worker_pid() != worker &&
		 daemon_pid("logger ") != 0 && daemon_pid("logger ") != logger);
	/* What the one before had begun to start is gone when the next answers. */
	assert_int_equal(listed(), 0);
	worker = worker_pid();
	assert_int_equal(kill(worker, SIGKILL), 0);
	WAIT_FOR(worker_pid() != 0 && worker_pid() != worker);
	assert_int_equal(listed(), 0);
	worker = worker_pid();
	assert_int_equal(kill(monitor, SIGKILL), 0);
	WAIT_FOR(monitor_pid() == worker && worker_pid() != 0);
	assert_int_equal(daemon_pid("router.0 "), router);
	assert_int_equal(kill(router, SIGCONT), 0);
	WAIT_FOR(daemon_pid("control ") != 0 && daemon_pid("control ") != old);
	connect_control();
	assert_int_equal(listed(), 0);
}

/* A child that is, or is about to be, one of berth's programs. 0: none. */
static pid_t program_under(pid_t parent)
{
	char path[64], exe[PATH_MAX] = "";
	autobuf b = BUF_INIT;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent,
		(int)parent);
	if (parent == 0 || io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return 0;
	for (char *p = b.data; *p; p += strspn(p, " ")) {
		pid_t pid = (pid_t)strtol(p, &p, 10);

		snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
		if (readlink(path, exe, sizeof(exe) - 1) > 0 &&
			strncmp(exe, bin, strlen(bin)) == 0)
			return pid;
	}
	return 0;
}

static void a_worker_that_dies_while_it_starts_a_program_leaves_none_behind(
	void **state UNUSED)
{
	char list[PATH_MAX];
	pid_t worker = worker_pid(), child, control_pid = daemon_pid("control ");

	/* The next worker stands still before it has written down which control it started. */
	path_of(list, "run/daemons.new");
	assert_int_equal(mkfifo(list, 0600), 0);
	assert_int_equal(kill(monitor_pid(), SIGSTOP), 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	assert_int_equal(kill(control_pid, SIGKILL), 0);
	WAIT_FOR(!alive(worker) && !alive(control_pid));
	assert_int_equal(kill(monitor_pid(), SIGCONT), 0);
	WAIT_FOR((child = program_under(worker = worker_pid())) > 0);
	assert_int_equal(kill(worker, SIGSTOP), 0); /* the next one is to find no FIFO */
	assert_int_equal(unlink(list), 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	connect_control();
	assert_int_not_equal(daemon_pid("control "), child);
	WAIT_FOR(!alive(child));
	assert_int_equal(listed(), 0);
}

/* Where a router of this berthd listens. */
static void read_http(char *out, size_t size)
{
	static const char name[] = "BERTH_HTTP=";
	char path[64], *at = NULL;
	autobuf b = BUF_INIT;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)daemon_pid("router.0 "));
	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	for (char *p = b.data; p && p < b.data + b.len; p += strlen(p) + 1)
		if (strncmp(p, name, strlen(name)) == 0)
			at = p + strlen(name);
	assert_non_null(at);
	snprintf(out, size, "%s", at);
}

/* And has its ports, on which the routers of the killed one listen still. */
static void a_later_berthd_finds_the_apps_of_a_killed_one(void **state UNUSED)
{
	pid_t app, worker = worker_pid();
	uint64_t id = start_shell(COUNT("three"), &app);

	WAIT_FOR(check_count("three") > 10);
	read_http(http, sizeof(http));
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			killing_the_worker_or_the_monitor_changes_nothing_for_an_app),
		cmocka_unit_test(an_end_that_no_worker_saw_is_told_by_the_next),
		cmocka_unit_test(killing_the_logger_loses_no_line),
		cmocka_unit_test(a_restarted_control_is_told_of_unrecorded_ends),
		cmocka_unit_test(an_upgrade_goes_on_whoever_dies_meanwhile),
		cmocka_unit_test(
			a_worker_that_dies_while_it_starts_a_program_leaves_none_behind),
		cmocka_unit_test(a_later_berthd_finds_the_apps_of_a_killed_one),
		cmocka_unit_test(stop_leaves_apps_and_stop_all_ends_them),
	};

	stand_in(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
