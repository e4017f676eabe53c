/* manifest.c: what is an image, which of several, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/manifest.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define D(c) "sha256:" c c c c c c c c
#define ONE D("01234567")
#define TWO D("89abcdef")
#define CONFIG                                                                           \
	"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\","        \
	"\"digest\":\"" ONE "\",\"size\":5}"
#define LAYER "{\"digest\":\"" TWO "\",\"size\":7}"

static int parse(const char *text, struct manifest *m, struct err *e)
{
	*e = (struct err){0};
	return manifest_parse(text, strlen(text), "amd64", m, e);
}

static void a_manifest_names_configuration_and_layers(void **state UNUSED)
{
	struct manifest m;
	struct err e;

	assert_int_equal(
		parse("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "," LAYER "]}",
			&m, &e),
		0);
	assert_false(m.index);
	assert_string_equal(m.config.digest, ONE);
	assert_int_equal(m.config.size, 5);
	assert_int_equal(m.n_layers, 2);
	assert_string_equal(m.layers[1].digest, TWO);
	assert_int_equal(m.layers[1].size, 7);
}

static void of_an_index_the_machines_image_is_taken(void **state UNUSED)
{
#define ENTRY(d, os, arch)                                                               \
	"{\"digest\":\"" d "\",\"size\":1,\"platform\":{\"os\":\"" os                    \
	"\",\"architecture\":\"" arch "\"}}"
	struct manifest m;
	struct err e;

	assert_int_equal(
		parse("{\"manifests\":[" ENTRY(ONE, "linux", "arm64") "," ENTRY(ONE,
			      "windows", "amd64") "," ENTRY(TWO, "linux", "amd64") "]}",
			&m, &e),
		0);
	assert_true(m.index);
	assert_string_equal(m.chosen.digest, TWO);
	assert_int_equal(parse("{\"manifests\":[" ENTRY(ONE, "linux", "arm64") "," ENTRY(
				       ONE, "unknown", "unknown") "]}",
				 &m, &e),
		-ENOENT);
	assert_string_equal(
		e.text, "it is for linux/arm64, unknown/unknown, not for linux/amd64");
	assert_int_equal(
		parse("{\"manifests\":[{\"digest\":\"" ONE "\",\"size\":1}]}", &m, &e),
		0);
}

static void what_is_no_image_is_refused(void **state UNUSED)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "no JSON"},
		{"[]", "no JSON"},
		{"{}", "no manifest"},
		{"{\"schemaVersion\":1}", "schema 1"},
		{"{" CONFIG "}", "no manifest"},
		{"{" CONFIG ",\"layers\":[]}", "0 layers"},
		{"{" CONFIG ",\"layers\":[{\"digest\":\"sha256:0\",\"size\":1}]}",
			"names a blob by sha256:0"},
		{"{" CONFIG ",\"layers\":[{\"digest\":\"" TWO "\",\"size\":-1}]}",
			"with -1 bytes"},
		{"{" CONFIG ",\"layers\":[{\"digest\":\"" TWO
		 "\",\"size\":1,\"urls\":[\"https://a.test\"]}]}",
			"outside of the registry"},
		{"{\"config\":{\"mediaType\":\"application/vnd.other+json\",\"digest\":"
		 "\"" ONE "\",\"size\":5},\"layers\":[" LAYER "]}",
			"no image but application/vnd.other+json"},
	};
	struct manifest m;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(parse(bad[i].text, &m, &e) < 0);
		if (!strstr(e.text, bad[i].why))
			fail_msg("%s: %s", bad[i].text, e.text);
	}
}

static void a_configuration_names_each_layer(void **state UNUSED)
{
	static const char text[] =
		"{\"rootfs\":{\"diff_ids\":[\"" ONE "\",\"" TWO "\"]}}";
	char ids[3][72];
	struct err e;

	assert_int_equal(manifest_diff_ids(text, strlen(text), ids, 2, &e), 0);
	assert_string_equal(ids[1], TWO);
	assert_int_equal(manifest_diff_ids(text, strlen(text), ids, 1, &e), -EBADMSG);
	assert_int_equal(manifest_diff_ids(text, strlen(text), ids, 3, &e), -EBADMSG);
	assert_int_equal(manifest_diff_ids("{}", 2, ids, 1, &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_names_configuration_and_layers),
		cmocka_unit_test(of_an_index_the_machines_image_is_taken),
		cmocka_unit_test(what_is_no_image_is_refused),
		cmocka_unit_test(a_configuration_names_each_layer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
