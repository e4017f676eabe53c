/* Environments, keys and the app lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/applock.h"
#include "control/builds/key.h"
#include "control/command.h"
#include "control/engine.h"
#include "control/env.h"
#include "control/limits.h"
#include "control/settings.h"
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const char *get(char **env, const char *key)
{
	size_t n = strlen(key);

	for (; *env; env++) {
		if (strncmp(*env, key, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	}
	return NULL;
}

static void config_wins_over_the_buildpack_and_berth_over_both(void **state)
{
	struct db_app app = {.name = "shop"};
	struct db_release release = {.version = 7,
		.config = json_pack("{s:s,s:s,s:{s:s}}", "NODE_ENV", "test", "PORT", "1",
			"RAW", "base64", "/wE=")};
	struct db_image image = {
		.env = json_pack("{s:s,s:s}", "NODE_ENV", "production", "X", "1"),
		.commit = "abc"};
	struct msg_limits_body limits = {.memory_bytes = 256u << 20, .cpu_millis = 1500};
	struct env_for f = {.app = &app,
		.release = &release,
		.image = &image,
		.name = "web.1",
		.limits = &limits,
		.port = 5000};

	(void)state;
	char **env = env_build(&f);
	assert_string_equal(get(env, "NODE_ENV"), "test");
	assert_string_equal(get(env, "X"), "1");
	assert_string_equal(get(env, "PORT"), "5000");
	assert_string_equal(get(env, "RAW"), "\xff\x01");
	assert_string_equal(get(env, "BERTH_RELEASE"), "v7");
	assert_string_equal(get(env, "WEB_CONCURRENCY"), "2");
	assert_null(get(env, "TERM"));
	env_free(env);
	json_decref(release.config);
	json_decref(image.env);
}

static void hints_follow_the_limits_and_config_wins(void **state)
{
	static const char *const want[][2] = {{"MEMORY_AVAILABLE", "256"},
		{"WEB_CONCURRENCY", "2"}, {"GOMAXPROCS", "2"}, {"GOMEMLIMIT", "225MiB"},
		{"NODE_OPTIONS", "--inspect"},
		{"JAVA_TOOL_OPTIONS", "-XX:MaxRAM=256m -XX:MaxRAMPercentage=70 "
				      "-XX:ActiveProcessorCount=2"}};
	struct db_app app = {.name = "shop"};
	struct db_release release = {
		.version = 1, .config = json_pack("{s:s}", "NODE_OPTIONS", "--inspect")};
	struct db_image image = {.env = json_object()};
	struct msg_limits_body limits = {.memory_bytes = 256u << 20, .cpu_millis = 1500};
	struct env_for f = {.app = &app,
		.release = &release,
		.image = &image,
		.name = "web.1",
		.limits = &limits};

	(void)state;
	char **env = env_build(&f);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(get(env, want[i][0]), want[i][1]);
	env_free(env);
	json_decref(release.config);
	json_decref(image.env);
}

static void a_limit_is_named_with_its_unit_and_what_the_host_makes_of_it(void **state)
{
	static const struct {
		const char *key;
		uint64_t value;
		const char *text, *note; /* NULL: the host can do it */
	} rows[] = {
		{"memory", 256u << 20, "256M", NULL},
		{"memory", UINT64_C(16) << 30, "16G", "16G wanted, this host has 8G"},
		{"cpu", 50, "0.05", NULL},
		{"cpu", 2500, "2.5", "2.5 wanted, this host has 2"},
		{"pids", 512, "512", NULL},
		{"pids", 70000, "70000", "70000 wanted, this host has 32768"},
		{"nofile", 65536, "65536", "65536 wanted, 4096 allowed by this host"},
		{"nofile", 4096, "4096", NULL},
		{"scratch", UINT64_C(1) << 30, "1G", NULL},
		{"io_read", 10u << 20, "10M a second", "cannot be limited here: no disk"},
		{"io_write", 0, "none", NULL},
	};
	const struct msg_host host = {.memory_bytes = UINT64_C(8) << 30,
		.cpu_millis = 2000,
		.pids = 32768,
		.nofile = 4096,
		.no_io = "no disk"};
	char text[40], note[320];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct limit_row *row = limit_rows;

		while (strcmp(row->key, rows[i].key) != 0)
			row++;
		limit_text(row, rows[i].value, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(limit_note(row, rows[i].value, &host, note),
			rows[i].note != NULL);
		if (rows[i].note)
			assert_string_equal(note, rows[i].note);
	}
}

