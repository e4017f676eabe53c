/* Users and groups as an image's /etc/passwd and /etc/group name them. */
#include "buildpacks/dockerfile/docker_users.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 7
#define ID_MAX 65535u

static void read_table(const char *path, struct buf *text)
{
	int fd autoclose = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	text->max = 1u << 20;
	if (fd < 0 || io_read_all(fd, text) < 0)
		buf_reset(text);
	buf_add(text, "", 0);
}

/* Cuts the next line of *at into its fields; missing ones are "". false at the end. */
static bool next_row(char **at, char *fields[FIELDS])
{
	static char none[1];

	if (!*at || !**at)
		return false;
	char *line = *at, *nl = strchr(line, '\n');
	*at = nl ? nl + 1 : NULL;
	if (nl)
		*nl = '\0';
	for (size_t k = 0; k < FIELDS; k++) {
		char *colon = line ? strchr(line, ':') : NULL;
		fields[k] = line ? line : none;
		line = colon ? colon + 1 : NULL;
		if (colon)
			*colon = '\0';
	}
	return true;
}

static bool parse_id(const char *s, unsigned int *ret)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	unsigned long n = strtoul(s, &end, 10);
	*ret = n > ID_MAX ? ID_MAX + 1 : (unsigned int)n;
	return *end == '\0';
}

/* The passwd line of a name or number. */
static bool find_user(const char *who, struct docker_user *u, char name[64])
{
	autobuf text = {0};
	unsigned int wanted, id, gid;
	bool number = parse_id(who, &wanted);
	char *f[FIELDS];

	read_table("/etc/passwd", &text);
	for (char *at = text.data; next_row(&at, f);) {
		if (!parse_id(f[2], &id) || !parse_id(f[3], &gid) ||
			(number ? id != wanted : strcmp(f[0], who) != 0))
			continue;
		u->uid = id;
		u->gid = gid;
		snprintf(u->home, sizeof(u->home), "%s", *f[5] ? f[5] : "/");
		snprintf(name, 64, "%s", f[0]);
		return true;
	}
	if (!number)
		return false;
	u->uid = wanted;
	u->gid = 0;
	return true;
}

static bool is_member(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = list; n && *s;
		s += s[strcspn(s, ",")] ? strcspn(s, ",") + 1 : strcspn(s, ","))
		if (strncmp(s, name, n) == 0 && (s[n] == ',' || s[n] == '\0'))
			return true;
	return false;
}

/* The named group's number, or with group NULL the groups that user is in. */
static bool read_groups(const char *group, const char *user, struct docker_user *u)
{
	autobuf text = {0};
	unsigned int id;
	char *f[FIELDS];

	if (group && parse_id(group, &id)) {
		u->gid = id;
		return true;
	}
	read_table("/etc/group", &text);
	for (char *at = text.data; next_row(&at, f);) {
		if (!parse_id(f[2], &id))
			continue;
		if (group && strcmp(f[0], group) == 0) {
			u->gid = id;
			return true;
		}
		if (!group && id <= ID_MAX && u->n_groups < DOCKER_GROUPS_MAX &&
			is_member(f[3], user))
			u->groups[u->n_groups++] = id;
	}
	return !group;
}

int docker_user_find(const char *spec, struct docker_user *ret, struct err *e)
{
	char name[64] = "", who[64];
	const char *colon = strchr(spec, ':');
	size_t len = colon ? (size_t)(colon - spec) : strlen(spec);

	*ret = (struct docker_user){.home = "/"};
	if (len >= sizeof(who))
		return err_set(e, ENOENT, "the user %.60s... has too long a name", spec);
	snprintf(who, sizeof(who), "%.*s", (int)len, len ? spec : "0");
	if (!len)
		snprintf(who, sizeof(who), "0");
	if (!find_user(who, ret, name))
		return err_set(e, ENOENT,
			"the image's /etc/passwd has no user %s; make it with useradd, "
			"or use "
			"numbers",
			who);
	if (colon && colon[1] && !read_groups(colon + 1, name, ret))
		return err_set(e, ENOENT,
			"the image's /etc/group has no group %.60s; make it with "
			"groupadd, or "
			"use numbers",
			colon + 1);
	if (!colon)
		read_groups(NULL, name, ret);
	if (ret->uid > ID_MAX || ret->gid > ID_MAX)
		return err_set(
			e, ERANGE, "user %.60s: ids go from 0 to %u", spec, ID_MAX);
	return 0;
}
