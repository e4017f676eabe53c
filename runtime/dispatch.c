/* One message against a closed table. */
#include "lib/log.h"
#include "runtime/context.h"

#include <errno.h>
#include <string.h>

static const struct dispatch_row *find(
	const struct dispatch_row *rows, size_t n, uint32_t type)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

static bool fits(const struct dispatch_row *row, const struct msg *m)
{
	return (m->head.size == row->size || (row->size_or_zero && m->head.size == 0)) &&
	       m->nfds >= row->fds_min && m->nfds <= row->fds_max;
}

int dispatch(struct context *ctx, const struct dispatch_row *rows, size_t n, int fd,
	struct msg *m)
{
	static struct reply
		reply; /* 16 kB: not on the stack, and the worker has one thread */
	const struct dispatch_row *row = find(rows, n, m->head.type);
	int status = -EPROTO, r;

	reply.size = 0;
	reply.n_fds = 0;
	reply.later = false;
	if (row && fits(row, m))
		status = row->handle(ctx, m, &reply);
	else
		log_warn("message %u of %u bytes with %u descriptors is refused",
			m->head.type, m->head.size, m->nfds);
	if (row && row->no_reply)
		return 0;
	if (!reply.later) {
		r = msg_send(fd, m->head.type, m->head.seq, status, reply.body,
			reply.size, reply.fds, reply.n_fds);
		if (r < 0)
			log_error("cannot answer message %u: %s", m->head.type,
				strerror(-r));
	}
	for (unsigned int i = 0; i < reply.n_fds; i++)
		close(reply.fds[i]);
	return row ? 0 : -EPROTO;
}
