/* The conversation with berth-control. */
#include "backup/talk.h"
#include "backup/blob.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct relay {
	pthread_t thread;
	int from;
};

static void *relay_main(void *arg)
{
	struct relay *y = arg;
	char part[4096];
	ssize_t n;

	while ((n = read(y->from, part, sizeof(part))) > 0)
		if (io_write_all(STDERR_FILENO, part, (size_t)n) < 0)
			break;
	return NULL;
}

static int connect_api(struct talk *t, const char *run, struct err *e)
{
	const char *inherited = run ? NULL : getenv("BERTH_API_FD");
	char path[PATH_MAX];
	uint64_t fd;

	if (inherited && num_parse_u64(inherited, 3, INT_MAX, &fd) == 0) {
		io_set_cloexec((int)fd, true);
		client_init(&t->client, (int)fd);
		return 0;
	}
	if (!run && !(run = getenv("BERTH_RUN")))
		run = "/run/berth";
	snprintf(path, sizeof(path), "%s/api.sock", run);
	return client_open(&t->client, path, e);
}

static int refused(struct talk *t, struct err *e)
{
	autobuf body = BUF_INIT, text = BUF_INIT;

	client_body(&t->client, &body);
	if (!body.data || !jtext_string(body.data, "message", &text))
		return err_set(e, EPROTO, "berth-control answered with status %d",
			t->client.status);
	return err_set(e, EPROTO, "%s", text.data);
}

static int take_fds(struct talk *t, struct err *e)
{
	char first = 0;

	if (client_raw(&t->client, &first, 1) != 1 || first != 'F' || t->client.nfds != 3)
		return err_set(e, EPIPE, "berth-control was interrupted");
	t->in = t->client.fds[0];
	t->out = t->client.fds[1];
	t->words = t->client.fds[2];
	for (int i = 0; i < 3; i++)
		t->client.fds[i] = -1;
	t->relay = calloc(1, sizeof(*t->relay));
	if (!t->relay)
		return err_set(e, ENOMEM, "out of memory");
	t->relay->from = t->words;
	return pthread_create(&t->relay->thread, NULL, relay_main, t->relay)
		       ? err_set(e, ENOMEM, "cannot start a thread")
		       : 0;
}

int talk_open(struct talk *t, const char *run, json_t *body, struct err *e)
{
	char *text autofree = json_dumps(body, JSON_COMPACT);
	int r;

	json_decref(body);
	*t = (struct talk){.in = -1, .out = -1, .words = -1};
	t->client.fd = -1;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	r = connect_api(t, run, e);
	if (r == 0)
		r = client_send(&t->client, "POST", "/v1/backup",
			"Connection: Upgrade\r\nUpgrade: berth-run\r\n", text,
			strlen(text), e);
	if (r == 0)
		r = client_reply(&t->client, e);
	if (r == 0)
		r = t->client.status == 101 ? take_fds(t, e) : refused(t, e);
	return r;
}

void talk_close(struct talk *t)
{
	if (t->in >= 0)
		close(t->in);
	if (t->out >= 0)
		close(t->out);
	/* It ends with what it has to say. */
	if (t->relay) {
		pthread_join(t->relay->thread, NULL);
		free(t->relay);
	}
	if (t->words >= 0)
		close(t->words);
	if (t->client.fd >= 0)
		client_close(&t->client);
	frame_free(&t->f);
	json_decref(t->first);
	*t = (struct talk){.in = -1, .out = -1, .words = -1};
	t->client.fd = -1;
}

int talk_answer(struct talk *t, json_t **ret, struct err *e)
{
	const char *error;
	int r = frame_read(t->out, &t->f);

	*ret = NULL;
	if (r < 0)
		return err_sys(e, -r, "berth-control was interrupted");
	if (t->f.kind == FRAME_JSON)
		*ret = json_loadb(t->f.body.data, t->f.body.len, 0, NULL);
	if (!*ret)
		return err_set(e, EBADMSG, "berth-control sent what is no answer");
	error = json_string_value(json_object_get(*ret, "error"));
	if (!error)
		return 0;
	r = err_set(e, EIO, "%s", error);
	json_decref(*ret);
	*ret = NULL;
	return r;
}

int talk_failed(struct talk *t, int r, struct err *e)
{
	struct err why = {0};
	json_t *said = NULL;

	if (r == -EPIPE && talk_answer(t, &said, &why) < 0) {
		r = -(int)why.code;
		*e = why;
	}
	json_decref(said);
	return r;
}

int talk_ask(struct talk *t, json_t *v, struct err *e)
{
	char *text autofree = json_dumps(v, JSON_COMPACT);
	int r = text ? frame_write(t->in, FRAME_JSON, text, strlen(text)) : -ENOMEM;

	json_decref(v);
	return r < 0 ? talk_failed(t, err_sys(e, -r, "berth-control was interrupted"), e)
		     : 0;
}

static int send_part(void *arg, const void *data, size_t size, struct err *e)
{
	struct talk *t = arg;
	const char *at = data;
	int r = 0;

	for (size_t n; r == 0 && size; at += n, size -= n) {
		n = size < FRAME_MAX ? size : FRAME_MAX;
		r = frame_write(t->in, FRAME_DATA, at, n);
	}
	return r < 0 ? err_sys(e, -r, "berth-control was interrupted") : 0;
}

int talk_send_blob(struct talk *t, struct store *s, const json_t *item, struct err *e)
{
	static const char end[24];
	int r = blob_read(s, json_object_get(item, "chunks"), send_part, t, e);

	if (r == 0 && (r = frame_write(t->in, FRAME_END, end, sizeof(end))) < 0)
		err_sys(e, -r, "berth-control was interrupted");
	return talk_failed(t, r, e);
}
