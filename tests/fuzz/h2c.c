/*
 * HTTP/2 from an app, in pieces. What comes out of it is heads of HTTP/1.1, each whole, then a body that ends where its
 * framing says, or a failure; the next request on a connection that is fit for one starts anew.
 */
#include "tests/fuzz/fuzz.h"

#include "router/h2c.h"
#include "router/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct worker w;
static struct upstream up;
static struct exchange x;
static char hot[HOT_SIZE], cold[HOT_SIZE], out[HOT_SIZE];
static int peer;

static const struct request {
	const char *text;
	uint32_t method, path_len;
	enum body_kind kind;
	uint64_t length;
} requests[] = {
	{"GET / HTTP/1.1\r\nHost: a.example\r\nTE: x\r\n\r\n", 3, 1, BODY_NONE, 0},
	{"HEAD /x HTTP/1.1\r\nHost: a.example\r\n\r\n", 4, 2, BODY_NONE, 0},
	{"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello", 4, 1,
		BODY_LENGTH, 5},
	{"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
	 "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		4, 1, BODY_CHUNKED, 0},
	{"PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
	 "5\r\nhello\r\n",
		3, 1, BODY_CHUNKED, 0},
};

static void ask(uint8_t which)
{
	const struct request *r = &requests[which % ARRAY_LEN(requests)];

	memset(&x, 0, offsetof(struct exchange, space));
	x.up = &up;
	x.head = (char *)(uintptr_t)r->text;
	x.head_len = (uint32_t)strlen(r->text);
	x.method_len = r->method;
	x.path = r->method + 1;
	x.path_len = r->path_len;
	x.host = (uint32_t)(strstr(r->text, "a.example") - r->text);
	x.host_len = 9;
	x.is_head = r->method == 4 && r->text[0] == 'H';
	x.te = which & 1;
	body_init(&x.req, r->kind, r->length);
	h2c_request(&x);
	CHECK(h2c_write(&up) == 0);
}

/* As an exchange does. False: it has its answer, or none. */
static bool answer(char *p, size_t n)
{
	static struct http_head h;
	size_t data;
	int r;

	while (x.state != X_BODY) {
		r = n ? http_parse_response(p, n, x.is_head, &h) : 0;
		CHECK(r != 0 || n == 0); /* heads come whole */
		if (r <= 0)
			return r == 0;
		CHECK(h.status != 101 && h.body != BODY_EOF);
		p += r;
		n -= (size_t)r;
		if (h.status < 200)
			continue;
		x.state = X_BODY;
		body_init(&x.resp, h.body, h.length);
	}
	r = (int)body_decode(&x.resp, p, n, &data);
	CHECK(r >= 0 && (size_t)r == n); /* nothing behind its end */
	return !x.resp.done;
}

static void turn(void)
{
	static char sent[HOT_SIZE];
	bool goes_on = true;

	h2c_readable(&up);
	h2c_turn(&up);
	for (int i = 0; i < 64 && goes_on && up.readable; i++) {
		ssize_t n = h2c_receive(&up, out, HOT_SIZE);

		CHECK(n <= (ssize_t)HOT_SIZE);
		if (n == -EAGAIN)
			break;
		goes_on = n > 0 && answer(out, (size_t)n);
	}
	while (recv(peer, sent, sizeof(sent), MSG_DONTWAIT) > 0)
		;
	w.now_ms += 7;
	if (!goes_on && h2c_leave(&up) && h2c_fit(&up))
		ask((uint8_t)w.now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char settings[] = "\0\0\0\4\0\0\0\0\0";
	size_t piece;
	int pair[2];

	w = (struct worker){.hot = hot, .cold = cold, .now_ms = 1000};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) ==
		0);
	peer = pair[1];
	up = (struct upstream){.w = &w, .ev.fd = pair[0]};
	CHECK(h2c_open(&up) == 0);
	ask(size ? data[0] : 0);
	CHECK(write(peer, settings, 9) == 9);
	turn();
	for (size_t at = 1; at < size; at += piece) {
		piece = data[at] % 7 ? size - at : (size_t)data[at] + 1;
		if (piece > size - at)
			piece = size - at;
		if (write(peer, data + at, piece) != (ssize_t)piece)
			break;
		turn();
	}
	close(peer);
	turn();
	h2c_free(&up);
	close(pair[0]);
	h2c_teardown(&w);
	return 0;
}
