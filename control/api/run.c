/*
 * One-off programs and entering instances. The connection is upgraded (docs/API.md):
 * descriptors go to the client, who talks to the program directly; here remain signals,
 * the end, and what happens when the client goes.
 */
#include "control/api/frames.h"
#include "control/api/handlers.h"
#include "control/api/transfer.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STATUS_FAILED 125 /* berth itself failed */

struct relay {
	struct control *c;
	struct oneoff_handle handle;
	bool started, ended;
	const char *argv[ONEOFF_WORDS_MAX + 1];
};

static void close_fds(struct relay *y)
{
	for (size_t i = 0; i < ARRAY_LEN(y->handle.fds); i++) {
		if (y->handle.fds[i] >= 0)
			close(y->handle.fds[i]);
		y->handle.fds[i] = -1;
	}
}

/* Also when the client went away between start and upgrade: nothing may run on unwatched.
 */
static void relay_free(void *data)
{
	struct relay *y = data;

	close_fds(y);
	if (y->started && !y->ended)
		oneoff_abandon(y->c, y->handle.id);
	free(y);
}

/* ---- after the upgrade ---- */

/* Takes the client's words; state holds half of one. False: it is gone or talks nonsense.
 */
static bool take_words(struct relay *y, const char *data, size_t len, bool *in_signal)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (*in_signal) {
			if (byte < 1 || byte > 64)
				return false;
			oneoff_signal(y->c, y->handle.id, byte);
			*in_signal = false;
		} else if (byte == 'S') {
			*in_signal = true;
		} else {
			return false;
		}
	}
	return true;
}

