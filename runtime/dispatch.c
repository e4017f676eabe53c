/* One message against a closed table. */
#include "runtime/context.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

/* Descriptors that nobody takes are root's memory: so many bytes of answers may wait. */
#define UNREAD_MAX (256 << 10)

static const char *const peers[PEER_KINDS] = {
	[PEER_CONTROL] = "berth-control",
	[PEER_LOGGER] = "berth-logger",
	[PEER_ROUTER] = "berth-router",
};

static const struct dispatch_row *find(const struct dispatch_table *t, uint32_t type)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].type == type)
			return &t->rows[i];
	return NULL;
}

static bool fits(const struct dispatch_row *row, const struct msg *m)
{
	return (m->head.size == row->size || (row->size_or_zero && m->head.size == 0)) &&
	       m->nfds >= row->fds_min && m->nfds <= row->fds_max;
}

static bool reads_answers(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) < 0 || bytes <= UNREAD_MAX;
}

static int handle(struct context *ctx, const struct dispatch_row *row, int fd,
	struct msg *m, struct reply *r)
{
	if (!row)
		return err_set(&r->e, EPROTO, "there is no such message");
	if (!fits(row, m))
		return err_set(&r->e, EPROTO, "%u bytes with %u descriptors do not fit",
			m->head.size, m->nfds);
	if (row->gives_fds && !reads_answers(fd))
		return err_set(&r->e, EAGAIN, "too many answers are unread");
	return row->handle(ctx, m, r);
}

void dispatch_malformed(struct context *ctx, enum peer_kind from)
{
	if (log_rate_ok(&ctx->refused[from]))
		log_warn("%s: a malformed message is dropped", peers[from]);
}

static void tell_refusal(struct context *ctx, enum peer_kind from, uint32_t type,
	int status, const char *why)
{
	/* what is asked about has ended or is in use: the peer could not know */
	if (status != -ESRCH && status != -EBUSY && log_rate_ok(&ctx->refused[from]))
		log_warn("%s: message %u is refused: %s", peers[from], type,
			why[0] ? why : strerror(-status));
}

static void answer(int fd, const struct msg *m, int status, const struct reply *r)
{
	int e = msg_send(fd, m->head.type, m->head.seq, status, r->body, r->size, r->fds,
		r->n_fds);

	if (e < 0)
		log_error("cannot answer message %u: %s", m->head.type, strerror(-e));
}

int dispatch(
	struct context *ctx, const struct dispatch_table *table, int fd, struct msg *m)
{
	static struct reply
		reply; /* 17 kB: not on the stack, and the worker has one thread */
	const struct dispatch_row *row = find(table, m->head.type);
	int status;

	reply.size = 0;
	reply.n_fds = 0;
	reply.later = false;
	reply.e.text[0] = '\0';
	status = handle(ctx, row, fd, m, &reply);
	if (status < 0)
		tell_refusal(ctx, table->from, m->head.type, status, reply.e.text);
	if (!reply.later && !(row && row->no_reply))
		answer(fd, m, status, &reply);
	for (unsigned int i = 0; i < reply.n_fds; i++)
		close(reply.fds[i]);
	return row ? 0 : -EPROTO;
}
