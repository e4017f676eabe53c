/* Reading a Dockerfile: COPY and ADD. */
#include "buildpacks/dockerfile/docker_inside.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_remote(const char *s)
{
	static const char *const leads[] = {
		"http://", "https://", "ftp://", "git://", "git@", "ssh://"};

	for (size_t k = 0; k < ARRAY_LEN(leads); k++)
		if (strncasecmp(s, leads[k], strlen(leads[k])) == 0)
			return true;
	return false;
}

/* A source word that is a here-document: its content is the file. */
static const struct docker_heredoc *heredoc_of(
	const struct plan_of *p, size_t *next, const char *word)
{
	if (strncmp(word, "<<", 2) != 0 || *next >= p->i->n_heredocs)
		return NULL;
	return &p->i->heredocs[(*next)++];
}

static int add_inline(struct plan_of *p, const struct docker_heredoc *h, json_t *into)
{
	autobuf out = {.max = DOCKERFILE_MAX};
	const char *why = NULL, *at = NULL;

	if (h->expand && docker_expand(h->content, p->d->escape, true, dp_look_up, p,
				 &out, &why, &at) < 0)
		return docker_error(p->i, NULL, p->e, "%s in <<%.60s",
			why ? why : "too much text", h->name);
	json_t *file = json_pack("{s:s, s:s}", "name", h->name, "content",
		h->expand ? (out.data ? out.data : "") : h->content);
	return file && json_array_append_new(into, file) == 0
		       ? 0
		       : docker_error(
				 p->i, NULL, p->e, "<<%.60s is not UTF-8 text", h->name);
}

/* The words but the last: what of the source tree they name. */
static int take_context(
	struct plan_of *p, const json_t *words, struct docker_taken *t, json_t *in_line)
{
	size_t next = 0, n = json_array_size(words) - 1;
	const char *why = "";

	for (size_t k = 0; k < n; k++) {
		const char *word = json_string_value(json_array_get(words, k));
		const struct docker_heredoc *h = heredoc_of(p, &next, word);
		int r = h ? add_inline(p, h, in_line) : 0;
		if (r == 0 && !h && is_remote(word))
			r = docker_error(p->i, strstr(p->i->text, word), p->e,
				"%s of an address is not supported: nothing is fetched; "
				"put the "
				"file into the repository, or RUN curl",
				docker_kind_name(p->i->kind));
		if (r < 0)
			return r;
		if (h)
			continue;
		r = docker_context_take(p->context, word, t, &why);
		if (r == -ENOMEM)
			return dp_no_memory(p);
		if (r < 0)
			return docker_error(p->i, strstr(p->i->text, word), p->e,
				"%s: %.200s %s", docker_kind_name(p->i->kind), word, why);
	}
	t->n_files += json_array_size(in_line);
	return 0;
}

static int copy_options(struct plan_of *p, json_t *todo)
{
	const struct docker_flag *chown = dp_flag(p, "chown"),
				 *chmod = dp_flag(p, "chmod");

	if (chown && chown->value) {
		char *v autofree = dp_expand(p, chown->value);
		if (!v)
			return -EINVAL;
		json_object_set_new(todo, "chown", json_string(v));
	}
	if (chmod && chmod->value) {
		char *v autofree = dp_expand(p, chmod->value), *end;
		if (!v)
			return -EINVAL;
		long mode = strtol(v, &end, 8);
		if (!*v || *end || mode < 0 || mode > 07777)
			return docker_error(p->i, p->i->joined + chmod->at, p->e,
				"--chmod=%.20s is no octal mode such as 755", v);
		json_object_set_new(todo, "chmod", json_integer(mode));
	}
	return 0;
}

static int copy_here(struct plan_of *p, const json_t *words, json_t *todo, bool many)
{
	struct docker_taken t = {.items = json_array(), .files = json_array()};
	json_t *in_line = json_array();
	int r = take_context(p, words, &t, in_line);

	if (r == 0 && !many && t.n_files > 1)
		r = docker_error(p->i, p->i->text, p->e,
			"%zu files need a folder: end the last word with /", t.n_files);
	if (r < 0) {
		json_decref(t.items);
		json_decref(t.files);
		json_decref(in_line);
		json_decref(todo);
		return r;
	}
	if (many || t.n_files == 0)
		json_object_set_new(p->s->made, dp_text_at(todo, "to"), json_true());
	json_object_set_new(todo, "items", t.items);
	json_object_set_new(todo, "inline", in_line);
	return dp_add_step(p, "copy", todo, t.files, NULL);
}

static int copy_from(struct plan_of *p, const char *name, json_t *words, json_t *todo)
{
	json_t *sources = json_array(),
	       *from = dp_source_of(p, name, (size_t)(p->s - p->stages));

	for (size_t k = 0; k + 1 < json_array_size(words); k++) {
		char *path autofree =
			dp_absolute("/", json_string_value(json_array_get(words, k)));
		json_array_append_new(sources, json_string(path ? path : "/"));
	}
	json_object_set_new(todo, "sources", sources);
	if (!json_object_get(from, "scratch"))
		return dp_add_step(p, "copy", todo, NULL, from);
	json_decref(from);
	json_decref(todo);
	return docker_error(p->i, NULL, p->e, "COPY --from=scratch: it has no files");
}

int dp_on_copy(struct plan_of *p)
{
	static const char *const copy_flags[] = {"from", "chown", "chmod", "link", NULL},
				 *const add_flags[] = {"chown", "chmod", "link", NULL};
	bool add = p->i->kind == DOCKER_ADD;
	int r = dp_check_flags(p, add ? add_flags : copy_flags);
	json_t *words = r == 0 ? dp_arguments(p) : NULL;
	size_t n = json_array_size(words);
	const char *last = json_string_value(json_array_get(words, n - 1));
	const char *from = dp_copies_from(p->i);

	if (r == 0 && !words)
		return -EINVAL;
	if (r == 0 && n < 2)
		r = docker_error(p->i, NULL, p->e, "%s needs what to copy and where to",
			docker_kind_name(p->i->kind));
	size_t len = r == 0 ? strlen(last) : 0;
	bool folder = len > 0 && (last[len - 1] == '/' || strcmp(last, ".") == 0 ||
					 strcmp(last, "..") == 0 ||
					 (len > 1 && strcmp(last + len - 2, "/.") == 0));
	if (r == 0 && len == 0)
		r = docker_error(p->i, NULL, p->e, "where to is empty");
	if (r == 0 && n > 2 && !folder)
		r = docker_error(p->i, strstr(p->i->text, last), p->e,
			"%zu sources need a folder: %.100s must end with /", n - 1, last);
	if (r == 0 && from && strchr(from, '$'))
		r = docker_error(p->i, NULL, p->e,
			"--from takes no variables; name the stage or image");
	char *to autofree = r == 0 ? dp_absolute(dp_workdir_of(p->s), last) : NULL;
	json_t *todo = to ? json_pack("{s:s, s:b, s:b}", "to", to, "folder", folder,
				    "unpack", add)
			  : NULL;
	if (r == 0 && !todo)
		r = dp_no_memory(p);
	if (r == 0 && (r = copy_options(p, todo)) < 0)
		json_decref(todo);
	if (r == 0)
		r = from ? copy_from(p, from, words, todo)
			 : copy_here(p, words, todo, folder);
	json_decref(words);
	return r;
}
