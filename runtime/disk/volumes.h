/* Volumes, build caches and what else belongs to an app on disk. */
#ifndef RUNTIME_VOLUMES_H
#define RUNTIME_VOLUMES_H

#include "runtime/disk/chores.h"
#include "runtime/runtime.h"

bool volume_exists(const struct folders *f, uint64_t id);
/* Existing is 0. It is on disk when this returns, as what the next ones remove is gone from it. */
int volume_create(struct runtime *rt, const struct folders *f, uint64_t id);
/* With its snapshots. Absent is 0. The caller knows that no sandbox has it mounted. */
int volume_remove(struct chores *c, const struct folders *f, uint64_t id);
/* A part of the app's build caches, or (0) their folder. Absent is 0. The caller knows that no sandbox has it mounted. */
int cache_remove(struct chores *c, const struct folders *f, uint32_t app, uint64_t part);
/* The app's repository and build cache; its logs. Absent is 0; name is name_valid. */
int app_files_remove(
	struct chores *c, const struct folders *f, uint32_t app, const char *name);
/* The repository in repos/; none is 0. -EBUSY while something is pushed to it, -EEXIST. */
int app_repo_rename(const struct folders *f, const char *from, const char *to);
int app_logs_remove(struct chores *c, const struct folders *f, uint32_t app);

#endif
