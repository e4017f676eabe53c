/* A host program run to its end. */
#include "runtime/command.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;

static int spawn(const char *const *argv, int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&acts);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_adddup2(&acts, in, 0);
	posix_spawn_file_actions_adddup2(&acts, out, 1);
	posix_spawn_file_actions_adddup2(&acts, out, 2);
	r = posix_spawnp(
		ret, argv[0], &acts, &attr, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&acts);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* Both ends are memory files, so no pipe can fill up while nobody reads. */
int command_run(const char *const *argv, const void *input, size_t len, struct buf *out)
{
	int in autoclose = memfd_create("stdin", MFD_CLOEXEC);
	int to autoclose = memfd_create("stdout", MFD_CLOEXEC);
	int status, r;
	pid_t pid;

	if (in < 0 || to < 0)
		return -errno;
	if (len && (r = io_write_all(in, input, len)) < 0)
		return r;
	if (lseek(in, 0, SEEK_SET) < 0)
		return -errno;
	if ((r = spawn(argv, in, to, &pid)) < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (out && lseek(to, 0, SEEK_SET) == 0)
		io_read_all(to, out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}
