/*
 * What berth-logger makes of an app's output and of the record pipe: every line that it
 * writes is one of its own, of the app, whole, without a control byte; records that were
 * sent whole arrive, in whatever pieces and between whatever garbage.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/jtext.h"
#include "lib/plain.h"
#include "runtime/logger/logger_record.h"
#include "runtime/logger/logger_text.h"

#include <dirent.h>
#include <sys/stat.h>

#define NOW_US 1700000000000000u
#define APP 3u

static int top_fd = -1;

static void open_top(void)
{
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(top_fd >= 0);
}

/* All that was written for the app. */
static void read_app(uint32_t app, struct buf *out)
{
	struct dirent **files;
	char folder[96];
	int n;

	snprintf(folder, sizeof(folder), "%s/%u", top, app);
	n = scandir(folder, &files, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char path[400];

		snprintf(path, sizeof(path), "%s/%s", folder, files[i]->d_name);
		if (files[i]->d_name[0] != '.')
			CHECK(io_read_file(AT_FDCWD, path, out) == 0);
		free(files[i]);
	}
	if (n >= 0)
		free(files);
}

static void check_line(const char *p, size_t n)
{
	const char *space = memchr(p, ' ', n), *colon;

	CHECK(n > TEXT_STAMP_LEN && space == p + TEXT_STAMP_LEN && p[26] == 'Z');
	colon = memchr(space, ':', n - TEXT_STAMP_LEN);
	CHECK(colon && colon[1] == ' ');
	for (const char *c = space + 1; c < colon; c++)
		CHECK(*c > ' ' && *c < 0x7f);
	for (const char *c = colon; c < p + n; c++)
		CHECK(((unsigned char)*c >= ' ' || *c == '\t') && *c != 0x7f);
	CHECK(jtext_utf8(p, n) == n);
}

static unsigned int check_lines(const struct buf *b)
{
	static const char own[] = LOG_SEGMENT_SOURCE ": ";
	unsigned int n = 0;

	if (!b->len)
		return 0;
	for (const char *p = b->data, *end = p + b->len, *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		CHECK(nl);
		check_line(p, (size_t)(nl - p));
		n += memcmp(p + TEXT_STAMP_LEN + 1, own, sizeof(own) - 1) != 0;
	}
	return n;
}

/* In pieces of so many bytes; what is not used up comes again with the next. */
static void feed_records(struct store *s, const char *p, size_t n, size_t piece)
{
	size_t done = 0;

	for (size_t have = 0; have < n;) {
		have = piece < n - have ? have + piece : n;
		char *copy = text_of((const uint8_t *)p + done, have - done);
		size_t used = record_parse(s, copy, have - done, NOW_US);

		CHECK(used <= have - done);
		/* what waits is less than the largest record */
		CHECK(have - done - used < LOG_RECORD_MAX);
		done += used;
		free(copy);
	}
}

static void try_records(const char *p, size_t n, size_t piece, struct buf *out)
{
	struct store *s = store_new(top_fd);

	CHECK(s);
	feed_records(s, p, n, piece);
	store_free(s);
	for (uint32_t app = 1; app < 8; app++)
		read_app(app, out);
	CHECK(io_remove_tree(AT_FDCWD, top) == 0 && mkdir(top, 0700) == 0);
	close(top_fd);
	open_top();
}

/* Records and garbage by turns. How many records. */
static unsigned int compose(struct input *in, struct buf *out)
{
	unsigned int n = take_u8(in) % 4;

	for (unsigned int i = 0; i < n; i++) {
		char text[256];
		size_t len = take_u8(in);
		struct log_record r = {.magic = LOG_RECORD_MAGIC,
			.size = (uint16_t)(sizeof(r) + len),
			.app = take_u8(in) % 7 + 1,
			.time_us = NOW_US - 10};

		take_bytes(in, r.source, sizeof(r.source));
		take_bytes(in, text, len);
		buf_add(out, &r, sizeof(r));
		buf_add(out, text, len);
	}
	return n;
}

/* Every byte comes out once, no line is longer than the longest. */
static void try_text(const char *p, size_t n, bool at_end)
{
	struct text_line line;
	size_t at = 0, used, total = 0;
	char *clean = malloc(n * PLAIN_FACTOR + PLAIN_END_LEN);

	CHECK(clean);
	while ((used = text_next_line(p + at, n - at, at_end, &line)) > 0) {
		CHECK(used <= n - at && line.start == p + at && line.len <= used);
		CHECK(line.len <= TEXT_LINE_MAX);
		size_t len =
			plain_copy(clean, line.start, line.len, PLAIN_WITHOUT_COLOURS);
		CHECK(len <= line.len * PLAIN_FACTOR && jtext_utf8(clean, len) == len);
		for (size_t i = 0; i < len; i++)
			CHECK((unsigned char)clean[i] >= ' ' || clean[i] == '\t');
		len = plain_copy(clean, line.start, line.len, PLAIN_WITH_COLOURS);
		CHECK(len <= line.len * PLAIN_FACTOR + PLAIN_END_LEN);
		CHECK(jtext_utf8(clean, len) == len);
		total += used;
		at += used;
	}
	CHECK(at == total && (!at_end || at == n));
	CHECK(at == n || !memchr(p + at, '\n', n - at));
	free(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = take_u8(&in);
	autobuf whole = BUF_INIT, pieces = BUF_INIT, records = BUF_INIT;
	unsigned int n;

	if (!top[0])
		make_top();
	if (top_fd < 0)
		open_top();
	char *text = text_of(in.p, in.n);
	try_text(text, in.n, how & 1);
	if (how & 2) { /* the input as it is */
		try_records(text, in.n, in.n ?: 1, &whole);
		check_lines(&whole);
		free(text);
		return 0;
	}
	free(text);
	n = compose(&in, &records);
	try_records(records.data, records.len, records.len ?: 1, &whole);
	CHECK(check_lines(&whole) == n);
	try_records(records.data, records.len, take_u8(&in) + 1u, &pieces);
	CHECK(whole.len == pieces.len &&
		(!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0));
	return 0;
}
