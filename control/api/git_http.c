/* git over HTTP: from libmicrohttpd to a berth-shell and back. */
#include "control/api/git_http.h"
#include "control/api/api.h"
#include "control/engine.h"
#include "lib/base64.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD_MAX 8192u	/* of git-http-backend's answer; it writes a few hundred bytes */
#define WORDS_MAX 4096u /* of what is said on stderr */
#define BLOCK 32768u
#define PIPE_BYTES (1 << 20) /* progress that git writes while it reads waits here */
#define ACCESS_PATH "/v1/git/A/access"

struct git_http {
	struct git_path path;
	int watch;	  /* the connection: its end ends all */
	int in, out, err; /* pipes to and from berth-shell; -1: closed */
	struct buf head, words;
	size_t given; /* of head */
};

/* ---- requests ---- */

/* One name and nothing else; else app stays "". */
static void take_name(struct git_path *p, const char *at, size_t len)
{
	if (len > 4 && memcmp(at + len - 4, ".git", 4) == 0)
		len -= 4;
	if (len > NAME_MAX_LEN)
		return;
	memcpy(p->app, at, len);
	if (!name_valid(p->app))
		p->app[0] = '\0';
}

bool git_path_parse(const char *url, struct git_path *ret)
{
	static const struct {
		const char *end;
		bool push, advertise;
	} ends[] = {{"/info/refs", false, true}, {"/git-upload-pack", false, false},
		{"/git-receive-pack", true, false}};
	size_t len = strlen(url);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t n = strlen(ends[i].end);

		if (len <= n || url[0] != '/' || strcmp(url + len - n, ends[i].end) != 0)
			continue;
		*ret = (struct git_path){
			.push = ends[i].push, .advertise = ends[i].advertise};
		take_name(ret, url + 1, len - n - 1);
		return true;
	}
	return false;
}

int git_http_password(const char *header, char *out, size_t size)
{
	autobuf text = {.max = 1024};
	const char *at = header + 6 + strspn(header + 6, " ");

	if (base64_decode(at, strlen(at), &text) < 0 || buf_add(&text, "", 1) < 0)
		return -EINVAL;
	const char *password = strchr(text.data, ':');
	int n = password ? snprintf(out, size, "%s", password + 1) : -1;
	explicit_bzero(text.data, text.len);
	return n < 0 || (size_t)n >= size ? -EINVAL : 0;
}

struct git_http *git_http_new(struct request *r, const char *url)
{
	const char *header = MHD_lookup_connection_value(
		r->connection, MHD_HEADER_KIND, "Authorization");
	struct git_path path;

