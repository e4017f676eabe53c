/* The certificates of all apps: key files, rows, and what the router workers have of them. */
#include "control/certs/certs.h"
#include "control/certs/certs_pack.h"
#include "control/logs/applog.h"
#include "control/network/own_host.h"
#include "control/network/routes.h"
#include "lib/io.h"
#include "lib/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define CHALLENGES_MAX (2u * CERT_NAMES_MAX) /* of one order at a time */
#define DAY_US ((uint64_t)86400 * 1000000)

struct challenge {
	char token[ACME_TOKEN_MAX], answer[ACME_ANSWER_MAX];
};

struct certs {
	int folder;
	pthread_mutex_t send; /* one packing at a time, sent in that order */
	bool keys_first;      /* under send: files are there before their rows */
	pthread_mutex_t lock; /* what follows */
	struct certs_ticket
		tickets[CERTS_TICKETS_MAX]; /* never on disk: forward secrecy */
	uint32_t n_tickets;
	uint64_t ticket_us; /* when the first was made */
	struct challenge challenges[CHALLENGES_MAX];
	uint32_t n_challenges;
	struct buf marks, strings; /* of the pack that was sent last, without keys */
};

/* ---- key files ---- */

static bool named(const struct db_cert *list, int n, const char *file)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list[i].key_file, file) == 0)
			return true;
	return false;
}

/* Removes key files that no row names. How many. */
static unsigned int sweep(struct control *c, struct certs *k)
{
	unsigned int gone = 0;
	struct db_cert *list = NULL;
	int n = db_cert_list(c->db, 0, &list);
	int fd = n < 0 ? -1 : openat(k->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !named(list, n, entry->d_name))
			gone += unlinkat(k->folder, entry->d_name, 0) == 0;
	if (dir)
		closedir(dir);
	db_cert_free(list, n);
	return gone;
}

int certs_open(struct control *c, struct certs **ret, struct err *e)
{
	struct certs *k = calloc(1, sizeof(*k));
	char path[4096];

	if (!k)
		return err_sys(e, ENOMEM, "certificates");
	snprintf(path, sizeof(path), "%s/control/certs", c->state);
	int r = io_mkdirs(path, 0700);
	k->folder = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->folder < 0) {
		r = err_sys(e, r < 0 ? -r : errno, "cannot open %s", path);
		free(k);
		return r;
	}
	pthread_mutex_init(&k->send, NULL);
	pthread_mutex_init(&k->lock, NULL);
	sweep(c, k);
	*ret = k;
	return 0;
}