static bool read_words(struct relay *y, int sock, bool *in_signal)
{
	char data[64];
	ssize_t n = recv(sock, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && take_words(y, data, (size_t)n, in_signal);
}

/* Until the program ended: passes signals on; a client that goes ends it. Returns the
 * exit status. */
static int relay_run(struct relay *y, int sock, const char *extra, size_t extra_len)
{
	bool in_signal = false;
	bool there = take_words(y, extra, extra_len, &in_signal);
	char reason[160] = "";
	int status = STATUS_FAILED;

	if (!there)
		oneoff_stop(y->c, y->handle.id);
	for (;;) {
		int r = oneoff_wait(
			y->c, y->handle.id, there ? sock : -1, &status, reason);

		if (r == 0)
			return status;
		if (r != -EAGAIN || !there)
			return STATUS_FAILED;
		there = read_words(y, sock, &in_signal);
		if (!there)
			oneoff_stop(y->c, y->handle.id);
	}
}

static void serve(void *data, int sock, const char *extra, size_t extra_len)
{
	struct relay *y = data;
	unsigned int n = y->handle.fds[1] >= 0 ? 3 : 1;
	int r = transfer_send(sock, "F", 1, y->handle.fds, n);
	/* Ours would keep the program's pipes open after the client closed its ends. */
	close_fds(y);
	if (r < 0)
		oneoff_stop(y->c, y->handle.id);
	int status = relay_run(y, sock, extra, extra_len);
	y->ended = true;
	char end[2] = {
		'X', (char)(unsigned char)(status < 0 || status > 255 ? STATUS_FAILED
								      : status)};
	transfer_send(sock, end, sizeof(end), NULL, 0);
}

/* ---- the request ---- */

static int read_argv(struct request *r, struct relay *y)
{
	json_t *v;
	size_t i;

	if (json_array_size(request_json(r, "command")) > ONEOFF_WORDS_MAX)
		return request_fail(r, FAIL_USAGE, "the command has more than %d words",
			ONEOFF_WORDS_MAX);
	json_array_foreach (request_json(r, "command"), i, v) {
		if (!json_is_string(v) ||
			strlen(json_string_value(v)) != json_string_length(v))
			return request_fail(r, FAIL_USAGE,
				"command must be a list of words without NUL bytes");
		y->argv[i] = json_string_value(v);
	}
	return 0;
}

static int read_env(struct request *r)
{
	const char *key;
	json_t *v;

	json_object_foreach (request_json(r, "env"), key, v) {
		if (!name_key_valid(key))
			return request_fail(r, FAIL_USAGE,
				"\"%.80s\" is not a valid variable name", key);
		if (!json_is_string(v) ||
			strlen(json_string_value(v)) != json_string_length(v))
			return request_fail(r, FAIL_USAGE,
				"the value of %s must be text without NUL bytes", key);
	}
	return 0;
}

static int read_terminal(struct request *r, struct oneoff *o)
{
	uint64_t rows, cols;

	if (request_u64(r, "rows", 0, 10000, 0, &rows) < 0 ||
		request_u64(r, "cols", 0, 10000, 0, &cols) < 0)
		return -1;
	o->rows = (unsigned int)rows;
	o->cols = (unsigned int)cols;
	o->tty = request_bool(r, "tty", false);
	o->term = request_string(r, "term");
	if (o->term && (strlen(o->term) > 63 || strpbrk(o->term, "/ \n=")))
		return request_fail(r, FAIL_USAGE, "term is not the name of a terminal");
	return 0;
}

static int start(struct request *r, struct relay *y, const struct oneoff *o)
{
	struct err e = {0};
	int n = oneoff_start(r->c, r->app.id, o, &y->handle, &e);

	if (n < 0)
		return request_fail(
			r, FAIL_START, "%s", e.text[0] ? e.text : strerror(-n));
	if (o->detach) {
		close_fds(y);
		return request_reply(r, 200,
			json_pack("{s:s, s:I}", "name", y->handle.name, "id",
				(json_int_t)y->handle.id));
	}
	y->started = true;
	if (frames_upgrade(r, serve) < 0)
		return request_fail(r, FAIL_START, "the connection cannot be upgraded");
	return 0;
}

static struct relay *relay_of(struct request *r)
{
	struct relay *y = calloc(1, sizeof(*y));

	if (!y) {
		request_fail(r, FAIL_BERTH, "out of memory");
		return NULL;
	}
	y->c = r->c;
	for (size_t i = 0; i < ARRAY_LEN(y->handle.fds); i++)
		y->handle.fds[i] = -1;
	r->data = y;
	r->data_free = relay_free;
	return y;
}

int run_start(struct request *r)
{
	struct relay *y = relay_of(r);
	struct oneoff o = {.detach = request_bool(r, "detach", false),
		.env = request_json(r, "env"),
		.type = request_string(r, "type"),
		.actor = r->who.actor};

	if (!y || read_argv(r, y) < 0 || read_env(r) < 0 || read_terminal(r, &o) < 0)
		return -1;
	if (!y->argv[0] && !o.type)
		return request_fail(r, FAIL_USAGE, "command is missing");
	if (o.type && !name_type_valid(o.type))
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a process type", o.type);
	if (o.detach && o.tty)
		return request_fail(r, FAIL_USAGE, "a detached program has no terminal");
	if (!r->app.live_version) {
		request_fail(r, FAIL_START,
			"%s has no release yet: there is nothing to run it in",
			r->app.name);
		return request_hint(r, "push to it first: git push berth main");
	}
	if (!o.detach && frames_check(r) < 0)
		return -1;
	o.argv = y->argv[0] ? y->argv : NULL;
	return start(r, y, &o);
}

static bool instance_name_valid(const char *s)
{
	char type[40];
	const char *dot = strrchr(s, '.');
	uint64_t n;

	if (!dot || (size_t)(dot - s) >= sizeof(type) ||
		num_parse_u64(dot + 1, 1, 1000000, &n) < 0)
		return false;
	memcpy(type, s, (size_t)(dot - s));
	type[dot - s] = '\0';
	return name_type_valid(type);
}

int enter_start(struct request *r)
{
	struct relay *y = relay_of(r);
	struct oneoff o = {
		.instance = request_string(r, "instance"), .actor = r->who.actor};

	if (!y || read_argv(r, y) < 0 || read_terminal(r, &o) < 0)
		return -1;
	if (!o.instance)
		o.instance = "web.1";
	if (!instance_name_valid(o.instance))
		return request_fail(r, FAIL_USAGE,
			"\"%.80s\" is not an instance, such as web.1", o.instance);
	if (!y->argv[0])
		y->argv[0] = "/bin/bash";
	if (frames_check(r) < 0)
		return -1;
	o.argv = y->argv;
	return start(r, y, &o);
}
