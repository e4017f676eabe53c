/*
 * A Dockerfile and a .dockerignore: whatever they say, places lie in the text, words and
 * variables end; and what a Dockerfile plans leads from each stage only to those before it, takes
 * only files that are there, and is JSON.
 */
#include "tests/fuzz/fuzz.h"

#include "buildpacks/dockerfile/docker_plan.h"
#include "buildpacks/dockerfile/dockerfile.h"
#include "buildpacks/dockerfile/dockerignore.h"

#include <sys/stat.h>

static const char *lookup(void *arg UNUSED, const char *name)
{
	return name[0] % 3 == 0 ? NULL : name[0] % 3 == 1 ? "" : "a $value";
}

static void check_words(const struct dockerfile *d, const struct docker_instruction *i)
{
	const char *at = i->text, *end = i->text + strlen(i->text), *word, *why, *where;
	size_t len;

	while (docker_next_word(&at, d->escape, &word, &len))
		CHECK(word >= i->text && word + len <= end && at <= end);
	autobuf out = {.max = 4u << 20};
	why = where = NULL;
	if (docker_expand(i->text, d->escape, false, lookup, NULL, &out, &why, &where) ==
		-22)
		CHECK(why && where >= i->text && where <= end);
}

static void check_instruction(
	const struct dockerfile *d, const struct docker_instruction *i)
{
	struct err e = {0};

	CHECK(i->kind < DOCKER_KINDS && docker_kind_name(i->kind) && i->joined);
	CHECK(i->text >= i->joined && i->text <= i->joined + strlen(i->joined));
	CHECK(docker_error(i, i->text, &e, "x") < 0 &&
		strncmp(e.text, "Dockerfile:", 11) == 0);
	CHECK(!i->json || i->n_words == 0 || i->words);
	for (size_t k = 0; k < i->n_heredocs; k++)
		CHECK(i->heredocs[k].name[0] && i->heredocs[k].content);
	check_words(d, i);
	if (i->kind == DOCKER_ONBUILD) {
		struct docker_instruction inner;
		int r = docker_parse_onbuild(i, d->escape, &inner, &e);

		CHECK(r < 0 || inner.kind != DOCKER_ONBUILD);
		docker_instruction_free(&inner);
	}
}

static void check_ignore(const char *text, size_t n)
{
	struct dockerignore d;
	struct err e = {0};
	int r = dockerignore_parse(&d, text, n, &e);

	CHECK(r == 0 || e.text[0]);
	for (size_t k = 0; r == 0 && k < d.n; k++) {
		CHECK(d.list[k].pattern[0] && !docker_glob_fault(d.list[k].pattern));
		/* what has no special character fits itself */
		if (d.list[k].plain)
			CHECK(docker_glob(d.list[k].pattern, d.list[k].pattern, true));
	}
	(void)dockerignore_matches(&d, "a/b/c.txt");
	dockerignore_free(&d);
}

static struct docker_context *context;

/* A small tree, read once. */
static void make_context(void)
{
	static const char *const files[] = {"a", "b.c", "d/e.txt", "d/f/g"};
	struct err e = {0};
	char path[128];

	make_top();
	for (const char *const *f = (const char *const[]){"d", "d/f", NULL}; *f; f++) {
		snprintf(path, sizeof(path), "%s/%s", top, *f);
		CHECK(mkdir(path, 0755) == 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, files[i]);
		int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		CHECK(fd >= 0);
	}
	snprintf(path, sizeof(path), "%s/link", top);
	CHECK(symlink("../../d", path) == 0);
	CHECK(docker_context_open(top, &context, &e) == 0);
}

static void check_from(const json_t *from, size_t stage)
{
	const json_t *n = json_object_get(from, "stage");

	if (n)
		CHECK(json_integer_value(n) >= 0 &&
			(size_t)json_integer_value(n) < stage);
	else if (from)
		CHECK(json_object_get(from, "scratch") || json_object_get(from, "image"));
}

static void check_step(const json_t *step, size_t stage)
{
	const json_t *file;
	char path[4096];
	size_t i;

	CHECK(json_is_object(json_object_get(step, "do")));
	CHECK(json_is_string(json_object_get(step, "title")));
	check_from(json_object_get(step, "from"), stage);
	json_array_foreach (json_object_get(step, "context"), i, file) {
		struct stat st;
		snprintf(path, sizeof(path), "%s/%s", top, json_string_value(file));
		CHECK(!strstr(json_string_value(file), "..") && lstat(path, &st) == 0);
	}
}

static void check_plan(const struct dockerfile *d)
{
	json_t *input = json_pack("{s:{s:{s:[s]}}, s:{s:s}, s:[s]}", "bases", "debian:12",
		"Env", "PATH=/bin", "args", "v", "given", "config", "TOKEN");
	json_t *asked = NULL, *plan = NULL;
	const json_t *stage, *step;
	struct err e = {0};
	size_t i, k;

	int r = docker_bases(d, &asked, &e);
	CHECK(r == 0 ? asked != NULL : r < 0 && e.text[0]);
	e.text[0] = '\0';
	r = docker_plan(d, context, input, &plan, &e);
	CHECK(r == 0 ? plan != NULL : r < 0 && e.text[0]);
	json_array_foreach (json_object_get(plan, "stages"), i, stage) {
		check_from(json_object_get(stage, "from"), i);
		json_array_foreach (json_object_get(stage, "steps"), k, step)
			check_step(step, i);
	}
	json_decref(asked);
	json_decref(plan);
	json_decref(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dockerfile d;
	struct err e = {0};
	char *text = text_of(data, size);

	int r = dockerfile_parse(&d, text, size, &e);
	CHECK(r == 0 || (r < 0 && e.text[0]));
	for (size_t k = 0; r == 0 && k < d.n; k++)
		check_instruction(&d, &d.list[k]);
	if (!context)
		make_context();
	if (r == 0)
		check_plan(&d);
	dockerfile_free(&d);
	check_ignore(text, size);
	free(text);
	return 0;
}
