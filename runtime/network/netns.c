/* Network namespaces for sandboxes, ready before they are asked for. */
#include "runtime/network/netns.h"
#include "lib/addr.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/network/conntrack.h"
#include "runtime/network/ipv6.h"
#include "runtime/network/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define JOB_TRIES 500
#define RETRY_MS 20
#define TAKE_WAIT_S 5
#define DRAIN_WAIT_S 15
/* Only names for "the other end", nobody has them: 169.254.1.1 and fe80::1. */
#define GATEWAY 0xa9fe0101u
static const unsigned char gateway6[16] = {0xfe, 0x80, [15] = 1};

struct job {
	int (*run)(void *arg);
	void *arg;
	unsigned int tries;
	struct job *next;
};

struct netpool {
	struct netpool_config c;
	char id[9];
	bool ipv6, no_ipv6; /* c.ipv6 said so; a step of it failed */
	int host_ns, host_nl;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, done; /* work: for the thread; done: for those who wait */
	bool stop;
	int error; /* of the last try to make a namespace, -errno */
	struct netpool_place ready[NETPOOL_READY];
	unsigned int n_ready;
	struct job *jobs, **jobs_end;
	unsigned int n_jobs;
	uint32_t next;
	unsigned char used[]; /* enum use */
};

/* An adopted sandbox may claim an index while the thread finds that it cannot make it.
 * LEFT: the kernel may still track connections of the one that ended; FORGETTING: the thread
 * removes them. */
enum use { UNUSED_INDEX, LEFT, FORGETTING, MAKING, USED };

/* The host is short of something now: no answer to what it can do. */
static bool short_of(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS;
}

/* Sysctls of the calling thread's network namespace: a host without one of them, or that
 * does not let it be set, only loses that convenience. */
static int set_sysctl(const char *path, const char *value)
{
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : io_write_all(fd, value, strlen(value));

	if (r < 0)
		log_debug("cannot set %s: %s", path, strerror(-r));
	return short_of(r) ? r : 0;
}

/* Neither end takes an IPv6 address but the one it is given; without one, no IPv6 at all. */
static int set_ipv6(const struct netpool *p, const char *iface)
{
	const char *const values[][2] = {
		{"addr_gen_mode", "1"}, /* IN6_ADDR_GEN_MODE_NONE */
		{"accept_ra", "0"}, {"disable_ipv6", p->ipv6 ? "0" : "1"}};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		int r = ipv6_set(iface, values[i][0], values[i][1]);

		if (short_of(r))
			return r;
	}
	return 0;
}

/* What a step of IPv6 alone came to: where it fails, apps go without. */
static int ipv6_step(struct netpool *p, int r)
{
	if (r < 0 && r != -EEXIST && !short_of(r)) {
		log_warn("apps get no IPv6: %s", strerror(-r));
		p->no_ipv6 = true;
	}
	return r;
}

/* Address, the other end, and the way out. */
static int set_up_family(
	int nl, unsigned int index, int family, const void *addr, const void *gateway)
{
	int r;

	if ((r = rtnl_address(nl, index, family, addr)) < 0 ||
		(r = rtnl_neighbour(nl, index, family, gateway, rtnl_mac_host)) < 0)
		return r;
	return rtnl_route(nl, index, family, NULL, gateway);
}

static int set_up_inside(struct netpool *p, int nl, const char *peer, uint32_t addr)
{
	uint32_t a = htonl(addr), gateway = htonl(GATEWAY);
	unsigned char six[16];
	unsigned int index;
	int r;

	if ((r = rtnl_veth(nl, "eth0", peer, p->host_ns)) < 0 || (r = rtnl_up(nl, 1)) < 0)
		return r;
	index = if_nametoindex("eth0");
	if (index == 0)
		return -errno;
	if ((r = set_ipv6(p, "eth0")) < 0 || (r = rtnl_up(nl, index)) < 0 ||
		(r = set_up_family(nl, index, AF_INET, &a, &gateway)) < 0 || !p->ipv6)
		return r;
	addr6_of(addr, six);
	return ipv6_step(p, set_up_family(nl, index, AF_INET6, six, gateway6));
}

static int reach_inside(int nl, unsigned int index, int family, const void *addr)
{
	int r = rtnl_neighbour(nl, index, family, addr, rtnl_mac_inside);

	return r < 0 ? r : rtnl_route(nl, index, family, addr, NULL);
}

/* No address at all on the host's end: nothing there can be talked to. */
static int set_up_host(struct netpool *p, const char *peer, uint32_t addr)
{
	unsigned int index = if_nametoindex(peer);
	uint32_t a = htonl(addr);
	unsigned char six[16];
	int r;

	if (index == 0)
		return -errno;
	if ((r = set_ipv6(p, peer)) < 0 || (r = rtnl_up(p->host_nl, index)) < 0 ||
		(r = reach_inside(p->host_nl, index, AF_INET, &a)) < 0 || !p->ipv6)
		return r;
	addr6_of(addr, six);
	return ipv6_step(p, reach_inside(p->host_nl, index, AF_INET6, six));
}

