/* Runs one program (a pack's script, apt, ...) and relays what it prints. */
#include "buildpacks/run.h"
#include "lib/io.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TICK_MS 5000 /* of silence, before the time is shown */

extern char **environ;

static void say(const char *lead, char end, const char *fmt, va_list ap)
{
	autobuf line = BUF_INIT;
	char text[ERR_TEXT_MAX * 2];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = *s == '\n' ? ' ' : '?';
	if (buf_addf(&line, "%s%s%c", lead, text, end) == 0)
		io_write_all(STDERR_FILENO, line.data, line.len);
}

#define SAY(name, lead, end)                                                             \
	void name(const char *fmt, ...)                                                  \
	{                                                                                \
		va_list ap;                                                              \
		va_start(ap, fmt);                                                       \
		say(lead, end, fmt, ap);                                                 \
		va_end(ap);                                                              \
	}
SAY(say_step, "-----> ", '\n')
SAY(say_detail, "       ", '\n')
SAY(say_warning, " !     ", '\n')
SAY(say_progress, "       ", '\r')

static bool formed(const char *s, size_t len)
{
	static const char *const leads[] = {"----->", "=====>", " !    ", "       "};

	for (size_t i = 0; i < ARRAY_LEN(leads); i++)
		if (len >= strlen(leads[i]) && memcmp(s, leads[i], strlen(leads[i])) == 0)
			return true;
	return false;
}

/* A host whose name a build could not look up, as programs say it. */
struct unknown_host {
	char name[128];
};

static void note_host(struct unknown_host *u, const char *s, size_t len)
{
	static const char *const signs[] = {"getaddrinfo ENOTFOUND ",
		"getaddrinfo EAI_AGAIN ",
		"Could not resolve host: ", "Could not resolve '", "dial tcp: lookup ",
		"Could not reach host ", "getaddrinfo for ", "Unknown host ",
		"failed to resolve address for "};

	for (size_t i = 0; i < ARRAY_LEN(signs) && !u->name[0]; i++) {
		const char *at = memmem(s, len, signs[i], strlen(signs[i]));
		size_t n = 0;
		if (!at)
			continue;
		at += strlen(signs[i]);
		while (at + n < s + len && n < sizeof(u->name) - 1 &&
			(isalnum((unsigned char)at[n]) || at[n] == '.' || at[n] == '-'))
			n++;
		if (memchr(at, '.', n))
			memcpy(u->name, at, n);
	}
}

/* One line without its newline; of "10%\r50%\r100%" only the last state. */
static void relay_line(void *arg, const char *s, size_t len)
{
	autobuf out = BUF_INIT;

	if (arg)
		note_host(arg, s, len);

	while (len > 0 && s[len - 1] == '\r')
		len--;
	const char *cr = memrchr(s, '\r', len);
	if (cr) {
		len -= (size_t)(cr + 1 - s);
		s = cr + 1;
	}
	if (len > 0 && !formed(s, len))
		buf_adds(&out, "       ");
	buf_add(&out, s, len);
	buf_adds(&out, "\n");
	if (!out.failed)
		io_write_all(STDERR_FILENO, out.data, out.len);
}

struct lines {
	struct buf in;
	run_line_cb line;
	void *arg;
	bool tick; /* show the time when nothing is printed for a while */
};

static void relay(struct lines *l, bool at_end)
{
	struct buf *in = &l->in;
	char *nl;

	while (in->len > 0 && (nl = memchr(in->data, '\n', in->len))) {
		l->line(l->arg, in->data, (size_t)(nl - in->data));
		buf_consume(in, (size_t)(nl + 1 - in->data));
	}
	if (in->len >= RUN_LINE_MAX || (at_end && in->len > 0)) {
		l->line(l->arg, in->data, in->len);
		buf_reset(in);
	}
}

