/*
 * What reads an app's log, given segments that nobody would write: what comes out are whole lines of theirs, in their
 * order, as many as were asked for, none of the log's own; without times exactly what a plain search finds.
 */
#include "tests/fuzz/fuzz.h"

#include "control/logs/logs.h"

#include <sys/stat.h>

#define SEGMENTS 3u

static void write_segments(struct input *in, const char *text, size_t n, struct buf *all)
{
	size_t at = 0;

	for (unsigned int i = 1; i <= SEGMENTS; i++) {
		size_t len = i == SEGMENTS ? n - at : take_u16(in) % (n - at + 1);
		const char *end = len ? memrchr(text + at, '\n', len) : NULL;
		char path[128];

		snprintf(path, sizeof(path), "%s/%016u.log", top, i * 1000000);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && io_write_all(fd, text + at, len) == 0);
		close(fd);
		if (end) /* what follows is being written */
			buf_add(all, text + at, (size_t)(end + 1 - (text + at)));
		at += len;
	}
}

static void take_query(struct input *in, struct logs_query *q)
{
	static const char *const processes[] = {"", "", "web", "web.1", "router"};
	static const char *const words[] = {"", "", "e", "error", "Z app["};
	uint8_t how = take_u8(in);

	*q = (struct logs_query){.lines = how & 1 ? take_u8(in) % 8u : 0,
		.since_us = how & 2 ? take_u16(in) * 1000u : 0,
		.until_us = how & 4 ? take_u16(in) * 1000u : 0};
	snprintf(q->process, sizeof(q->process), "%s",
		processes[take_u8(in) % ARRAY_LEN(processes)]);
	CHECK(needle_init(&q->grep, words[take_u8(in) % ARRAY_LEN(words)], how & 8));
}

/* The lines that match, without a look at the time. */
static void find_plainly(
	const struct buf *all, const struct logs_query *q, struct buf *out)
{
	const char *p = all->data, *end = p ? p + all->len : NULL;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct segment_line l;

		CHECK(nl);
		if (segment_parse(p, (size_t)(nl - p), &l) && logs_match(q, &l))
			buf_add(out, p, (size_t)(nl + 1 - p));
		p = nl + 1;
	}
}

static size_t count_lines(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

/* Each line of part is one of whole, behind the one before it. */
static void check_part(const struct buf *part, const struct buf *whole)
{
	const char *at = whole->data, *end = at ? at + whole->len : NULL;

	for (const char *p = part->data; p && p < part->data + part->len;) {
		size_t len = (size_t)((char *)memchr(p, '\n', part->len) + 1 - p);

		while (at < end) {
			size_t n = (size_t)((char *)memchr(at, '\n', (size_t)(end - at)) +
					    1 - at);
			bool same = n == len && memcmp(at, p, n) == 0;

			at += n;
			if (same)
				break;
			CHECK(at < end);
		}
		p += len;
	}
}

static void read_all(const struct logs_query *q, struct buf *out)
{
	struct logs *l = logs_open(top, q);
	char part[997];
	ssize_t n;

	CHECK(l);
	while ((n = logs_read(l, part, sizeof(part))) > 0)
		buf_add(out, part, (size_t)n);
	CHECK(n == 0 && logs_over(l));
	logs_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	autobuf all = BUF_INIT, plain = BUF_INIT, got = BUF_INIT, last = BUF_INIT;
	struct logs_query q, every;

	if (!top[0])
		make_top();
	take_query(&in, &q);
	struct input cuts = in;
	(void)take_u16(&in), (void)take_u16(&in);
	char *text = text_of(in.p, in.n);
	write_segments(&cuts, text, in.n, &all);
	free(text);
	find_plainly(&all, &q, &plain);
	every = q;
	every.since_us = every.until_us = every.lines = 0;
	read_all(&every, &got);
	CHECK(got.len == plain.len &&
		(!got.len || memcmp(got.data, plain.data, got.len) == 0));
	read_all(&q, &last);
	check_part(&last, &plain);
	CHECK(!q.lines || count_lines(&last) <= q.lines);
	if (q.lines && !q.since_us && !q.until_us) {
		size_t want = count_lines(&plain);

		CHECK(count_lines(&last) == (want < q.lines ? want : q.lines));
	}
	return 0;
}
