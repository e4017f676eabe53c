/* Keeps the apps' unit alive, and ends the apps when the host shuts down. */
#include "runtime/hold.h"
#include "lib/io.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 8 /* of groups: unit, berth-ID, one a sandbox, and what it is made of */

/* The first process of a pid namespace below this one is 1 in the last of its numbers. */
static bool is_first(const char *pid)
{
	autobuf text = {.max = 16384};
	char path[64];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%.20s/status", pid);
	if (io_read_file(AT_FDCWD, path, &text) < 0 || !text.len)
		return false;
	line = strstr(text.data, "\nNSpid:");
	if (!line)
		return false;
	line++;
	size_t n = strcspn(line, "\n");
	return n > sizeof("NSpid:\t1\t") - 1 && line[n - 1] == '1' && line[n - 2] == '\t';
}

/* Sends them the signal, 0 only counts them. */
static int tell_processes(int group, int signal)
{
	autobuf pids = {.max = (size_t)16 << 20};
	char *rest, *pid;
	int told = 0;

	if (io_read_file(group, "cgroup.procs", &pids) < 0 || !pids.len)
		return 0;
	rest = pids.data;
	while ((pid = strsep(&rest, "\n")))
		if (*pid && is_first(pid) && kill((pid_t)atoi(pid), signal) == 0)
			told++;
	return told;
}

static void thaw(int group)
{
	int fd autoclose = openat(group, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		io_write_all(fd, "0", 1);
}

/* group is taken over. */
static int tell_tree(int group, int signal, int depth)
{
	DIR *dir = fdopendir(group);
	const struct dirent *entry;
	int told;

	if (!dir) {
		close(group);
		return 0;
	}
	thaw(group);
	told = tell_processes(group, signal);
	while (depth < DEPTH_MAX && (entry = readdir(dir))) {
		int child;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(group, entry->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			told += tell_tree(child, signal, depth + 1);
	}
	closedir(dir);
	return told;
}

int hold_tell(const char *folder, int signal)
{
	int group = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return group < 0 ? 0 : tell_tree(group, signal, 0);
}

/* The group of this process; berthd moves it aside, into a leaf of the unit. false: not version 2. */
static bool own_group(char path[PATH_MAX])
{
	autobuf text = {.max = 65536};
	char *line, *end;

	if (io_read_file(AT_FDCWD, "/proc/self/cgroup", &text) < 0 || !text.len ||
		strncmp(text.data, "0::/", 4) != 0)
		return false;
	line = text.data + 3;
	line[strcspn(line, "\n")] = '\0';
	end = strrchr(line, '/');
	if (end && strcmp(end, "/berth-aside") == 0)
		*end = '\0';
	return strlen(line) > 1 &&
	       snprintf(path, PATH_MAX, "/sys/fs/cgroup%s", line) < PATH_MAX;
}

int hold_run(void)
{
	char path[PATH_MAX];
	sigset_t set;
	int sig, told = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigwait(&set, &sig);
	if (!own_group(path))
		return 0;
	told = hold_tell(path, SIGTERM);
	if (told)
		log_info("told %d instances to end", told);
	for (int ms = 0; ms < HOLD_END_MS && told > 0; ms += 100) {
		usleep(100000);
		told = hold_tell(path, 0);
	}
	return 0;
}
