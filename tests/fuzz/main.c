/*
 * Replays a corpus without libFuzzer: every file, and mutations of each, always the same
 * ones. Prints TAP. usage: NAME FOLDER [MUTATIONS]
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FILE_MAX (1u << 20)
#define INPUT_S 30 /* an input that takes longer hangs */

static uint64_t state;

static uint32_t next_random(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size);

	CHECK(copy || !size);
	if (size)
		memcpy(copy, data, size);
	alarm(INPUT_S);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

/* Changes some bytes; cuts, repeats or drops a part. The new size, at most FILE_MAX. */
static size_t mutate(uint8_t *data, size_t size)
{
	for (uint32_t n = next_random() % 4 + 1; n > 0 && size > 0; n--) {
		size_t at = next_random() % size, len = next_random() % (size - at) + 1;

		switch (next_random() % 5) {
		case 0:
			data[at] = (uint8_t)next_random();
			break;
		case 1:
			data[at] ^= (uint8_t)(1u << next_random() % 8);
			break;
		case 2:
			size = at;
			break;
		case 3:
			memmove(data + at, data + at + len, size - at - len);
			size -= len;
			break;
		default:
			if (size + len > FILE_MAX)
				break;
			memmove(data + at + len, data + at, size - at);
			size += len;
		}
	}
	return size;
}

static void replay(const char *path, unsigned int mutations)
{
	static uint8_t data[FILE_MAX], changed[FILE_MAX];
	FILE *f = fopen(path, "rbe");
	size_t size;

	CHECK(f);
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	run(data, size);
	for (unsigned int i = 0; i < mutations; i++) {
		state = i + 1;
		memcpy(changed, data, size);
		run(changed, mutate(changed, size));
	}
}

static int is_input(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Whether a read one byte beyond an input ends a program: else none of this means much. */
static bool overreads_end(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		uint8_t *p = malloc(8);

		(void)!freopen("/dev/null", "w", stderr);
		_exit(((volatile uint8_t *)p)[8] & 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status != 0;
}

int main(int argc, char **argv)
{
	unsigned int mutations = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	struct dirent **files;
	char path[PATH_MAX];
	int n;

	if (argc < 2)
		return 2;
	printf("1..2\n%s 1 - %s: a read beyond an input is seen\n",
		overreads_end() ? "ok" : "not ok", name);
	n = scandir(argv[1], &files, is_input, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", argv[1], files[i]->d_name);
		/* the last of these lines is the one that did it */
		printf("# %s\n", path);
		fflush(stdout);
		replay(path, mutations);
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	printf("%s 2 - %s: %d inputs, %u mutations of each\n", n > 0 ? "ok" : "not ok",
		name, n, mutations);
	return n > 0 ? 0 : 1;
}
