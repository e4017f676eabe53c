/* One of berth's own programs that speak to strangers, as a child of control. */
#include "control/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

static void fill_env(const char *env[16], bool proxies)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "no_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"};
	size_t n = 0;

	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[n++] = "LC_ALL=C.UTF-8";
	for (size_t i = 0; proxies && i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		/* The environment holds NAME=VALUE in one piece. */
		if (value)
			env[n++] = value - strlen(names[i]) - 1;
	}
	env[n] = NULL;
}

static void fill_files(posix_spawn_file_actions_t *files, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] < 0)
			posix_spawn_file_actions_addopen(
				files, (int)i, "/dev/null", O_RDWR, 0);
		else
			posix_spawn_file_actions_adddup2(files, fds[i], (int)i);
	posix_spawn_file_actions_addclosefrom_np(files, (int)n);
}

int child_start(const char *path, const char *const *argv, const int *fds, size_t n,
	bool proxies, pid_t *ret_pid)
{
	const char *env[16];
	union {
		const char *const *from;
		char *const *to;
	} a = {.from = argv}, v = {.from = env}; /* posix_spawn changes nothing */
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, pipe;

	fill_env(env, proxies);
	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	fill_files(&files, fds, n);
	int r = posix_spawn(ret_pid, path, &files, &attr, a.to, v.to);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}
