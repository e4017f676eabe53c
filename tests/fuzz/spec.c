/*
 * What a sandbox runs, as berth-init reads it and as lib/spec.c does: both take it or neither,
 * with the same words, folder and environment.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/sandbox/bare.h"

/* What berth-init maps stays until its end: here it is remembered and undone. */
static struct {
	void *at;
	size_t size;
} mapped[4];
static unsigned int n_mapped;

static long map_call(size_t size, long prot, long flags, int fd)
{
	long p = bare_call(SYS_mmap, 0, (long)size, prot, flags, fd, 0);

	if (p > 0 && n_mapped < ARRAY_LEN(mapped)) {
		mapped[n_mapped].at = (void *)(uintptr_t)p;
		mapped[n_mapped++].size = size;
	}
	return p;
}

#undef CALL6
#define CALL6(n, at, size, prot, flags, fd, offset) map_call(size, prot, flags, fd)
#include "runtime/sandbox/init_spec.h"

#define OURS 3 /* variables that may come later */

static void unmap_all(void)
{
	while (n_mapped) {
		n_mapped--;
		CHECK(munmap(mapped[n_mapped].at, mapped[n_mapped].size) == 0);
	}
}

static void check_same(char **a, char **b)
{
	for (; *a && *b; a++, b++)
		CHECK(strcmp(*a, *b) == 0);
	CHECK(!*a && !*b);
}

static void compare(int fd)
{
	char **argv, **env, cwd[256];
	void *mem autofree = NULL;
	struct command c = {.tty = false};
	int inside = read_spec(&c, fd, OURS);
	int r = spec_unpack(fd, &argv, &env, cwd, &mem);

	CHECK((inside == 0) == (r == 0));
	CHECK(r == 0 || inside == r);
	if (r == 0) {
		CHECK(count(c.argv) >= 1 && strcmp(c.cwd, cwd) == 0 && cwd[0] == '/');
		check_same(c.argv, argv);
		check_same(c.env, env);
		/* a word before and variables behind fit, as exec_command and add_env use them */
		c.argv[-1] = c.argv[0];
		for (size_t n = count(c.env), i = 0; i < OURS + 1; i++)
			c.env[n + i] = NULL;
	}
	unmap_all();
}

/* A sound one: words and variables out of the input's lines. */
static int compose(struct input *in)
{
	const char *argv[9] = {"/bin/true"}, *env[9] = {NULL};
	unsigned int n_argv = take_u8(in) % 8 + 1, n_env = take_u8(in) % 8;
	char *text = text_of(in->p, in->n), *at = text;
	int fd;

	for (unsigned int i = 0; i < n_argv + n_env; i++) {
		char *word = strsep(&at, "\n");

		word = word ?: (char[]){""};
		*(i < n_argv ? &argv[i] : &env[i - n_argv]) = word;
		at = at ?: text + strlen(text);
	}
	fd = spec_pack(argv, env, "/app");
	CHECK(fd >= 0);
	free(text);
	return fd;
}

static void not_sealed(const void *data, size_t n)
{
	int fd autoclose = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int pipes[2];

	CHECK(fd >= 0 && io_write_all(fd, data, n) == 0);
	compare(fd);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
	compare(fd);
	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	compare(pipes[0]);
	close(pipes[0]);
	close(pipes[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	static char bytes[1 << 16];
	uint8_t how = take_u8(&in);
	size_t n = in.n < sizeof(bytes) ? in.n : sizeof(bytes);

	if (how & 1) { /* the input as it is */
		memcpy(bytes, in.p, n);
	} else {
		struct input patches = in;
		int fd autoclose = compose(&in);
		ssize_t got = pread(fd, bytes, sizeof(bytes), 0);

		CHECK(got >= (ssize_t)sizeof(struct spec_head));
		compare(fd);
		n = (size_t)got;
		take_patches(&patches, bytes, how & 2 ? sizeof(struct spec_head) : n);
		if (how & 4)
			n = take_u16(&patches) % (n + 1);
	}
	int fd autoclose = io_memfd_sealed("spec", bytes, n);
	CHECK(fd >= 0);
	compare(fd);
	if (how & 8)
		not_sealed(bytes, n);
	return 0;
}