	if (!r->who.remote || !git_path_parse(url, &path))
		return NULL;
	struct git_http *g = calloc(1, sizeof(*g));
	if (!g) {
		request_fail(r, FAIL_BERTH, "out of memory");
		return NULL;
	}
	*g = (struct git_http){.path = path,
		.watch = r->fd,
		.in = -1,
		.out = -1,
		.err = -1,
		.head.max = HEAD_MAX + BLOCK,
		.words.max = WORDS_MAX};
	if (header && strncasecmp(header, "Basic ", 6) == 0 &&
		git_http_password(header, r->who.bearer, sizeof(r->who.bearer)) < 0)
		snprintf(r->who.bearer, sizeof(r->who.bearer), "?"); /* no token */
	return g;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void git_http_free(struct git_http *g)
{
	if (!g)
		return;
	shut(&g->in);
	shut(&g->out);
	shut(&g->err);
	buf_free(&g->head);
	buf_free(&g->words);
	free(g);
}

/* ---- starting ---- */

static const struct route *access_route(void)
{
	for (size_t i = 0; i < api_table_len; i++)
		if (strcmp(api_table[i].path, ACCESS_PATH) == 0)
			return &api_table[i];
	return NULL;
}

/* As berth-shell asks it, by the same handler. */
static int check_access(struct request *r)
{
	struct git_http *g = r->git;

	r->route = access_route();
	r->args[0] = g->path.app;
	r->body = json_pack(
		"{s:s}", "service", g->path.push ? "receive-pack" : "upload-pack");
	if (!r->route || !r->body)
		return request_fail(r, FAIL_BERTH, "out of memory");
	int n = r->route->handle(r);
	json_decref(r->reply);
	r->reply = NULL;
	return n;
}

static const char *field(struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static int check_request(struct request *r, const char *method)
{
	struct git_path *p = &r->git->path;
	const char *service = p->advertise ? request_query(r, "service") : NULL,
		   *encoding = field(r, "Content-Encoding"),
		   *type = field(r, "Content-Type");
	char wanted[64];

	if (strcmp(method, p->advertise ? "GET" : "POST") != 0)
		return request_fail(r, FAIL_METHOD, "%.20s is not possible here", method);
	if (p->advertise && (!service || strncmp(service, "git-", 4) != 0 ||
				    (strcmp(service + 4, "upload-pack") != 0 &&
					    strcmp(service + 4, "receive-pack") != 0)))
		return request_fail(r, FAIL_FORBIDDEN,
			"this is served by git's smart protocol only: use git 1.6.6 or "
			"newer");
	if (p->advertise) {
		p->push = strcmp(service, "git-receive-pack") == 0;
		return 0;
	}
	snprintf(wanted, sizeof(wanted), "application/x-git-%s-request",
		p->push ? "receive-pack" : "upload-pack");
	if (!type || strcmp(type, wanted) != 0)
		return request_fail(r, FAIL_USAGE, "the Content-Type must be %s", wanted);
	if (encoding && strcmp(encoding, "gzip") != 0 && strcmp(encoding, "x-gzip") != 0)
		return request_fail(
			r, FAIL_USAGE, "a body may be encoded as gzip, or not at all");
	return 0;
}

static uint32_t protocol(struct request *r)
{
	const char *text = field(r, "Git-Protocol");

	if (!text || strncmp(text, "version=", 8) != 0 || text[8] < '0' ||
		text[8] > '0' + (int)GIT_PROTOCOL_MAX || text[9])
		return 0;
	return (uint32_t)(text[8] - '0');
}

/* theirs: as MSG_GIT wants them. */
static int make_ends(struct request *r, int theirs[4])
{
	struct git_http *g = r->git;
	struct identity id = {.uid = (uid_t)-1};
	int p[3][2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) < 0)
			return -errno;
		theirs[i + 1] = p[i][i != 0];
		*(i == 0 ? &g->in : i == 1 ? &g->out : &g->err) = p[i][i == 0];
		fcntl(p[i][0], F_SETPIPE_SZ, PIPE_BYTES);
		io_set_nonblock(p[i][i == 0], true);
	}
	memcpy(id.bearer, r->who.bearer, sizeof(id.bearer));
	memcpy(id.from, r->who.from, sizeof(id.from));
	theirs[0] = api_connect_as(r->c->api, &id);
	explicit_bzero(&id, sizeof(id));
	return theirs[0] < 0 ? theirs[0] : 0;
}

static int start(struct request *r)
{
	struct git_http *g = r->git;
	struct msg_git m = {.push = g->path.push,
		.step = g->path.advertise ? GIT_ADVERTISE : GIT_SERVE,
		.protocol = protocol(r),
		.flags = field(r, "Content-Encoding") && !g->path.advertise ? GIT_GZIP
									    : 0};
	int theirs[4] = {-1, -1, -1, -1};

	memcpy(m.name, g->path.app, strlen(g->path.app));
	int n = make_ends(r, theirs);
	if (n == 0)
		n = engine_call(r->c->engine, MSG_GIT, &m, sizeof(m), theirs, 4, NULL);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		shut(&theirs[i]);
	if (n == -EBUSY)
		return request_fail(r, FAIL_BUSY,
			"too many pushes and fetches at one time; try again");
	return n < 0 ? request_fail(
			       r, FAIL_BERTH, "git cannot be started: %s", strerror(-n))
		     : 0;
}

int git_http_begin(struct request *r, const char *method)
{
	if (!r->git->path.app[0])
		return request_fail(r, FAIL_MISSING,
			"this is no app: the path is one name, https://HOST/APP or "
			"https://HOST/APP.git");
	if (check_request(r, method) < 0 || check_access(r) < 0)
		return -1;
	return start(r);
}

/* ---- bytes ---- */

/* Without waiting. False at its end. */
static bool drain(int *fd, struct buf *to, size_t max)
{
	char block[4096];
	ssize_t n = read(*fd, block, sizeof(block));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		shut(fd);
		return false;
	}
	if (to->len < max)
		buf_add(to, block, (size_t)n < max - to->len ? (size_t)n : max - to->len);
	return true;
}

