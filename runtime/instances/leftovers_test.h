/*
 * Everything that sandboxes can leave behind, as text: one line a thing, without numbers
 * that differ from run to run. Two of these are compared before and after.
 */
#ifndef RUNTIME_LEFTOVERS_TEST_H
#define RUNTIME_LEFTOVERS_TEST_H

#include "lib/buf.h"
#include "lib/io.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct leftovers {
	const char *dir;   /* of this berth: what mentions it is ours */
	const char *id;	   /* runtime_id */
	const char *state; /* its folders' entries count */
	const char *run;
	pid_t pid;	       /* whose descriptors and mounts count */
	pid_t children;	       /* whose children */
	const uint64_t *ahead; /* ids whose control groups are only kept ready */
	size_t n_ahead;
};

/* "net:[4026532241]" is "net:[]", "/dev/loop7" is "/dev/loop". */
static void leftovers_add(struct buf *b, const char *kind, const char *text)
{
	buf_addf(b, "%s ", kind);
	for (; *text; text++)
		if (!isdigit((unsigned char)*text))
			buf_add(b, text, 1);
	buf_adds(b, "\n");
}

static void leftovers_folder(struct buf *b, const char *kind, const char *path,
	bool (*wanted)(const char *name, const void *arg), const void *arg)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && (!wanted || wanted(e->d_name, arg)))
			leftovers_add(b, kind, wanted ? "" : e->d_name);
	if (d)
		closedir(d);
}

static void leftovers_fds(struct buf *b, pid_t pid)
{
	char path[64], target[PATH_MAX];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		if (n > 0 && strcmp(target, path) != 0)
			leftovers_add(b, "fd", target);
	}
	if (d)
		closedir(d);
}

/* A process by its name; one that is gone is none. */
static void leftovers_process(struct buf *b, const char *kind, long pid)
{
	char path[64], name[96];
	autobuf comm = {.max = 256};

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	if (io_read_file(AT_FDCWD, path, &comm) < 0 || !comm.data)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(comm.data, "\n"), comm.data);
	leftovers_add(b, kind, name);
}

static void leftovers_children(struct buf *b, pid_t pid)
{
	char path[64];
	autobuf list = {.max = 1 << 20};

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (io_read_file(AT_FDCWD, path, &list) < 0 || !list.data)
		return;
	for (char *p = list.data, *end; strtol(p, &end, 10) > 0; p = end)
		leftovers_process(b, "child", strtol(p, NULL, 10));
}

static void leftovers_file(
	struct buf *b, const char *kind, const char *path, const char *word)
{
	autobuf text = {.max = 4 << 20};
	char *save = NULL;

	if (io_read_file(AT_FDCWD, path, &text) < 0 || !text.data)
		return;
	for (char *l = strtok_r(text.data, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save))
		if (strstr(l, word))
			leftovers_add(b, kind, l);
}

static bool leftovers_is_veth(const char *name, const void *id)
{
	return name[0] == 'b' && strncmp(name + 1, id, 8) == 0 && name[9] == '-';
}

static bool leftovers_is_group(const char *name, const void *arg)
{
	const struct leftovers *l = arg;
	uint64_t id;
	char *end;

	id = strtoull(name, &end, 16);
	if (end != name + 16 || *end)
		return false;
	for (size_t i = 0; i < l->n_ahead; i++)
		if (l->ahead[i] == id)
			return false;
	return true;
}

static void leftovers_members(
	struct buf *b, const char *groups, const struct leftovers *l)
{
	char path[PATH_MAX + 300];
	struct dirent *e;
	DIR *d = opendir(groups);

	while (d && (e = readdir(d))) {
		autobuf procs = {.max = 1 << 20};

		snprintf(path, sizeof(path), "%s/%s/cgroup.procs", groups, e->d_name);
		if (!leftovers_is_group(e->d_name, l) ||
			io_read_file(AT_FDCWD, path, &procs) < 0)
			continue;
		for (char *p = procs.data, *end; p && strtol(p, &end, 10) > 0; p = end)
			leftovers_process(b, "member", strtol(p, NULL, 10));
	}
	if (d)
		closedir(d);
}

