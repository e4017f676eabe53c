/* The API client against canned answers on a socket pair. */
#include "lib/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A client whose peer has already written text and (unless more) gone. Returns the peer's
 * end. */
static int peer(struct client *c, const char *text)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(write(sv[1], text, strlen(text)), strlen(text));
	client_init(c, sv[0]);
	return sv[1];
}

static void a_chunked_stream_leaves_the_connection_clean(void **state UNUSED)
{
	struct client c;
	char *line = NULL;
	int other = peer(&c,
		"HTTP/1.1 200 OK\r\nContent-Type: text/x-berth-stream; charset=x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\no a\r\n8;x=y\r\nb\no  \nx "
		"\r\n1\r\n7\r\n0\r\nT: v\r\n\r\n"
		"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
	autobuf body = BUF_INIT;

	assert_int_equal(client_reply(&c, NULL), 0);
	assert_int_equal(c.status, 200);
	assert_true(c.stream);
	assert_int_equal(client_line(&c, &line), 1);
	assert_string_equal(line, "o ab");
	assert_int_equal(client_line(&c, &line), 1);
	assert_string_equal(line, "o  ");
	assert_int_equal(client_line(&c, &line), 1);
	assert_string_equal(line, "x 7");
	assert_int_equal(client_line(&c, &line), 0);
	assert_int_equal(client_reply(&c, NULL), 0);
	assert_int_equal(c.status, 404);
	assert_int_equal(client_body(&c, &body), 0);
	assert_string_equal(body.data, "{}");
	close(other);
	client_close(&c);
}

static void a_cut_body_is_an_error(void **state UNUSED)
{
	struct client c;
	char *line = NULL;
	int other =
		peer(&c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\no a");

	close(other);
	assert_int_equal(client_reply(&c, NULL), 0);
	assert_int_equal(client_line(&c, &line), -EPIPE);
	client_close(&c);
}

static void nonsense_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {"SSH-2.0\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nnocolon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct client c;
		int other = peer(&c, bad[i]);

		assert_int_equal(client_reply(&c, NULL), -EPROTO);
		close(other);
		client_close(&c);
	}
}

static void descriptors_after_an_upgrade_are_kept(void **state UNUSED)
{
	struct client c;
	char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	char byte = 'F';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&mh);
	int other = peer(
		    &c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: berth-run\r\n\r\n"),
	    zero = 0;

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &zero, sizeof(int));
	assert_int_equal(sendmsg(other, &mh, 0), 1);
	assert_int_equal(client_reply(&c, NULL), 0);
	assert_int_equal(c.status, 101);
	assert_int_equal(client_raw(&c, &byte, 1), 1);
	assert_int_equal(byte, 'F');
	assert_int_equal(c.nfds, 1);
	close(other);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunked_stream_leaves_the_connection_clean),
		cmocka_unit_test(a_cut_body_is_an_error),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(descriptors_after_an_upgrade_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
