/* Networks of apps: rules, names, and what of them is in the packet filter now. */
#include "runtime/network/network.h"
#include "lib/firewall.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/network/names.h"
#include "runtime/network/network_check.h"
#include "runtime/network/nfnl.h"
#include "runtime/network/nft.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define FOLDER "network"
#define RETRY_S 5	    /* after the packet filter could not be made */
#define NAMER_RETRY_MIN_S 5 /* doubled with each failure */
#define NAMER_RETRY_MAX_S 640
#define KEPT_MAGIC 0x62726e31u /* changes with the layout of the two messages */

/* The rules of one app's instances, or of its builds. */
struct rules {
	struct rules *next;
	struct msg_network m;
};

/* The instances behind a name, and which of them is in each of its places: indexes of
 * addresses, 0 none. */
struct name {
	struct name *next;
	struct msg_name m;
	uint32_t four[NET_NAME_INSTANCES], six[NET_NAME_INSTANCES];
};

struct network {
	struct runtime *rt;
	char table[NFT_NAME_MAX];
	int folder, nl, news;
	int poll;	 /* of news, the two timers, and the namer */
	int retry;	 /* timer */
	uint64_t handle; /* of the table that was made last */
	struct rules *rules;
	struct name *names;
	uint32_t attached[ADDR_BLOCK]; /* whose rules an index meets (nft.h); 0: none */
	bool led[ADDR_BLOCK];	       /* a name leads there, or did */
	bool owed; /* what is in force may not be what is in memory: made when retry expires,
		      or before the next change */
	bool told; /* that it could not be made */
	bool warned;
	int namer;		    /* pidfd of nft_allow_named_later, -1: none runs */
	bool unnamed;		    /* the table was made since it began */
	int namer_retry;	    /* timer */
	unsigned int namer_pause_s; /* 0: the last one did not fail */
};

/* ---- what is kept on disk ---- */

struct kept {
	uint32_t magic, pad;
	union {
		struct msg_network rules;
		struct msg_name name;
	} m;
};

static int keep(
	struct network *n, const char *word, uint32_t number, const void *m, size_t size)
{
	char file[32], temp[40];
	struct kept *k autofree = calloc(1, sizeof(*k));
	int fd autoclose = -1;
	int r;

	if (!k)
		return -ENOMEM;
	k->magic = KEPT_MAGIC;
	memcpy(&k->m, m, size);
	snprintf(file, sizeof(file), "%s-%u", word, number);
	snprintf(temp, sizeof(temp), "%s.new", file);
	fd = openat(n->folder, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, k, offsetof(struct kept, m) + size);
	if (r < 0)
		return r;
	return renameat(n->folder, temp, n->folder, file) < 0 ? -errno : 0;
}

static void unkeep(struct network *n, const char *word, uint32_t number)
{
	char file[32];

	snprintf(file, sizeof(file), "%s-%u", word, number);
	unlinkat(n->folder, file, 0);
}

/* -EBADMSG: no file of ours, of this layout. */
static int read_kept(struct network *n, const char *file, struct kept *k, size_t size)
{
	int fd autoclose = openat(n->folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	r = io_read_full(fd, k, offsetof(struct kept, m) + size);
	if (r == -EPIPE || r == -EISDIR || (r == 0 && k->magic != KEPT_MAGIC))
		return -EBADMSG;
	return r;
}

/* ---- rules and names in memory ---- */

static uint32_t whose(const struct msg_network *m)
{
	return m->app | (m->whose == NET_BUILDS ? NFT_BUILDS : 0);
}

/* Of an app, or with NFT_BUILDS of its builds. */
static struct rules **find_rules(struct network *n, uint32_t of)
{
	struct rules **at = &n->rules;

	while (*at && whose(&(*at)->m) != of)
		at = &(*at)->next;
	return at;
}

static struct name **find_name(struct network *n, uint32_t number)
{
	struct name **at = &n->names;

	while (*at && (*at)->m.number != number)
		at = &(*at)->next;
	return at;
}

static bool has_chain(const struct rules *r)
{
	return r && r->m.n_rules;
}

static int add_rules(struct network *n, const struct msg_network *m)
{
	struct rules *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct rules){.next = n->rules, .m = *m};
	n->rules = r;
	return 0;
}

static struct name *add_name(struct network *n, const struct msg_name *m)
{
	struct name *name = calloc(1, sizeof(*name));

