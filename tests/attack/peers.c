/* runc and bubblewrap beside berth; see peers.h and tests/attack/peer. */
#include "tests/attack/peers.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SCRIPT "tests/attack/peer"

const char *const peer_names[PEERS] = {"runc", "bwrap"};

bool peer_there(enum peer p)
{
	static const char *const folders[] = {"/usr/bin", "/usr/sbin"};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], peer_names[p]);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

int peers_plant(struct ground *g, const char *probe)
{
	static const char *const folders[] = {"", "/rootfs", "/rootfs/tmp",
		"/rootfs/proc", "/rootfs/dev", "/rootfs/sys", "/rootfs/etc",
		"/rootfs/volume", "/rootfs/volume-ro"};
	char path[160];

	chmod(g->dir, 0711); /* bubblewrap runs as a plain user there */
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/peers%s", g->dir, folders[i]);
		if (mkdir(path, 0755) < 0)
			return ground_trouble(path);
	}
	snprintf(path, sizeof(path), "%s/peers/rootfs/volume-ro/note", g->dir);
	if (ground_copy("/dev/null", path, RUNTIME_APP_UID, 0644) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/peers/rootfs/volume", g->dir);
	if (ground_plant_volume(path, probe, 0) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/peers/rootfs", g->dir);
	return ground_plant_root(path, probe, 0);
}

static void exec_script(struct ground *g, enum peer p, bool root, const char *const *argv)
{
	const char *args[256] = {SCRIPT, peer_names[p], root ? "root" : "app"};
	char folder[96];
	size_t n = 3;

	snprintf(folder, sizeof(folder), "%s/peers", g->dir);
	args[n++] = folder;
	for (; *argv && n + 1 < ARRAY_LEN(args); argv++)
		args[n++] = *argv;
	for (size_t i = 0; i < ARRAY_LEN(g->env); i++)
		putenv(g->env[i]);
	execv(SCRIPT, (char *const *)(void *)args);
	_exit(127);
}

int peer_run(struct ground *g, enum peer p, bool root, const char *const *argv,
	struct buf *out)
{
	int ends[2], status = 0, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return ground_trouble("fork");
	if (pid == 0) {
		alarm(60);
		dup2(ends[1], 1);
		exec_script(g, p, root, argv);
	}
	close(ends[1]);
	r = io_read_all(ends[0], out);
	close(ends[0]);
	waitpid(pid, &status, 0);
	return r < 0 || status != 0 ? -1 : 0;
}
