/*
 * What berth-control may ask of root: a closed table. Messages carry ids and enums; where
 * a name occurs (of an app's repository) its characters are checked here. Were control
 * taken over, it could start, stop and remove what is berth's, and reach nothing else.
 */
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/context.h"
#include "runtime/disk/layers.h"
#include "runtime/disk/volume_size.h"
#include "runtime/disk/volumes.h"
#include "runtime/keys.h"
#include "runtime/sandbox/start_check.h"
#include "runtime/usage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#define CLOSE_WAIT_MS 1000 /* for the logger; its files are removed all the same */

static void give(struct reply *r, const void *body, size_t size)
{
	memcpy(r->body, body, size);
	r->size = size;
}

/* --- sandboxes --- */

static int hello(struct context *ctx, struct msg *m UNUSED, struct reply *r UNUSED)
{
	instances_tell_exits(ctx->instances);
	return 0;
}

static int answer_start(struct reply *r, int status, struct msg_started *s, int pty)
{
	if (status < 0)
		snprintf(s->error, sizeof(s->error), "%.*s", (int)sizeof(s->error) - 1,
			r->e.text);
	if (pty >= 0)
		r->fds[r->n_fds++] = pty;
	give(r, s, sizeof(*s));
	return status;
}

static int start(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_start body;
	struct msg_started s;
	int pty, status;

	BODY(m, body);
	s = (struct msg_started){.id = body.id};
	status = instances_start(ctx->instances, &body, m->fds, m->nfds, &s, &pty, &r->e);
	return answer_start(r, status, &s, pty);
}

static int enter(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_enter body;
	struct msg_started s;
	int pty, status;

	BODY(m, body);
	s = (struct msg_started){.id = body.id};
	status = instances_enter(ctx->instances, &body, m->fds, m->nfds, &s, &pty, &r->e);
	return answer_start(r, status, &s, pty);
}

static int build_stack(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_stack body;
	struct msg_started s;
	int status;

	BODY(m, body);
	s = (struct msg_started){.id = body.id};
	status = instances_build_stack(ctx->instances, &body, m->fds, &s, &r->e);
	return answer_start(r, status, &s, -1);
}

static int stop(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_stop body;

	BODY(m, body);
	if (body.timeout_ms > STOP_TIMEOUT_MAX_MS)
		return -EINVAL;
	return instances_stop(ctx->instances, body.id, body.timeout_ms);
}

static int send_signal(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	const struct record *record;
	struct msg_signal body;

	BODY(m, body);
	if (body.signo < 1 || body.signo > (uint32_t)SIGRTMAX)
		return -EINVAL;
	record = instances_running(ctx->instances, body.id);
	return record ? sandbox_signal(ctx->rt, &record->sandbox, (int)body.signo)
		      : -ESRCH;
}

static int limits(struct context *ctx, struct msg *m, struct reply *r)
{
	const struct record *record;
	struct msg_limited answer = {0};
	struct msg_limits body;
	int status;

	BODY(m, body);
	status = limits_check(&body.limits, body.which, &r->e);
	if (status < 0)
		return status;
	record = instances_running(ctx->instances, body.id);
	if (!record)
		return -ESRCH;
	status = sandbox_limits(
		ctx->rt, &record->sandbox, &body.limits, body.which, &answer, &r->e);
	give(r, &answer, sizeof(answer));
	return status;
}

static int sockets(struct context *ctx, struct msg *m, struct reply *r)
{
	const struct record *record;
	struct msg_sockets body;
	int status;

	BODY(m, body);
	if (body.n < 1 || body.n > PROTO_SOCKETS_MAX ||
		(body.family != AF_INET && body.family != AF_INET6 &&
			body.family != AF_UNIX))
		return -EINVAL;
	record = instances_running(ctx->instances, body.id);
	status = record ? sandbox_sockets(ctx->rt, &record->sandbox, (int)body.family,
				  body.n, r->fds)
			: -ESRCH;
	if (status > 0)
		r->n_fds = (unsigned int)status;
	give(r, &body, sizeof(body));
	return status < 0 ? status : 0;
}

