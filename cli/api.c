/* Requests to the API, and the streams that answer them. */
#include "cli/cli.h"
#include "lib/base64.h"
#include "lib/conf.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PATH_BYTES_MAX 8192

static int connect_once(struct cli *c)
{
	const char *inherited = getenv("BERTH_API_FD"), *run;
	struct err e = {0};
	char path[PATH_MAX];
	uint64_t fd;

	if (c->connected)
		return 0;
	if (inherited && num_parse_u64(inherited, 3, INT_MAX, &fd) == 0) {
		io_set_cloexec((int)fd, true);
		client_init(&c->client, (int)fd);
	} else {
		if (conf_load(&e) < 0) {
			say("%s", e.text);
			return STATUS_FAILED;
		}
		run = getenv("BERTH_RUN");
		snprintf(path, sizeof(path), "%s/api.sock", run ? run : "/run/berth");
		if (client_open(&c->client, path, &e) < 0) {
			say("%s", e.text);
			say("is berthd running on this host? From elsewhere: "
			    "BERTH_HOST=HOST berth ..., or ssh berth@HOST ...");
			return STATUS_FAILED;
		}
	}
	c->connected = true;
	return 0;
}

int api_begin(struct cli *c, const char *method, const char *path, const char *headers,
	json_t *body)
{
	char *text autofree = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct err e = {0};
	int r = connect_once(c);

	if (body && !text)
		abort();
	json_decref(body);
	if (r)
		return r;
	r = client_send(
		&c->client, method, path, headers, text, text ? strlen(text) : 0, &e);
	if (r == 0)
		r = client_reply(&c->client, &e);
	if (r < 0) {
		say("%s", e.text);
		return STATUS_FAILED;
	}
	return 0;
}

int api_fail(struct cli *c)
{
	autobuf body = BUF_INIT, text = BUF_INIT;
	int status = STATUS_FAILED;

	client_body(&c->client, &body);
	if (!body.data || !jtext_string(body.data, "message", &text)) {
		say("berth-control answered with status %d", c->client.status);
		return STATUS_FAILED;
	}
	say("%s", text.data);
	buf_reset(&text);
	if (jtext_string(body.data, "hint", &text) && text.len)
		say("%s", text.data);
	if (!jtext_int(body.data, "exit", &status) || status < 1 || status > 255)
		status = STATUS_FAILED;
	return status;
}

static char *format_path(const char *fmt, va_list ap)
{
	static char path[PATH_BYTES_MAX];

	if (vsnprintf(path, sizeof(path), fmt, ap) >= (int)sizeof(path))
		path[0] = 0;
	return path;
}

static int broken(struct cli *c)
{
	say("berth-control was interrupted");
	if (c->app)
		say("see how it ended: berth releases %s", c->app);
	return STATUS_FAILED;
}

static int read_json(struct cli *c, json_t **ret)
{
	autobuf body = BUF_INIT;
	json_error_t e;

	if (client_body(&c->client, &body) < 0)
		return broken(c);
	*ret = json_loadb(body.data, body.len, JSON_DECODE_ANY, &e);
	if (!*ret) {
		say("berth-control sent an answer that is not JSON: %s", e.text);
		return STATUS_FAILED;
	}
	return 0;
}

/* As api_begin does; an answer that says no is a failure, too. */
static int ask(struct cli *c, const char *method, const char *path, json_t *body)
{
	int r = api_begin(c, method, path, NULL, body);

	return r == 0 && c->client.status >= 300 ? api_fail(c) : r;
}

int api_json(struct cli *c, const char *method, json_t *body, json_t **ret,
	const char *path, ...)
{
	json_t *answer = NULL;
	va_list ap;
	int r;

	va_start(ap, path);
	r = ask(c, method, format_path(path, ap), body);
	va_end(ap);
	if (r)
		return r;
	r = read_json(c, &answer);
	if (r == 0 && ret)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}

/*
 * Waits for more of the answer. false when nobody reads our output any more: over ssh the
 * caller's Ctrl-C shows only there, and ending closes the connection, which cancels what
 * can be cancelled.
 */
static bool wait_more(const struct cli *c)
{
	struct pollfd p[2] = {{.fd = c->client.fd, .events = POLLIN}, {.fd = 1}};

	if (client_buffered(&c->client))
		return true;
	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return true;
	return !(p[1].revents & (POLLERR | POLLHUP));
}

