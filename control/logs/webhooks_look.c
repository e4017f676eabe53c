/* What webhooks tell that nobody does: a disk that fills up, certificates that end. */
#include "control/data/space.h"
#include "control/logs/webhooks.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/stamp.h"

#define LOOK_S 60
#define STACK_BYTES ((size_t)256 << 10)
#define SOON_US (7 * UINT64_C(86400) * 1000000)
#define DAY_US (UINT64_C(86400) * 1000000)

struct looks {
	bool low; /* the disk is, and that was told */
	uint64_t certs_us;
};

static void look_disk(struct control *c, struct looks *l)
{
	struct space s;

	if (space_look(c, &s) < 0)
		return;
	bool low = space_room(&s) == 0;
	if (low && !l->low)
		webhooks_emit(c, 0, HOOK_DISK,
			json_pack("{s:s, s:I, s:I, s:I, s:I}", "what", "low",
				"free_bytes", (json_int_t)s.free, "reserve_bytes",
				(json_int_t)s.reserve, "budget_bytes",
				(json_int_t)s.budget, "used_bytes", (json_int_t)s.used));
	l->low = low;
}

/* Once a day: what is renewed in time is not told. */
static void look_certs(struct control *c, struct looks *l)
{
	struct db_cert *rows = NULL;
	uint64_t now = io_now_us();
	char until[STAMP_SIZE];

	if (l->certs_us && now < l->certs_us + DAY_US)
		return;
	l->certs_us = now;
	int n = db_cert_list(c->db, 0, &rows);
	for (int i = 0; i < n; i++) {
		if (rows[i].until_us > now + SOON_US)
			continue;
		stamp_format(rows[i].until_us, until);
		webhooks_emit(c, rows[i].app, HOOK_CERTIFICATE,
			json_pack("{s:s, s:s, s:O, s:s}", "what",
				rows[i].until_us > now ? "expires soon" : "expired",
				"certificate",
				rows[i].name[0] ? rows[i].name : "automatic", "names",
				rows[i].names, "until", until));
	}
	db_cert_free(rows, n > 0 ? n : 0);
}

/* One a program, as the disk that it looks at. */
static struct pace pace = PACE_INIT;

static void *look_main(void *arg)
{
	struct control *c = arg;
	struct looks l = {0};

	for (;;) {
		if (webhooks_count(c) > 0) {
			look_disk(c, &l);
			look_certs(c, &l);
		}
		pace_wait(&pace, LOOK_S);
	}
	return NULL;
}

int webhooks_run(struct control *c)
{
	return thread_detached(look_main, c, STACK_BYTES);
}

void webhooks_look_soon(void)
{
	pace_now(&pace);
}