/* In a fresh namespace, back in the host's one afterwards. */
static int make_inside(
	struct netpool *p, const char *peer, uint32_t addr, struct netpool_place *ret)
{
	int nl autoclose = -1, fd autoclose = -1, unix_socket autoclose = -1;
	int r;

	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (unix_socket < 0)
		return -errno;
	nl = rtnl_open();
	if (nl < 0)
		return nl;
	/* any port may be listened on: an app has no other privilege there, and no other
	 * user */
	if ((r = set_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")) < 0 ||
		(r = set_sysctl("/proc/sys/net/ipv4/ping_group_range", "0 4294967294")) <
			0 ||
		(r = set_up_inside(p, nl, peer, addr)) < 0)
		return r;
	ret->fd = TAKE_FD(fd);
	ret->socket = TAKE_FD(unix_socket);
	return 0;
}

void netpool_iface(const char *id, uint32_t index, char out[IFNAMSIZ])
{
	snprintf(out, IFNAMSIZ, "b%.8s-%04x", id, index & 0xffff);
}

void netpool_place_close(const struct netpool_place *place)
{
	close(place->fd);
	close(place->socket);
}

static int make_one(struct netpool *p, uint32_t index, struct netpool_place *ret)
{
	char peer[IFNAMSIZ];
	int r;

	p->ipv6 = !p->no_ipv6 && (p->ipv6 || p->c.ipv6(p->c.arg));
	netpool_iface(p->id, index, peer);
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	r = make_inside(p, peer, p->c.addr_base + index, ret);
	if (setns(p->host_ns, CLONE_NEWNET) < 0) {
		log_error("cannot go back to the host's network: %s", strerror(errno));
		abort(); /* everything after this would happen in the wrong network */
	}
	if (r < 0)
		return r;
	ret->index = index;
	ret->ipv6 = p->ipv6;
	r = set_up_host(p, peer, p->c.addr_base + index);
	if (r < 0)
		netpool_place_close(ret);
	return r;
}

static bool is_forgotten(void *arg, uint32_t addr)
{
	struct netpool *p = arg;
	uint32_t index = addr - p->c.addr_base;
	bool is;

	pthread_mutex_lock(&p->lock);
	is = index < p->c.n && p->used[index] == FORGETTING;
	pthread_mutex_unlock(&p->lock);
	return is;
}

/* From one use to another; how many. */
static unsigned int turn(struct netpool *p, enum use from, enum use into)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < p->c.n; i++)
		if (p->used[i] == from) {
			p->used[i] = (unsigned char)into;
			n++;
		}
	return n;
}

/* All in one go: the kernel's table is read as a whole. Under the lock, which it lets go
 * meanwhile. */
static int forget_left(struct netpool *p)
{
	int r;

	if (turn(p, LEFT, FORGETTING) == 0)
		return 0;
	pthread_mutex_unlock(&p->lock);
	r = conntrack_forget(is_forgotten, p);
	pthread_mutex_lock(&p->lock);
	turn(p, FORGETTING, r < 0 ? LEFT : UNUSED_INDEX);
	return r;
}

static int forget_job(void *arg)
{
	struct netpool *p = arg;
	int r;

	pthread_mutex_lock(&p->lock);
	r = forget_left(p);
	pthread_mutex_unlock(&p->lock);
	if (r < 0)
		log_warn("connections to instances that ended go on: %s", strerror(-r));
	return 0;
}

static uint32_t next_that_is(struct netpool *p, enum use use)
{
	for (uint32_t i = 0; i < p->c.n; i++) {
		p->next = p->next + 1 < p->c.n - 1 ? p->next + 1 : 1;
		if (p->used[p->next] == use)
			return p->next;
	}
	return 0;
}

/* The next index that nobody has; 0 when all are used. Under the lock. */
static uint32_t next_index(struct netpool *p)
{
	uint32_t index = next_that_is(p, UNUSED_INDEX);

	return index ? index : next_that_is(p, LEFT);
}

/* Under the lock, which it lets go while the kernel works. */
static void refill(struct netpool *p)
{
	uint32_t index = next_index(p);
	struct netpool_place made;
	int r;

	if (index == 0) {
		p->error = -EAGAIN;
		return;
	}
	if (p->used[index] == LEFT) {
		p->next = index - 1; /* the same again */
		p->error = forget_left(p);
		return;
	}
	p->used[index] = MAKING;
	pthread_mutex_unlock(&p->lock);
	r = make_one(p, index, &made);
	pthread_mutex_lock(&p->lock);
	p->error = r == -EEXIST ? 0 : r; /* the name is still held by a dying namespace:
					    take the next */
	if (p->used[index] == MAKING)
		p->used[index] = r < 0 ? UNUSED_INDEX : USED;
	if (r == 0)
		p->ready[p->n_ready++] = made;
	pthread_cond_broadcast(&p->done);
}

