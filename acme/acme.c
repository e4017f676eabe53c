/*
 * berth-acme: confines uacme, and is its challenge hook. control starts it and holds the other end of ACME_FD. Libc only.
 *   berth-acme run FOLDER PARENT uacme ARGS...   uacme, which writes only below FOLDER and dies with process PARENT
 *   berth-acme begin|done|failed TYPE NAME TOKEN ANSWER   as uacme(1) calls its hook; 0: accepted
 */
#include "lib/confine.h"
#include "lib/io.h"
#include "lib/name.h"
#include "lib/proto.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ANSWER_MS 30000		    /* router workers answer in well under a second */
#define FILE_BYTES (1u << 20)	    /* a chain has a few thousand */
#define MEMORY_BYTES (512ull << 20) /* of address space; uacme needs a tenth */

static int limit(int what, uint64_t most)
{
	const struct rlimit rl = {most, most};

	return setrlimit(what, &rl) < 0 ? -errno : 0;
}

static int enter(const char *folder, struct err *e)
{
	char bin[PATH_MAX];
	const struct confine_place places[] = {
		{"/etc", CONFINE_READ}, /* name servers, the CA store */
		{"/run/systemd/resolve", CONFINE_READ},
		{bin, CONFINE_READ},
		{folder, CONFINE_WRITE},
	};
	int r = io_beside_program("", bin, sizeof(bin));

	if (r < 0)
		return err_sys(e, -r, "cannot find the folder of berth's programs");
	umask(077);
	if ((r = limit(RLIMIT_FSIZE, FILE_BYTES)) < 0 ||
		(r = limit(RLIMIT_AS, MEMORY_BYTES)) < 0)
		return err_sys(e, -r, "cannot limit uacme");
	r = confine("uacme", places, ARRAY_LEN(places), CONFINE_CALLS_OUT, e);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int run(int argc, char **argv)
{
	struct err e = {0};
	uint64_t parent;

	if (argc < 5 || num_parse_u64(argv[3], 1, INT32_MAX, &parent) < 0)
		return 2;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)parent)
		return 1;
	if (enter(argv[2], &e) < 0) {
		fprintf(stderr, "berth-acme: %s\n", e.text);
		return 1;
	}
	execvp(argv[4], argv + 4);
	fprintf(stderr, "berth-acme: cannot start %s: %s\n", argv[4], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

/* What control has done about it: 0 or -errno. */
static int ask(const struct acme_ask *q)
{
	struct pollfd p = {.fd = ACME_FD, .events = POLLIN};
	int32_t answer;

	if (send(ACME_FD, q, sizeof(*q), MSG_NOSIGNAL) != (ssize_t)sizeof(*q))
		return -errno;
	if (poll(&p, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	if (recv(ACME_FD, &answer, sizeof(answer), MSG_DONTWAIT) !=
		(ssize_t)sizeof(answer))
		return -EPIPE;
	return answer;
}

static bool put(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	memcpy(out, text, len);
	return true;
}

static int hook(char **argv)
{
	static const char *const whats[] = {
		[ACME_BEGIN] = "begin", [ACME_DONE] = "done", [ACME_FAILED] = "failed"};
	struct acme_ask q = {0};
	int r;

	if (strcmp(argv[2], "http-01") != 0)
		return 1; /* declined: uacme offers the next kind */
	for (uint32_t i = ACME_BEGIN; i < ARRAY_LEN(whats); i++)
		if (strcmp(argv[1], whats[i]) == 0)
			q.what = i;
	if (!q.what || !put(q.name, sizeof(q.name), argv[3]) ||
		!put(q.token, sizeof(q.token), argv[4]) ||
		!put(q.answer, sizeof(q.answer), argv[5]))
		return 2;
	r = ask(&q);
	if (r < 0)
		fprintf(stderr, "berth-acme: %s: the answer is not in place: %s\n",
			argv[3], strerror(-r));
	return r < 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return run(argc, argv);
	if (argc == 6)
		return hook(argv);
	fprintf(stderr, "berth-acme is started by berth-control\n");
	return 2;
}
