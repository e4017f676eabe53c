/* Showing answers: columns, reports, JSON. */
#include "cli/cli.h"
#include "lib/base64.h"
#include "lib/name.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define VALUE_BUFFERS 16 /* cells of one row at once, and some */
#define REPORT_DEPTH 4

int out_write(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		else if (n > 0)
			at += n, len -= (size_t)n;
	}
	return 0;
}

int out_failed(int r)
{
	if (r != -EPIPE)
		say("cannot write the output: %s", strerror(-r));
	return STATUS_FAILED;
}

void out_json(const json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	putchar('\n');
}

static struct buf *next_buffer(void)
{
	static struct buf buffers[VALUE_BUFFERS];
	static unsigned int at;
	struct buf *b = &buffers[at++ % VALUE_BUFFERS];

	buf_reset(b);
	return b;
}

/* What was added; an answer is never larger than a buffer may be. */
static char *text_of(struct buf *b)
{
	if (buf_add(b, "", 0) < 0)
		abort();
	return b->data;
}

void out_plain(char *text, bool lines)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		bool blank = strchr("\t\n\r", *p) != NULL;

		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* U+0080 to U+009F */
			*p++ = '?', *p = '?';
		else if ((*p < ' ' || *p == 0x7f) && !(lines && blank && *p != '\r'))
			*p = blank ? ' ' : '?';
	}
}

static void add_value(struct buf *b, const json_t *v);

static void add_list(struct buf *b, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach (list, i, v) {
		buf_adds(b, i ? " " : "");
		add_value(b, v);
	}
}

static void add_pairs(struct buf *b, const json_t *object)
{
	size_t begin = b->len;
	const char *key;
	json_t *v;
	union {
		const json_t *from;
		json_t *to;
	} o = {.from = object}; /* jansson's loop takes no const, and changes nothing */

	json_object_foreach (o.to, key, v) {
		buf_addf(b, "%s%s=", b->len > begin ? " " : "", key);
		add_value(b, v);
	}
}

static void add_value(struct buf *b, const json_t *v)
{
	if (json_is_string(v))
		buf_adds(b, json_string_value(v));
	else if (json_is_array(v))
		add_list(b, v);
	else if (json_is_object(v))
		add_pairs(b, v);
	else if (json_is_integer(v))
		buf_addf(b, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		buf_addf(b, "%.1f", json_real_value(v));
	else if (json_is_boolean(v))
		buf_adds(b, json_is_true(v) ? "true" : "false");
}

const char *out_value(const json_t *v)
{
	struct buf *b = next_buffer();

	add_value(b, v);
	return text_of(b);
}

const char *out_line(const json_t *v)
{
	struct buf *b = next_buffer();
	char *text;

	add_value(b, v);
	text = text_of(b);
	out_plain(text, false);
	return text;
}

const char *out_member(const json_t *object, const char *key)
{
	return out_value(json_object_get(object, key));
}

const char *out_size(const json_t *v)
{
	struct buf *b = next_buffer();
	char text[24];

	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		num_format_size((uint64_t)json_integer_value(v), text);
		buf_adds(b, text);
	}
	return text_of(b);
}

int out_bytes(const json_t *v, struct buf *out)
{
	const char *coded = json_string_value(json_object_get(v, "base64"));

	if (json_is_string(v))
		return buf_add(out, json_string_value(v), json_string_length(v));
	return coded ? base64_decode(coded, strlen(coded), out) : -1;
}

void table_init(
	struct table *t, const struct cli *c, size_t columns, const char *const *header)
{
	if (columns > TABLE_COLUMNS_MAX)
		abort();
	*t = (struct table){.columns = columns};
	if (!c->quiet)
		table_add(t, header);
}

void table_add(struct table *t, const char *const *cells)
{
	if (t->n_cells + t->columns > t->capacity) {
		t->capacity = t->capacity ? t->capacity * 2 : 32 * t->columns;
		t->cells = reallocarray(t->cells, t->capacity, sizeof(*t->cells));
		if (!t->cells)
			abort();
	}
	for (size_t i = 0; i < t->columns; i++) {
		char *cell = strdup(cells[i] && cells[i][0] ? cells[i] : "-");

		if (!cell)
			abort();
		out_plain(cell, false);
		t->cells[t->n_cells++] = cell;
	}
}

/* Places on a screen: code points, near enough. */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void table_print(struct table *t)
{
	int widths[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->n_cells; i++)
		if (width(t->cells[i]) > widths[i % t->columns])
			widths[i % t->columns] = width(t->cells[i]);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t column = i % t->columns;
		bool last = column + 1 == t->columns;

		printf("%s%*s%s", t->cells[i],
			last ? 0 : widths[column] - width(t->cells[i]) + 2, "",
			last ? "\n" : "");
		free(t->cells[i]);
	}
	free(t->cells);
	*t = (struct table){0};
}

