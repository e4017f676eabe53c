/* What a router worker, which reads the internet, may ask of root: three things. */
#include "runtime/context.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int hello(struct context *ctx UNUSED, struct msg *m UNUSED, struct reply *r UNUSED)
{
	return 0;
}

static int sockets(struct context *ctx, struct msg *m, struct reply *r)
{
	const struct record *record;
	struct msg_sockets body;
	int status = -ESRCH;

	BODY(m, body);
	if (body.n < 1 || body.n > PROTO_SOCKETS_MAX ||
		(body.family != AF_INET && body.family != AF_INET6 &&
			body.family != AF_UNIX))
		return -EINVAL;
	record = instances_running(ctx->instances, body.id);
	if (record)
		status = sandbox_sockets(
			ctx->rt, &record->sandbox, (int)body.family, body.n, r->fds);
	if (status > 0)
		r->n_fds = (unsigned int)status;
	memcpy(r->body, &body, sizeof(body));
	r->size = sizeof(body);
	return status < 0 ? status : 0;
}

static int wake(struct context *ctx, struct msg *m, struct reply *r)
{
	struct msg_instance body;

	BODY(m, body);
	memcpy(r->body, &body, sizeof(body));
	r->size = sizeof(body);
	return instances_thaw(ctx->instances, body.id);
}

static int leaves(struct context *ctx, struct msg *m UNUSED, struct reply *r UNUSED)
{
	daemons_left(ctx->daemons, ctx->router);
	return 0;
}

static const struct dispatch_row rows[] = {
	/* safe: nothing is open between the two that a restart could lose */
	{MSG_HELLO, hello, sizeof(struct msg_hello), .no_reply = true},
	/* safe: sockets that reach what an app reaches, at most 32 at a time; which
	   instances a router serves is control's table, and a router that was taken over
	   could ask for those of any app */
	{MSG_ROUTER_SOCKETS, sockets, sizeof(struct msg_sockets), .gives_fds = true},
	/* safe: only ever lets an app go on that control started; a router that was taken
	   over could keep all of them awake */
	{MSG_ROUTER_WAKE, wake, sizeof(struct msg_instance), .fds_max = 0},
	/* safe: starts a router in the place of one that berthd itself told to make way,
	   else nothing */
	{MSG_ROUTER_LEAVES, leaves, 0, .no_reply = true},
};
static const struct dispatch_table table = {PEER_ROUTER, rows, ARRAY_LEN(rows)};

int dispatch_router(struct context *ctx, int fd, struct msg *m)
{
	const struct handoff *h = ctx->handoff;

	ctx->router = h->n_workers;
	for (unsigned int i = 0; i < h->n_workers; i++)
		if (handoff_router_fd(h, i, HANDOFF_ROUTER_OURS) == fd)
			ctx->router = i;
	return dispatch(ctx, &table, fd, m);
}
