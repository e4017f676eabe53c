/* What a sandbox runs: argv and environment packed into a sealed memfd. */
#include "lib/spec.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static uint32_t add_strings(struct buf *b, const char *const *v)
{
	uint32_t n = 0;

	for (; v && v[n]; n++)
		buf_add(b, v[n], strlen(v[n]) + 1);
	return n;
}

int spec_pack(const char *const *argv, const char *const *env, const char *cwd)
{
	struct spec_head head = {.magic = SPEC_MAGIC};
	autobuf b = {.max = SPEC_SIZE_MAX};

	if (strlen(cwd) >= sizeof(head.cwd))
		return -ENAMETOOLONG;
	memcpy(head.cwd, cwd, strlen(cwd));
	buf_add(&b, &head, sizeof(head));
	head.argc = add_strings(&b, argv);
	head.envc = add_strings(&b, env);
	if (b.failed || head.argc + head.envc > SPEC_STRINGS_MAX)
		return -E2BIG;
	if (head.argc == 0)
		return -EINVAL;
	head.size = (uint32_t)(b.len - sizeof(head));
	memcpy(b.data, &head, sizeof(head));
	return io_memfd_sealed("spec", b.data, b.len);
}

static bool head_valid(const struct spec_head *h, uint64_t file_size)
{
	return h->magic == SPEC_MAGIC && h->argc >= 1 && h->argc <= SPEC_STRINGS_MAX &&
	       h->envc <= SPEC_STRINGS_MAX && h->size <= SPEC_SIZE_MAX &&
	       h->size == file_size - sizeof(*h) && h->cwd[0] == '/' &&
	       memchr(h->cwd, '\0', sizeof(h->cwd));
}

/* Points v[0..n-1] at the strings; NULL when they run past end. */
static char *point(char **v, uint32_t n, char *s, const char *end)
{
	for (uint32_t i = 0; i < n; i++) {
		char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;
		if (!nul)
			return NULL;
		v[i] = s;
		s = nul + 1;
	}
	v[n] = NULL;
	return s;
}

int spec_unpack(
	int fd, char ***ret_argv, char ***ret_env, char ret_cwd[256], void **ret_mem)
{
	struct spec_head h;
	struct stat st;

	if (io_memfd_check(fd) < 0)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) ||
		!head_valid(&h, (uint64_t)st.st_size))
		return -EBADMSG;
	size_t vectors = sizeof(char *) * ((size_t)h.argc + h.envc + 2);
	char *mem autofree = malloc(vectors + h.size + 1);
	if (!mem)
		return -ENOMEM;
	char *strings = mem + vectors;
	if (pread(fd, strings, h.size, sizeof(h)) != (ssize_t)h.size)
		return -EBADMSG;
	char **argv = (char **)(void *)mem, **env = argv + h.argc + 1;
	char *next = point(argv, h.argc, strings, strings + h.size);
	next = next ? point(env, h.envc, next, strings + h.size) : NULL;
	if (next != strings + h.size)
		return -EBADMSG;
	memcpy(ret_cwd, h.cwd, sizeof(h.cwd));
	*ret_argv = argv;
	*ret_env = env;
	*ret_mem = TAKE_PTR(mem);
	return 0;
}