	if (!name)
		return NULL;
	name->m = *m;
	name->next = n->names;
	n->names = name;
	return name;
}

/* -EBADMSG: of no use. */
static int load_one(struct network *n, const char *file, struct kept *k)
{
	bool rules = strncmp(file, "app-", 4) == 0 || strncmp(file, "build-", 6) == 0;
	struct err e = {0};
	int r;

	if (strchr(file, '.')) /* half-written: the one before counts */
		return -EBADMSG;
	r = read_kept(n, file, k, rules ? sizeof(k->m.rules) : sizeof(k->m.name));
	if (r < 0)
		return r;
	if ((rules ? network_check(&k->m.rules, &e)
		   : network_check_name(&k->m.name, &e)) < 0)
		return -EBADMSG;
	if (rules)
		return add_rules(n, &k->m.rules);
	return add_name(n, &k->m.name) ? 0 : -ENOMEM;
}

static int load_or_drop(struct network *n, const char *file, struct kept *k)
{
	int r = load_one(n, file, k);

	if (r != -EBADMSG)
		return r;
	log_warn("the file " FOLDER "/%s is of no use: removed", file);
	unlinkat(n->folder, file, 0);
	return 0;
}

/* What cannot be read now fails the start: to a build step that runs its rules are not sent
 * again. */
