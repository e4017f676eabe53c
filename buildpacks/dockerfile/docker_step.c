/* The steps of a Dockerfile, each in a sandbox whose root is the image so far. */
#include "buildpacks/command.h"
#include "buildpacks/dockerfile/docker_copy.h"
#include "buildpacks/dockerfile/docker_plan.h"
#include "buildpacks/dockerfile/docker_secrets.h"
#include "buildpacks/dockerfile/docker_users.h"
#include "buildpacks/plan/pack.h"
#include "buildpacks/run.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ORDERS_MAX (16u << 20)
#define SCRIPT "/.berth-script"
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int tell(const struct err *e)
{
	say_warning("%s", e->text);
	return 1;
}

/* What control says first: the length as 15 digits and a newline, then a JSON object. */
static json_t *read_orders(struct err *e)
{
	char head[17] = "";
	char *body autofree = NULL;
	json_t *o = NULL;
	json_error_t je = {0};

	if (io_read_full(STDIN_FILENO, head, 16) == 0) {
		unsigned long n = strtoul(head, NULL, 10);
		body = n > 0 && n <= ORDERS_MAX ? malloc(n) : NULL;
		if (body && io_read_full(STDIN_FILENO, body, n) == 0)
			o = json_loadb(body, n, 0, &je);
	}
	if (!json_is_object(o))
		err_set(e, EBADMSG, "the step's orders cannot be read: %s", je.text);
	return o;
}

/* ---- docker-plan ---- */

static int print_plan(json_t *plan, const struct err *e)
{
	if (!plan)
		plan = json_pack("{s:s}", "error", e->text);
	char *out autofree = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
	int r = out ? io_write_all(STDOUT_FILENO, out, strlen(out)) : -ENOMEM;

	json_decref(plan);
	return r < 0;
}

int command_docker_plan(int argc UNUSED, char **argv UNUSED)
{
	struct docker_context *context = NULL;
	struct dockerfile d = {0};
	struct err e = {0};
	json_t *orders = read_orders(&e), *plan = NULL;

	int r = orders ? docker_read(&d, &e) : -EBADMSG;
	if (r == 0)
		r = docker_context_open(APP_DIR, &context, &e);
	if (r == 0)
		docker_plan(&d, context, orders, &plan, &e);
	docker_context_close(context);
	dockerfile_free(&d);
	json_decref(orders);
	return print_plan(plan, &e);
}

/* ---- docker-run ---- */

static int make_folders(const json_t *todo, struct err *e)
{
	const json_t *path;
	size_t i;

	umask(0);
	json_array_foreach (json_object_get(todo, "folders"), i, path) {
		int r = docker_make_folders(json_string_value(path), 0, 0);
		if (r < 0)
			return err_sys(
				e, -r, "cannot make WORKDIR %s", json_string_value(path));
	}
	return 0;
}

/* A cache belongs to root, unless the instruction says another. */
static int give_caches(const json_t *todo, struct err *e)
{
	const json_t *c;
	size_t i;

	json_array_foreach (json_object_get(todo, "caches"), i, c) {
		const char *target = text(c, "target");
		const json_t *uid = json_object_get(c, "uid"),
			     *gid = json_object_get(c, "gid"),
			     *mode = json_object_get(c, "mode");
		if ((uid || gid) && lchown(target, (uid_t)json_integer_value(uid),
					    (gid_t)json_integer_value(gid)) < 0)
			return err_sys(e, errno, "give the cache %s to its user", target);
		if (mode && chmod(target, (mode_t)json_integer_value(mode) & 0777) < 0)
			return err_sys(e, errno, "the mode of the cache %s", target);
	}
	return 0;
}

