/* certs_input.c: archives and texts as people have them, and those that are broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/certs_input.h"
#include "lib/io.h"
#include "lib/tar.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CRT "-----BEGIN CERTIFICATE-----\nx\n"
#define KEY "-----BEGIN PRIVATE KEY-----\ny\n"

/* An archive of these names; *.key files hold KEY, all others CRT. */
static void archive(struct buf *out, const char *const *names)
{
	int fd autoclose = memfd_create("tar", MFD_CLOEXEC);
	struct tar t;

	assert_int_equal(tar_open(&t, fd, 0), 0);
	for (; *names; names++) {
		const char *text = strstr(*names, ".key") ? KEY : CRT;

		assert_int_equal(tar_file(&t, *names, false, text, strlen(text)), 0);
	}
	assert_int_equal(tar_end(&t), 0);
	tar_free(&t);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	buf_reset(out);
	assert_int_equal(io_read_all(fd, out), 0);
}
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void taken(const struct buf *in)
{
	autobuf chain = BUF_INIT, key = BUF_INIT;
	struct err e = {0};

	assert_int_equal(certs_input(in, &chain, &key, &e), 0);
	assert_non_null(strstr(chain.data, CRT));
	assert_non_null(strstr(key.data, KEY));
}

static void refused(const struct buf *in, const char *why)
{
	autobuf chain = BUF_INIT, key = BUF_INIT;
	struct err e = {0};

	assert_int_equal(certs_input(in, &chain, &key, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.text);
}

static void archives_with_one_of_each_are_taken(void **state UNUSED)
{
	autobuf in = BUF_INIT;

	archive(&in, NAMES("server.crt", "server.key"));
	taken(&in);
	archive(&in, NAMES("./certs/fullchain.pem", "certs/._server.key", "README",
			     "certs/privkey.key"));
	taken(&in);
}

static void text_with_both_is_taken(void **state UNUSED)
{
	autobuf in = BUF_INIT;

	buf_adds(&in, KEY CRT);
	taken(&in);
}

static void what_is_missing_or_too_much_is_said(void **state UNUSED)
{
	autobuf in = BUF_INIT;

	refused(&in, "the input is empty");
	archive(&in, NAMES("server.crt"));
	refused(&in, "no *.key file");
	archive(&in, NAMES("server.key", "other.txt"));
	refused(&in, "no *.crt or *.pem file");
	archive(&in, NAMES("a.crt", "ca.crt", "a.key"));
	refused(&in, "more than one *.crt or *.pem");
	archive(&in, NAMES("a.crt", "a.key", "b.key"));
	refused(&in, "more than one *.key");
	buf_reset(&in);
	buf_adds(&in, "\x1f\x8b\x08 and so on");
	refused(&in, "compressed");
	buf_reset(&in);
	buf_adds(&in, "hello");
	refused(&in, "neither");
}

/* Cut anywhere and with any byte changed: refused or taken, never read beyond. */
static void broken_archives_are_survived(void **state UNUSED)
{
	autobuf in = BUF_INIT;
	struct err e = {0};

	archive(&in, NAMES("server.crt", "server.key"));
	for (size_t n = 0; n <= 2048 && n <= in.len; n += 7) {
		autobuf part = BUF_INIT, chain = BUF_INIT, key = BUF_INIT;

		buf_add(&part, in.data, n);
		certs_input(&part, &chain, &key, &e);
	}
	for (size_t i = 0; i < 2048; i++) {
		autobuf chain = BUF_INIT, key = BUF_INIT;
		char was = in.data[i];

		in.data[i] = (char)~was;
		certs_input(&in, &chain, &key, &e);
		in.data[i] = was;
	}
	memcpy(in.data + 512 + 512 + 124, "77777777777", 12); /* the key's size */
	refused(&in, "damaged");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(archives_with_one_of_each_are_taken),
		cmocka_unit_test(text_with_both_is_taken),
		cmocka_unit_test(what_is_missing_or_too_much_is_said),
		cmocka_unit_test(broken_archives_are_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