static int load(struct network *n)
{
	struct kept *k autofree = calloc(1, sizeof(*k));
	int fd = openat(n->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!k || !d)
		return k ? -errno : -ENOMEM;
	while (r == 0 && (errno = 0, entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = load_or_drop(n, entry->d_name, k);
	r = r < 0 ? r : -errno;
	closedir(d);
	return r;
}

static int watch(struct network *n, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(n->poll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_timer(struct network *n, int *ret)
{
	*ret = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return *ret < 0 ? -errno : watch(n, *ret);
}

/* 0: not any more. */
static void set_timer(int timer, unsigned int seconds)
{
	const struct itimerspec in = {.it_value.tv_sec = seconds};

	(void)timerfd_settime(timer, 0, &in, NULL);
}

static bool has_expired(int timer)
{
	uint64_t times;

	return read(timer, &times, sizeof(times)) == sizeof(times);
}

static int open_descriptors(struct network *n)
{
	int r;

	n->nl = nfnl_open();
	n->news = nfnl_listen();
	if (n->nl < 0 || n->news < 0)
		return n->nl < 0 ? n->nl : n->news;
	n->poll = epoll_create1(EPOLL_CLOEXEC);
	if (n->poll < 0)
		return -errno;
	if ((r = watch(n, n->news)) < 0 || (r = open_timer(n, &n->retry)) < 0)
		return r;
	return open_timer(n, &n->namer_retry);
}

int network_open(struct runtime *rt, struct network **ret, struct err *e)
{
	struct network *n = calloc(1, sizeof(*n));
	char path[PATH_MAX + 16];
	int r;

	if (!n)
		return err_set(e, ENOMEM, "out of memory");
	n->rt = rt;
	n->folder = n->nl = n->news = n->poll = n->retry = n->namer = n->namer_retry = -1;
	*ret = n;
	nft_table_name(rt->id, n->table);
	snprintf(path, sizeof(path), "%s/" FOLDER, rt->run);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	n->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n->folder < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if ((r = load(n)) < 0)
		return err_sys(e, -r, "cannot read %s", path);
	r = open_descriptors(n);
	return r < 0 ? err_sys(e, -r, "cannot reach the packet filter") : 0;
}

static void close_namer(struct network *n)
{
	(void)epoll_ctl(n->poll, EPOLL_CTL_DEL, n->namer, NULL);
	close(n->namer);
	n->namer = -1;
}

void network_stop(struct network *n)
{
	siginfo_t info;

	if (!n || n->namer < 0)
		return;
	(void)pidfd_send_signal(n->namer, SIGKILL, NULL, 0);
	(void)waitid(P_PIDFD, (id_t)n->namer, &info, WEXITED);
	close_namer(n);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void network_close(struct network *n)
{
	if (!n)
		return;
	for (struct rules *r = n->rules, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	for (struct name *name = n->names, *next; name; name = next) {
		next = name->next;
		free(name);
	}
	network_stop(n);
	close_fd(n->folder);
	close_fd(n->nl);
	close_fd(n->news);
	close_fd(n->poll);
	close_fd(n->retry);
	close_fd(n->namer_retry);
	free(n);
}

/* ---- the live sandboxes ---- */

/* Who came in meets those of the sandbox. */
static bool meets_rules(const struct sandbox_record *rec)
{
	return rec->net_index && !(rec->flags & SANDBOX_ENTERED);
}

uint32_t network_whose(uint32_t app, uint32_t flags)
{
	return app | (flags & START_BUILDER ? NFT_BUILDS : 0);
}

static uint32_t whose_is(const struct sandbox_record *rec)
{
	return network_whose(rec->app, rec->flags);
}

static const struct sandbox_record *find_running(const struct network *n, uint64_t id)
{
	for (const struct live *l = n->rt->live; l; l = l->next)
		if (l->rec.id == id && l->rec.net_index &&
			!(l->rec.flags & SANDBOX_ENTERED))
			return &l->rec;
	return NULL;
}

/* Each place one of the instances, all equally often. */
static void fill_places(struct network *n, struct name *name)
{
	uint32_t four[NET_NAME_INSTANCES], six[NET_NAME_INSTANCES];
	unsigned int n_four = 0, n_six = 0;

	for (uint32_t i = 0; i < name->m.n; i++) {
		const struct sandbox_record *rec = find_running(n, name->m.ids[i]);

		if (!rec)
			continue;
		n->led[rec->net_index] = true;
		four[n_four++] = rec->net_index;
		if (rec->flags & SANDBOX_IPV6)
			six[n_six++] = rec->net_index;
	}
	for (unsigned int i = 0; i < NET_NAME_INSTANCES; i++) {
		name->four[i] = n_four ? four[i % n_four] : 0;
		name->six[i] = n_six ? six[i % n_six] : 0;
	}
}

/* ---- elements: by netlink ---- */

/* Key and value of place i: the name's address and i, an instance's address. */
struct element {
	unsigned char key[20], value[16];
	size_t key_len, value_len;
};

static void put_address(unsigned char *out, int family, uint32_t addr)
{
	uint32_t four = htonl(addr);

	if (family == AF_INET6)
		addr6_of(addr, out);
	else
		memcpy(out, &four, sizeof(four));
}

static struct element element_of(const struct network *n, int family, uint32_t number,
	uint32_t place, uint32_t index)
{
	struct element e = {.value_len = family == AF_INET6 ? 16 : 4};

	e.key_len = e.value_len + sizeof(place);
	put_address(e.key, family, ADDR_NAMES_BASE + number);
	memcpy(e.key + e.value_len, &place, sizeof(place)); /* as numgen gives it */
	put_address(e.value, family, n->rt->addr_base + index);
	return e;
}

static void move_places(struct network *n, struct nfnl_batch *b, int family,
	uint32_t number, const uint32_t *from, const uint32_t *to)
{
	const char *map = family == AF_INET6 ? "names6" : "names4";

	for (uint32_t i = 0; i < NET_NAME_INSTANCES; i++) {
		struct element e = element_of(n, family, number, i, to[i]);

		if (from[i] == to[i])
			continue;
		if (from[i])
			nfnl_value(b, map, e.key, e.key_len, NULL, 0);
		if (to[i])
			nfnl_value(b, map, e.key, e.key_len, e.value, e.value_len);
	}
}

/* Somebody emptied the host's packet filter, ours with it. */
static int make_again(struct network *n, int why, struct err *e)
{
	if (!n->owed)
		log_warn("berth's packet filter is not as it was left (%s): made anew",
			strerror(-why));
	return network_make(n, e);
}

/* Where nobody is told of a failure by an answer. */
static void complain(struct network *n, const struct err *e)
{
	if (!n->told)
		log_error("%s; it is tried again every %d s", e->text, RETRY_S);
	n->told = true;
}

static int set_places(struct network *n, const struct name *old, const struct name *name)
{
	struct nfnl_batch *b autofree = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	nfnl_begin(b, n->table);
	move_places(n, b, AF_INET, name->m.number, old->four, name->four);
	move_places(n, b, AF_INET6, name->m.number, old->six, name->six);
	return nfnl_commit(n->nl, b);
}

static int move_name(struct network *n, struct name *name, struct err *e)
{
	struct name old = *name;
	int r;

	if (n->owed)
		return network_make(n, e);
	fill_places(n, name);
	r = set_places(n, &old, name);
	return r < 0 ? make_again(n, r, e) : 0;
}

static void iface_key(const struct network *n, uint32_t index, char key[IFNAMSIZ])
{
	memset(key, 0, IFNAMSIZ);
	netpool_iface(n->rt->id, index, key);
}

/* chain NULL: the element goes. */
static int set_jump(struct network *n, uint32_t index, const char *chain)
{
	struct nfnl_batch *b autofree = malloc(sizeof(*b));
	char key[IFNAMSIZ];

	if (!b)
		return -ENOMEM;
	iface_key(n, index, key);
	nfnl_begin(b, n->table);
	nfnl_jump(b, "apps", key, sizeof(key), chain);
	return nfnl_commit(n->nl, b);
}

int network_attach(struct network *n, uint32_t of, uint32_t index, struct err *e)
{
	char chain[NFT_NAME_MAX];
	int r;

	if (!has_chain(*find_rules(n, of)))
		return n->owed ? network_make(n, e) : 0;
	nft_chain_name(of, chain);
	n->attached[index] = of;
	r = n->owed ? -EAGAIN : set_jump(n, index, chain);
	if (r < 0 && (r = make_again(n, r, e)) < 0)
		n->attached[index] = 0;
	return r;
}

bool network_detach(struct network *n, uint64_t id, uint32_t index)
{
	bool led = n->led[index];
	struct err e = {0};
	int r;

	if (n->attached[index]) {
		n->attached[index] = 0;
		r = set_jump(n, index, NULL);
		if (r < 0 && r != -ENOENT && make_again(n, r, &e) < 0)
			complain(n, &e);
	}
	for (struct name *name = n->names; name; name = name->next)
		for (uint32_t i = 0; i < name->m.n; i++)
			if (name->m.ids[i] == id && move_name(n, name, &e) < 0)
				complain(n, &e);
	n->led[index] = false;
	return led;
}

/* ---- the whole: by nft ---- */

static void add_jump(struct buf *b, const struct network *n, uint32_t index)
{
	char iface[IFNAMSIZ], chain[NFT_NAME_MAX];

	netpool_iface(n->rt->id, index, iface);
	nft_chain_name(n->attached[index], chain);
	buf_addf(b, "add element inet %s apps { \"%s\" : jump %s }\n", n->table, iface,
		chain);
}

static void add_place(struct buf *b, const struct network *n, int family, uint32_t number,
	uint32_t place, uint32_t index)
{
	struct element e = element_of(n, family, number, place, index);
	char key[INET6_ADDRSTRLEN], value[INET6_ADDRSTRLEN];

	if (!index || !inet_ntop(family, e.key, key, sizeof(key)) ||
		!inet_ntop(family, e.value, value, sizeof(value)))
		return;
	buf_addf(b, "add element inet %s names%d { %s . %u : %s }\n", n->table,
		family == AF_INET6 ? 6 : 4, key, place, value);
}

static void compose(struct buf *b, const struct network *n)
{
	nft_add_table(b, n->rt->id, n->rt->addr_base);
	for (const struct rules *r = n->rules; r; r = r->next)
		if (has_chain(r))
			nft_add_chain(
				b, n->rt->id, whose(&r->m), r->m.rules, r->m.n_rules);
	for (uint32_t i = 0; i < ADDR_BLOCK; i++)
		if (n->attached[i])
			add_jump(b, n, i);
	for (const struct name *name = n->names; name; name = name->next)
		for (uint32_t i = 0; i < NET_NAME_INSTANCES; i++) {
			add_place(b, n, AF_INET, name->m.number, i, name->four[i]);
			add_place(b, n, AF_INET6, name->m.number, i, name->six[i]);
		}
	nft_add_list(b);
}

static void name_later(struct network *n)
{
	unsigned int s = n->namer_pause_s;

	if (!s)
		log_warn("not every name of the host's proxies and package indexes is "
			 "resolved: those at private addresses are closed to apps and "
			 "builds until it is; it is tried again");
	s = !s ? NAMER_RETRY_MIN_S : s < NAMER_RETRY_MAX_S ? s * 2 : s;
	n->namer_pause_s = s;
	set_timer(n->namer_retry, s);
}

/* One at a time; the last one starts after the table was made. */
static void name_others(struct network *n)
{
	n->unnamed = n->namer >= 0;
	if (n->unnamed)
		return;
	set_timer(n->namer_retry, 0);
	n->namer = nft_allow_named_later(n->rt->id);
	if (n->namer < 0 || watch(n, n->namer) < 0)
		name_later(n);
}

static void reap_namer(struct network *n)
{
	siginfo_t info = {0};

	if (n->namer < 0)
		return;
	if (waitid(P_PIDFD, (id_t)n->namer, &info, WEXITED | WNOHANG) == 0 &&
		info.si_pid == 0)
		return;
	close_namer(n);
	/* The table was made anew meanwhile: what was added before that is gone with the old one. */
	if (n->unnamed)
		name_others(n);
	else if (info.si_code != CLD_EXITED || info.si_status != 0)
		name_later(n);
	else
		n->namer_pause_s = 0;
}

static void warn_of_firewall(struct network *n, const char *list)
{
	char table[64];

	if (!n->warned && firewall_drops(list, "forward", table))
		log_warn("the host's packet filter (table %s) drops what is forwarded "
			 "unless a rule accepts it: without one for the interfaces "
			 "b%s-* apps reach nothing outside",
			table, n->rt->id);
	n->warned = true;
}

static void owe(struct network *n)
{
	n->owed = true;
	set_timer(n->retry, RETRY_S);
}

static void settle(struct network *n)
{
	if (n->told)
		log_info("berth's packet filter is in force again");
	n->owed = n->told = false;
	set_timer(n->retry, 0);
	if (nfnl_table_handle(n->nl, n->table, &n->handle) < 0)
		owe(n);
}

int network_make(struct network *n, struct err *e)
{
	autobuf script = BUF_INIT;
	autobuf out = BUF_INIT;
	int r;

	for (uint32_t i = 0; i < ADDR_BLOCK; i++)
		if (n->attached[i] && !has_chain(*find_rules(n, n->attached[i])))
			n->attached[i] = 0;
	for (const struct live *l = n->rt->live; l; l = l->next)
		if (meets_rules(&l->rec) && has_chain(*find_rules(n, whose_is(&l->rec))))
			n->attached[l->rec.net_index] = whose_is(&l->rec);
	for (struct name *name = n->names; name; name = name->next)
		fill_places(n, name);
	compose(&script, n);
	r = nft_run(&script, &out, e);
	if (r < 0) {
		owe(n);
		return r;
	}
	settle(n);
	warn_of_firewall(n, out.data);
	name_others(n);
	return 0;
}

int network_fd(const struct network *n)
{
	return n->poll;
}

/* Whether the table is the one that was made last: 0, -ENOENT, -ESTALE where it is another
 * of the same name, -errno. */
static int check_table(const struct network *n)
{
	uint64_t handle;
	int r = nfnl_table_handle(n->nl, n->table, &handle);

	return r < 0 ? r : handle == n->handle ? 0 : -ESTALE;
}

void network_heard(struct network *n)
{
	struct err e = {0};
	/* making it anew removes it, too */
	int r = nfnl_heard(n->news, n->table) ? check_table(n) : 0;

	reap_namer(n);
	if (has_expired(n->namer_retry))
		name_others(n);
	if (has_expired(n->retry) || r == -ENOENT || r == -ESTALE) {
		if (make_again(n, r, &e) < 0)
			complain(n, &e);
	} else if (r < 0) {
		owe(n);
	}
}

/* ---- changes ---- */

const char *network_hosts(const struct network *n, uint32_t of, size_t *ret_len)
{
	for (const struct rules *r = n->rules; r; r = r->next)
		if (whose(&r->m) == of) {
			*ret_len = r->m.hosts_size;
			return r->m.hosts;
		}
	*ret_len = 0;
	return "";
}

static void rewrite_hosts(const struct network *n, uint32_t of)
{
	size_t len;
	const char *hosts = network_hosts(n, of, &len);

	for (const struct live *l = n->rt->live; l; l = l->next) {
		int r;

		if (whose_is(&l->rec) != of || !meets_rules(&l->rec))
			continue;
		r = names_update(n->rt->names_fd, l->rec.id, l->rec.name, hosts, len);
		if (r < 0)
			log_warn("the hosts file of %s of app %u: %s", l->rec.name,
				l->rec.app, strerror(-r));
	}
}

/* The running sandboxes meet their rules from now on, or no more. */
static void add_jumps(struct network *n, struct buf *b, uint32_t of, bool on)
{
	char iface[IFNAMSIZ];

	for (const struct live *l = n->rt->live; l; l = l->next) {
		uint32_t index = l->rec.net_index;

		if (whose_is(&l->rec) != of || !meets_rules(&l->rec) ||
			(n->attached[index] != 0) == on)
			continue;
		n->attached[index] = on ? of : 0;
		netpool_iface(n->rt->id, index, iface);
		if (on)
			add_jump(b, n, index);
		else
			buf_addf(b, "delete element inet %s apps { \"%s\" }\n", n->table,
				iface);
	}
}

static int change_filter(struct network *n, const struct msg_network *m,
	const struct rules *old, struct err *e)
{
	autobuf script = BUF_INIT;
	struct err first = {0};

	if (!m->n_rules && !has_chain(old))
		return 0;
	if (m->n_rules)
		nft_add_chain(&script, n->rt->id, whose(m), m->rules, m->n_rules);
	add_jumps(n, &script, whose(m), m->n_rules != 0);
	if (!m->n_rules)
		nft_add_chain_end(&script, n->rt->id, whose(m));
	return n->owed || nft_run(&script, NULL, &first) < 0 ? make_again(n, -EIO, e) : 0;
}

static bool same(const struct msg_network *a, const struct msg_network *b)
{
	return a->n_rules == b->n_rules && a->hosts_size == b->hosts_size &&
	       memcmp(a->rules, b->rules, a->n_rules * sizeof(a->rules[0])) == 0 &&
	       memcmp(a->hosts, b->hosts, a->hosts_size) == 0;
}

static const char *file_word(const struct msg_network *m)
{
	return m->whose == NET_BUILDS ? "build" : "app";
}

static int keep_rules(struct network *n, const struct msg_network *m)
{
	const char *word = file_word(m);

	if (m->n_rules || m->hosts_size)
		return keep(n, word, m->app, m, sizeof(*m));
	unkeep(n, word, m->app);
	return 0;
}

/* The new rules take the place of *at, which may be NULL. */
static int replace(struct network *n, const struct msg_network *m, struct err *e)
{
	struct rules **at = find_rules(n, whose(m)), *old = *at;
	int r;

	if (old)
		*at = old->next;
	r = m->n_rules || m->hosts_size ? add_rules(n, m) : 0;
	if (r < 0)
		err_set(e, ENOMEM, "out of memory");
	else
		r = change_filter(n, m, old, e);
	if (r == 0) {
		free(old);
		return 0;
	}
	at = find_rules(n, whose(m));
	if (*at) {
		struct rules *failed = *at;

		*at = failed->next;
		free(failed);
	}
	if (old) {
		old->next = n->rules;
		n->rules = old;
	}
	return r;
}

int network_set(struct runtime *rt, const struct msg_network *m, struct err *e)
{
	static const struct msg_network none;
	struct network *n = rt->network;
	int r = network_check(m, e);
	struct rules *old;

	if (r < 0)
		return r;
	old = *find_rules(n, whose(m));
	if (same(old ? &old->m : &none, m) && !n->owed)
		return 0;
	r = keep_rules(n, m);
	if (r < 0)
		return err_sys(e, -r, "cannot keep the rules");
	r = replace(n, m, e);
	if (r == 0) {
		rewrite_hosts(n, whose(m));
		return 0;
	}
	if (old)
		(void)keep_rules(n, &old->m);
	else
		unkeep(n, file_word(m), m->app);
	return r;
}

void network_forget(struct runtime *rt, uint32_t app)
{
	struct msg_network *m autofree = calloc(1, sizeof(*m));
	struct err e = {0};

	if (!m)
		return;
	m->app = app;
	for (; m->whose <= NET_BUILDS; m->whose++)
		if (network_set(rt, m, &e) < 0)
			log_warn("the network rules of app %u stay: %s", app, e.text);
}

int network_name(struct runtime *rt, const struct msg_name *m, struct err *e)
{
	struct network *n = rt->network;
	int r = network_check_name(m, e);
	struct name *name;

	if (r < 0)
		return r;
	r = m->n ? keep(n, "name", m->number, m, sizeof(*m)) : 0;
	if (r < 0)
		return err_sys(e, -r, "cannot keep the name");
	name = *find_name(n, m->number);
	if (!name && !(name = add_name(n, m)))
		return err_set(e, ENOMEM, "out of memory");
	name->m = *m;
	r = move_name(n, name, e);
	if (m->n)
		return r;
	unkeep(n, "name", m->number);
	struct name **at = find_name(n, m->number);

	*at = name->next;
	free(name);
	return r;
}
