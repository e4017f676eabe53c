/* A folder as a tar archive, for a program that reads standard input. */
#include "cli/cli.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define PART 65536 /* more than what tar writes behind the last file: one record, 10 KB */

static pid_t start_tar(const char *path, int *ret_from)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(p[1], STDOUT_FILENO);
		execlp("tar", "tar", "-C", path, "-cf", "-", ".", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	*ret_from = p[0];
	return pid;
}

/* Whole parts, but for the last bytes, which stay in held: how many, or -1 when nobody reads any more. */
static ssize_t copy_parts(int from, int to, char held[2 * PART])
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(from, held + n, 2 * PART - n)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		n += got > 0 ? (size_t)got : 0;
		if (n < 2 * PART)
			continue;
		if (io_write_all(to, held, PART) < 0)
			return -1;
		memmove(held, held + PART, PART);
		n = PART;
	}
	return (ssize_t)n;
}

/*
 * tar writes a whole archive also when it could not read all, and says so only with its status. Then the end is not sent,
 * but one byte: a tar archive of that length is none, whether it is read here or at the other end of an ssh.
 */
static void feed(const char *path, int to)
{
	static char held[2 * PART];
	int from = -1, status = 1;
	pid_t tar = start_tar(path, &from);
	ssize_t n = tar > 0 ? copy_parts(from, to, held) : 0;

	if (n < 0)
		return;
	while (tar > 0 && waitpid(tar, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0) {
		io_write_all(to, held, (size_t)n);
		return;
	}
	say("tar could not read all of %s: nothing of it is taken", path);
	io_write_all(to, held, 1);
}

int folder_open(const char *path)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -errno;
	if (pid == 0) {
		close(p[0]);
		feed(path, p[1]);
		_exit(0);
	}
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
	close(p[1]);
	return 0;
}
