/*
 * Project quotas (quotactl(2), ext4 and xfs): a folder and all that is made in it count for a number, which has limits.
 * An app cannot leave its project: the number can only be changed outside of user namespaces.
 */
#ifndef RUNTIME_QUOTA_H
#define RUNTIME_QUOTA_H

#include "lib/base.h"

struct quota {
	uint64_t size_bytes, used_bytes;
	uint64_t files_max, files;
};

/* Whether the file system of the folder counts projects and keeps their limits. */
bool quota_enforced(int dir);
/* The project of the folder; 0: of none. */
uint32_t quota_project(int dir);
/* Limits and use of a project; all zero: nothing has its number. 0 or -errno. */
int quota_read(int dir, uint32_t project, struct quota *ret);
/* From now on; 0: no limit. 0 or -errno. */
int quota_limit(int dir, uint32_t project, uint64_t size_bytes, uint64_t files_max);
/* An empty folder, and all that will be in it, becomes the project's. 0 or -errno. */
int quota_give(int dir, uint32_t project);

#endif