static int ports(struct context *ctx, struct msg *m, struct reply *r)
{
	const struct record *record;
	struct msg_instance body;
	int status;

	BODY(m, body);
	record = instances_running(ctx->instances, body.id);
	status = record ? sandbox_ports(ctx->rt, &record->sandbox, r->fds) : -ESRCH;
	if (status == 0)
		r->n_fds = SANDBOX_PORTS;
	return status;
}

static int freeze(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_freeze body;

	BODY(m, body);
	if (body.flags & ~(uint32_t)FREEZE_RECLAIM)
		return -EINVAL;
	return instances_freeze(ctx->instances, body.id, body.flags & FREEZE_RECLAIM);
}

static int thaw(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_instance body;

	BODY(m, body);
	return instances_thaw(ctx->instances, body.id);
}

static int list(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_instance after = {0};
	static struct msg_list rows; /* 8 kB */

	if (m->head.size)
		BODY(m, after);
	instances_list(ctx->instances, after.id, &rows);
	give(r, &rows, sizeof(rows));
	return 0;
}

static int exited_ack(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_instance body;

	BODY(m, body);
	instances_acked(ctx->instances, body.id);
	return 0;
}

/* --- layers and volumes --- */

static int commit_layer(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_layer body;
	int status;

	BODY(m, body);
	if (body.id == 0)
		return -EINVAL;
	/* A final layer may be in use: asking again for its size is fine then. */
	if (!layer_is_final(ctx->folders.layers, body.id) &&
		instances_use_layer(ctx->instances, body.id))
		return -EBUSY;
	status =
		layer_commit(ctx->chores, ctx->folders.layers, body.id, &body.size_bytes);
	give(r, &body, sizeof(body));
	return status;
}

static int remove_layer(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_layer body;

	BODY(m, body);
	give(r, &body, sizeof(body));
	if (body.id == 0)
		return -EINVAL;
	if (instances_use_layer(ctx->instances, body.id))
		return -EBUSY;
	return layer_remove(ctx->chores, ctx->folders.layers, body.id);
}

static int list_layers(struct context *ctx, struct msg *m, struct reply *r)
{
	static struct msg_layer_page page; /* 8 kB */
	int n;

	BODY(m, page);
	memset(page.ids, 0, sizeof(page.ids));
	n = layer_list(ctx->folders.layers, page.after, page.ids, ARRAY_LEN(page.ids));
	page.n = n < 0 ? 0 : (uint32_t)n;
	give(r, &page, sizeof(page));
	return n < 0 ? n : 0;
}

static int create_volume(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_volume body;

	BODY(m, body);
	return body.id ? volume_create(ctx->rt, &ctx->folders, body.id) : -EINVAL;
}

static int remove_volume(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_volume body;

	BODY(m, body);
	if (body.id == 0)
		return -EINVAL;
	if (instances_use_volume(ctx->instances, body.id))
		return -EBUSY;
	return volume_remove(ctx->chores, &ctx->folders, body.id);
}

static int answer_info(
	struct context *ctx, uint64_t id, int status, const char *error, struct reply *r)
{
	struct msg_volume_info info = {.id = id};

	if (status >= 0) {
		bool later = status > 0;

		status = volume_info(ctx->folders.volumes, id, &info);
		info.flags = later ? VOLUME_LATER : 0;
	}
	snprintf(info.error, sizeof(info.error), "%.*s", (int)sizeof(info.error) - 1,
		error);
	give(r, &info, sizeof(info));
	return status;
}

static int size_volume(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_volume_size body;
	int status;

	BODY(m, body);
	if (body.id == 0 || body.flags & ~(uint32_t)VOLUME_NEW)
		return -EINVAL;
	status = volume_set_size(ctx->folders.volumes, &body, &r->e);
	return answer_info(ctx, body.id, status, status < 0 ? r->e.text : "", r);
}

static int tell_volume(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_volume body;

	BODY(m, body);
	return answer_info(ctx, body.id, 0, "", r);
}

