/*
 * For tests that make more than their folder in /tmp: the folder is marked while its test
 * lives, and what a killed one has left is removed by the next.
 */
#ifndef RUNTIME_SWEEP_TEST_H
#define RUNTIME_SWEEP_TEST_H

#include "lib/base.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

/* 0, or -1. The mark goes with this process, and with those that it forks. */
static UNUSED int sweep_mark(const char *dir)
{
	char made[PATH_MAX], mark[PATH_MAX];
	int fd;

	snprintf(made, sizeof(made), "%s/alive.new", dir);
	snprintf(mark, sizeof(mark), "%s/alive", dir);
	fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 || flock(fd, LOCK_EX) < 0 ? -1 : rename(made, mark);
}

/* Calls remove with each folder of the pattern whose test is dead. A folder without a mark
 * is not ours. */
static UNUSED void sweep_dead(const char *pattern, void (*remove)(const char *dir))
{
	char mark[PATH_MAX];
	glob_t found;

	if (glob(pattern, GLOB_ONLYDIR, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		snprintf(mark, sizeof(mark), "%s/alive", found.gl_pathv[i]);
		int fd autoclose = open(mark, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove(found.gl_pathv[i]);
	}
	globfree(&found);
}

#endif
