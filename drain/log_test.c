/* Logs that grow, are cut and lose their oldest segments while they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "drain/log.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST UINT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

/* In the place of libc's: how many watches the host still allows. */
static unsigned int watches_left = UINT_MAX;

int inotify_init1(int flags)
{
	errno = EMFILE;
	return watches_left ? (int)syscall(SYS_inotify_init1, flags) : -1;
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	errno = ENOSPC;
	if (!watches_left)
		return -1;
	watches_left--;
	return (int)syscall(SYS_inotify_add_watch, fd, path, mask);
}

struct fixture {
	char folder[64];
	struct loop *loop;
	struct logs *logs;
	unsigned int woken, found, gone;
};

static void on_more(void *arg, struct cursor *c)
{
	struct fixture *f = arg;

	(void)c;
	f->woken++;
}

static void on_found(void *arg, struct app_log *l)
{
	struct fixture *f = arg;

	(void)l;
	f->found++;
}

static void on_gone(void *arg, struct app_log *l)
{
	struct fixture *f = arg;

	(void)l;
	f->gone++;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct log_events events = {
		.more = on_more, .found = on_found, .gone = on_gone, .arg = f};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-drain.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->loop = loop_new();
	assert_int_equal(logs_open(f->loop, f->folder, &events, &f->logs), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	logs_free(f->logs);
	loop_free(f->loop);
	io_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static void path_of(const struct fixture *f, uint64_t segment, char out[128])
{
	snprintf(out, 128, "%s/7/%016llu.log", f->folder, (unsigned long long)segment);
}

/* Adds text to a segment, which is made where it is not there. */
static void add(const struct fixture *f, uint64_t segment, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/7", f->folder);
	mkdir(path, 0700);
	path_of(f, segment, path);
	int fd autoclose = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static void take(const struct fixture *f, uint64_t segment)
{
	char path[128];

	path_of(f, segment, path);
	assert_int_equal(unlink(path), 0);
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(loop_once(f->loop, 0), 0);
}

static void reads(struct cursor *c, const char *want)
{
	const char *line = "";
	size_t len = 0;

	assert_int_equal(cursor_line(c, &line, &len), 1);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(line, want, len);
}

static void ends(struct cursor *c)
{
	const char *line;
	size_t len;

	assert_int_equal(cursor_line(c, &line, &len), 0);
	assert_false(c->more);
}

static void lines_come_in_order_over_segments_and_only_whole(void **state)
{
	struct fixture *f = *state;
	struct cursor *c = cursor_new(logs_get(f->logs, 7), NULL, NULL, FIRST);

	ends(c);
	add(f, FIRST,
		"2026-01-02T03:04:05.000000Z a\n2026-01-02T03:04:05.000001Z b\nhal");
	turn(f);
	assert_int_equal(f->found, 1);
	assert_true(f->woken > 0);
	reads(c, "2026-01-02T03:04:05.000000Z a");
	reads(c, "2026-01-02T03:04:05.000001Z b");
	ends(c);
	f->woken = 0;
	add(f, FIRST, "f\n");
	add(f, FIRST + 9, "next\n");
	turn(f);
	assert_true(f->woken > 0);
	reads(c, "half");
	reads(c, "next");
	ends(c);
	cursor_free(c);
}

static void one_that_begins_later_begins_at_its_time(void **state)
{
	struct fixture *f = *state;

	add(f, FIRST - 100, "2026-01-02T03:04:04.999900Z old\n");
	add(f, FIRST, "2026-01-02T03:04:05.000000Z a\n2026-01-02T03:04:05.000009Z b\n");
	struct cursor *c = cursor_new(logs_get(f->logs, 7), NULL, NULL, FIRST + 5);
	reads(c, "2026-01-02T03:04:05.000009Z b");
	ends(c);
	cursor_free(c);
	c = cursor_new(logs_get(f->logs, 7), NULL, NULL, FIRST);
	reads(c, "2026-01-02T03:04:05.000000Z a");
	cursor_free(c);
	c = cursor_new(logs_get(f->logs, 7), NULL, NULL, FIRST + 10);
	ends(c);
	cursor_free(c);
}

static void what_was_not_delivered_is_read_again(void **state)
{
	struct fixture *f = *state;

	add(f, FIRST, "one\ntwo\nthree\n");
	struct cursor *c = cursor_new(
		logs_get(f->logs, 7), NULL, &(struct place){.segment = FIRST}, 0);
	reads(c, "one");
	cursor_keep(c, &c->read);
	reads(c, "two");
	cursor_rewind(c);
	reads(c, "two");
	reads(c, "three");
	struct place kept = c->kept;
	cursor_free(c);
	c = cursor_new(logs_get(f->logs, 7), NULL, &kept, 0);
	reads(c, "two");
	cursor_free(c);
}

static void what_the_budget_takes_is_counted_and_told_once(void **state)
{
	struct fixture *f = *state;
	struct lost lost;

	add(f, FIRST, "one\ntwo\nthree\n");
	add(f, FIRST + 1, "four\n");
	add(f, FIRST + 2, "five\n");
	struct cursor *c = cursor_new(
		logs_get(f->logs, 7), NULL, &(struct place){.segment = FIRST}, 0);
	reads(c, "one");
	assert_false(cursor_tell_lost(c, &lost));
	take(f, FIRST);
	turn(f);
	take(f, FIRST + 1);
	turn(f);
	assert_true(cursor_tell_lost(c, &lost));
	assert_int_equal(lost.lines, 2); /* of the segment that was open */
	assert_int_equal(lost.bytes, strlen("two\nthree\nfour\n"));
	assert_false(cursor_tell_lost(c, &lost));
	reads(c, "five");
	ends(c);
	/* what told of it was not delivered */
	cursor_rewind(c);
	assert_true(cursor_tell_lost(c, &lost));
	assert_int_equal(lost.lines, 2);
	reads(c, "five");
	cursor_keep(c, &c->read);
	cursor_rewind(c);
	assert_false(cursor_tell_lost(c, &lost));
	/* it was read to its end: nothing is lost with it */
	take(f, FIRST + 2);
	turn(f);
	assert_false(cursor_tell_lost(c, &lost));
	add(f, FIRST + 3, "six\n");
	turn(f);
	assert_false(cursor_tell_lost(c, &lost));
	reads(c, "six");
	cursor_free(c);
}

static void what_went_while_nobody_read_is_told_without_a_number(void **state)
{
	struct fixture *f = *state;
	struct lost lost;

	add(f, FIRST + 5, "later\n");
	struct cursor *c = cursor_new(logs_get(f->logs, 7), NULL,
		&(struct place){.segment = FIRST, .offset = 100}, 0);
	assert_true(cursor_tell_lost(c, &lost));
	assert_int_equal(lost.bytes, 0);
	reads(c, "later");
	cursor_free(c);
}

static void a_log_that_began_later_is_missed_too(void **state)
{
	struct fixture *f = *state;
	struct lost lost;
	struct cursor *c = cursor_new(logs_get(f->logs, 7), NULL, NULL, FIRST);

	add(f, FIRST, "one\ntwo\n");
	turn(f);
	reads(c, "one");
	cursor_rewind(c);
	take(f, FIRST);
	turn(f);
	assert_true(cursor_tell_lost(c, &lost));
	assert_int_equal(lost.lines, 2);
	add(f, FIRST + 1, "three\n");
	turn(f);
	reads(c, "three");
	cursor_free(c);
}

static void a_log_that_goes_and_comes_again_is_read(void **state)
{
	struct fixture *f = *state;
	char path[128];

	add(f, FIRST, "one\n");
	struct cursor *c = cursor_new(logs_get(f->logs, 7), NULL, &(struct place){0}, 0);
	reads(c, "one");
	ends(c);
	take(f, FIRST);
	snprintf(path, sizeof(path), "%s/7", f->folder);
	assert_int_equal(rmdir(path), 0);
	turn(f);
	assert_int_equal(f->gone, 1);
	add(f, FIRST + 1, "two\n");
	turn(f);
	reads(c, "two");
	cursor_free(c);
}

/* No inotify at all, and none for a log. */
static void what_cannot_be_watched_is_looked_for(void **state)
{
	struct fixture *f = *state;
	const struct log_events events = {
		.more = on_more, .found = on_found, .gone = on_gone, .arg = f};
	struct logs *logs[2];
	struct cursor *c[2];

	for (unsigned int i = 0; i < ARRAY_LEN(logs); i++) {
		watches_left = i;
		assert_int_equal(logs_open(f->loop, f->folder, &events, &logs[i]), 0);
		c[i] = cursor_new(logs_get(logs[i], 7), NULL, NULL, FIRST);
		ends(c[i]);
	}
	add(f, FIRST, "2026-01-02T03:04:05.000000Z a\n");
	turn(f);
	reads(c[1], "2026-01-02T03:04:05.000000Z a"); /* the folder of all is watched */
	ends(c[1]);
	add(f, FIRST, "b\n");
	turn(f);
	f->found = 0;
	watches_left = UINT_MAX;
	while (!c[0]->more || !c[1]->more)
		assert_int_equal(loop_once(f->loop, -1), 0);
	assert_true(f->found > 0);
	reads(c[0], "2026-01-02T03:04:05.000000Z a");
	for (unsigned int i = 0; i < ARRAY_LEN(logs); i++) {
		reads(c[i], "b");
		ends(c[i]);
	}
	add(f, FIRST, "c\n");
	turn(f);
	for (unsigned int i = 0; i < ARRAY_LEN(logs); i++) {
		assert_true(c[i]->more); /* it is watched by now */
		reads(c[i], "c");
		cursor_free(c[i]);
		logs_free(logs[i]);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(lines_come_in_order_over_segments_and_only_whole),
		T(one_that_begins_later_begins_at_its_time),
		T(what_was_not_delivered_is_read_again),
		T(what_the_budget_takes_is_counted_and_told_once),
		T(what_went_while_nobody_read_is_told_without_a_number),
		T(a_log_that_began_later_is_missed_too),
		T(a_log_that_goes_and_comes_again_is_read),
		T(what_cannot_be_watched_is_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