static int disk(struct context *ctx, struct msg *m UNUSED, struct reply *r)
{
	struct msg_disk body = {0};
	struct statvfs st;

	if (fstatvfs(ctx->folders.state, &st) < 0)
		return -errno;
	body.free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	body.total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
	body.removing = chores_removing(ctx->chores);
	give(r, &body, sizeof(body));
	return 0;
}

static int count_usage(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_usage body;

	BODY(m, body);
	return usage_start(ctx->usage, body.kinds, m->fds[0]);
}

static int serve_git(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_git body;

	BODY(m, body);
	return gitrun_sound(&body) ? gitrun_start(ctx->gitrun, &body, m->fds) : -EINVAL;
}

static int remove_cache(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_cache body;

	BODY(m, body);
	if (body.app == 0)
		return -EINVAL;
	if (instances_use_cache(ctx->instances, body.app, body.part))
		return -EBUSY;
	return cache_remove(ctx->chores, &ctx->folders, body.app, body.part);
}

static bool log_limits_ok(const struct msg_log_limits *l)
{
	return (!l->budget_bytes || (l->budget_bytes >= LOG_BUDGET_MIN &&
					    l->budget_bytes <= LOG_BUDGET_MAX)) &&
	       (l->rate_lines <= LOG_RATE_MAX || l->rate_lines == LOG_RATE_OFF) &&
	       l->rate_bytes <= LOG_RATE_MAX && !(l->rate_lines && l->rate_bytes) &&
	       !l->pad;
}

static int set_log_limits(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_log_limits body;

	BODY(m, body);
	if (!log_limits_ok(&body))
		return -EINVAL;
	return msg_send(ctx->handoff->fds[HANDOFF_LOGGER_OURS], MSG_LOG_SET, 0, 0, &body,
		sizeof(body), NULL, 0);
}

/* --- networks --- */

static int network(struct context *ctx, struct msg *m, struct reply *r)
{
	static struct msg_network body; /* 14 kB */

	BODY(m, body);
	return network_set(ctx->rt, &body, &r->e);
}

static int name(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_name body;

	BODY(m, body);
	return network_name(ctx->rt, &body, &r->e);
}

static int host(struct context *ctx, struct msg *m UNUSED, struct reply *r)
{
	struct msg_host body;

	runtime_host(ctx->rt, &body);
	give(r, &body, sizeof(body));
	return 0;
}

/* --- apps and keys --- */

static void finish_close(struct closing *c)
{
	struct context *ctx = c->ctx;
	int status = app_logs_remove(ctx->chores, &ctx->folders, c->app.id);
	int r;

	loop_cancel(c->timer);
	c->timer = NULL;
	r = msg_send(ctx->handoff->fds[HANDOFF_CONTROL_OURS], MSG_APP_REMOVE, c->seq,
		status, NULL, 0, NULL, 0);
	if (r < 0)
		log_error("cannot answer the removal of app %u: %s", c->app.id,
			strerror(-r));
	c->seq = 0;
}

static void close_late(void *arg)
{
	struct closing *c = arg;

	c->timer = NULL;
	log_warn("the logger did not let app %u go", c->app.id);
	finish_close(c);
}

static struct closing *free_closing(struct context *ctx)
{
	for (unsigned int i = 0; i < CLOSING_MAX; i++)
		if (ctx->closing[i].seq == 0)
			return &ctx->closing[i];
	return NULL;
}

static bool is_name(const char name[PROTO_NAME_MAX])
{
	return memchr(name, '\0', PROTO_NAME_MAX) != NULL && name_valid(name);
}

static int remove_app(struct context *ctx, struct msg *m, struct reply *r)
{
	struct closing *c = free_closing(ctx);
	struct msg_app body;
	int status;

	BODY(m, body);
	if (body.id == 0 || !is_name(body.name))
		return -EINVAL;
	if (instances_use_app(ctx->instances, body.id))
		return -EBUSY;
	if (m->head.seq == 0)
		return err_set(&r->e, EINVAL, "it has no number to answer to");
	if (!c)
		return -EAGAIN;
	status = app_files_remove(ctx->chores, &ctx->folders, body.id, body.name);
	if (status < 0)
		return status;
	network_forget(ctx->rt, body.id);
	c->ctx = ctx;
	c->app = body;
	c->seq = m->head.seq;
	c->timer = loop_after(ctx->loop, CLOSE_WAIT_MS, close_late, c);
	status = msg_send(ctx->handoff->fds[HANDOFF_LOGGER_OURS], MSG_LOG_CLOSE, body.id,
		0, &body, sizeof(body), NULL, 0);
	r->later = true;
	if (status < 0 || !c->timer)
		finish_close(c);
	return 0;
}

