/*
 * An app that writes lines: LINES of LENGTH bytes to its output, EACH of them with one write, RATE a second (0: as fast as
 * they are taken). Then the line "END", and it waits to be ended: so that a logger's time can be read while it lives.
 * usage: logwrite LINES LENGTH EACH RATE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LENGTH_MAX 8000
#define EACH_MAX 4096

static void write_all(const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(1, p, len);

		if (n <= 0)
			exit(1);
		p += n;
		len -= (size_t)n;
	}
}

static void pause_for(double seconds)
{
	struct timespec t = {
		(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	static char block[LENGTH_MAX * EACH_MAX];
	long lines, length, each, rate;
	size_t at = 0;

	if (argc != 5)
		return 2;
	lines = strtol(argv[1], NULL, 10);
	length = strtol(argv[2], NULL, 10);
	each = strtol(argv[3], NULL, 10);
	rate = strtol(argv[4], NULL, 10);
	if (lines < 1 || length < 8 || length > LENGTH_MAX || each < 1 || each > EACH_MAX)
		return 2;
	for (long i = 0; i < each; i++) {
		for (long k = 0; k < length - 1; k++)
			block[at++] = (char)("request took ms path=/a/b "[k % 26]);
		block[at++] = '\n';
	}
	for (long done = 0; done < lines; done += each) {
		write_all(block,
			(size_t)((lines - done < each ? lines - done : each) * length));
		if (rate)
			pause_for((double)each / (double)rate);
	}
	write_all("END\n", 4);
	for (;;)
		pause();
}
