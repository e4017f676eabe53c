/*
 * A Dockerfile and a .dockerignore: whatever they say, places lie in the text, words and
 * variables end, and what is parsed once more from its own parts is the same.
 */
#include "tests/fuzz/fuzz.h"

#include "buildpacks/dockerfile.h"
#include "buildpacks/dockerignore.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dockerfile d;
	struct err e = {0};
	char *text = text_of(data, size);

	int r = dockerfile_parse(&d, text, size, &e);
	CHECK(r == 0 || (r < 0 && e.text[0]));
	for (size_t k = 0; r == 0 && k < d.n; k++)
		check_instruction(&d, &d.list[k]);
	dockerfile_free(&d);
	check_ignore(text, size);
	free(text);
	return 0;
}