static int rename_repo(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_rename body;

	BODY(m, body);
	if (!is_name(body.from) || !is_name(body.to))
		return -EINVAL;
	return app_repo_rename(&ctx->folders, body.from, body.to);
}

static int log_closed(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_app body;

	BODY(m, body);
	for (unsigned int i = 0; i < CLOSING_MAX; i++)
		if (ctx->closing[i].seq && ctx->closing[i].app.id == body.id)
			finish_close(&ctx->closing[i]);
	return 0;
}

static int write_keys(struct context *ctx, struct msg *m, struct reply *r)
{
	const struct settings *s = ctx->settings;

	return keys_write(
		m->fds[0], ctx->folders.ssh, ctx->ids.ssh_gid, s->run, s->state, &r->e);
}

/* --- the tables --- */

static const struct dispatch_row control_rows[] = {
	/* safe: changes nothing, repeats what control is told anyway */
	{MSG_HELLO, hello, sizeof(struct msg_hello), .no_reply = true},
	/* safe: every field has a range (sandbox/start_check.c), layers and volumes are named by
	   id and exist, the program runs in a sandbox; the spec is read only by
	   berth-init, inside it */
	{MSG_START, start, sizeof(struct msg_start), .fds_min = 1, .fds_max = 4},
	/* safe: the new process gets exactly what the sandbox it joins has */
	{MSG_ENTER, enter, sizeof(struct msg_enter), .fds_min = 1, .fds_max = 4},
	/* safe: a fixed program as a plain user, only one number chooses among fixed
	   suites */
	{MSG_STACK_BUILD, build_stack, sizeof(struct msg_stack), .fds_min = 2,
		.fds_max = 2},
	/* safe: these reach only processes of sandboxes, found by pidfd or cgroup */
	{MSG_STOP, stop, sizeof(struct msg_stop), .fds_max = 0},
	{MSG_SIGNAL, send_signal, sizeof(struct msg_signal), .fds_max = 0},
	{MSG_LIMITS, limits, sizeof(struct msg_limits), .fds_max = 0},
	/* safe: a socket of a sandbox's own network, reaching what its app reaches */
	{MSG_SOCKETS, sockets, sizeof(struct msg_sockets), .gives_fds = true},
	/* safe: two read-only tables of that network */
	{MSG_PORTS, ports, sizeof(struct msg_instance), .gives_fds = true},
	/* safe: numbers that control chose itself */
	{MSG_LIST, list, sizeof(struct msg_instance), .size_or_zero = true},
	{MSG_EXITED_ACK, exited_ack, sizeof(struct msg_instance), .no_reply = true},
	/* safe: renames or removes folders whose names are made from the number; content
	   is not read; final layers are never written, used ones never removed */
	{MSG_LAYER_COMMIT, commit_layer, sizeof(struct msg_layer), .fds_max = 0},
	{MSG_LAYER_REMOVE, remove_layer, sizeof(struct msg_layer), .fds_max = 0},
	{MSG_LAYER_LIST, list_layers, sizeof(struct msg_layer_page), .fds_max = 0},
	{MSG_VOLUME_CREATE, create_volume, sizeof(struct msg_volume), .fds_max = 0},
	{MSG_VOLUME_REMOVE, remove_volume, sizeof(struct msg_volume), .fds_max = 0},
	/* safe: the name has no slash or dot (name_valid) and is taken inside repos/ only
	 */
	{MSG_APP_REMOVE, remove_app, sizeof(struct msg_app), .fds_max = 0},
	/* safe: the line's options are ours; type from a closed list, key bytes are
	   base64, the id a number */
	{MSG_KEYS_WRITE, write_keys, 0, .fds_min = 1, .fds_max = 1},
	/* safe: two numbers */
	{MSG_DISK, disk, 0, .fds_max = 0},
	/* safe: whether the processes of one of berth's own sandboxes run; its group is
	   found by its number */
	{MSG_FREEZE, freeze, sizeof(struct msg_freeze), .fds_max = 0},
	{MSG_THAW, thaw, sizeof(struct msg_instance), .fds_max = 0},
	/* safe: numbers with ranges become rules of berth's own table, which never open
	   link-local addresses, other berths' or, by a range, the host; the bytes for
	   hosts are only copied into a file that only the app's sandboxes see */
	{MSG_NETWORK, network, sizeof(struct msg_network), .fds_max = 0},
	/* safe: leads to instances of this berth only, for whom a rule allows */
	{MSG_NAME, name, sizeof(struct msg_name), .fds_max = 0},
	/* safe: changes nothing, tells numbers of the host */
	{MSG_HOST, host, 0, .fds_max = 0},
	/* safe: writes numbers into a descriptor of control's, in a child with a time limit */
	{MSG_USAGE, count_usage, sizeof(struct msg_usage), .fds_min = 1, .fds_max = 1},
	/* safe: as with layers; one in use is never removed */
	{MSG_CACHE_REMOVE, remove_cache, sizeof(struct msg_cache), .fds_max = 0},
	/* safe: numbers within their ranges, for a program without privilege that may be
	   lied to */
	{MSG_LOG_LIMITS, set_log_limits, sizeof(struct msg_log_limits), .fds_max = 0},
	/* safe: a folder or file whose name is made from the number, a size with a range that the disk has; its content
	   is the kernel's */
	{MSG_VOLUME_SIZE, size_volume, sizeof(struct msg_volume_size), .fds_max = 0},
	{MSG_VOLUME_INFO, tell_volume, sizeof(struct msg_volume), .fds_max = 0},
	/* safe: a fixed program as the plain user that serves git over ssh; the name has no slash or dot (name_valid),
	   the rest chooses among fixed words; at most GIT_MAX */
	{MSG_GIT, serve_git, sizeof(struct msg_git), .fds_min = 4, .fds_max = 4},
	/* safe: both names as with MSG_APP_REMOVE, inside repos/ only; takes no other's place */
	{MSG_REPO_RENAME, rename_repo, sizeof(struct msg_rename), .fds_max = 0},
};
_Static_assert(ARRAY_LEN(control_rows) == MSG_REPO_RENAME - MSG_START + 1 + 2,
	"a row for each message from control, HELLO and EXITED_ACK");