void certs_close(struct certs *k)
{
	if (!k)
		return;
	close(k->folder);
	explicit_bzero(k->tickets, sizeof(k->tickets));
	buf_free(&k->marks);
	buf_free(&k->strings);
	pthread_mutex_destroy(&k->send);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int new_key_file(struct certs *k, const char *key, char out[33])
{
	unsigned char id[16];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
	return io_replace_file(k->folder, out, key, strlen(key), 0600);
}

static void drop_key_file(struct control *c, const char *file)
{
	if (db_settle(c->db) == 0)
		unlinkat(c->certs->folder, file, 0);
}

static int check_room(struct control *c, uint32_t app)
{
	struct db_cert *list = NULL;
	int n = db_cert_list(c->db, app, &list);

	db_cert_free(list, n);
	return n < 0 ? n : n < CERTS_OF_APP_MAX ? 0 : -E2BIG;
}

/* The row; what it takes the place of names its key in old. -E2BIG */
static int put_row(struct control *c, const struct db_cert *row, char old[33])
{
	struct db_cert before;
	int r = db_begin(c->db);

	if (r < 0)
		return r;
	if (db_cert_get(c->db, row->app, row->name, &before) == 0) {
		memcpy(old, before.key_file, sizeof(before.key_file));
		db_cert_clear(&before);
	} else if (row->name[0]) {
		r = check_room(c, row->app);
	}
	if (r == 0)
		r = db_cert_put(c->db, row);
	int ended = db_end(c->db, r == 0);
	return r < 0 ? r : ended;
}

int certs_put(struct control *c, uint32_t app, const char *name,
	const struct cert_pair *p, struct err *e)
{
	struct certs *k = c->certs;
	struct db_cert row = {.app = app,
		.names = p->facts.names,
		.chain = p->chain,
		.from_us = p->facts.from_us,
		.until_us = p->facts.until_us};
	char old[33] = "";

	snprintf(row.name, sizeof(row.name), "%s", name);
	pthread_mutex_lock(&k->send);
	int r = new_key_file(k, p->key, row.key_file);
	if (r == 0 && (r = put_row(c, &row, old)) < 0)
		unlinkat(k->folder, row.key_file, 0);
	if (r == 0 && old[0])
		drop_key_file(c, old);
	pthread_mutex_unlock(&k->send);
	return r < 0 ? err_sys(e, -r, "the certificate cannot be stored") : 0;
}

int certs_remove(struct control *c, uint32_t app, const char *name, struct err *e)
{
	struct db_cert row;
	int r = db_cert_get(c->db, app, name, &row);

	if (r == 0) {
		r = db_cert_delete(c->db, app, name);
		if (r == 0)
			drop_key_file(c, row.key_file);
		db_cert_clear(&row);
	}
	return r < 0 ? err_sys(e, -r, "the certificate cannot be removed") : 0;
}

/* ---- which serves what ---- */

static bool better(const struct db_cert *a, const struct db_cert *b, uint64_t now_us)
{
	bool a_valid = a->from_us <= now_us && now_us <= a->until_us,
	     b_valid = b->from_us <= now_us && now_us <= b->until_us;

	if (a_valid != b_valid)
		return a_valid;
	if ((a->name[0] == '\0') != (b->name[0] == '\0'))
		return a->name[0] != '\0';
	return a->until_us > b->until_us;
}

int certs_choose(const struct db_cert *list, int n, const char *host, uint64_t now_us)
{
	int best = -1;

	for (int i = 0; i < n; i++)
		if (cert_covers(list[i].names, host) &&
			(best < 0 || better(&list[i], &list[best], now_us)))
			best = i;
	return best;
}

/* ---- sending ---- */

/* The key file's text; one that is missing or torn leaves its certificate out. */
static char *read_key_file(struct certs *k, const char *file)
{
	autobuf b = {.max = CERT_PEM_MAX};
	int r = io_read_file(k->folder, file, &b);

	if (r < 0 || b.len == 0 || strlen(b.data) != b.len) {
		log_error("the key file certs/%s cannot be read: %s", file,
			r < 0 ? strerror(-r) : "it is damaged");
		return NULL;
	}
	return buf_take(&b);
}

/* While all are packed. */
struct packing {
	struct control *c;
	struct certs_pack *pack;
	struct db_app *apps; /* by id */
	struct db_domain *domains;
	char *api; /* the API's hostname, or NULL */
	int n_apps, n_domains;
	/* of the app that is packed */
	const struct db_cert *list;
	int n;
	int64_t *index; /* in the pack; -1: not there */
};

/* Only what serves a name goes out. */
static void pack_host(struct packing *k, uint32_t app, const char *host)
{
	int best = certs_choose(k->list, k->n, host, io_now_us());
	char *key;

	if (k->api && app != TABLE_API && strcmp(host, k->api) == 0)
		return;
	if (best >= 0 && k->index[best] < 0 &&
		(key = read_key_file(k->c->certs, k->list[best].key_file))) {
		k->index[best] = certs_pack_cert(k->pack, k->list[best].chain, key);
		cert_wipe(key);
	}
	if (best >= 0 && k->index[best] >= 0)
		certs_pack_name(k->pack, host, (uint32_t)k->index[best], app);
}

/* As the routing table has them. */
static void pack_app(struct packing *k, const struct db_app *app)
{
	char host[HOST_MAX_LEN + NAME_MAX_LEN + 2];
	int n, n_global;
	const struct db_domain *own =
		db_domain_part(k->domains, k->n_domains, app->id, &n);
	const struct db_domain *global =
		db_domain_part(k->domains, k->n_domains, 0, &n_global);

	for (int i = 0; i < k->n; i++)
		k->index[i] = -1;
	for (int i = 0; i < n; i++)
		pack_host(k, app->id, own[i].name);
	for (int i = 0; i < n_global; i++) {
		snprintf(host, sizeof(host), "%s.%s", app->name, global[i].name);
		pack_host(k, app->id, host);
	}
	if (n_global == 0) {
		snprintf(host, sizeof(host), "%s.localhost", app->name);
		pack_host(k, app->id, host);
	}
	if (k->api && own_host_certs_of(k->c, app->name))
		pack_host(k, TABLE_API, k->api);
}

static int by_id(const void *a, const void *b)
{
	const struct db_app *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static const struct db_app *find_app(const struct packing *k, uint32_t id)
{
	struct db_app key = {.id = id};

	return bsearch(&key, k->apps, (size_t)k->n_apps, sizeof(key), by_id);
}

static int pack_all(struct control *c, struct certs_pack *p)
{
	char *api autofree = own_host(c);
	struct packing k = {.c = c, .pack = p, .api = api};
	struct db_cert *list = NULL;
	int n = db_cert_list(c->db, 0, &list), r = n;
	int64_t *index autofree =
		n > 0 ? calloc((size_t)n, sizeof(*index)) : NULL; /* of all apps' */

	if (n > 0 && !index)
		r = -ENOMEM;
	if (n > 0 && r >= 0)
		r = k.n_apps = db_app_list(c->db, &k.apps);
	if (n > 0 && r >= 0)
		r = k.n_domains = db_domain_all(c->db, 0, &k.domains);
	if (n > 0 && r >= 0)
		qsort(k.apps, (size_t)k.n_apps, sizeof(*k.apps), by_id);
	for (int i = 0, end; r >= 0 && i < n; i = end) {
		const struct db_app *app = find_app(&k, list[i].app);

		for (end = i + 1; end < n && list[end].app == list[i].app;)
			end++;
		k.list = list + i;
		k.index = index + i;
		k.n = end - i;
		if (app && !app->removing)
			pack_app(&k, app);
	}
	db_cert_free(list, n);
	free(k.apps);
	free(k.domains);
	return r < 0 ? r : 0;
}

/* Under the lock. Three days of tickets are taken, new ones are made with today's key. */
static void renew_tickets(struct certs *k, uint64_t now_us)
{
	struct certs_ticket fresh;

	if (k->n_tickets && now_us - k->ticket_us < DAY_US)
		return;
	if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
		return;
	memmove(&k->tickets[1], &k->tickets[0],
		(CERTS_TICKETS_MAX - 1) * sizeof(k->tickets[0]));
	k->tickets[0] = fresh;
	explicit_bzero(&fresh, sizeof(fresh));
	k->ticket_us = now_us;
	if (k->n_tickets < CERTS_TICKETS_MAX)
		k->n_tickets++;
}

/* The names that were sent, for the next table. */
static void keep_marks(struct certs *k, const struct certs_pack *p)
{
	const struct certs_mark *m = (const void *)p->marks.data;

	buf_reset(&k->marks);
	buf_reset(&k->strings);
	for (size_t i = 0; i < p->marks.len / sizeof(*m); i++) {
		struct certs_mark kept = {(uint32_t)k->strings.len, m[i].len, m[i].app};
		buf_add(&k->strings, p->strings.data + m[i].off, m[i].len);
		buf_add(&k->marks, &kept, sizeof(kept));
	}
	if (k->strings.failed || k->marks.failed)
		buf_reset(&k->marks);
}

/* All of it as a memory file; the next table goes by it. */
static int collect(struct control *c, struct certs *k, struct err *e)
{
	struct certs_pack p = {0};
	int r = pack_all(c, &p);

	pthread_mutex_lock(&k->lock);
	renew_tickets(k, io_now_us());
	for (uint32_t i = 0; i < k->n_challenges; i++)
		certs_pack_acme(&p, k->challenges[i].token, k->challenges[i].answer);
	if (r == 0)
		r = certs_pack_finish(&p, k->tickets, k->n_tickets);
	if (r >= 0)
		keep_marks(k, &p);
	pthread_mutex_unlock(&k->lock);
	certs_pack_free(&p);
	return r < 0 ? err_sys(e, -r, "collect the certificates") : r;
}

int certs_refresh(struct control *c, struct err *e)
{
	pthread_mutex_lock(&c->certs->send);
	int r = collect(c, c->certs, e);

	if (r >= 0)
		r = routes_send_certs(c->routes, r, e);
	pthread_mutex_unlock(&c->certs->send);
	return r;
}

int certs_came(struct control *c, struct err *e)
{
	int r = certs_refresh(c, e);

	return r < 0 ? r : routes_refresh(c, e);
}

int certs_went(struct control *c, struct err *e)
{
	pthread_mutex_lock(&c->certs->send);
	int fd = collect(c, c->certs, e), r = fd;

	if (fd >= 0) {
		r = routes_refresh(c, e);
		int sent = routes_send_certs(c->routes, fd, r < 0 ? NULL : e);
		r = r < 0 ? r : sent;
	}
	pthread_mutex_unlock(&c->certs->send);
	return r;
}

void certs_app_gone(struct control *c)
{
	unsigned int gone = 0;

	pthread_mutex_lock(&c->certs->send); /* no pair is between its file and its row */
	bool later = c->certs->keys_first;
	if (!later && db_settle(c->db) == 0)
		gone = sweep(c, c->certs);
	pthread_mutex_unlock(&c->certs->send);
	if (gone || later)
		certs_went(c, NULL);
	else
		routes_refresh(c, NULL);
}

void certs_keys_first(struct control *c, bool on)
{
	pthread_mutex_lock(&c->certs->send);
	c->certs->keys_first = on;
	if (!on && db_settle(c->db) == 0)
		sweep(c, c->certs);
	pthread_mutex_unlock(&c->certs->send);
}

/* ---- challenges ---- */

static void set_challenge(struct certs *k, const char *token, const char *answer)
{
	uint32_t i = 0;

	while (i < k->n_challenges && strcmp(k->challenges[i].token, token) != 0)
		i++;
	if (!answer) {
		if (i < k->n_challenges)
			k->challenges[i] = k->challenges[--k->n_challenges];
		return;
	}
	if (i == CHALLENGES_MAX)
		i = 0; /* an order has no more names: it is an old one */
	snprintf(k->challenges[i].token, sizeof(k->challenges[i].token), "%s", token);
	snprintf(k->challenges[i].answer, sizeof(k->challenges[i].answer), "%s", answer);
	if (i == k->n_challenges)
		k->n_challenges++;
}

int certs_challenge(
	struct control *c, const char *token, const char *answer, struct err *e)
{
	pthread_mutex_lock(&c->certs->lock);
	set_challenge(c->certs, token, answer);
	pthread_mutex_unlock(&c->certs->lock);
	return answer ? certs_refresh(c, e) : 0;
}

void certs_no_challenges(struct control *c)
{
	pthread_mutex_lock(&c->certs->lock);
	c->certs->n_challenges = 0;
	pthread_mutex_unlock(&c->certs->lock);
}

/* Those that nobody renews by himself. */
static void remind(struct control *c)
{
	struct db_cert *list = NULL;
	uint64_t now = io_now_us();
	int n = db_cert_list(c->db, 0, &list);

	for (int i = 0; i < n; i++) {
		if (!list[i].name[0] || list[i].until_us > now + CERT_SOON_US)
			continue;
		if (list[i].until_us <= now)
			applog(list[i].app, "berth[tls]",
				"certificate %s has expired: berth certs:add, or berth "
				"tls:enable",
				list[i].name);
		else
			applog(list[i].app, "berth[tls]",
				"certificate %s expires in %u days", list[i].name,
				(unsigned int)((list[i].until_us - now) / DAY_US));
	}
	db_cert_free(list, n);
}

void certs_daily(struct control *c)
{
	struct err e = {0};

	remind(c);
	if (certs_came(c, &e) < 0)
		log_warn("%s", e.text);
}

/* ---- what the workers have ---- */

bool certs_serve(struct certs *k, const char *host)
{
	bool found = false;

	pthread_mutex_lock(&k->lock);
	const struct certs_mark *m = (const void *)k->marks.data;
	size_t low = 0, high = k->marks.len / sizeof(*m);
	while (low < high && !found) {
		size_t mid = low + (high - low) / 2;
		int r = certs_compare(host, (uint32_t)strlen(host),
			k->strings.data + m[mid].off, m[mid].len);

		found = r == 0;
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

void certs_mark(struct certs *k, struct table_host *hosts, uint32_t n,
	const char *strings, const struct table_app *apps)
{
	pthread_mutex_lock(&k->lock);
	const struct certs_mark *m = (const void *)k->marks.data;
	size_t n_marks = k->marks.len / sizeof(*m);

	for (uint32_t i = 0, j = 0; i < n && j < n_marks;) {
		int r = certs_compare(strings + hosts[i].name_off, hosts[i].name_len,
			k->strings.data + m[j].off, m[j].len);

		if (r == 0 && apps[hosts[i].app].id == m[j].app)
			hosts[i].flags |= HOST_TLS;
		i += r <= 0;
		j += r >= 0;
	}
	pthread_mutex_unlock(&k->lock);
}
