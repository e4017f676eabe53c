/* berthd as a whole: what an app gets from it and what control is told. */
#include "runtime/berthd_stage_test.h"

#include <sys/mman.h>

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

static void descriptors_of_a_wrong_kind_are_refused(void **state UNUSED)
{
	const char *argv[] = {"/bin/sh", NULL}, *env[] = {NULL};
	int spec = spec_pack(argv, env, "/"),
	    null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int folder = open("/", O_PATH | O_CLOEXEC), pipes[2];
	int open_memory = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const int no_specs[] = {null, folder, open_memory};
	struct msg_start m = start_of(next_id++);
	struct msg_stack stack = {.id = next_id++, .suite = 1};

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (size_t i = 0; i < ARRAY_LEN(no_specs); i++)
		assert_int_equal(
			request(MSG_START, &m, sizeof(m), &no_specs[i], 1), -EINVAL);
	/* nobody ever writes to it */
	assert_int_equal(request(MSG_START, &m, sizeof(m), &pipes[0], 1), -EINVAL);
	assert_int_equal(request(MSG_KEYS_WRITE, NULL, 0, &pipes[0], 1), -EINVAL);
	m.flags = START_STDIO;
	for (int i = 1; i < 4; i++) {
		int fds[4] = {spec, null, null, null};

		fds[i] = folder;
		assert_int_equal(request(MSG_START, &m, sizeof(m), fds, 4), -EINVAL);
	}
	assert_int_equal(
		request(MSG_STACK_BUILD, &stack, sizeof(stack), (int[]){null, folder}, 2),
		-EINVAL);
	assert_int_equal(listed(), 0);
	assert_int_equal(
		request(MSG_START, &m, sizeof(m), (int[]){spec, null, null, null}, 4), 0);
	wait_exit(m.id);
	for (int *p = (int[]){spec, null, folder, open_memory, pipes[0], pipes[1], -1};
		*p >= 0; p++)
		close(*p);
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

static void a_start_names_the_signal_that_stops_it(void **state UNUSED)
{
	uint64_t id = start_shell_with(SIGQUIT,
		"trap 'echo quit; exit 3' QUIT; trap 'echo wrong; exit 0' TERM; "
		"echo up3; while :; do sleep 0.05; done",
		NULL);
	struct msg_stop m = {.id = id, .timeout_ms = 5000};

	WAIT_FOR(logged(": up3\n"));
	assert_int_equal(request(MSG_STOP, &m, sizeof(m), NULL, 0), 0);
	wait_exit(id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_int_equal(last_exit.value, 3);
	assert_true(logged(": quit\n"));
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

static void a_frozen_app_is_found_frozen_and_stopped_as_any_other(void **state UNUSED)
{
	pid_t app, worker = worker_pid();
	uint64_t id = start_shell(
		"trap 'sleep 1; echo woken; exit 0' TERM; " COUNT("ice"), &app);
	struct msg_stop m = {.id = id, .timeout_ms = 5000};
	long seen;

	WAIT_FOR(check_count("ice") > 10);
	assert_false(listed_frozen(id));
	assert_int_equal(freeze(id), 0);
	assert_true(listed_frozen(id));
	do { /* what it wrote comes to the log */
		seen = check_count("ice");
		usleep(300000);
	} while (check_count("ice") != seen);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_app_runs_and_its_exit_status_and_output_arrive),
		cmocka_unit_test(a_command_that_does_not_exist_says_so),
		cmocka_unit_test(requests_out_of_range_are_refused),
		cmocka_unit_test(descriptors_of_a_wrong_kind_are_refused),
		cmocka_unit_test(stop_is_sigterm_and_then_sigkill),
		cmocka_unit_test(a_start_names_the_signal_that_stops_it),
		cmocka_unit_test(
			a_child_killed_for_memory_is_told_while_the_app_lives_on),
		cmocka_unit_test(
			each_kill_for_memory_is_counted_and_the_end_by_one_is_named),
		cmocka_unit_test(open_files_and_what_the_host_has_are_told),
		cmocka_unit_test(a_frozen_app_is_found_frozen_and_stopped_as_any_other),
		cmocka_unit_test(nobody_is_frozen_inside_an_app),
	};

	stand_in(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
