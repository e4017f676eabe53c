/*
 * HTTP/2 from a client, in pieces. Each request that comes out of it is one whole head of
 * HTTP/1.1 or refused; answers of several kinds go back meanwhile; nothing is left at the end.
 */
#include "tests/fuzz/fuzz.h"

#include "router/h2.h"
#include "router/h2_stream.h"
#include "router/worker.h"

#include <errno.h>

static struct worker w;
static struct downstream client;
static char hot[HOT_SIZE], cold[HOT_SIZE];
static uint32_t answers;

/* In the place of downstream.c's: nobody listens. */
int downstream_send(struct downstream *c, const char *p, size_t n)
{
	if (c->via == VIA_STREAM)
		return h2_stream_send(c, p, n);
	CHECK(n == 0 || p);
	return 0;
}

/* As an exchange does: what cannot be said ends the stream. */
static void say(struct downstream *c, const char *first, const char *then, bool end)
{
	static const char body[40000];
	bool ok = h2_stream_send(c, first, strlen(first)) == 0 &&
		  (!then || h2_stream_send(c, then, strlen(then)) == 0) &&
		  (then || h2_stream_send(c, body, sizeof(body)) == 0);

	if (!ok || !end)
		h2_stream_close(c);
	else
		h2_stream_end(c);
}

static void answer(struct downstream *c)
{
	switch (answers++ % 6) {
	case 0:
		say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", true);
		return;
	case 1:
		say(c, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
			"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true);
		return;
	case 2:
		h2_stream_close(c);
		return;
	case 3:
		say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
			answers & 1);
		return;
	case 4:
		say(c,
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			"Connection: Upgrade\r\n\r\n",
			NULL, true);
		return;
	default:
		c->state = CLIENT_BUSY; /* its body is taken as it comes */
	}
}

/* In the place of downstream.c's: what a request becomes. */
void downstream_head(struct downstream *c, const char *p, int n)
{
	static struct http_head h;

	CHECK(n < 0 ? n >= -599 && n <= -400 : (uint32_t)n <= HOT_SIZE);
	if (n > 0) {
		int r = http_parse_request(p, (size_t)n, &h);

		CHECK(r < 0 || r == n);
		CHECK(r < 0 || (!h.absolute && h.host_len));
	}
	answer(c);
}

/* In the place of exchange.c's: a stream whose body is read, or whose client is gone. */
void exchange_continue(struct exchange *x)
{
	(void)x;
}

static void read_bodies(void)
{
	struct h2_stream *s, *next;

	if (!client.h2)
		return;
	for (s = client.h2->streams; s; s = next) {
		ssize_t n = 1;

		next = s->next;
		for (int i = 0; i < 64 && n > 0 && s->c.state == CLIENT_BUSY; i++)
			n = h2_stream_receive(&s->c, hot, 64 + (size_t)i * 512);
		CHECK(n >= -EAGAIN);
		if (!n)
			answer(&s->c);
	}
}

static void turn(void)
{
	for (int i = 0; i < 8 && w.again; i++)
		downstream_run_again(&w);
	read_bodies();
	h2_flush_all(&w);
	w.now_ms += 7;
	wheel_run(&w.wheel, w.now_ms);
	slab_reap(&w.stream_slab);
	slab_reap(&w.client_slab);
}

static void begin(void)
{
	w = (struct worker){.hot = hot, .cold = cold, .random = {1, 2}, .now_ms = 1000};
	w.stream_slab.size = sizeof(struct h2_stream);
	w.client_slab.size = sizeof(struct downstream);
	wheel_init(&w.wheel, w.now_ms);
	client = (struct downstream){.w = &w, .ip = "192.0.2.1", .ip_len = 9};
	downstream_init(&client, &w);
	client.prev = &w.clients;
	w.clients = &client;
	client.again = true; /* it is not the slab's */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char settings[] = "\0\0\0\4\0\0\0\0\0";
	size_t piece;

	begin();
	CHECK(h2_start(&client, H2_PREFACE, H2_PREFACE_LEN) == 0);
	CHECK(h2_input(client.h2, settings, 9) == 0);
	answers = size ? data[0] : 0;
	for (size_t at = 1; at < size && client.h2; at += piece) {
		piece = data[at] % 7 ? size - at : (size_t)data[at] + 1;
		if (piece > size - at)
			piece = size - at;
		if (h2_input(client.h2, (const char *)data + at, piece) < 0)
			break;
		turn();
	}
	if (client.state != CLIENT_CLOSED)
		downstream_close(&client);
	for (int i = 0; i < 8 && w.again; i++)
		downstream_run_again(&w);
	CHECK(!w.h2_dirty && !w.again);
	h2_teardown(&w);
	slab_free(&w.stream_slab);
	return 0;
}
