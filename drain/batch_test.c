/* A drain's turn, with a transport that is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "drain/outlet.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINE "2026-01-02T03:04:05.000001Z app[web.1]: last words\n"

static unsigned int sent, closed;

static void send_batch(struct drain *d)
{
	sent += d->batch.lines;
	drain_delivered(d);
}

static void open_at_once(struct drain *d)
{
	drain_opened(d);
}

static void close_it(struct drain *d UNUSED)
{
	closed++;
}

static void put(
	struct drain *d, const char *text, size_t len, const struct cursor *c UNUSED)
{
	buf_add(&d->out, text, len);
}

static const struct transport played = {.open = open_at_once,
	.send = send_batch,
	.close = close_it,
	.put = put,
	.batch_bytes = BATCH_BYTES};

static void on_log(void *arg UNUSED, struct app_log *l UNUSED)
{
}

static void on_more(void *arg UNUSED, struct cursor *c UNUSED)
{
}

static void write_line(const char *folder)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/7", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/7/%016llu.log", folder, 1767323045000000ull);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(io_write_all(fd, LINE, strlen(LINE)), 0);
}

/* Its turn was set for what came just before; nothing else comes that would set another. */
static void what_came_before_an_idle_receiver_closed_is_sent(void **state UNUSED)
{
	const struct log_events events = {
		.more = on_more, .found = on_log, .gone = on_log};
	char folder[] = "/tmp/berth-drain.XXXXXX";
	struct outlet o = {.loop = loop_new(), .state = folder};
	struct drain *d = calloc(1, sizeof(*d));

	assert_non_null(mkdtemp(folder));
	write_line(folder);
	assert_int_equal(logs_open(o.loop, folder, &events, &o.logs), 0);
	struct app_log *l = logs_get(o.logs, 7);
	snprintf(l->name, sizeof(l->name), "blog");
	*d = (struct drain){.outlet = &o,
		.transport = &played,
		.batch_bytes = BATCH_BYTES,
		.phase = PHASE_OPEN};
	d->cursors = cursor_new(l, d, NULL, 0);
	drain_run_in(d, 30);
	drain_closed(d, "the receiver closed the connection");
	assert_int_equal(closed, 1);
	assert_int_equal(sent, 0);
	while (d->timer)
		assert_int_equal(loop_once(o.loop, -1), 0);
	assert_int_equal(sent, 1);
	/* with nothing to send it opens no connection */
	drain_closed(d, "the receiver closed the connection");
	while (d->timer)
		assert_int_equal(loop_once(o.loop, -1), 0);
	assert_int_equal(sent, 1);
	assert_int_equal(d->phase, PHASE_CLOSED);
	drain_stop(d);
	cursor_free(d->cursors);
	free(d);
	logs_free(o.logs);
	loop_free(o.loop);
	io_remove_tree(AT_FDCWD, folder);
}

static void delivered(struct drain *d, unsigned int n)
{
	static struct app_log log = {.app = 7};
	static struct cursor c = {.log = &log, .fd = -1};

	while (n-- > 0) {
		d->batch = (struct mark){.cursor = &c, .lines = 1};
		drain_delivered(d);
	}
}

/* Each batch that is too large costs a pause. */
static void what_a_receiver_took_is_not_exceeded_at_once(void **state UNUSED)
{
	struct outlet o = {.loop = loop_new()};
	struct drain *d = calloc(1, sizeof(*d));

	*d = (struct drain){
		.outlet = &o, .transport = &played, .batch_bytes = BATCH_BYTES / 4};
	delivered(d, 1);
	assert_int_equal(d->batch_bytes, BATCH_BYTES / 4);
	/* what was too large once need not be so for ever */
	delivered(d, 2 * BATCHES_SMALLER);
	assert_int_equal(d->batch_bytes, BATCH_BYTES);
	delivered(d, BATCHES_SMALLER);
	assert_int_equal(d->batch_bytes, BATCH_BYTES);
	drain_stop(d);
	free(d);
	loop_free(o.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_before_an_idle_receiver_closed_is_sent),
		cmocka_unit_test(what_a_receiver_took_is_not_exceeded_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
