/* Values that one RUN sees and its layer does not. */
#include "buildpacks/dockerfile/docker_secrets.h"
#include "buildpacks/dockerfile/docker_copy.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "/dev/shm/.secrets"

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static unsigned int number(const json_t *o, const char *key)
{
	return (unsigned int)json_integer_value(json_object_get(o, key));
}

/* Whoever may read it has to get there, and nobody else sees which there are. */
static int write_value(
	const json_t *secret, const char *value, const char *path, struct err *e)
{
	if (mkdir(FOLDER, 0711) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make a place for secrets");
	int fd autoclose =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_write_all(fd, value, strlen(value));
	if (r == 0 && (fchown(fd, number(secret, "uid"), number(secret, "gid")) < 0 ||
			      fchmod(fd, number(secret, "mode") & 0777) < 0))
		r = -errno;
	return r < 0 ? err_sys(e, -r, "write the secret %s", text(secret, "id")) : 0;
}

/* The topmost folder of the way to target that is not there yet; "" when all are. */
static void find_missing(const char *target, char out[PATH_MAX])
{
	for (const char *s = strchr(target + 1, '/'); s; s = strchr(s + 1, '/')) {
		struct stat st;

		snprintf(out, PATH_MAX, "%.*s", (int)(s - target), target);
		if (stat(out, &st) < 0)
			return;
	}
	out[0] = '\0';
}

static int make_link(const char *to, const char *target, json_t *made, struct err *e)
{
	char above[PATH_MAX], missing[PATH_MAX];
	const char *slash = strrchr(target, '/');
	struct stat st;

	if (lstat(target, &st) == 0)
		return err_set(e, EEXIST,
			"a secret cannot be at %s, where the image has a file of its own",
			target);
	find_missing(target, missing);
	snprintf(above, sizeof(above), "%.*s", (int)(slash - target), target);
	int r = docker_make_folders(above, 0, 0);
	if (r == 0 && symlink(to, target) < 0)
		r = -errno;
	json_array_append_new(made, json_pack("[s, s]", target, missing));
	return r < 0 ? err_sys(e, -r, "put a secret at %s", target) : 0;
}

static int put_one(const json_t *secret, const char *value, size_t index, json_t *made,
	struct err *e)
{
	const char *target = text(secret, "target"), *env = text(secret, "env");
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), FOLDER "/%zu", index);
	if (env && setenv(env, value, 1) < 0)
		return err_sys(e, errno, "set the variable %s", env);
	if (target)
		r = write_value(secret, value, path, e);
	return r == 0 && target ? make_link(path, target, made, e) : r;
}

int docker_secrets_put(const json_t *todo, json_t **ret_made, struct err *e)
{
	const json_t *values = json_object_get(todo, "values"), *secret;
	size_t i;
	int r = 0;

	*ret_made = json_array();
	if (!*ret_made)
		return err_set(e, ENOMEM, "out of memory");
	json_array_foreach (json_object_get(todo, "secrets"), i, secret) {
		const char *id = text(secret, "id");
		const char *value = id ? text(values, id) : NULL;

		if (r == 0 && value)
			r = put_one(secret, value, i, *ret_made, e);
	}
	return r;
}

/* From the link's folder up to the one that was made first; what the command left there stays. */
static void remove_folders(const char *target, const char *missing)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", target);
	while (strlen(path) > strlen(missing)) {
		*strrchr(path, '/') = '\0';
		if (rmdir(path) < 0)
			return;
	}
}

void docker_secrets_remove(json_t *made)
{
	for (size_t i = json_array_size(made); i-- > 0;) {
		const json_t *one = json_array_get(made, i);
		const char *target = json_string_value(json_array_get(one, 0)),
			   *missing = json_string_value(json_array_get(one, 1));

		unlink(target);
		if (*missing)
			remove_folders(target, missing);
	}
	json_decref(made);
}