/* Under the lock. A job that is not done goes to the end of the queue. True: pause before
 * the next. */
static bool run_job(struct netpool *p)
{
	struct job *j = p->jobs;
	int r;

	p->jobs = j->next;
	if (!p->jobs)
		p->jobs_end = &p->jobs;
	pthread_mutex_unlock(&p->lock);
	r = j->run(j->arg);
	pthread_mutex_lock(&p->lock);
	if (r == -EINPROGRESS || (r == -EAGAIN && ++j->tries < JOB_TRIES)) {
		j->next = NULL;
		*p->jobs_end = j;
		p->jobs_end = &j->next;
		return r == -EAGAIN;
	}
	free(j);
	p->n_jobs--;
	pthread_cond_broadcast(&p->done);
	return false;
}

static void wait_ms(struct netpool *p, pthread_cond_t *c, unsigned int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(c, &p->lock, &t);
}

static void *run(void *arg)
{
	struct netpool *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stop || p->n_jobs) {
		bool full = p->n_ready == NETPOOL_READY || p->stop, again = false;
		if (!full)
			refill(p);
		if (p->n_jobs)
			again = run_job(p);
		if ((again && full) || (!full && p->error < 0))
			wait_ms(p, &p->work, RETRY_MS);
		else if (full && !p->n_jobs && !p->stop)
			pthread_cond_wait(&p->work, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start_thread(struct netpool *p)
{
	pthread_condattr_t monotonic;
	sigset_t all, old;
	int r;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &monotonic);
	pthread_cond_init(&p->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all); /* signals belong to the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int netpool_open(const struct netpool_config *c, struct netpool **ret, struct err *e)
{
	struct netpool *p = calloc(1, sizeof(*p) + c->n);
	int r;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->c = *c;
	snprintf(p->id, sizeof(p->id), "%s", c->id);
	p->jobs_end = &p->jobs;
	p->host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	p->host_nl = rtnl_open();
	if (p->host_ns < 0 || p->host_nl < 0 || (r = start_thread(p)) < 0) {
		r = err_set(e, EIO, "cannot start the network helper");
		if (p->host_ns >= 0)
			close(p->host_ns);
		if (p->host_nl >= 0)
			close(p->host_nl);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void netpool_close(struct netpool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	for (unsigned int i = 0; i < p->n_ready; i++)
		netpool_place_close(&p->ready[i]);
	close(p->host_ns);
	close(p->host_nl);
	free(p);
}

int netpool_take(struct netpool *p, struct netpool_place *ret, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; !p->n_ready && i < TAKE_WAIT_S * 1000 / RETRY_MS; i++) {
		pthread_cond_signal(&p->work);
		wait_ms(p, &p->done, RETRY_MS);
	}
	if (p->n_ready) {
		*ret = p->ready[0];
		memmove(p->ready, p->ready + 1, --p->n_ready * sizeof(*ret));
		pthread_cond_signal(&p->work);
	} else {
		r = p->error ? -p->error : ETIMEDOUT;
		r = r == EAGAIN ? err_set(e, r,
					  "every network address of this berth is in use")
				: err_sys(e, r, "cannot make a network namespace");
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void mark(struct netpool *p, uint32_t index, bool used)
{
	pthread_mutex_lock(&p->lock);
	if (index && index < p->c.n)
		p->used[index] = used ? USED : LEFT;
	pthread_mutex_unlock(&p->lock);
}

void netpool_reserve(struct netpool *p, uint32_t index)
{
	mark(p, index, true);
}

void netpool_release(struct netpool *p, uint32_t index)
{
	mark(p, index, false);
}

unsigned int netpool_used(struct netpool *p)
{
	unsigned int n = 0;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->c.n; i++)
		n += p->used[i] >= MAKING;
	pthread_mutex_unlock(&p->lock);
	return n;
}

int netpool_later(struct netpool *p, int (*job)(void *arg), void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->run = job;
	j->arg = arg;
	pthread_mutex_lock(&p->lock);
	*p->jobs_end = j;
	p->jobs_end = &j->next;
	p->n_jobs++;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

void netpool_forget_later(struct netpool *p)
{
	(void)netpool_later(p, forget_job, p); /* else when an address is used again */
}

bool netpool_idle(struct netpool *p)
{
	bool idle;

	pthread_mutex_lock(&p->lock);
	idle = p->n_ready == NETPOOL_READY && p->n_jobs <= 1;
	pthread_mutex_unlock(&p->lock);
	return idle;
}

void netpool_drain(struct netpool *p)
{
	pthread_mutex_lock(&p->lock);
	for (int i = 0; p->n_jobs && i < DRAIN_WAIT_S * 10; i++)
		wait_ms(p, &p->done, 100);
	pthread_mutex_unlock(&p->lock);
}