/* Waits for fd; takes what is said on stderr meanwhile. -EPIPE: the client is gone. */
static int wait_for(struct git_http *g, int fd, short events)
{
	struct pollfd p[] = {{.fd = fd, .events = events},
		{.fd = g->watch, .events = POLLRDHUP}, {.fd = g->err, .events = POLLIN}};

	for (;;) {
		if (poll(p, ARRAY_LEN(p), -1) < 0)
			continue;
		if (p[2].revents) {
			drain(&g->err, &g->words, WORDS_MAX);
			p[2].fd = g->err;
		}
		if (p[0].revents)
			return 0;
		if (p[1].revents)
			return -EPIPE;
	}
}

void git_http_take(struct request *r, const char *data, size_t len)
{
	struct git_http *g = r->git;

	while (len && g->in >= 0) {
		ssize_t n = write(g->in, data, len);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if ((errno != EAGAIN && errno != EINTR) ||
			   wait_for(g, g->in, POLLOUT) < 0) {
			shut(&g->in); /* git has ended, and says why; or nobody waits */
		}
	}
}

static ssize_t read_some(void *cls, uint64_t pos UNUSED, char *out, size_t max)
{
	struct git_http *g = cls;
	size_t left = g->head.len - g->given;
	ssize_t n;

	if (left) {
		n = (ssize_t)(left < max ? left : max);
		memcpy(out, g->head.data + g->given, (size_t)n);
		g->given += (size_t)n;
		return n;
	}
	for (;;) {
		if (wait_for(g, g->out, POLLIN) < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		n = read(g->out, out, max);
		if (n > 0)
			return n;
		if (n == 0)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (errno != EAGAIN && errno != EINTR)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
}

static void response_gone(void *cls)
{
	git_http_free(cls);
}

/* ---- what git-http-backend answers: a head as of a CGI program ---- */

/* Behind it, or NULL: not whole yet. */
static char *end_of_head(const struct buf *b)
{
	char *end = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;

	return end ? end + 4 : NULL;
}

static int read_head(struct git_http *g)
{
	while (!end_of_head(&g->head)) {
		if (g->head.len >= HEAD_MAX || wait_for(g, g->out, POLLIN) < 0)
			return -EPIPE;
		if (!drain(&g->out, &g->head, HEAD_MAX + BLOCK))
			return -EIO;
	}
	return 0;
}

/* The value of a field of the head, copied; "": not there. */
static void head_field(struct git_http *g, const char *name, char *out, size_t size)
{
	const char *end = end_of_head(&g->head);
	size_t len = strlen(name);

	out[0] = '\0';
	for (const char *line = g->head.data; line < end;) {
		const char *eol = memmem(line, (size_t)(end - line), "\r\n", 2);

		if ((size_t)(eol - line) > len + 2 && !strncasecmp(line, name, len) &&
			line[len] == ':')
			snprintf(out, size, "%.*s", (int)(eol - line - (int)len - 2),
				line + len + 2);
		line = eol + 2;
	}
}

/* It ended without an answer: what it said is why. */
static int fail_with_words(struct request *r)
{
	struct git_http *g = r->git;

	while (g->err >= 0 && wait_for(g, g->err, POLLIN) == 0)
		;
	return request_fail(r, FAIL_BERTH, "%s",
		g->words.len ? g->words.data : "git has ended without an answer");
}

int git_http_answer(struct request *r)
{
	struct git_http *g = r->git;
	char type[80], status[16];

	shut(&g->in);
	if (read_head(g) < 0)
		return fail_with_words(r);
	head_field(g, "Content-Type", type, sizeof(type));
	head_field(g, "Status", status, sizeof(status));
	g->given = (size_t)(end_of_head(&g->head) - g->head.data);
	r->status = status[0] ? (unsigned int)strtoul(status, NULL, 10) : 200;
	if (r->status < 200 || r->status > 599)
		r->status = 500;
	r->response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK, read_some, g, response_gone);
	if (!r->response)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->git = NULL; /* the response's */
	MHD_add_response_header(
		r->response, "Content-Type", type[0] ? type : "text/plain");
	MHD_add_response_header(r->response, "Cache-Control", "no-cache");
	return 0;
}

char *git_http_failure(const struct request *r)
{
	const struct failure *f = &r->failure;
	bool said = strncmp(f->text, " !     ", 7) == 0; /* by berth-shell */
	char *text = NULL;
	int n = asprintf(&text, "%s%s\n%s%s", said ? "" : " !     ", f->text,
		f->hint[0] ? " !     " : "", f->hint);

	return n < 0 ? NULL : text;
}