/* Every hierarchy: version 2, in a unit or not, and those of version 1. Where a sandbox has
 * groups in several, one of them is its "group". */
static void leftovers_groups(struct buf *b, const struct leftovers *l)
{
	static const struct {
		const char *at, *kind;
	} all[] = {{"", "group"}, {"/system.slice/berth-apps.service", "group"},
		{"/pids", "group"}, {"/memory", "memory"}, {"/cpu", "cpu"},
		{"/cpuacct", "cpuacct"}, {"/freezer", "freezer"}, {"/cpu,cpuacct", "cpu"},
		{"/unified", "unified"}};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/berth-%s", all[i].at,
			l->id);
		leftovers_folder(b, all[i].kind, path, leftovers_is_group, l);
		leftovers_members(b, path, l);
	}
}

static void leftovers_loops(struct buf *b, const char *dir)
{
	char path[64];

	for (int i = 0; i < 256; i++) {
		autobuf file = {.max = PATH_MAX};

		snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", i);
		if (io_read_file(AT_FDCWD, path, &file) == 0 && file.data &&
			strstr(file.data, dir))
			leftovers_add(b, "loop", "");
	}
}

static int leftovers_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In an order of its own: descriptors' numbers and folders' orders do not count. */
static void leftovers_sort(const struct buf *from, struct buf *to)
{
	char *copy autofree = strdup(from->data ? from->data : ""), *save = NULL;
	char *lines[4096];
	size_t n = 0;

	for (char *l = copy ? strtok_r(copy, "\n", &save) : NULL;
		l && n < ARRAY_LEN(lines); l = strtok_r(NULL, "\n", &save))
		lines[n++] = l;
	qsort(lines, n, sizeof(lines[0]), leftovers_order);
	buf_reset(to);
	for (size_t i = 0; i < n; i++)
		buf_addf(to, "%s\n", lines[i]);
}

static UNUSED void leftovers_list(const struct leftovers *l, struct buf *out)
{
	static const char *const folders[] = {
		"layers", "scratch", "volumes", "names", "stack-build"};
	char path[PATH_MAX];
	autobuf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", l->state, folders[i]);
		leftovers_folder(&b, folders[i], path, NULL, NULL);
	}
	snprintf(path, sizeof(path), "%s/instances", l->run);
	leftovers_folder(&b, "record", path, NULL, NULL);
	snprintf(path, sizeof(path), "%s/listen", l->run);
	leftovers_folder(&b, "listener", path, NULL, NULL);
	snprintf(path, sizeof(path), "%s/fifo", l->run);
	leftovers_folder(&b, "fifo", path, NULL, NULL);
	leftovers_folder(&b, "veth", "/sys/class/net", leftovers_is_veth, l->id);
	leftovers_groups(&b, l);
	leftovers_loops(&b, l->dir);
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)l->pid);
	leftovers_file(&b, "mount", path, l->dir);
	leftovers_fds(&b, l->pid);
	leftovers_children(&b, l->children);
	leftovers_sort(&b, out);
}

/* The first line that only one of them has; NULL when they are equal. */
static UNUSED const char *leftovers_differ(
	const struct buf *a, const struct buf *b, char text[512])
{
	const char *p = a->data ? a->data : "", *q = b->data ? b->data : "";
	size_t n;

	if (strcmp(p, q) == 0)
		return NULL;
	while (*p && (n = strcspn(p, "\n")) == strcspn(q, "\n") && !strncmp(p, q, n)) {
		p += n + 1;
		q += n + 1;
	}
	snprintf(text, 512, "before \"%.*s\", now \"%.*s\"", (int)strcspn(p, "\n"), p,
		(int)strcspn(q, "\n"), q);
	return text;
}

#endif
