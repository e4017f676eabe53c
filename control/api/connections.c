/* The API's connections: whose they are, how many there may be, those that are made for the router and for git's hooks. */
#include "control/api/inside.h"
#include "control/api/request.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define API_KEYED_TOLD 16u
#define REFUSED_TIMEOUT_S 10u /* a stranger's silent connection */

static struct connection *find_connection(struct api *a, int fd)
{
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (a->connections[i] && a->connections[i]->fd == fd &&
			!a->connections[i]->begun)
			return a->connections[i];
	}
	return NULL;
}

/* A row that waits with the same number is stale: its descriptor was closed before the
 * number came back. */
static bool add_connection(struct api *a, struct connection *conn)
{
	struct connection **free_row = NULL, *stale;
	bool added;

	pthread_mutex_lock(&a->lock);
	stale = find_connection(a, conn->fd);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (a->connections[i] == stale)
			free_row = &a->connections[i];
	}
	added = free_row != NULL;
	if (added)
		*free_row = conn;
	pthread_mutex_unlock(&a->lock);
	if (added && stale) {
		free(stale);
		auth_released(a->auth);
	}
	return added;
}

/* Does nothing when it was removed already. */
static void remove_connection(struct api *a, struct connection *conn)
{
	bool found = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (a->connections[i] == conn) {
			a->connections[i] = NULL;
			found = true;
		}
	}
	pthread_mutex_unlock(&a->lock);
	if (!found)
		return;
	free(conn);
	auth_released(a->auth);
}

/* Programs of one member that do not end leave room for others: the next ones are told so, still more are not heard. */
static bool check_keyed(struct api *a, struct connection *conn)
{
	unsigned int n = 0;

	if (!conn->id.key)
		return true;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		n += a->connections[i] && a->connections[i]->id.key &&
		     strcmp(a->connections[i]->id.actor, conn->id.actor) == 0;
	pthread_mutex_unlock(&a->lock);
	if (n >= API_KEYED_MAX)
		snprintf(conn->id.refused, sizeof(conn->id.refused),
			"%.60s has %u connections here, which is all there may be: end "
			"some, or try again",
			conn->id.actor, API_KEYED_MAX);
	return n < API_KEYED_MAX + API_KEYED_TOLD;
}

/* From the accepting thread: the connection is known before libmicrohttpd can ask for it.
 */
void connections_take(void *arg, int fd, const struct identity *id)
{
	struct api *a = arg;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct connection *conn = calloc(1, sizeof(*conn));

	if (conn) {
		conn->fd = fd;
		conn->id = *id;
	}
	if (!conn || !check_keyed(a, conn) || !add_connection(a, conn)) {
		free(conn);
		close(fd);
		auth_released(a->auth);
		return;
	}
	/* On failure it has closed fd; a connection that was begun then also ends by its
	 * notification. */
	if (MHD_add_connection(a->daemon, fd, (struct sockaddr *)&addr, sizeof(addr)) !=
		MHD_YES) {
		log_warn("a connection to the API could not be served: %s",
			strerror(errno));
		remove_connection(a, conn);
	}
}

static bool has_room(struct api *a)
{
	unsigned int n = 0;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		n += a->connections[i] && a->connections[i]->id.remote;
	bool quiet = a->quiet;
	pthread_mutex_unlock(&a->lock);
	return !quiet && n < API_REMOTE_MAX && auth_has_room(a->auth);
}

int api_connect_as(struct api *a, const struct identity *id)
{
	int pair[2];

	if (!a || !auth_has_room(a->auth))
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	auth_add(a->auth, pair[0], id);
	return pair[1];
}

unsigned int api_connect(struct api *a, unsigned int n, int *ret_fds)
{
	static const struct identity nobody = {
		.uid = (uid_t)-1, .remote = true, .actor = "nobody"};
	unsigned int i = 0;

	for (; a && i < n && has_room(a); i++) {
		ret_fds[i] = api_connect_as(a, &nobody);
		if (ret_fds[i] < 0)
			break;
		io_set_nonblock(ret_fds[i], true);
	}
	return i;
}