/* Defaults have to be inside of what may be set, and a row must reach its own field. */
static void every_limit_has_a_default_within_its_range(void **state)
{
	const struct msg_limits_body own[] = {
		*default_limits("web"), *default_limits("build")};

	(void)state;
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		const struct limit_row *row = &limit_rows[i];
		struct db_resource r = {0};
		struct msg_limits_body l;

		for (size_t k = 0; k < ARRAY_LEN(own); k++) {
			uint64_t n = limit_get(&own[k], row);
			assert_true(n == 0 || (n >= row->min && n <= row->max));
		}
		*limit_set(&r, row) = row->min;
		l = (struct msg_limits_body){r.memory_bytes, r.scratch_bytes,
			r.io_read_bytes, r.io_write_bytes, (uint32_t)r.cpu_millis,
			(uint32_t)r.pids, (uint32_t)r.nofile, 0};
		for (size_t k = 0; k < LIMIT_ROWS; k++)
			assert_int_equal(
				limit_get(&l, &limit_rows[k]), k == i ? row->min : 0);
	}
}

static void different_fields_never_share_a_key(void **state)
{
	char a[65], b[65];
	struct key k;

	(void)state;
	key_begin(&k, "x");
	key_adds(&k, "ab");
	key_adds(&k, "c");
	key_end(&k, a);
	key_begin(&k, "x");
	key_adds(&k, "a");
	key_adds(&k, "bc");
	key_end(&k, b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 64);
}

static void exits_read_as_people_say_them(void **state)
{
	char text[160];

	(void)state;
	exit_text(&(struct msg_exited){.reason = EXIT_REASON_EXITED, .value = 3}, text);
	assert_string_equal(text, "exit status 3");
	exit_text(&(struct msg_exited){.reason = EXIT_REASON_OOM,
			  .memory_limit_bytes = 256u << 20},
		text);
	assert_string_equal(text, "out of memory at 256M");
	exit_text(&(struct msg_exited){.reason = EXIT_REASON_SIGNALED, .value = 9}, text);
	assert_string_equal(text, "killed by signal 9 (Killed)");
}

static void a_single_command_takes_the_place_of_its_shell(void **state)
{
	static const char *const rows[][2] = {
		{"node server.js", "exec node server.js"},
		{"  ./run --x='a && b' \"c;d\" 2>&1 >out",
			"exec ./run --x='a && b' \"c;d\" 2>&1 >out"},
		{"A=1 B_2=x node s.js", "exec env A=1 B_2=x node s.js"},
		{"exec perl s.pl", "exec perl s.pl"},
		{"A=1 exec perl s.pl", "A=1 exec perl s.pl"},
		{"exit 3", "exit 3"},
		{"cd web && node s.js", "cd web && node s.js"},
		{"a | b", "a | b"},
		{"a; b", "a; b"},
		{"serve -n $(nproc) -p ${PORT:-80} `x | y`",
			"exec serve -n $(nproc) -p ${PORT:-80} `x | y`"},
		{"{ a; }", "{ a; }"},
		{"(a)", "(a)"},
		{"a 'unterminated", "exec a 'unterminated"},
		{"if true", "if true"},
		{"echo a\\;b", "exec echo a\\;b"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autobuf b = BUF_INIT;
		command_for_shell(rows[i][0], &b);
		assert_string_equal(b.data, rows[i][1]);
	}
}

static atomic_int told, order;
static bool gone;

static void count_line(struct sink *s, char kind, const char *text)
{
	(void)s, (void)kind, (void)text;
	atomic_fetch_add(&told, 1);
}

static bool is_gone(struct sink *s)
{
	(void)s;
	return gone;
}

static void *second(void *arg)
{
	struct sink s = {.write = count_line, .watch_fd = -1};
	struct err e;

	(void)arg;
	assert_int_equal(applock_take(5, &s, &e), 0);
	atomic_store(&order, 2);
	applock_drop(5);
	return NULL;
}

static void a_second_operation_waits_says_so_and_may_give_up(void **state)
{
	struct sink s = {.write = count_line, .cancelled = is_gone, .watch_fd = -1};
	struct err e;
	pthread_t t;

	(void)state;
	assert_int_equal(applock_take(5, &s, &e), 0);
	assert_int_equal(applock_take(6, &s, &e), 0); /* another app is free */
	assert_false(applock_try(5));
	assert_true(applock_try(7));
	assert_false(applock_try(7));
	applock_drop(7);
	assert_int_equal(pthread_create(&t, NULL, second, NULL), 0);
	while (atomic_load(&told) == 0)
		usleep(1000);
	assert_int_equal(atomic_load(&order), 0);
	applock_drop(5);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&order), 2);
	applock_drop(6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_wins_over_the_buildpack_and_berth_over_both),
		cmocka_unit_test(hints_follow_the_limits_and_config_wins),
		cmocka_unit_test(
			a_limit_is_named_with_its_unit_and_what_the_host_makes_of_it),
		cmocka_unit_test(every_limit_has_a_default_within_its_range),
		cmocka_unit_test(different_fields_never_share_a_key),
		cmocka_unit_test(a_single_command_takes_the_place_of_its_shell),
		cmocka_unit_test(exits_read_as_people_say_them),
		cmocka_unit_test(a_second_operation_waits_says_so_and_may_give_up),
	};
	return cmocka_run_group_tests_name("control/parts", tests, NULL, NULL);
}