/* Its name says whether a number is bytes. */
static const char *shown(const char *key, const json_t *v)
{
	static const char *const sizes[] = {
		"memory", "scratch", "size", "free", "total", "bytes"};
	const char *last = key;

	for (const char *s = key; *s; s++)
		if (*s == '-' || *s == '_')
			last = s + 1;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (json_is_integer(v) && strcmp(last, sizes[i]) == 0)
			return out_size(v);
	return out_value(v);
}

int out_list(
	const struct cli *c, const struct column *columns, size_t n, const json_t *list)
{
	const char *cells[TABLE_COLUMNS_MAX];
	struct table t;
	size_t i, k;
	json_t *v;

	if (c->json) {
		out_json(list);
		return 0;
	}
	for (k = 0; k < n; k++)
		cells[k] = columns[k].title;
	table_init(&t, c, n, cells);
	json_array_foreach (list, i, v) {
		for (k = 0; k < n; k++)
			cells[k] =
				shown(columns[k].key, json_object_get(v, columns[k].key));
		table_add(&t, cells);
	}
	table_print(&t);
	return 0;
}

int out_rows(const struct cli *c, const char *const *header, size_t columns,
	const json_t *list, void (*add)(struct table *t, const json_t *one))
{
	struct table t;
	size_t i;
	json_t *v;

	if (c->json) {
		out_json(list);
		return 0;
	}
	table_init(&t, c, columns, header);
	json_array_foreach (list, i, v)
		add(&t, v);
	table_print(&t);
	return 0;
}

/* One line of a report: where it stands is prefix + key. */
struct line {
	char key[128];
	const json_t *value;
};

struct lines {
	struct line list[256];
	size_t n;
};

/* A list of objects: each as a line "key: its values". */
static void collect_list(struct lines *ls, const char *key, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach (list, i, v) {
		struct line *l = &ls->list[ls->n];

		if (ls->n == ARRAY_LEN(ls->list))
			return;
		snprintf(l->key, sizeof(l->key), "%.100s-%zu", key, i + 1);
		l->value = v;
		ls->n++;
	}
}

static void collect(struct lines *ls, const char *prefix, const json_t *object, int depth)
{
	const char *key;
	json_t *v;
	union {
		const json_t *from;
		json_t *to;
	} o = {.from = object};

	json_object_foreach (o.to, key, v) {
		struct line *l = &ls->list[ls->n];

		if (ls->n == ARRAY_LEN(ls->list))
			return;
		snprintf(l->key, sizeof(l->key), "%s%s%s", prefix, prefix[0] ? "-" : "",
			key);
		for (char *s = l->key; *s; s++)
			*s = *s == '_' ? '-' : *s;
		if (json_is_object(v) && depth < REPORT_DEPTH) {
			char deeper[128];

			snprintf(deeper, sizeof(deeper), "%s", l->key);
			collect(ls, deeper, v, depth + 1);
			continue;
		}
		if (json_is_object(json_array_get(v, 0))) {
			char list[128];

			snprintf(list, sizeof(list), "%s", l->key);
			collect_list(ls, list, v);
			continue;
		}
		l->value = v;
		ls->n++;
	}
}

void out_report(const struct cli *c, const char *title, const json_t *object)
{
	static struct lines ls;
	int widest = 0;

	ls.n = 0;
	collect(&ls, "", object, 0);
	for (size_t i = 0; i < ls.n; i++)
		widest = width(ls.list[i].key) > widest ? width(ls.list[i].key) : widest;
	if (!c->quiet)
		printf("=====> %s\n", title);
	for (size_t i = 0; i < ls.n; i++) {
		char *text autofree = strdup(shown(ls.list[i].key, ls.list[i].value));

		if (!text)
			abort();
		out_plain(ls.list[i].key, false);
		out_plain(text, true);
		printf("       %s:%*s %s\n", ls.list[i].key,
			widest - width(ls.list[i].key), "", text);
	}
}

int out_report_key(const struct cli *c, const json_t *object)
{
	static struct lines ls;

	ls.n = 0;
	collect(&ls, "", object, 0);
	for (size_t i = 0; i < ls.n; i++) {
		size_t len = strlen(c->report_key);
		const char *key = ls.list[i].key;

		/* "--deploy-branch" is what counts: its computed value */
		if (strcmp(key, c->report_key) == 0 ||
			(strncmp(key, c->report_key, len) == 0 &&
				strcmp(key + len, "-computed") == 0)) {
			puts(out_value(ls.list[i].value));
			return STATUS_OK;
		}
	}
	say("there is no --%.60s in berth %s", c->report_key, c->cmd->name);
	for (size_t i = 0; i < ls.n; i++)
		fprintf(stderr, "       --%s\n", ls.list[i].key);
	return STATUS_USAGE;
}

int out_answer(const struct cli *c, const char *title, const json_t *object)
{
	if (c->report_key)
		return out_report_key(c, object);
	if (c->json)
		out_json(object);
	else
		out_report(c, title, object);
	return 0;
}