static const struct dispatch_table control_table = {
	PEER_CONTROL, control_rows, ARRAY_LEN(control_rows)};

int dispatch_control(struct context *ctx, struct msg *m)
{
	return dispatch(ctx, &control_table, ctx->handoff->fds[HANDOFF_CONTROL_OURS], m);
}

static int logger_hello(struct context *ctx, struct msg *m UNUSED, struct reply *r UNUSED)
{
	instances_attach_all(ctx->instances);
	return 0;
}

static int log_done(struct context *ctx, struct msg *m, struct reply *r UNUSED)
{
	struct msg_instance body;

	BODY(m, body);
	instances_log_done(ctx->instances, body.id);
	return 0;
}

static const struct dispatch_row logger_rows[] = {
	/* safe: hands out read ends of FIFOs that are the logger's to read */
	{MSG_HELLO, logger_hello, sizeof(struct msg_hello), .no_reply = true},
	/* safe: a lie only lets output go that the logger could drop anyway */
	{MSG_LOG_DONE, log_done, sizeof(struct msg_instance), .no_reply = true},
	/* safe: only answers a question that was asked */
	{MSG_LOG_CLOSE, log_closed, sizeof(struct msg_app), .no_reply = true},
};
static const struct dispatch_table logger_table = {
	PEER_LOGGER, logger_rows, ARRAY_LEN(logger_rows)};

int dispatch_logger(struct context *ctx, struct msg *m)
{
	return dispatch(ctx, &logger_table, ctx->handoff->fds[HANDOFF_LOGGER_OURS], m);
}
