/* What webhooks tell that nobody does: a disk that fills up, certificates that end. */
#include "control/certs/acme_plan.h"
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

void webhooks_look_certs(struct control *c, uint64_t now_us)
{
	struct db_cert *rows = NULL;
	char until[STAMP_SIZE];
	int n = db_cert_list(c->db, 0, &rows);

	for (int i = 0; i < n; i++) {
		const struct db_cert *row = &rows[i];

		if (row->until_us > now_us + SOON_US ||
			(!row->name[0] && !acme_late(row, now_us)))
			continue;
		stamp_format(row->until_us, until);
		json_t *o = json_pack("{s:s, s:s, s:s}", "what",
			row->until_us > now_us ? "expires soon" : "expired",
			"certificate", row->name[0] ? row->name : "automatic", "until",
			until);
		webhooks_put_names(o, row->names);
		webhooks_emit(c, row->app, HOOK_CERTIFICATE, o);
	}
	db_cert_free(rows, n > 0 ? n : 0);
}

/* Once a day: what is renewed in time is not told. */
static void look_certs(struct control *c, struct looks *l)
{
	const uint64_t now = io_now_us();

	if (l->certs_us && now < l->certs_us + DAY_US)
		return;
	l->certs_us = now;
	webhooks_look_certs(c, now);
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
