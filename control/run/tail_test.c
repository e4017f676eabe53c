/* The last lines that an instance wrote, while others write on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/run/tail.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define START UINT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

static char folder[64], segment[128];
static bool is_busy; /* a line comes between the look at the size and the read */

static void add_lines(const char *source, int first, int end)
{
	char stamp[STAMP_SIZE];
	FILE *f = fopen(segment, "ae");

	assert_non_null(f);
	for (int i = first; i < end; i++) {
		stamp_format_us(START + (uint64_t)i, stamp);
		fprintf(f, "%s %s: line %d\n", stamp, source, i);
	}
	fclose(f);
}

/* In the place of the C library's. */
off_t lseek(int fd, off_t at, int whence)
{
	if (is_busy && whence == SEEK_SET)
		add_lines("app[worker.1]", 100000, 100001);
	return syscall(SYS_lseek, fd, at, whence);
}

static int set_up(void **state UNUSED)
{
	char path[96];

	is_busy = false;
	snprintf(folder, sizeof(folder), "/tmp/berth-tail.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/logs", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/logs/1", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(segment, sizeof(segment), "%s/1767323045000000.log", path);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, folder);
}

static void a_log_that_grows_while_it_is_read_has_lines(void **state UNUSED)
{
	struct control c = {.state = folder};
	autobuf out = BUF_INIT;

	add_lines("app[worker.1]", 0, 8000); /* more than is read */
	add_lines("app[web.1]", 8000, 8003);
	is_busy = true;
	buf_adds(&out, "");
	tail_read(&c, 1, "app[web.1]", START, 2, &out);
	assert_string_equal(out.data, "line 8001\nline 8002\n");
}

static void lines_that_are_left_out_are_told(void **state UNUSED)
{
	struct control c = {.state = folder};
	autobuf out = BUF_INIT;

	add_lines("app[cron.1]", 0, 1); /* of the run before */
	add_lines("app[cron.1]", 1, 151);
	assert_true(tail_read(&c, 1, "app[cron.1]", START + 1, 150, &out));
	assert_memory_equal(out.data, "line 1\nline 2\n", 14);
	buf_reset(&out);
	assert_false(tail_read(&c, 1, "app[cron.1]", START + 1, 149, &out));
	assert_memory_equal(out.data, "line 2\nline 3\n", 14);
	/* nobody knows what came before the part that is read */
	add_lines("app[web.1]", 151, 8000);
	buf_reset(&out);
	assert_false(tail_read(&c, 1, "app[cron.1]", START + 1, 150, &out));
	assert_string_equal(out.data, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_log_that_grows_while_it_is_read_has_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			lines_that_are_left_out_are_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