int connections_fd(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

void connections_notify(void *cls, struct MHD_Connection *connection,
	void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	struct api *a = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		pthread_mutex_lock(&a->lock);
		struct connection *conn = find_connection(a, connections_fd(connection));
		if (conn)
			conn->begun = true;
		pthread_mutex_unlock(&a->lock);
		*socket_context = conn;
		if (!conn || conn->id.refused[0])
			MHD_set_connection_option(connection,
				MHD_CONNECTION_OPTION_TIMEOUT, REFUSED_TIMEOUT_S);
	} else if (*socket_context) {
		remove_connection(a, *socket_context);
		*socket_context = NULL;
	}
}

void connections_note_member(struct api *a, struct connection *conn, uint32_t member)
{
	pthread_mutex_lock(&a->lock);
	conn->member = member;
	if (!member)
		conn->by = (struct standing){0};
	pthread_mutex_unlock(&a->lock);
}

void connections_note(struct api *a, struct request *r, enum role need)
{
	struct connection *conn = connections_of(r->connection);

	if (!a || !conn)
		return;
	pthread_mutex_lock(&a->lock);
	conn->by = (struct standing){.member = r->access.member,
		.key = r->who.key,
		.token = r->access.token,
		.app = r->app.id,
		.only = r->access.only,
		.need = need,
		.most = r->access.most};
	pthread_mutex_unlock(&a->lock);
}

/* ---- who may no longer ---- */

static bool still_may(struct db *db, const struct standing *s)
{
	struct access a = {.member = s->member, .only = s->only, .most = s->most};
	struct db_token token;
	struct db_key key;

	/* who cannot be looked up stays for now */
	if (!s->member)
		return true;
	if (s->token && db_token_get(db, s->token, &token) == -ENOENT)
		return false;
	if (s->key && db_key_get(db, s->key, &key) == -ENOENT)
		return false;
	a.n_grants = db_grant_list(db, s->member, &a.grants);
	a.n_previews = db_preview_list(db, 0, &a.previews);
	bool may =
		a.n_grants < 0 || a.n_previews < 0 || access_role(&a, s->app) >= s->need;
	access_close(&a);
	return may;
}

static struct standing standing_of(struct api *a, size_t i, int but)
{
	struct standing s = {0};

	pthread_mutex_lock(&a->lock);
	if (a->connections[i] && a->connections[i]->fd != but)
		s = a->connections[i]->by;
	pthread_mutex_unlock(&a->lock);
	return s;
}

/* If it is still that one. */
static void hang_up(struct api *a, size_t i, const struct standing *s)
{
	pthread_mutex_lock(&a->lock);
	if (a->connections[i] && a->connections[i]->by.member == s->member &&
		a->connections[i]->by.key == s->key &&
		a->connections[i]->by.token == s->token)
		shutdown(a->connections[i]->fd, SHUT_RDWR);
	pthread_mutex_unlock(&a->lock);
}

void api_recheck(struct request *by)
{
	struct api *a = by->c->api;

	if (!a)
		return;
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		struct standing s = standing_of(a, i, by->fd);

		if (!still_may(a->c->db, &s))
			hang_up(a, i, &s);
	}
}

/* One member's programs leave room for others. */
void connections_check_crowd(struct api *a, struct connection *conn, struct request *r)
{
	unsigned int n = 0;

	connections_note_member(a, conn, r->access.member);
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		n += a->connections[i] && a->connections[i]->id.remote &&
		     a->connections[i]->member == r->access.member;
	pthread_mutex_unlock(&a->lock);
	if (n > API_MEMBER_MAX)
		request_fail(r, FAIL_BUSY,
			"%d requests of %s are under way here, which is all there may be",
			API_MEMBER_MAX, r->access.name);
}

struct connection *connections_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}
