/* Scratch space as root, where the host cannot make it, or cannot just now. */
#include "runtime/box_test.h"
#include "runtime/inside.h"

/* No spare one, and none being made: the next start makes its own, with a mke2fs of this
 * folder. The size is one that no other start has. */
static struct box box_with_scratch(const char *folder)
{
	static uint64_t size_bytes = 32 << 20;
	struct box b = box_new();

	netpool_drain(w.rt->pool);
	assert_int_equal(setenv("PATH", folder, 1), 0);
	b.start.limits.scratch_bytes = size_bytes += 1 << 20;
	return b;
}

static void assert_limited(struct box *b)
{
	run(b, "fill", "/app/file", "64");
	assert_end(b, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(b->text, "No space left on device"));
}

static char path[1024]; /* of the environment */

static void what_fails_once_fails_the_start(void **state UNUSED)
{
	static const char script[] = "#!/bin/sh\nexit 1\n";
	int dir autoclose = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct box b, again;

	assert_int_equal(
		io_replace_file(dir, "mke2fs", script, sizeof(script) - 1, 0755), 0);
	b = box_with_scratch(w.dir);
	assert_int_equal(box_start(&b, PROBE("exit", "0")), -EIO);
	assert_string_equal(
		b.e.text, "cannot format a scratch image (mke2fs): Input/output error");
	close(b.exit_fd);
	close(b.output[0]);
	assert_string_equal(w.rt->no_scratch, "");
	again = box_with_scratch(path);
	assert_limited(&again);
	assert_int_equal(unlinkat(dir, "mke2fs", 0), 0);
}

static void a_host_that_cannot_make_it_has_no_limit_until_it_can(void **state UNUSED)
{
	struct box without = box_with_scratch(w.dir), with;

	run(&without, "fill", "/app/file", "64");
	assert_end(&without, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(w.rt->no_scratch, "mke2fs"));
	with = box_with_scratch(path);
	assert_limited(&with);
	assert_string_equal(w.rt->no_scratch, "");
}

static int set_up_path(void **state)
{
	snprintf(path, sizeof(path), "%s", getenv("PATH"));
	return set_up(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fails_once_fails_the_start),
		cmocka_unit_test(a_host_that_cannot_make_it_has_no_limit_until_it_can),
	};

	return run_as_root(tests, set_up_path, tear_down);
}
