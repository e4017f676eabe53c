/*
 * berth-hook: git's update hook; asks control to deploy what was pushed and relays what
 * it says to the pusher. It is the pre-receive hook too, because git tells only that one
 * the push options: they wait in a memory file of berth-shell's.
 */
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"
#include "receiver/common.h"
#include "receiver/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPTIONS_MAX 64 /* push options of one push */
#define OPTIONS_BYTES_MAX                                                                \
	((size_t)256 << 10) /* config values among them are at most 64 KiB each */
#define PROGRESS_EVERY_NS UINT64_C(5000000000) /* as lines of their own */
#define REWRITE_EVERY_NS UINT64_C(100000000)   /* in place, on a terminal */
#define TRACE_MAX ((size_t)256 << 10)

struct relay {
	bool terminal;	      /* the pusher's: progress is rewritten in place */
	uint64_t progress_ns; /* when it was shown last */
	bool released; /* control stored a release's commit: the ref pushed is the deploy
			  branch */
	int status;    /* of the x line, -1 before it */
};

static char *option_number(int i)
{
	char name[40];

	snprintf(name, sizeof(name), "GIT_PUSH_OPTION_%d", i);
	return getenv(name);
}

/* Its key, once more behind it. */
static bool is_given_again(const char *option, int i, int n)
{
	size_t len = strcspn(option, "=");
	bool again = false;

	while (!again && ++i < n) {
		const char *other = option_number(i);

		again = other && strcspn(other, "=") == len &&
			memcmp(option, other, len) == 0;
	}
	return again;
}

/* GIT_PUSH_OPTION_n is KEY or KEY=VALUE; a key given twice keeps its last value. */
static int add_options(struct buf *b)
{
	int n = common_env_int("GIT_PUSH_OPTION_COUNT"), r = 0;

	if (n > OPTIONS_MAX) {
		common_say("more than %d push options", OPTIONS_MAX);
		return -E2BIG;
	}
	for (int i = 0; i < n && r == 0; i++) {
		char *option = option_number(i), *value;

		if (!option || is_given_again(option, i, n))
			continue;
		value = strchr(option, '=');
		if (value)
			*value++ = 0;
		buf_adds(b, b->len ? "," : "");
		r = jtext_quote(b, option);
		buf_adds(b, ":");
		if (r == 0)
			r = jtext_quote(b, value ? value : "");
		if (r < 0)
			common_say("push option %d is not valid UTF-8", i + 1);
	}
	return r;
}

/*
 * The memory file BERTH_PUSH_FD lives as long as the push: its first byte is set by the
 * first update hook, the options as the inside of a JSON object follow. The hooks of a
 * push run one after the other.
 */
static int keep_options(void)
{
	int fd = common_env_int("BERTH_PUSH_FD");
	autobuf b = BUF_INIT;
	int r = add_options(&b);

	if (r < 0 || b.len == 0)
		return r;
	if (b.failed || b.len > OPTIONS_BYTES_MAX ||
		pwrite(fd, b.data, b.len, 1) != (ssize_t)b.len) {
		common_say("the push options are too long");
		return -E2BIG;
	}
	return 0;
}

static int read_options(struct buf *b)
{
	char *room = buf_room(b, OPTIONS_BYTES_MAX);
	ssize_t n =
		room ? pread(common_env_int("BERTH_PUSH_FD"), room, OPTIONS_BYTES_MAX, 1)
		     : -1;

	if (n < 0)
		return -EIO;
	b->len += (size_t)n;
	return 0;
}

static bool first_of_push(void)
{
	int fd = common_env_int("BERTH_PUSH_FD");
	char seen = 0;
	bool first = pread(fd, &seen, 1, 0) != 1 || !seen;

	seen = 1;
	if (first && pwrite(fd, &seen, 1, 0) != 1)
		common_say("cannot note that the push has begun: %s", strerror(errno));
	return first;
}

static int make_request(struct buf *b, char **argv)
{
	int r;

	buf_adds(b, "{\"ref\":");
	if (jtext_quote(b, argv[1]) < 0) {
		common_say("the name of the branch or tag is not valid UTF-8");
		return -EILSEQ;
	}
	buf_adds(b, ",\"old\":");
	jtext_quote(b, argv[2]);
	buf_adds(b, ",\"new\":");
	jtext_quote(b, argv[3]);
	buf_addf(b, ",\"first_of_push\":%s,\"options\":{",
		first_of_push() ? "true" : "false");
	r = read_options(b);
	buf_adds(b, "}}");
	if (r < 0 || b->failed) {
		common_say("cannot read the push options");
		return -EIO;
	}
	return 0;
}

/*
 * Whether the pusher looks on: a client without a terminal (or with -q) asks for "quiet"
 * in its first command, which git honours and does not pass on. berth-shell has git write
 * its packet trace into a memory file.
 */