/* Reads once what fd has. 1, 0 at its end, -errno. */
static int read_some(int fd, struct buf *b)
{
	char *room = buf_room(b, RUN_LINE_MAX);

	if (!room)
		return -EMSGSIZE;
	ssize_t n = read(fd, room, RUN_LINE_MAX);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	b->len += (size_t)n;
	return n > 0;
}

/*
 * Until both pipes are closed by everyone who holds them, or the program has ended and
 * what it printed is read: a build may leave something running behind it. out_fd and
 * pid_fd may be -1.
 */
static int pump(int err_fd, int out_fd, int pid_fd, struct lines *lines, struct buf *out)
{
	struct pollfd p[] = {{.fd = err_fd, .events = POLLIN},
		{.fd = out_fd, .events = POLLIN}, {.fd = pid_fd, .events = POLLIN}};
	const uint64_t began = io_mono_ns();
	int r = 0;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		bool ended = p[2].revents != 0;
		p[0].revents = p[1].revents = 0;
		int n = poll(p, ended ? 2 : 3, ended ? 0 : lines->tick ? TICK_MS : -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && !ended) {
			say_progress("%u s",
				(unsigned int)((io_mono_ns() - began) / 1000000000));
			continue;
		}
		if (n == 0 && ended)
			break;
		if (n > 0 && p[0].revents && read_some(err_fd, &lines->in) <= 0)
			p[0].fd = -1;
		if (n > 0 && p[1].revents && (n = read_some(out_fd, out)) <= 0) {
			p[1].fd = -1;
			r = n;
		}
		relay(lines, false);
	}
	relay(lines, true);
	return r;
}

static int spawn(
	const char *const *argv, const char *dir, int err_fd, int out_fd, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	int self autoclose = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	int r;

	if (posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, err_fd, STDERR_FILENO);
	if (self >= 0)
		posix_spawn_file_actions_adddup2(&fa, self, RUN_SELF_FD);
	if (dir)
		posix_spawn_file_actions_addchdir_np(&fa, dir);
	/* posix_spawn wants char *const *, and changes nothing. */
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv};
	r = posix_spawnp(ret, argv[0], &fa, NULL, args.out, environ);
	posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static int run(const char *const *argv, const char *dir, struct lines *lines,
	struct buf *out, struct err *e)
{
	int errors[2] = {-1, -1}, output[2] = {-1, -1};
	pid_t pid = -1;
	int status, r;

	if (pipe2(errors, O_CLOEXEC) < 0 || (out && pipe2(output, O_CLOEXEC) < 0)) {
		r = -errno;
	} else {
		r = spawn(argv, dir, errors[1], out ? output[1] : errors[1], &pid);
	}
	for (int i = 0; i < 2; i++)
		if (i == 1 || r < 0) {
			autoclose_(&errors[i]);
			autoclose_(&output[i]);
		}
	if (r < 0)
		return err_sys(e, -r, "cannot run %s", argv[0]);
	int pid_fd autoclose = (int)syscall(SYS_pidfd_open, pid, 0);
	r = pump(errors[0], output[0], pid_fd, lines, out);
	autoclose_(&errors[0]);
	autoclose_(&output[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "cannot wait for %s", argv[0]);
	if (r < 0)
		return err_sys(e, -r, "%s printed too much", argv[0]);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_lines(const char *const *argv, const char *dir, run_line_cb line, void *arg,
	struct err *e)
{
	struct lines lines = {.line = line, .arg = arg};
	int r = run(argv, dir, &lines, NULL, e);

	buf_free(&lines.in);
	return r;
}

int run_program(const char *const *argv, const char *dir, struct buf *out, struct err *e)
{
	struct unknown_host unknown = {0};
	struct lines lines = {.line = relay_line, .arg = &unknown, .tick = !out};
	int r = run(argv, dir, &lines, out, e);

	buf_free(&lines.in);
	if (r > 0 && !out && unknown.name[0])
		say_warning("the build tried to reach %s, which cannot be looked up from "
			    "here",
			unknown.name);
	return r;
}
