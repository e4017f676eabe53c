/*
 * libmicrohttpd's side of the API: bodies, dispatch through the table,
 * answers, the audit trail. A thread a connection: handlers may block, and a deploy is
 * one long story (control/control.h).
 */
#include "control/api/api.h"
#include "control/api/audit.h"
#include "control/api/frames.h"
#include "control/api/git_http.h"
#include "control/api/inside.h"
#include "control/api/request.h"
#include "control/data/space.h"
#include "control/stream.h"
#include "lib/log.h"
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STACK_SIZE                                                                       \
	((size_t)512                                                                     \
		<< 10) /* the largest frames are a message of 16 KiB and SQLite's   \
			     */
#define PATH_MAX_LEN 1024

/* ---- requests ---- */

static void unref(struct request *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) > 1)
		return;
	if (r->data && r->data_free)
		r->data_free(r->data);
	json_decref(r->body);
	json_decref(r->reply);
	buf_free(&r->upload);
	buf_free(&r->query);
	access_close(&r->access);
	git_http_free(r->git);
	explicit_bzero(&r->who, sizeof(r->who));
	free(r->path);
	free(r);
}

static enum MHD_Result send_text(
	struct MHD_Connection *connection, unsigned int status, char *text, bool git)
{
	static char no_memory[] = "{\"error\":{\"code\":\"internal\",\"message\":\"out "
				  "of memory\",\"exit\":1}}";
	struct MHD_Response *response =
		text ? MHD_create_response_from_buffer(
			       strlen(text), text, MHD_RESPMEM_MUST_FREE)
		     : MHD_create_response_from_buffer(
			       strlen(no_memory), no_memory, MHD_RESPMEM_PERSISTENT);

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(
		response, "Content-Type", git ? "text/plain" : "application/json");
	if (text && status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, "WWW-Authenticate",
			git ? "Basic realm=\"berth\"" : "Bearer realm=\"berth\"");
	enum MHD_Result queued =
		MHD_queue_response(connection, text ? status : 500, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result send_failure(struct MHD_Connection *connection, struct request *r)
{
	unsigned int status = 500;
	char words[256];

	if (space_words(r->c, r->failure.text, words))
		request_hint(r, "%s", words);
	char *text = request_failure_text(r, &status);

	if (r->git) {
		free(text);
		text = git_http_failure(r);
	}
	return send_text(connection, status, text, r->git);
}

static enum MHD_Result send_response(struct MHD_Connection *connection, struct request *r)
{
	enum MHD_Result queued =
		MHD_queue_response(connection, r->status ? r->status : 200, r->response);

	MHD_destroy_response(r->response);
	r->response = NULL;
	return queued;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct request *r)
{
	char *text = r->reply
			     ? json_dumps(r->reply, JSON_COMPACT | JSON_REAL_PRECISION(6))
			     : strdup("{}");

	return send_text(connection, r->status ? r->status : 200, text, false);
}

/* The exit status of a stream is 0 or 1; deploys tell their failures themselves, among
 * the last log lines. */
static int run_stream(void *arg, struct sink *s)
{
	struct request *r = arg;
	struct err e = {0};
	char words[256];
	int n = r->route->run(r, s, &e);

	if (n >= 0) {
		audit(r, AUDIT_OK, NULL);
		return 0;
	}
	if (e.text[0] && !e.told)
		sink_fail(s, "%s", e.text);
	if (space_words(r->c, e.text, words))
		sink_fail(s, "%s", words);
	audit(r, AUDIT_FAILED, e.text[0] ? e.text : strerror(-n));
	return 1;
}

static void end_stream(void *arg)
{
	unref(arg);
}

static enum MHD_Result start_stream(struct MHD_Connection *connection, struct request *r)
{
	audit_keep_query(r);
	atomic_fetch_add(&r->refs, 1);
	int n = stream_start(connection, r->fd, run_stream, end_stream, r, &r->response);
	if (n < 0) {
		unref(r);
		request_fail(r, FAIL_BERTH, "the operation could not be started: %s",
			strerror(-n));
		audit(r, AUDIT_FAILED, r->failure.text);
		return send_failure(connection, r);
	}
	return send_response(connection, r);
}

/* Splits the path at its slashes and compares it with the row's. */
static bool match(const struct route *row, char *path, const char *args[REQUEST_ARGS_MAX])
{
	const char *want = row->path;
	size_t n = 0;

	while (*want == '/' && *path == '/') {
		size_t want_len = strcspn(++want, "/");
		size_t len = strcspn(++path, "/");
		bool parameter = want_len == 1 && *want >= 'A' && *want <= 'Z';

		if (parameter ? len == 0 || n == REQUEST_ARGS_MAX
			      : len != want_len || memcmp(want, path, len) != 0)
			return false;
		if (parameter)
			args[n++] = path;
		want += want_len;
		path += len;
	}
	return *want == '\0' && *path == '\0';
}

/* Ends each parameter at its slash, once the row is chosen. */
static void cut_args(struct request *r)
{
	for (size_t i = 0; i < REQUEST_ARGS_MAX; i++) {
		if (r->args[i])
			r->path[(size_t)(r->args[i] - r->path) +
				strcspn(r->args[i], "/")] = '\0';
	}
}

static int find_route(struct request *r, const char *method)
{
	bool path_known = false;

	for (size_t i = 0; i < api_table_len; i++) {
		const char *args[REQUEST_ARGS_MAX] = {NULL};

		if (!match(&api_table[i], r->path, args))
			continue;
		path_known = true;
		if (strcmp(api_table[i].method, method) != 0)
			continue;
		r->route = &api_table[i];
		memcpy(r->args, args, sizeof(args));
		cut_args(r);
		return 0;
	}
	if (path_known)
		return request_fail(r, FAIL_METHOD, "%.20s is not possible on %.200s",
			method, r->path);
	return request_fail(r, FAIL_MISSING, "there is nothing at %.200s", r->path);
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (; words && *words; words += strcspn(words, " "), words += *words == ' ') {
		if (strncmp(words, word, len) == 0 &&
			(words[len] == ' ' || words[len] == '\0'))
			return true;
	}
	return false;
}

static enum MHD_Result check_word(
	void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct request *r = cls;

	(void)kind;
	(void)value;
	if (has_word(r->route->query, key))
		return MHD_YES;
	request_fail(r, FAIL_USAGE, "unknown query word \"%.80s\"", key);
	return MHD_NO;
}

static int parse_body(struct request *r)
{
	json_error_t where;

	if (!r->upload.len && frames_body(r) < 0)
		return -1;
	if (!r->upload.len) {
		r->body = json_object();
		return r->body ? 0 : request_fail(r, FAIL_BERTH, "out of memory");
	}
	/* Values may hold an escaped NUL: refused where it matters, with the name of the
	 * field. */
	r->body = json_loadb(r->upload.data, r->upload.len,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
	if (!r->body)
		return request_fail(r, FAIL_USAGE, "the body is not JSON: %s (line %d)",
			where.text, where.line);
	if (!json_is_object(r->body))
		return request_fail(r, FAIL_USAGE, "the body must be a JSON object");
	return 0;
}

static int prepare(struct request *r)
{
	if (access_check(r) < 0)
		return -1;
	MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, check_word, r);
	if (r->failure.set || parse_body(r) < 0 || request_check_body(r) < 0 ||
		access_check_body(r) < 0)
		return -1;
	connections_note(r->c->api, r, access_needed(r));
	return r->route->flags & ROUTE_UNLOCKED ? request_unlocked(r, &r->app) : 0;
}

static enum MHD_Result dispatch(struct MHD_Connection *connection, struct request *r)
{
	r->connection = connection;
	if (prepare(r) < 0 || (r->route->handle && r->route->handle(r) < 0)) {
		if (r->response)
			MHD_destroy_response(r->response);
		r->response = NULL;
		audit(r, AUDIT_REFUSED, r->failure.text);
		return send_failure(connection, r);
	}
	if (r->route->run)
		return start_stream(connection, r);
	access_filter(r);
	audit(r, AUDIT_OK, NULL);
	return r->response ? send_response(connection, r) : send_reply(connection, r);
}

/* ---- libmicrohttpd's callbacks ---- */

/* The router sets the field, whatever the client said in it. */
static void note_client(struct request *r)
{
	const char *from = r->who.remote ? MHD_lookup_connection_value(r->connection,
						   MHD_HEADER_KIND, "X-Forwarded-For")
					 : NULL;

	if (from && strspn(from, "0123456789abcdefABCDEF:., ") == strlen(from))
		snprintf(r->who.from, sizeof(r->who.from), "%s", from);
}

static struct request *begin(
	struct api *a, struct MHD_Connection *connection, const char *url)
{
	struct connection *conn = connections_of(connection);
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->c = a->c;
	r->fd = connections_fd(connection);
	r->upload.max = API_BODY_MAX;
	r->path = strdup(url);
	r->connection = connection;
	if (!conn) {
		request_fail(r, FAIL_FORBIDDEN, "the connection has no identity");
		return r;
	}
	r->who = conn->id;
	note_client(r);
	r->git = git_http_new(r, url);
	if (r->failure.set)
		return r;
	if (access_open(r) < 0)
		return r;
	if (conn->id.remote)
		connections_check_crowd(a, conn, r);
	/* A stranger with a token waits as long as others do. */
	if (conn->id.refused[0])
		MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	return r;
}

static void refuse_large(struct request *r)
{
	request_fail(
		r, FAIL_TOO_LARGE, "the request is larger than %zu bytes", API_BODY_MAX);
	audit(r, AUDIT_REFUSED, r->failure.text);
}

/* What can be refused before the body came. */
static void check_head(struct request *r, const char *method)
{
	const char *length = MHD_lookup_connection_value(
		r->connection, MHD_HEADER_KIND, "Content-Length");
	uint64_t n = 0;

	if (r->failure.set)
		return;
	if (r->git) {
		if (git_http_begin(r, method) == 0)
			connections_note(r->c->api, r, ROLE_DEPLOY);
	} else if (!r->path || strlen(r->path) > PATH_MAX_LEN)
		request_fail(r, FAIL_USAGE, "the path is too long");
	else if (find_route(r, method) == 0 && length &&
		 (num_parse_u64(length, 0, UINT64_MAX, &n) < 0 || n > API_BODY_MAX))
		refuse_large(r);
}

static void take_body(struct request *r, const char *data, size_t len)
{
	if (!r->too_large && buf_add(&r->upload, data, len) == 0)
		return;
	r->too_large = true;
	buf_reset(&r->upload);
}

static enum MHD_Result access_handler(void *cls, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **con_cls)
{
	struct request *r = *con_cls;

	(void)version;
	if (!r) {
		r = begin(cls, connection, url);
		if (!r)
			return MHD_NO;
		*con_cls = r;
		check_head(r, method);
		/* Queued now, the answer comes before a body that nobody wants is read.
		 */
		return r->failure.set ? send_failure(connection, r) : MHD_YES;
	}
	if (*upload_size) {
		if (r->git)
			git_http_take(r, upload, *upload_size);
		else
			take_body(r, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (r->too_large) {
		refuse_large(r);
		return send_failure(connection, r);
	}
	if (r->git)
		return git_http_answer(r) < 0 ? send_failure(connection, r)
					      : send_response(connection, r);
	return dispatch(connection, r);
}

static void request_completed(void *cls, struct MHD_Connection *connection,
	void **con_cls, enum MHD_RequestTerminationCode code)
{
	struct connection *conn = connections_of(connection);

	(void)code;
	if (conn)
		connections_note_member(cls, conn, 0);
	unref(*con_cls);
	*con_cls = NULL;
}

static void log_mhd(void *cls, const char *fmt, va_list ap)
{
	char text[512];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

/* A NUL would end the text for everyone who reads on: such a part stays as it was sent, and fits no name. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls, (void)connection;
	return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static struct MHD_Daemon *start_daemon(struct api *a)
{
	unsigned int flags = MHD_USE_THREAD_PER_CONNECTION |
			     MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			     MHD_USE_ITC | MHD_ALLOW_UPGRADE | MHD_USE_NO_LISTEN_SOCKET |
			     MHD_USE_ERROR_LOG;

	/* No idle timeout: a push keeps its connection while git sends objects, and a
	 * dead peer's socket hangs up. */
	return MHD_start_daemon(flags, 0, NULL, NULL, access_handler, a,
		MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
		unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION, connections_notify, a,
		MHD_OPTION_NOTIFY_COMPLETED, request_completed, a,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)API_CONNECTIONS_MAX + 8,
		MHD_OPTION_THREAD_STACK_SIZE, STACK_SIZE, MHD_OPTION_END);
}

int api_start(struct control *c, int listen_fd, struct api **ret, struct err *e)
{
	struct api *a = calloc(1, sizeof(*a));

	if (!a)
		return err_sys(e, ENOMEM, "the API");
	a->c = c;
	pthread_mutex_init(&a->lock, NULL);
	a->daemon = start_daemon(a);
	if (!a->daemon) {
		free(a);
		return err_set(e, EIO, "the API: libmicrohttpd could not be started");
	}
	int r = auth_start(
		c, listen_fd, API_CONNECTIONS_MAX, connections_take, a, &a->auth);
	if (r < 0) {
		MHD_stop_daemon(a->daemon);
		free(a);
		return err_sys(e, -r, "the API: cannot accept");
	}
	*ret = a;
	c->api = a;
	return 0;
}

void api_quiesce(struct api *a)
{
	pthread_mutex_lock(&a->lock);
	a->quiet = true;
	pthread_mutex_unlock(&a->lock);
	auth_stop(a->auth);
}

unsigned int api_connections(struct api *a)
{
	unsigned int n = 0;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		n += a->connections[i] != NULL;
	pthread_mutex_unlock(&a->lock);
	return n;
}

void api_stop(struct api *a)
{
	if (!a)
		return;
	/* Nobody is accepted any more; but the connections' ends still tell auth. */
	api_quiesce(a);
	a->c->api = NULL;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (a->connections[i])
			shutdown(a->connections[i]->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&a->lock);
	MHD_stop_daemon(a->daemon);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		free(a->connections[i]); /* of those that were never begun */
	auth_free(a->auth);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
