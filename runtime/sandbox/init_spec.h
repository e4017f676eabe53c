/*
 * How berth-init reads what it shall run (lib/spec.h): without the C library. Only init.c
 * includes it, and the test that compares it with lib/spec.c.
 */
#ifndef RUNTIME_INIT_SPEC_H
#define RUNTIME_INIT_SPEC_H

#include "lib/base.h"
#include "lib/spec.h"
#include "runtime/sandbox/bare.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct command {
	/* argv has room for two words before and env for a variable after what it holds */
	char **argv, **env;
	const char *cwd;
	bool tty, builder;
	char *listen_pid; /* room for the command's pid; NULL: it gets no listener */
};

/* Points v[0..n-1] at the strings, NULL behind; NULL when they run past end. */
static char *point(char **v, uint32_t n, char *s, const char *end)
{
	for (uint32_t i = 0; i < n; i++) {
		v[i] = s;
		while (s < end && *s)
			s++;
		if (s++ >= end)
			return NULL;
	}
	v[n] = NULL;
	return s;
}

static bool head_valid(const struct spec_head *h, long size)
{
	bool ended = false;

	for (size_t i = 0; i < sizeof(h->cwd); i++)
		ended = ended || !h->cwd[i];
	return ended && h->cwd[0] == '/' && h->magic == SPEC_MAGIC && h->argc >= 1 &&
	       h->argc <= SPEC_STRINGS_MAX && h->envc <= SPEC_STRINGS_MAX &&
	       (long)h->size == size - (long)sizeof(*h);
}

static size_t count(char **v)
{
	size_t n = 0;

	while (v[n])
		n++;
	return n;
}

static void *map(size_t size, int fd)
{
	long p = CALL6(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	return p < 0 && p > -4096 ? NULL : (void *)(uintptr_t)p;
}

/* The strings stay where they are, mapped. ours: how many variables may come later. 0 or
 * -errno. */
static int read_spec(struct command *c, int fd, size_t ours)
{
	long seals = CALL2(SYS_fcntl, fd, F_GET_SEALS), size;
	struct spec_head *h;
	char **v, *s, *end;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EPERM;
	size = CALL3(SYS_lseek, fd, 0, SEEK_END);
	if (size < (long)sizeof(*h) || size > (long)(SPEC_SIZE_MAX + sizeof(*h)))
		return -EBADMSG;
	h = map((size_t)size, fd);
	if (!h)
		return -ENOMEM;
	if (!head_valid(h, size))
		return -EBADMSG;
	v = map(sizeof(*v) * (h->argc + h->envc + ours + 8), -1);
	if (!v)
		return -ENOMEM;
	s = (char *)(h + 1);
	end = s + h->size;
	c->cwd = h->cwd;
	c->argv = v + 2;
	c->env = c->argv + h->argc + 1;
	s = point(c->argv, h->argc, s, end);
	s = s ? point(c->env, h->envc, s, end) : NULL;
	return s == end ? 0 : -EBADMSG;
}

#endif
