/* reference.c: names of images in registries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/images/reference.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void is(const char *text, const char *host, const char *path, const char *tag,
	const char *digest)
{
	struct reference f;
	struct err e = {0};

	assert_int_equal(reference_parse(text, &f, &e), 0);
	assert_string_equal(f.host, host);
	assert_string_equal(f.path, path);
	assert_string_equal(f.tag, tag);
	assert_string_equal(f.digest, digest);
}

static void refused(const char *text, const char *why)
{
	struct reference f;
	struct err e = {0};

	assert_int_equal(reference_parse(text, &f, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("%s: %s", text, e.text);
}

static void full_names_are_taken_apart(void **state UNUSED)
{
	is("registry.test/blog", "registry.test", "blog", "latest", "");
	is("registry.test/team/blog:v1.2_A", "registry.test", "team/blog", "v1.2_A", "");
	is("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000", "a/b/c", "1", "");
	is("localhost/a", "localhost", "a", "latest", "");
	is("box:5000/a", "box:5000", "a", "latest", "");
	is("[::1]:5000/a", "[::1]:5000", "a", "latest", "");
	is("registry.test/a@sha256:" HEX, "registry.test", "a", "", "sha256:" HEX);
	is("registry.test/a:1@sha256:" HEX, "registry.test", "a", "1", "sha256:" HEX);
	is("registry.test/a__b/c--d.e_f", "registry.test", "a__b/c--d.e_f", "latest", "");
}

static void short_names_are_refused_with_the_full_form(void **state UNUSED)
{
	refused("alpine", "registry.example.com/alpine");
	refused("library/alpine:3", "registry.example.com/library/alpine:3");
	refused("", "does not say in which registry");
	refused("a.b", "does not say in which registry");
}

static void other_texts_are_refused(void **state UNUSED)
{
	static const char *const bad[] = {"registry.test/", "registry.test/A",
		"registry.test//a", "registry.test/a/",
		"registry.test/a:", "registry.test/a:-x", "registry.test/a@sha256:00",
		"registry.test/a@md5:" HEX, "registry.test/../a", "registry.test/a?b",
		"registry.test/a#b", "registry.test/a b", "registry.test/a%2f",
		"registry.test/a___b", "registry.test/a..b", "registry.test:0/a",
		"registry.test:65536/a", "registry.test:/a", "ann@registry.test/a",
		"Registry.test/a", "*.registry.test/a", "[::1/a", "[]:5/a", "-a.test/a",
		"registry.test:80:80/a", "registry.test\n.x/a"};
	char text[1400];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(bad[i], "is not the name of an image in a registry");
	refused("https://registry.test/a", "leave out what stands before");
	snprintf(text, sizeof(text), "registry.test/%0256d", 0);
	refused(text, "is not the name");
	snprintf(text, sizeof(text), "registry.test/a:%0129d", 0);
	refused(text, "is not the name");
	snprintf(text, sizeof(text), "registry.test/%01200d", 0);
	refused(text, "is not the name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_names_are_taken_apart),
		cmocka_unit_test(short_names_are_refused_with_the_full_form),
		cmocka_unit_test(other_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
