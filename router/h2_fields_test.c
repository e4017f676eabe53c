/* Lines of HTTP/1.1 as fields of HTTP/2: where they end, and which trailers pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/h2_fields.h"
#include <cmocka.h>
#include <string.h>

static void is(const nghttp2_nv *f, const char *name, const char *value)
{
	assert_int_equal(f->namelen, strlen(name));
	assert_memory_equal(f->name, name, f->namelen);
	assert_int_equal(f->valuelen, strlen(value));
	assert_memory_equal(f->value, value, f->valuelen);
}

static void lines_become_fields_without_white_space(void **state)
{
	static const char text[] =
		"A: 1\r\nb:\t 2 3 \t\r\nempty: \r\nnone:\r\n\r\nc: 4\r\n";
	const char *p = text, *end = text + sizeof(text) - 1;
	nghttp2_nv f;

	(void)state;
	assert_true(h2_field_next(&p, end, &f));
	is(&f, "A", "1");
	assert_true(h2_field_next(&p, end, &f));
	is(&f, "b", "2 3");
	assert_true(h2_field_next(&p, end, &f));
	is(&f, "empty", "");
	assert_true(h2_field_next(&p, end, &f));
	is(&f, "none", "");
	assert_false(h2_field_next(&p, end, &f)); /* the empty line */
	assert_string_equal(p, "\r\nc: 4\r\n");
	p = "cut: off";
	assert_false(h2_field_next(&p, p + 8, &f));
}

static void trailers_that_frame_or_route_stay_behind(void **state)
{
	static const char text[] =
		"Grpc-Status: 0\r\nHost: x\r\nContent-Length: 1\r\nTE: x\r\n"
		"X-Forwarded-For: 1\r\nlast: 2\r\n";
	nghttp2_nv f[8];

	(void)state;
	assert_int_equal(h2_fields_of_trailers(text, sizeof(text) - 1, f, 8), 2);
	is(&f[0], "Grpc-Status", "0");
	is(&f[1], "last", "2");
	assert_int_equal(h2_fields_of_trailers(text, sizeof(text) - 1, f, 1), 1);
	assert_int_equal(h2_fields_of_trailers(text, 0, f, 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_fields_without_white_space),
		cmocka_unit_test(trailers_that_frame_or_route_stay_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
