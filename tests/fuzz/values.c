/*
 * Names, numbers, times, addresses, JSON text, base64, files of KEY=VALUE lines and the API's answers: what is taken is
 * written again the same, and what is written is taken.
 */
#include "tests/fuzz/fuzz.h"

#include "cli/dotenv.h"
#include "lib/addr.h"
#include "lib/base64.h"
#include "lib/client.h"
#include "lib/jtext.h"
#include "lib/name.h"
#include "lib/stamp.h"

#include <errno.h>
#include <sys/socket.h>

#define NOW_US 1700000000000000u

static void try_names(const char *s)
{
	size_t n = strlen(s);

	if (name_valid(s))
		CHECK(n >= 1 && n <= NAME_MAX_LEN && !strpbrk(s, "/._ "));
	if (name_type_valid(s))
		CHECK(n >= 1 && n <= 30 && !strpbrk(s, "/. "));
	if (name_key_valid(s))
		CHECK(n >= 1 && n <= 255 && !strpbrk(s, "/.-= "));
	if (name_host_valid(s))
		CHECK(n >= 1 && n <= HOST_MAX_LEN && !strpbrk(s, "/ :_") &&
			!strstr(s, ".."));
	if (name_mount_path_valid(s))
		CHECK(n > 1 && n < 256 && s[0] == '/' && s[n - 1] != '/' &&
			!strstr(s, "//") && !strstr(s, "/./") && !strstr(s, "/../"));
}

static void try_numbers(const char *s)
{
	uint64_t v, again;
	char text[32];

	if (num_parse_u64(s, 5, 1u << 20, &v) == 0) {
		CHECK(v >= 5 && v <= 1u << 20);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
		CHECK(num_parse_u64(text, v, v, &again) == 0 && again == v);
	}
	if (num_parse_size(s, &v) == 0)
		num_format_size(v, (char[24]){0});
	(void)span_parse(s, &v);
}

static void try_times(const char *s)
{
	char text[STAMP_SIZE];
	uint64_t t, again;

	if (stamp_parse(s, NOW_US, &t) < 0 || t > 253402300799999999u) /* the year 9999 */
		return;
	stamp_format_us(t, text);
	CHECK(stamp_parse(text, NOW_US, &again) == 0 && again == t);
	stamp_format(t, text);
	CHECK(stamp_parse(text, NOW_US, &again) == 0 && again == t / 1000000 * 1000000);
}

static void try_addresses(const char *s)
{
	char text[ADDR_TEXT_MAX];
	struct addr a, again;
	int r = addr_parse(s, &a);

	CHECK(r == 0 || r == -EINVAL || r == -EDOM);
	if (r == -EINVAL)
		return;
	CHECK(addr_contains(&a, &a) && addr_overlaps(&a, &a));
	addr_format(&a, text);
	CHECK(addr_parse(text, &again) == 0 && memcmp(&a, &again, sizeof(a)) == 0);
	(void)addr_is_never(&a);
}

static void try_json(const char *s, size_t n)
{
	autobuf quoted = BUF_INIT, back = BUF_INIT, object = BUF_INIT, any = BUF_INIT;
	int number;

	CHECK(jtext_utf8(s, n) <= n);
	(void)jtext_string(s, "message", &any);
	(void)jtext_int(s, "exit", &number);
	if (jtext_quote(&quoted, s) < 0) {
		CHECK(jtext_utf8(s, strlen(s)) < strlen(s) && quoted.len == 0);
		return;
	}
	buf_adds(&object, "{\"a\": [{\"exit\": 1}], \"k\": ");
	buf_add(&object, quoted.data, quoted.len);
	buf_adds(&object, "}");
	CHECK(jtext_string(object.data, "k", &back));
	CHECK(strcmp(back.data ?: "", s) == 0);
}

static void try_base64(const char *s, size_t n)
{
	autobuf text = BUF_INIT, back = BUF_INIT, bytes = BUF_INIT;

	CHECK(base64_encode(s, n, &text) == 0);
	CHECK(base64_decode(text.data ?: "", text.len, &back) == 0);
	CHECK(back.len == n && (!n || memcmp(back.data, s, n) == 0));
	if (base64_decode(s, n, &bytes) == 0 && bytes.len) {
		buf_reset(&text);
		CHECK(base64_encode(bytes.data, bytes.len, &text) == 0);
		CHECK(text.len == n && memcmp(text.data, s, n) == 0);
	}
}

/* An answer of control, as the command line reads it. */
static void try_answer(const char *s, size_t n, bool lines)
{
	static struct client c;
	autobuf body = {.max = 1 << 16};
	struct err e = {0};
	int pair[2];
	char *line;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	/* what fits into the socket: nobody reads yet */
	CHECK(send(pair[1], s, n < 60000 ? n : 60000, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0);
	close(pair[1]);
	client_init(&c, pair[0]);
	for (int i = 0; i < 3 && client_reply(&c, &e) == 0; i++) {
		CHECK(memchr(c.type, '\0', sizeof(c.type)));
		CHECK(c.status >= 100 && c.status <= 999);
		if (lines)
			while (client_line(&c, &line) == 1)
				CHECK(!strchr(line, '\n'));
		else
			(void)client_body(&c, &body);
	}
	client_close(&c);
}

static void same_line(void *arg, const char *key, const char *value, size_t len)
{
	const struct buf *want = arg;

	CHECK(strcmp(key, "K") == 0 && len == want->len);
	CHECK(!len || memcmp(value, want->data, len) == 0);
}

static void take_line(void *arg, const char *key, const char *value, size_t len)
{
	autobuf line = BUF_INIT, want = BUF_INIT;
	struct err e = {0};

	(void)arg;
	CHECK(name_key_valid(key) && strlen(value) == len);
	buf_add(&want, value, len);
	dotenv_write(&line, "K", value, len);
	CHECK(dotenv_read(line.data, line.len, same_line, &want, &e) == 0);
}

static void try_dotenv(const char *s, size_t n)
{
	struct err e = {0};

	if (dotenv_read(s, n, take_line, NULL, &e) < 0)
		CHECK(strncmp(e.text, "line ", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = text_of(data, size);

	try_names(s);
	try_numbers(s);
	try_times(s);
	try_addresses(s);
	try_json(s, size);
	try_base64(s, size);
	try_dotenv(s, size);
	try_answer(s, size, false);
	try_answer(s, size, true);
	free(s);
	return 0;
}
