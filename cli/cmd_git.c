/* Deploys of what was not pushed: an image, an archive of the source. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int cmd_git_from_image(struct cli *c)
{
	return api_stream(c, "POST", json_pack("{s:s}", "image", c->argv[0]),
		"/v1/apps/%s/from-image", c->app);
}

/* ---- from-archive ---- */

/* berth-shell beside this program, or where it is installed. */
static void find_shell(char out[PATH_MAX])
{
	char self[PATH_MAX - 64], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(out, PATH_MAX, "%s/berth-shell", self);
	if (access(out, X_OK) < 0)
		snprintf(out, PATH_MAX, "%s/../lib/berth/berth-shell", self);
}

/* It hands what it reads to git as a push, as the user who receives. Its pid, with the writing end in *ret_to; -1: said. */
static pid_t start_deliver(struct cli *c, int *ret_to)
{
	char path[PATH_MAX];
	int p[2];
	pid_t pid;

	find_shell(path);
	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		say("cannot start %s: %s", path, strerror(errno));
		return -1;
	}
	if (pid == 0) {
		dup2(p[0], STDIN_FILENO);
		execl(path, path, "--deliver", c->app, c->options[OPT_MESSAGE],
			(char *)NULL);
		say("cannot start %s: %s", path, strerror(errno));
		_exit(STATUS_FAILED);
	}
	close(p[0]);
	*ret_to = p[1];
	return pid;
}

static int wait_status(pid_t pid)
{
	int w;

	while (waitpid(pid, &w, 0) < 0)
		if (errno != EINTR)
			return STATUS_FAILED;
	return WIFEXITED(w) ? WEXITSTATUS(w) : STATUS_FAILED;
}

/* What comes out of berth is the commit, and goes to berth-shell; what is said of it goes on to people. */
static int hand_over(struct cli *c, json_t *body)
{
	char path[128];
	int to, out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	pid_t pid = start_deliver(c, &to);

	if (pid < 0)
		return STATUS_FAILED;
	dup2(to, STDOUT_FILENO);
	close(to);
	snprintf(path, sizeof(path), "/v1/apps/%s/from-archive", c->app);
	int r = run_upgrade(c, path, body, false);
	dup2(out, STDOUT_FILENO);
	int delivered = wait_status(pid);
	return r ? r : delivered;
}

int cmd_git_from_archive(struct cli *c)
{
	const char *message = c->options[OPT_MESSAGE], *author = c->options[OPT_AUTHOR];
	int r;

	if (strstr(c->argv[0], "://"))
		return say_usage(c, "berth fetches no archives: "
				    "curl -L URL | ... git:from-archive APP -");
	r = images_input(c, c->argv[0]);
	if (r)
		return r;
	return hand_over(c, json_pack("{s:s*, s:s*, s:b}", "message", message, "author",
				    author, "force", c->options[OPT_FORCE] != NULL));
}
