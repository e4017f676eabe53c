/* A classic buildpack's ENV_DIR: one file per config variable. */
#include "buildpacks/plan/config_dir.h"
#include "lib/io.h"
#include "lib/name.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int write_one(int dir, const char *key, struct err *e)
{
	const char *value = getenv(key);

	if (!name_key_valid(key))
		return err_set(e, EINVAL, "%.64s is not the name of a variable", key);
	if (!value)
		return 0;
	int fd autoclose = openat(
		dir, key, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_write_all(fd, value, strlen(value));
	if (r < 0)
		return err_sys(
			e, -r, "cannot write the config variable %s for the build", key);
	unsetenv(key);
	return 0;
}

int config_dir_write(const char *path, const char *keys, struct err *e)
{
	char key[256];

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	int dir autoclose = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "cannot open %s", path);
	for (; keys && *keys; keys += strspn(keys, "\n")) {
		size_t n = strcspn(keys, "\n");
		if (n >= sizeof(key))
			return err_set(
				e, EINVAL, "the name of a config variable is too long");
		memcpy(key, keys, n);
		key[n] = '\0';
		keys += n;
		int r = write_one(dir, key, e);
		if (r < 0)
			return r;
	}
	unsetenv("BERTH_CONFIG_KEYS");
	return 0;
}
