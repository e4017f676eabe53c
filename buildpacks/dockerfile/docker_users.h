/* Users and groups as an image's /etc/passwd and /etc/group name them. */
#ifndef BUILDPACKS_DOCKER_USERS_H
#define BUILDPACKS_DOCKER_USERS_H

#include "lib/err.h"
#include <sys/types.h>

#define DOCKER_GROUPS_MAX 32

struct docker_user {
	uid_t uid;
	gid_t gid;
	char home[256];			 /* "/" where nothing says another */
	gid_t groups[DOCKER_GROUPS_MAX]; /* further ones of /etc/group */
	size_t n_groups;
};

/*
 * "USER", "USER:GROUP", each a name or a number; "" is root. A number needs no line in passwd; its
 * group then is 0. -ENOENT for a name that the image does not know, -ERANGE above 65535.
 */
int docker_user_find(const char *spec, struct docker_user *ret, struct err *e);

#endif
