/* Reading a Dockerfile: steps, and RUN. */
#include "buildpacks/dockerfile/docker_inside.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TITLE_MAX 120

static void make_title(struct plan_of *p, const char *text, char title[TITLE_MAX + 4])
{
	int n = snprintf(title, TITLE_MAX, "%s ", docker_kind_name(p->i->kind));
	size_t at = (size_t)n;

	for (const char *s = text; *s && at < TITLE_MAX; s++) {
		bool blank = (unsigned char)*s <= ' ' || *s == 0x7f;
		if (!blank || title[at - 1] != ' ')
			title[at++] = blank ? ' ' : *s;
	}
	while (at > 0 && (title[at - 1] & 0x80)) /* no half of a character */
		at--;
	title[at] = '\0';
	if (strlen(text) + (size_t)n > TITLE_MAX)
		memcpy(title + at, "...", 4);
}

int dp_add_step(
	struct plan_of *p, const char *op, json_t *todo, json_t *context, json_t *from)
{
	char title[TITLE_MAX + 4];
	json_t *step;

	make_title(p, p->i->text, title);
	if (json_array_size(p->s->folders) > 0)
		json_object_set(todo, "folders", p->s->folders);
	step = json_pack("{s:s, s:i, s:s, s:o, s:b}", "op", op, "line", (int)p->i->line,
		"title", title, "do", todo, "private",
		p->s->is_private && strcmp(op, "run") == 0);
	if (context)
		json_object_set_new(step, "context", context);
	if (from)
		json_object_set_new(step, "from", from);
	json_decref(p->s->folders);
	p->s->folders = json_array();
	p->n_steps++;
	if (!step || !p->s->folders || json_array_append_new(p->s->steps, step) < 0)
		return docker_error(p->i, NULL, p->e, "this is not UTF-8 text");
	return 0;
}

/* The variables of a RUN: ARGs below ENVs. */
static json_t *run_env(const struct stage *s)
{
	json_t *env = json_copy(s->args);

	json_object_update(env, s->env);
	return env;
}

static json_t *shell_of(const struct stage *s)
{
	const json_t *shell = json_object_get(s->config, "Shell");

	return json_array_size(shell) ? json_deep_copy(shell)
				      : json_pack("[s, s]", "/bin/sh", "-c");
}

/* The command of a here-document: with others around it as the shell would read it; alone it is the
 * script itself. */
static char *with_heredocs(struct plan_of *p, bool *ret_script)
{
	autobuf text = {.max = DOCKERFILE_MAX};
	const char *at = p->i->text, *word;
	size_t len;

	docker_next_word(&at, p->d->escape, &word, &len);
	bool alone = word == p->i->text && strncmp(word, "<<", 2) == 0 &&
		     !docker_next_word(&at, p->d->escape, &word, &len);
	*ret_script = alone && strncmp(p->i->heredocs[0].content, "#!", 2) == 0;
	if (alone) {
		buf_adds(&text, p->i->heredocs[0].content);
	} else {
		buf_adds(&text, p->i->text);
		for (size_t k = 0; k < p->i->n_heredocs; k++)
			buf_addf(&text, "\n%s%s", p->i->heredocs[k].content,
				p->i->heredocs[k].name);
		buf_adds(&text, "\n");
	}
	return buf_take(&text);
}

/* What a shell or an argv form runs. */
json_t *dp_command_of(struct plan_of *p, const char *text)
{
	json_t *argv;

	if (p->i->json) {
		argv = json_array();
		for (size_t k = 0; k < p->i->n_words; k++)
			json_array_append_new(argv, json_string(p->i->words[k]));
		return argv;
	}
	argv = shell_of(p->s);
	if (json_array_append_new(argv, json_string(text)) == 0)
		return argv;
	json_decref(argv);
	docker_error(p->i, p->i->text, p->e, "this is not UTF-8 text");
	return NULL;
}

static const char *user_of(const struct stage *s)
{
	const char *user = dp_text_at(s->config, "User");

	return user ? user : "";
}

const char *dp_workdir_of(const struct stage *s)
{
	const char *workdir = dp_text_at(s->config, "WorkingDir");

	return workdir && *workdir ? workdir : "/";
}

/* The command, or the script; NULL: p->e. */
static json_t *run_argv(struct plan_of *p, const char *script, bool is_script)
{
	if (is_script)
		return json_array();
	json_t *argv = dp_command_of(p, script ? script : p->i->text);

	if (argv && json_array_size(argv) == 0) {
		docker_error(p->i, p->i->text, p->e, "RUN [] has no command");
		json_decref(argv);
		return NULL;
	}
	return argv;
}

/* --network=none: this command reaches nothing; "default" is what builds reach. */
static int take_network(struct plan_of *p, const struct docker_flag *f, json_t *todo)
{
	const char *value = f->value ? f->value : "";

	if (strcmp(value, "none") == 0)
		return json_object_set_new(todo, "offline", json_true()) < 0
			       ? dp_no_memory(p)
			       : 0;
	if (strcmp(value, "default") == 0)
		return 0;
	return docker_error(p->i, p->i->joined + f->at, p->e,
		"RUN --network=%.20s is not supported, only none and default", value);
}

static int take_flags(struct plan_of *p, json_t *todo)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < p->i->n_flags; k++) {
		const struct docker_flag *f = &p->i->flags[k];

		r = strcmp(f->name, "mount") == 0 ? dp_mount(p, f, todo)
						  : take_network(p, f, todo);
	}
	if (json_array_size(json_object_get(todo, "secrets")) == 0)
		json_object_del(todo, "secrets");
	return r;
}

int dp_on_run(struct plan_of *p)
{
	static const char *const flags[] = {"mount", "network", NULL};
	bool is_script = false;
	char *script autofree = NULL;
	int r = dp_check_flags(p, flags);

	if (r < 0)
		return r;
	if (p->i->n_heredocs && !(script = with_heredocs(p, &is_script)))
		return dp_no_memory(p);
	json_t *argv = run_argv(p, script, is_script);
	if (!argv)
		return -EINVAL;
	json_t *todo = json_pack("{s:o, s:o, s:s, s:s, s:[], s:[]}", "argv", argv, "env",
		run_env(p->s), "user", user_of(p->s), "cwd", dp_workdir_of(p->s),
		"caches", "secrets");
	if (!todo)
		return dp_no_memory(p);
	if (is_script)
		json_object_set_new(todo, "script", json_string(script));
	r = take_flags(p, todo);
	if (r == 0)
		return dp_add_step(p, "run", todo, NULL, NULL);
	json_decref(todo);
	return r;
}
