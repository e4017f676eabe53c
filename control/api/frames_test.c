/* What is a frame, and a program's descriptors in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api/frames.h"
#include "control/api/transfer.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEXT(s) (s), sizeof(s) - 1

static atomic_int closed_twice;

/* In the C library's place. */
int close(int fd)
{
	int r = (int)syscall(SYS_close, fd);

	if (r < 0 && errno == EBADF)
		atomic_fetch_add(&closed_twice, 1);
	return r;
}

static void a_frame_is_whole_or_awaited_or_nonsense(void **state)
{
	struct frame m;

	(void)state;
	assert_int_equal(frame_parse(TEXT("0\0\0\0\2hi0"), &m), 7);
	assert_int_equal(m.kind, '0');
	assert_int_equal(m.len, 2);
	assert_memory_equal(m.data, "hi", 2);
	assert_int_equal(frame_parse(TEXT("0\0\0\0\0"), &m), 5);
	assert_int_equal(frame_parse(TEXT("0\0\0\0\2h"), &m), 0);
	assert_int_equal(frame_parse(TEXT("0\0\0"), &m), 0);
	assert_int_equal(frame_parse("", 0, &m), 0);
	assert_int_equal(frame_parse(TEXT("0\0\1\0\0"), &m), 0);
	assert_int_equal(frame_parse(TEXT("0\0\1\0\1"), &m), -EBADMSG);
	assert_int_equal(frame_parse(TEXT("0\xff\xff\xff\xff"), &m), -EBADMSG);
	assert_int_equal(frame_parse(TEXT("X\0\0\0\1\0"), &m), -EBADMSG);
	assert_int_equal(frame_parse(TEXT("S\0\0\0\2aa"), &m), -EBADMSG);
	assert_int_equal(frame_parse(TEXT("W\0\0\0\1a"), &m), -EBADMSG);
}

struct ends {
	int client, server, end, in[2], out[2], err[2];
	struct frames *f;
};

static struct ends begin(const char *early, size_t n)
{
	struct ends e;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	e.client = pair[0];
	e.server = pair[1];
	io_set_nonblock(e.server, true);
	assert_int_equal(pipe2(e.in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(e.out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(e.err, O_CLOEXEC), 0);
	e.end = frames_start(e.server, early, n, &e.f);
	assert_true(e.end >= 0);
	int theirs[] = {e.in[1], e.out[0], e.err[0]};
	assert_int_equal(transfer_send(e.end, "F", 1, theirs, 3), 0);
	close(e.in[1]);
	close(e.out[0]);
	close(e.err[0]);
	return e;
}

/* A descriptor that is closed twice may be somebody else's the second time. */
static void finish(struct ends *e)
{
	atomic_store(&closed_twice, 0);
	frames_end(e->f, e->end);
	assert_int_equal(atomic_load(&closed_twice), 0);
	close(e->client);
	close(e->server);
	close(e->in[0]);
}

static void bytes_and_the_status_pass(void **state)
{
	struct ends e = begin(TEXT("0\0\0\0\2hi0\0\0\0\0"));
	static const char wanted[] = "1\0\0\0\3out2\0\0\0\3errX\0\0\0\1\7";
	char text[64];

	(void)state;
	assert_int_equal(read(e.in[0], text, 2), 2);
	assert_memory_equal(text, "hi", 2);
	assert_int_equal(read(e.in[0], text, 1), 0);
	assert_int_equal(io_write_all(e.out[1], "out", 3), 0);
	assert_int_equal(recv(e.client, text, 8, MSG_WAITALL), 8);
	assert_memory_equal(text, wanted, 8);
	assert_int_equal(io_write_all(e.err[1], "err", 3), 0);
	close(e.out[1]);
	close(e.err[1]);
	assert_int_equal(transfer_send(e.end, "X\7", 2, NULL, 0), 0);
	assert_int_equal(recv(e.client, text, 14, MSG_WAITALL), 14);
	assert_memory_equal(text, wanted + 8, 14);
	finish(&e);
}

static void signals_pass_and_nonsense_ends_the_program(void **state)
{
	struct ends e = begin("", 0);
	char word[2];

	(void)state;
	assert_int_equal(io_write_all(e.client, TEXT("S\0\0\0\1\17")), 0);
	assert_int_equal(recv(e.end, word, 2, MSG_WAITALL), 2);
	assert_memory_equal(word, "S\17", 2);
	assert_int_equal(io_write_all(e.client, TEXT("?\0\0\0\0")), 0);
	assert_int_equal(recv(e.end, word, 1, 0), 0);
	close(e.out[1]);
	close(e.err[1]);
	finish(&e);
}

static void a_client_that_goes_ends_the_program(void **state)
{
	struct ends e = begin("", 0);
	char word;

	(void)state;
	shutdown(e.client, SHUT_RDWR);
	assert_int_equal(recv(e.end, &word, 1, 0), 0);
	close(e.out[1]);
	close(e.err[1]);
	finish(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_whole_or_awaited_or_nonsense),
		cmocka_unit_test(bytes_and_the_status_pass),
		cmocka_unit_test(signals_pass_and_nonsense_ends_the_program),
		cmocka_unit_test(a_client_that_goes_ends_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
