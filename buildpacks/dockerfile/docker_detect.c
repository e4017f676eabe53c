/* Whether a source tree is built by its Dockerfile. */
#include "buildpacks/dockerfile/docker_plan.h"
#include "buildpacks/plan/pack.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int docker_read(struct dockerfile *d, struct err *e)
{
	autobuf b = {.max = DOCKERFILE_MAX + 1};
	int fd autoclose = open(
		APP_DIR "/Dockerfile", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*d = (struct dockerfile){0};
	if (fd < 0)
		return err_sys(e, errno, "cannot read Dockerfile");
	int r = io_read_all(fd, &b);
	if (r < 0)
		return err_set(
			e, -r, "Dockerfile: larger than %u kB", DOCKERFILE_MAX >> 10);
	return dockerfile_parse(d, b.data ? b.data : "", b.len, e);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

int docker_detect(struct plan *p)
{
	const char *forced = getenv("BERTH_BUILDPACKS");
	struct dockerfile d = {0};
	struct err e = {0};

	if (!is_there(APP_DIR "/Dockerfile"))
		return 0;
	if ((forced && *forced) || is_there(APP_DIR "/.buildpacks")) {
		plan_warn(p, "the Dockerfile is not used: %s",
			forced && *forced ? "buildpacks are set; `berth buildpacks:clear "
					    "APP` goes back to it"
					  : ".buildpacks comes first");
		return 0;
	}
	snprintf(p->pack, sizeof(p->pack), "dockerfile");
	snprintf(p->name, sizeof(p->name), "Dockerfile");
	int r = docker_read(&d, &e);
	if (r == 0)
		r = docker_bases(&d, &p->docker, &e);
	dockerfile_free(&d);
	if (r < 0)
		plan_fail(p, "%s", e.text);
	return 1;
}
