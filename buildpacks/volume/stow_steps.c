/* The commands of berth-build that read and write the files of a volume for a backup (lib/stow.h). */
#include "buildpacks/command.h"
#include "buildpacks/run.h"
#include "lib/stow.h"
#include <errno.h>
#include <fcntl.h>

#define FOLDER "/tmp/files" /* control/data/backup.c mounts it there */

static int finish(int r, const struct err *e)
{
	if (r < 0)
		say_warning("%s", e->text);
	return r < 0;
}

static int open_folder(struct err *e)
{
	int fd = open(FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "open the volume") : fd;
}

int command_stow(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	int fd autoclose = open_folder(&e);

	return finish(fd < 0 ? fd
			     : stow_send(&(struct stow){.fd = fd}, STDIN_FILENO,
				       STDOUT_FILENO, &e),
		&e);
}

int command_unstow(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	int fd autoclose = open_folder(&e);

	return finish(
		fd < 0 ? fd : stow_receive(fd, STDIN_FILENO, true, UINT64_MAX, &e), &e);
}

/* A layer with nothing in it: a root where there is no other. */
int command_empty(int argc UNUSED, char **argv UNUSED)
{
	return 0;
}