static bool has_terminal(void)
{
	int fd = common_env_int("GIT_TRACE_PACKET");
	char *trace autofree = malloc(TRACE_MAX + 1), *line, *end, *capabilities;
	struct stat st;
	off_t from = 0;
	ssize_t n = -1;

	/* Its end: before the commands stands every ref that git advertised. */
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > (off_t)TRACE_MAX)
		from = st.st_size - (off_t)TRACE_MAX;
	if (fd >= 0 && trace)
		n = pread(fd, trace, TRACE_MAX, from);
	if (n <= 0)
		return false;
	trace[n] = 0;
	for (ssize_t i = 0; i < n; i++)
		if (!trace[i])
			trace[i] = ' ';
	line = strstr(trace, "receive-pack< ");
	if (!line)
		return false;
	end = strchr(line, '\n');
	if (end)
		*end = 0;
	capabilities = strstr(line, " report-status");
	return capabilities && !strstr(capabilities, " quiet");
}

static int print(const char *text, char end)
{
	int r = io_write_all(1, text, strlen(text));

	return r < 0 ? r : io_write_all(1, &end, 1);
}

static int progress(struct relay *y, const char *text)
{
	uint64_t now = io_mono_ns();

	if (now - y->progress_ns < (y->terminal ? REWRITE_EVERY_NS : PROGRESS_EVERY_NS))
		return 0;
	y->progress_ns = now;
	return print(text, y->terminal ? '\r' : '\n');
}

static int write_ref(struct relay *y, char *text)
{
	const char *dir = getenv("GIT_DIR");
	char *value = strchr(text, ' ');
	struct err e = {0};
	int r = -EINVAL;

	if (value) {
		*value++ = 0;
		y->released =
			y->released || strncmp(text, "refs/berth/releases/", 20) == 0;
		r = repo_write_ref(dir ? dir : ".", text, value, &e);
	}
	if (r < 0)
		common_say(
			"%s", e.text[0] ? e.text : "berth-control sent a malformed ref");
	return r;
}

/* One line of the stream. 0, or -errno when going on makes no sense. */
static int handle(struct relay *y, char *line)
{
	char *text = line[0] && line[1] == ' ' ? line + 2 : line + strlen(line);
	uint64_t status;

	switch (line[0]) {
	case 'o':
		return print(text, '\n');
	case 'p':
		return progress(y, text);
	case 'r':
		return write_ref(y, text);
	case 'x':
		if (num_parse_u64(text, 0, 255, &status) == 0)
			y->status = (int)status;
		return 0;
	default:
		return 0; /* d: for programs */
	}
}

/* HEAD is the deploy branch, so that a clone checks it out: master, where that was pushed
 * first. */
static void point_head(const char *ref)
{
	const char *dir = getenv("GIT_DIR");
	autobuf head = BUF_INIT;
	char path[PATH_MAX];
	struct err e = {0};

	snprintf(path, sizeof(path), "%s/HEAD", dir ? dir : ".");
	if (strncmp(ref, "refs/heads/", 11) != 0 ||
		io_read_file(AT_FDCWD, path, &head) < 0)
		return;
	head.data[strcspn(head.data, "\n")] = 0;
	if (strncmp(head.data, "ref: ", 5) == 0 && strcmp(head.data + 5, ref) == 0)
		return;
	if (repo_write_ref(dir ? dir : ".", "HEAD", ref, &e) < 0)
		common_say("%s", e.text);
}

static int relay(struct client *c, const char *ref)
{
	struct relay y = {
		.terminal = has_terminal(), .progress_ns = io_mono_ns(), .status = -1};
	const char *app = getenv("BERTH_APP");
	char *line;
	int r = 0, bad = 0;

	/* To its very end also after a failure: the next hook of this push uses the same
	 * connection. Unless the pusher is gone: then the end of this process must reach
	 * control at once. */
	while (bad != -EPIPE && (r = client_line(c, &line)) > 0)
		if (bad == 0)
			bad = handle(&y, line);
	if (bad < 0)
		return 1;
	if (r < 0 || y.status < 0) {
		common_say("berth-control was interrupted; see how the deploy ended: "
			   "berth releases %s",
			app);
		return 1;
	}
	if (y.status == 0 && y.released)
		point_head(ref);
	return y.status ? 1 : 0;
}

/* What the push brought is on disk before its client hears that it was taken. */
static int settle(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY |
				   O_CLOEXEC); /* git runs hooks in the repository */
	int r = fd < 0 ? -1 : syncfs(fd);

	if (fd >= 0)
		close(fd);
	if (r < 0)
		common_say("the push may not be on disk yet: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	int fd = common_env_int("BERTH_API_FD");
	const char *app = getenv("BERTH_APP");
	static struct client c;
	autobuf body = BUF_INIT;
	char path[NAME_MAX_LEN + 32];

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(basename(argv[0]), "pre-receive") == 0)
		return keep_options() < 0;
	if (strcmp(basename(argv[0]), "post-receive") == 0)
		return settle();
	if (argc != 4 || fd < 0 || !app || !name_valid(app)) {
		common_say("push to berth over ssh: berth@HOST:APP");
		return 1;
	}
	client_init(&c, fd);
	if (make_request(&body, argv) < 0)
		return 1;
	snprintf(path, sizeof(path), "/v1/git/%s/update", app);
	if (common_post(&c, path, &body) < 0)
		return 1;
	if (c.status != 200 || !c.stream) {
		common_fail(&c);
		return 1;
	}
	return relay(&c, argv[1]);
}
