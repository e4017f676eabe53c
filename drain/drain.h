/*
 * A drain: where to, the readers of the logs that it sends, what is on its way, how it fares. One event loop serves all; what a
 * drain holds in memory is one batch, whatever its receiver does.
 *
 * A batch (batch.c) is lines of one log. What becomes of it is said by its transport (http.c, stream.c, udp.c, file.c):
 *   delivered   the readers' place moves on, and is written to disk within a second (state.h)
 *   failed      everything since that place is read and sent again, after a pause that doubles
 *   refused     the receiver will never take this batch: it is dropped and counted
 * Streams have no answers: delivered is what the receiver's host has acknowledged and SETTLE_MS have gone since in which the
 * connection stood, as a receiver that ends takes what it had not read with it.
 */
#ifndef DRAIN_DRAIN_H
#define DRAIN_DRAIN_H

#include "drain/log.h"
#include "lib/buf.h"
#include "lib/drain_url.h"
#include "lib/err.h"

#define BATCH_BYTES ((size_t)128 << 10) /* of log, before it is put into form */
#define BATCH_BYTES_MIN                                                                  \
	((size_t)4 << 10)  /* what a receiver that finds batches too large gets at last */
#define BATCHES_SMALLER 64 /* so many are taken before they are twice as large again */
#define LINGER_MS 30	   /* lines that come one by one are sent together */
#define LINGER_HTTP_MS 200
#define PAUSE_MS 1000 /* after a failure, doubling, a quarter more or less at random */
#define PAUSE_MAX_MS 60000
#define PAUSE_WISH_MS 300000 /* what a receiver may ask for */
#define CONNECT_MS 10000
#define STALL_MS 30000 /* a receiver that takes nothing for so long */
#define SETTLE_MS 1000
#define UNWELL_MS 3000 /* failing for so long is told in the app's log */
#define MARKS_MAX 256

enum drain_phase {
	PHASE_CLOSED, /* nothing is open or under way */
	PHASE_OPENING,
	PHASE_OPEN,    /* ready for a batch */
	PHASE_SENDING, /* has one */
	PHASE_PAUSED,  /* after a failure */
};

/* The end of a batch that was handed over. */
struct mark {
	struct cursor *cursor;
	struct place end;
	unsigned int lines;
	uint64_t bytes; /* acknowledged of the connection when it has arrived */
	uint64_t sent_ns, arrived_ns; /* 0: not yet */
};

struct outlet;
struct drain {
	struct outlet *outlet;
	struct drain *next;
	uint64_t id;
	uint32_t app; /* 0: all */
	struct drain_url url;
	bool gzip, insecure, local, named; /* named: since the last list began */
	char *ca;
	uint64_t created_us;
	const struct transport *transport;
	void *way; /* the transport's own */
	struct cursor *cursors, *turn;
	enum drain_phase phase;
	struct buf out; /* the batch that is being sent, put into form */
	size_t out_sent;
	struct mark batch;
	size_t batch_bytes;   /* at most, of log */
	unsigned int smaller; /* delivered since batches became smaller */
	struct mark marks[MARKS_MAX];
	unsigned int n_marks;
	struct loop_timer *timer, *settle;
	/* how it fares */
	unsigned int failures; /* since something was delivered */
	uint64_t failing_us;   /* since when; 0: it is well */
	bool told;	       /* that it fails */
	char error[256];
	uint64_t sent_lines, refused_lines, delivered_us;
	bool unsaved;
	void *saved; /* json_t: as it was when this program started */
};

struct transport {
	/* Begins to open; drain_opened or drain_failed follows, perhaps at once. NULL: there is nothing to open. */
	void (*open)(struct drain *d);
	/* d->out is to be sent: drain_handed, drain_delivered, drain_failed or drain_refused follows, perhaps at once. */
	void (*send)(struct drain *d);
	/* Ends whatever is open or under way; nothing is called afterwards. */
	void (*close)(struct drain *d);
	/* How much of what was handed over has arrived, as mark.bytes. NULL: all has. */
	uint64_t (*arrived)(struct drain *d);
	void (*put)(
		struct drain *d, const char *line, size_t len, const struct cursor *c);
	unsigned int linger_ms; /* before a line that came alone is sent */
	unsigned int pace_ms;	/* between batches */
	size_t batch_bytes;
};
extern const struct transport transport_http, transport_stream, transport_udp,
	transport_file;

/* What a transport says. error: for people; "" takes none. */
void drain_opened(struct drain *d);
/* The batch is on its way: with the connection's bytes up to its end. */
void drain_handed(struct drain *d, uint64_t bytes);
void drain_delivered(struct drain *d);
/* pause_ms: the receiver's wish, 0: none. */
void drain_failed(struct drain *d, uint64_t pause_ms, const char *fmt, ...) PRINTF(3, 4);
void drain_refused(struct drain *d, const char *fmt, ...) PRINTF(2, 3);
/* The receiver closed: a failure only where something was on its way. */
void drain_closed(struct drain *d, const char *error);

/* What outlet.c says: its turn comes then, if it has none before. */
void drain_run_in(struct drain *d, uint64_t ms);
/* Ends what is under way: what was not delivered is read again. */
void drain_stop(struct drain *d);
/* In outlet.c: there is something to be written down. */
void drain_changed(struct drain *d);

#endif