/* How the lines of a stream reach the person. */
struct view {
	FILE *out;     /* of o lines: stderr when JSON is asked for */
	bool terminal; /* of out: progress is rewritten in place */
	bool pending;  /* a progress line stands there without newline */
	int status;    /* of the x line, -1 before it */
};

static void progress(struct view *v, const char *text)
{
	if (v->terminal)
		fprintf(v->out, "\r%s\033[K", text);
	else
		fprintf(v->out, "%s\n", text);
	v->pending = v->terminal;
	fflush(v->out);
}

static void end_progress(struct view *v)
{
	if (v->pending)
		fputs("\r\033[K", v->out);
	v->pending = false;
}

static void handle(struct cli *c, struct view *v, const char *line)
{
	const char *text = line[0] && line[1] == ' ' ? line + 2 : line + strlen(line);
	uint64_t status;

	if (line[0] == 'p' && !c->quiet) {
		progress(v, text);
	} else if (line[0] == 'o') {
		end_progress(v);
		fprintf(v->out, "%s\n", text);
		fflush(v->out);
	} else if (line[0] == 'd' && c->json) {
		puts(text);
		fflush(stdout);
	} else if (line[0] == 'x' && num_parse_u64(text, 0, 255, &status) == 0) {
		v->status = (int)status;
	}
}

static int show_stream(struct cli *c)
{
	struct view v = {.out = c->json ? stderr : stdout, .status = -1};
	char *line;
	int r = -EPIPE;

	v.terminal = isatty(c->json ? STDERR_FILENO : STDOUT_FILENO);
	while (wait_more(c) && (r = client_line(&c->client, &line)) > 0)
		handle(c, &v, line);
	end_progress(&v);
	return r < 0 || v.status < 0 ? broken(c) : v.status;
}

int api_stream(struct cli *c, const char *method, json_t *body, const char *path, ...)
{
	json_t *answer = NULL;
	va_list ap;
	int r;

	va_start(ap, path);
	r = ask(c, method, format_path(path, ap), body);
	va_end(ap);
	if (r)
		return r;
	if (c->client.stream)
		return show_stream(c);
	r = read_json(c, &answer);
	if (r == 0 && c->json)
		out_json(answer);
	json_decref(answer);
	return r;
}

int api_lines(struct cli *c, void (*take)(void *arg, const char *line), void *arg,
	const char *path, ...)
{
	va_list ap;
	char *line;
	int r;

	va_start(ap, path);
	r = ask(c, "GET", format_path(path, ap), NULL);
	va_end(ap);
	if (r)
		return r;
	while (wait_more(c) && (r = client_line(&c->client, &line)) > 0)
		take(arg, line);
	return r < 0 ? broken(c) : STATUS_OK;
}

int api_text(struct cli *c, const char *path)
{
	char part[16384];
	ssize_t n = 0;
	int r = ask(c, "GET", path, NULL);

	if (r)
		return r;
	while (wait_more(c) && (n = client_read(&c->client, part, sizeof(part))) > 0) {
		r = out_write(1, part, (size_t)n);
		if (r < 0) /* `| head` has seen enough */
			return r == -EPIPE ? STATUS_OK : out_failed(r);
	}
	return n < 0 ? broken(c) : STATUS_OK;
}

const char *api_word(const char *s)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	struct buf b = BUF_INIT;
	const char *word;

	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_add(&b, s, 1);
		else
			buf_addf(&b, "%%%02X", (unsigned char)*s);
	}
	word = buf_take(&b);
	if (!word)
		abort();
	return word;
}

json_t *api_value(const char *s)
{
	autobuf b = BUF_INIT;
	size_t len = strlen(s);

	if (jtext_utf8(s, len) == len)
		return json_string(s);
	if (base64_encode(s, len, &b) < 0)
		abort();
	return json_pack("{s:s}", "base64", b.data);
}

static json_t *string_of(const char *s, size_t len)
{
	return memchr(s, '\0', len) ? NULL : json_stringn(s, len);
}

json_t *api_string(const struct buf *b)
{
	return string_of(b->data ? b->data : "", b->len);
}

json_t *api_line(const struct buf *b)
{
	const char *s = b->data ? b->data : "";
	size_t n = strcspn(s, "\r\n");

	return string_of(s, s[n] ? n : b->len);
}
