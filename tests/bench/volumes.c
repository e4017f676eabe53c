/* What writing to a folder takes: 256 MB in a row, 4 KB with fsync, a thousand small files. Prints milliseconds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MB (1u << 20)
#define SEQUENTIAL_MB 256
#define SYNCED 500
#define FILES 1000

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int open_new(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	must(fd >= 0, name);
	return fd;
}

static void sequential(void)
{
	char *block = malloc(MB);
	int fd = open_new("sequential");

	must(block != NULL, "memory");
	memset(block, 'x', MB);
	for (int i = 0; i < SEQUENTIAL_MB; i++)
		must(write(fd, block, MB) == MB, "write");
	must(fsync(fd) == 0, "fsync");
	close(fd);
	free(block);
}

static void synced(void)
{
	char block[4096];
	int fd = open_new("synced");

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < SYNCED; i++)
		must(write(fd, block, sizeof(block)) == sizeof(block) && fsync(fd) == 0,
			"write and fsync");
	close(fd);
}

static void small_files(void)
{
	char name[32], text[1024];
	int fd = -1;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < FILES; i++) {
		if (fd >= 0)
			close(fd);
		snprintf(name, sizeof(name), "small-%d", i);
		fd = open_new(name);
		must(write(fd, text, sizeof(text)) == sizeof(text), name);
	}
	must(syncfs(fd) == 0, "syncfs");
	close(fd);
}

static void remove_all(void)
{
	char name[32];

	unlink("sequential");
	unlink("synced");
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "small-%d", i);
		unlink(name);
	}
	sync();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} works[] = {
		{"sequential", sequential}, {"synced", synced}, {"small", small_files}};

	must(argc == 2 && chdir(argv[1]) == 0, "the folder");
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		double began = now_ms();

		works[i].run();
		printf("%s %.1f\n", works[i].name, now_ms() - began);
	}
	remove_all();
	return 0;
}