static int set_all(const json_t *variables, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)variables, key, value)
		if (*key && !strchr(key, '=') &&
			setenv(key, json_string_value(value), 1) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* Predefined ARGs take the place of the host's, and ENV that of both. */
static int set_variables(const json_t *todo, const struct docker_user *u, struct err *e)
{
	unsetenv("HOME");
	int r = set_all(json_object_get(todo, "predefined"), e);
	if (r == 0)
		r = set_all(json_object_get(todo, "env"), e);
	if (r < 0)
		return r;
	setenv("HOME", u->home, 0);
	setenv("PATH", PATH_DEFAULT, 0);
	return 0;
}

/* The script of a here-document that names its interpreter. */
static int write_script(const char *script, const struct docker_user *u, struct err *e)
{
	int fd autoclose = open(SCRIPT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	if (fd < 0 || io_write_all(fd, script, strlen(script)) < 0 ||
		fchown(fd, u->uid, u->gid) < 0)
		return err_sys(e, errno, "cannot write the script");
	return 0;
}

/* For good: root's rights go with the user. */
static int become(const struct docker_user *u, struct err *e)
{
	if (setgroups(u->n_groups, u->groups) < 0 ||
		setresgid(u->gid, u->gid, u->gid) < 0 ||
		setresuid(u->uid, u->uid, u->uid) < 0)
		return err_sys(e, errno, "become user %u", u->uid);
	return 0;
}

static int run_command(const json_t *todo, struct err *e)
{
	const json_t *words = json_object_get(todo, "argv"), *word;
	const char *script = SCRIPT;
	const char **argv autofree = calloc(json_array_size(words) + 2, sizeof(*argv));
	size_t i;

	if (!argv)
		return err_set(e, ENOMEM, "out of memory");
	json_array_foreach (words, i, word)
		argv[i] = json_string_value(word);
	if (json_object_get(todo, "script"))
		argv[0] = script;
	int r = run_program(argv, NULL, NULL, e);
	if (r == -ENOENT)
		err_set(e, ENOENT, "%s is not in the image so far", argv[0]);
	return r;
}

static int prepare(
	const json_t *todo, struct docker_user *u, json_t **ret_secrets, struct err *e)
{
	const char *cwd = text(todo, "cwd");
	int r = docker_user_find(text(todo, "user"), u, e);

	if (r == 0)
		r = make_folders(todo, e);
	if (r == 0)
		r = give_caches(todo, e);
	if (r == 0)
		r = set_variables(todo, u, e);
	if (r == 0)
		r = docker_secrets_put(todo, ret_secrets, e);
	if (r == 0 && json_object_get(todo, "script"))
		r = write_script(text(todo, "script"), u, e);
	if (r == 0 && (r = docker_make_folders(cwd, 0, 0)) < 0)
		err_sys(e, -r, "make the folder %s", cwd);
	if (r == 0 && chdir(cwd) < 0)
		r = err_sys(e, errno, "cannot enter %s", cwd);
	umask(022);
	return r;
}

static int run_as(const json_t *todo, const struct docker_user *u)
{
	struct err e = {0};
	int r = become(u, &e);

	if (r == 0)
		r = run_command(todo, &e);
	return r < 0 ? tell(&e) : r;
}

/* Only root may take the script and secrets out of the image again. */
static int run_beside(const json_t *todo, const struct docker_user *u)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run_as(todo, u));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 || !WIFEXITED(status) ? 1 : WEXITSTATUS(status);
}

int command_docker_run(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	struct docker_user u;
	json_t *todo = read_orders(&e), *secrets = NULL;
	int r = todo ? prepare(todo, &u, &secrets, &e) : -EBADMSG;
	bool script = json_object_get(todo, "script");

	if (r < 0)
		r = tell(&e);
	else
		r = script || json_array_size(secrets) ? run_beside(todo, &u)
						       : run_as(todo, &u);
	if (script)
		unlink(SCRIPT);
	docker_secrets_remove(secrets);
	return r;
}

/* ---- docker-copy, docker-pack, docker-user ---- */

int command_docker_copy(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	json_t *todo = read_orders(&e);

	if (!todo || make_folders(todo, &e) < 0 || docker_put(STDIN_FILENO, todo, &e) < 0)
		return tell(&e);
	return 0;
}

int command_docker_pack(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	json_t *todo = read_orders(&e);

	return !todo || docker_pack(STDOUT_FILENO, todo, &e) < 0 ? tell(&e) : 0;
}

/* Who a USER is, for the instances; and whether the image has a shell. */
int command_docker_user(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	struct docker_user u;
	json_t *todo = read_orders(&e), *out = NULL;

	if (todo && docker_user_find(text(todo, "user"), &u, &e) == 0)
		out = json_pack("{s:i, s:i, s:s, s:b}", "uid", (int)u.uid, "gid",
			(int)u.gid, "home", u.home, "shell",
			access("/bin/sh", X_OK) == 0);
	json_decref(todo);
	return print_plan(out, &e);
}
