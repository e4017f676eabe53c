/*
 * What berth-control, berth-logger and a router worker may say to root: sequences of
 * messages over the real sockets into berthd's tables, with any type, size, field and
 * descriptors. The tables, their checks, the instances with their records, FIFOs, layers
 * and volumes are berthd's; what would make sandboxes is below here, and CHECKs that nothing
 * out of range reaches it. Needs root.
 */
#include "tests/fuzz/messages.h"

#include "lib/name.h"
#include "runtime/context.h"
#include "runtime/daemons/stackrun.h"
#include "runtime/disk/layers.h"
#include "runtime/disk/volume_size.h"
#include "runtime/disk/volumes.h"
#include "runtime/instances/instance_table.h"
#include "runtime/network/network_check.h"
#include "runtime/process.h"
#include "runtime/sandbox/start_check.h"
#include "runtime/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#define STEPS_MAX 24

static struct {
	struct settings settings;
	struct handoff handoff;
	struct context ctx;
	int kinds[KINDS]; /* descriptors to send */
	bool fail;	  /* what is below fails */
	unsigned int logged;
} f;

/* ---- below the tables ---- */

static bool check_layers(const struct msg_start *m, const struct msg_mount *mount)
{
	uint32_t all = m->n_layers + m->n_others;

	CHECK(all <= PROTO_LAYERS_MAX && m->profile == PROFILE_BUILD_ROOT);
	if (mount->kind == MOUNT_MERGED)
		return (uint32_t)mount->id &&
		       (mount->id >> 32) + (uint32_t)mount->id <= all;
	for (uint32_t i = 0; i < all; i++)
		if (m->layers[i] == mount->id)
			return mount->kind == MOUNT_LAYER;
	return false;
}

static void check_start(const struct msg_start *m, const struct sandbox_io *io)
{
	const struct msg_limits_body *l = &m->limits;

	CHECK(m->id && m->app);
	CHECK(m->profile == PROFILE_APP || m->profile == PROFILE_BUILD_ROOT);
	CHECK(m->n_layers <= PROTO_LAYERS_MAX && (m->n_layers || m->upper));
	CHECK(m->n_mounts <= PROTO_MOUNTS_MAX);
	CHECK(m->uid <= 65535 && m->gid <= 65535);
	CHECK(m->flags & START_USER ? m->profile == PROFILE_APP : !m->uid && !m->gid);
	CHECK(memchr(m->name, '\0', sizeof(m->name)) && !strchr(m->name, '/'));
	for (uint32_t i = 0; i < m->n_mounts; i++) {
		CHECK(memchr(m->mounts[i].path, '\0', sizeof(m->mounts[i].path)));
		CHECK(name_mount_path_valid(m->mounts[i].path));
		CHECK(m->mounts[i].kind == MOUNT_VOLUME ||
			m->mounts[i].kind == MOUNT_CACHE_PART ||
			(m->mounts[i].kind == MOUNT_CACHE && m->mounts[i].id == m->app) ||
			check_layers(m, &m->mounts[i]));
	}
	CHECK(l->memory_bytes >= LIMIT_MEMORY_MIN && l->memory_bytes <= LIMIT_MEMORY_MAX);
	CHECK(l->scratch_bytes <= LIMIT_SCRATCH_MAX && l->pids <= LIMIT_PIDS_MAX);
	CHECK(l->cpu_millis >= LIMIT_CPU_MIN && l->cpu_millis <= LIMIT_CPU_MAX);
	CHECK(l->nofile <= LIMIT_NOFILE_MAX && l->io_read_bytes <= LIMIT_IO_MAX);
	CHECK(io_memfd_check(io->spec_fd) == 0);
	CHECK(!(m->flags & START_STDIO) == (io->stdio[0] < 0));
}

/* Ready for reading, it has "ended". */
static int fake_process(int *ret_pidfd, int *ret_pty, bool tty)
{
	if (f.fail)
		return -ENOMEM;
	*ret_pidfd = eventfd(0, EFD_CLOEXEC);
	*ret_pty = tty ? eventfd(0, EFD_CLOEXEC) : -1;
	CHECK(*ret_pidfd >= 0);
	return 0;
}

int sandbox_start(struct runtime *rt UNUSED, const struct msg_start *m,
	const struct sandbox_io *io, struct sandbox_record *ret, int *ret_pidfd,
	int *ret_pty, struct err *e)
{
	check_start(m, io);
	ret->pid = 1;
	if (f.fail)
		err_set(e, ENOMEM, "as wished");
	return fake_process(ret_pidfd, ret_pty, io->tty);
}

int sandbox_enter(struct runtime *rt UNUSED, const struct sandbox_record *target,
	uint64_t id, uint32_t flags, const struct sandbox_io *io,
	struct sandbox_record *ret, int *ret_pidfd, int *ret_pty, int *ret_go,
	struct err *e)
{
	CHECK(id && target->id && flags && !(flags & ~(START_STDIO | START_TTY)));
	CHECK(flags != (START_STDIO | START_TTY) && io_memfd_check(io->spec_fd) == 0);
	ret->pid = 1;
	*ret_go = -1;
	if (f.fail)
		err_set(e, ENOMEM, "as wished");
	return fake_process(ret_pidfd, ret_pty, io->tty);
}

pid_t stackrun_start(const struct settings *s UNUSED, const struct daemon_ids *ids UNUSED,
	const struct folders *folders UNUSED, uint64_t id, uint32_t suite UNUSED,
	int exit_fd, int out, int err_out, int *ret_pidfd, int *ret_go, struct err *e)
{
	int pty;

	CHECK(id && exit_fd >= 0 && out >= 0 && err_out >= 0);
	*ret_go = -1;
	if (f.fail)
		return err_set(e, ENOMEM, "as wished");
	return fake_process(ret_pidfd, &pty, false) ?: 1;
}

void process_go(int end)
{
	CHECK(end == -1);
}

void stackrun_cleanup(
	struct chores *c UNUSED, const struct folders *folders UNUSED, uint64_t id UNUSED)
{
}

int gitrun_start(struct gitrun *g UNUSED, const struct msg_git *m, const int fds[4])
{
	CHECK(memchr(m->name, '\0', sizeof(m->name)) && name_valid(m->name));
	CHECK(m->push <= 1 && m->step >= GIT_ADVERTISE && m->step <= GIT_SERVE &&
		m->protocol <= GIT_PROTOCOL_MAX && m->flags <= GIT_GZIP);
	CHECK(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0 && fds[3] >= 0);
	return f.fail ? -EAGAIN : 0;
}

int usage_start(struct usage *u UNUSED, uint32_t kinds UNUSED, int out)
{
	CHECK(out >= 0);
	return f.fail ? -EBUSY : 0;
}

int sandbox_adopt(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	int *ret_pidfd UNUSED)
{
	return -ESRCH;
}

int sandbox_signal(
	struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED, int signo)
{
	CHECK(signo >= 1 && signo <= 64);
	return f.fail ? -ESRCH : 0;
}

int sandbox_kill(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED)
{
	return 0;
}

int sandbox_freeze(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	bool on UNUSED)
{
	return f.fail ? -EOPNOTSUPP : 0;
}

bool sandbox_frozen(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED)
{
	return f.fail;
}

int sandbox_reclaim(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED)
{
	return eventfd(1, EFD_CLOEXEC);
}

int sandbox_limits(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	const struct msg_limits_body *l, uint32_t which, struct msg_limited *ret UNUSED,
	struct err *e)
{
	CHECK(!(which & ~(uint32_t)LIMIT_ALL));
	CHECK(limits_check(l, which, e) == 0);
	return 0;
}

int sandbox_oom_open(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	uint32_t *ret_events UNUSED)
{
	return -EOPNOTSUPP;
}

uint64_t sandbox_oom_kills(struct runtime *rt UNUSED,
	const struct sandbox_record *rec UNUSED, int fd UNUSED, uint64_t *ret_limit)
{
	*ret_limit = 0;
	return 0;
}

int sandbox_sockets(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	int family, unsigned int n, int *fds)
{
	CHECK(n >= 1 && n <= PROTO_SOCKETS_MAX);
	CHECK(family == AF_INET || family == AF_INET6 || family == AF_UNIX);
	if (f.fail)
		return -ESRCH;
	if (family == AF_UNIX && n > 1)
		n /= 2; /* as many as connect */
	for (unsigned int i = 0; i < n; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	return (int)n;
}

int sandbox_ports(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED,
	int fds[SANDBOX_PORTS])
{
	for (int i = 0; i < SANDBOX_PORTS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	return 0;
}

int sandbox_exit_info(struct runtime *rt UNUSED, const struct sandbox_record *rec,
	int exit_fd UNUSED, struct msg_exited *ret)
{
	*ret = (struct msg_exited){.id = rec->id, .reason = EXIT_REASON_LOST};
	return 0;
}

void sandbox_cleanup(struct runtime *rt UNUSED, const struct sandbox_record *rec UNUSED)
{
}

void runtime_host(const struct runtime *rt UNUSED, struct msg_host *ret)
{
	memset(ret, 0, sizeof(*ret));
}

int network_set(struct runtime *rt UNUSED, const struct msg_network *m, struct err *e)
{
	int r = network_check(m, e);

	if (r < 0)
		return r;
	CHECK(m->app && m->n_rules <= NET_RULES_MAX && m->hosts_size <= NET_HOSTS_MAX);
	for (uint32_t i = 0; i < m->n_rules; i++) {
		const struct net_rule *rule = &m->rules[i];

		CHECK(rule->kind >= NET_ADDRESS4 && rule->kind <= NET_SERVERS);
		CHECK(rule->first <= rule->last && rule->prefix <= 128);
	}
	return 0;
}

int network_name(struct runtime *rt UNUSED, const struct msg_name *m, struct err *e)
{
	int r = network_check_name(m, e);

	CHECK(r < 0 || (m->number && m->n <= NET_NAME_INSTANCES));
	return r;
}

void network_forget(struct runtime *rt UNUSED, uint32_t app)
{
	CHECK(app);
}

int volume_make_dir(struct runtime *rt UNUSED, uint32_t kind, uint64_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "%016llx", (unsigned long long)id);
	return mkdirat(kind == MOUNT_CACHE ? f.ctx.folders.cache : f.ctx.folders.volumes,
		       name, 0755) < 0 &&
			       errno != EEXIST
		       ? -errno
		       : 0;
}

int volume_set_size(int dirfd UNUSED, const struct msg_volume_size *m, struct err *e)
{
	CHECK(m->id && !(m->flags & ~(uint32_t)VOLUME_NEW));
	return err_set(e, ENOSPC, "the disk is full");
}

void daemons_left(struct daemons *d UNUSED, unsigned int worker)
{
	CHECK(worker <= f.handoff.n_workers);
}

static void log_format(const char *fmt, va_list ap)
{
	char line[2048];

	f.logged++;
	CHECK(vsnprintf(line, sizeof(line), fmt, ap) > 0);
}

#define LOGS(name)                                                                       \
	void name(const char *fmt, ...)                                                  \
	{                                                                                \
		va_list ap;                                                              \
                                                                                         \
		va_start(ap, fmt);                                                       \
		log_format(fmt, ap);                                                     \
		va_end(ap);                                                              \
	}
LOGS(log_error)
LOGS(log_warn)
LOGS(log_info)
LOGS(log_debug)

bool log_rate_ok(struct log_rate *r UNUSED)
{
	return true;
}

/* ---- the stage ---- */

static void make_layer(uint64_t id, const char *suffix)
{
	char name[64];

	snprintf(name, sizeof(name), "%016llx%s", (unsigned long long)id, suffix);
	(void)mkdirat(f.ctx.folders.layers, name, 0700);
	strncat(name, "/fs", sizeof(name) - strlen(name) - 1);
	(void)mkdirat(f.ctx.folders.layers, name, 0700);
}

static void make_pairs(void)
{
	struct handoff *h = &f.handoff;

	h->n_workers = 1;
	for (int i = HANDOFF_CONTROL_OURS; i <= HANDOFF_LOGGER_OURS;
		i += HANDOFF_LOGGER_OURS - HANDOFF_CONTROL_OURS)
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
			      0, &h->fds[i]) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		      &h->fds[HANDOFF_FIXED]) == 0);
}

static void make_stage(void)
{
	struct err e;

	CHECK(geteuid() == 0);
	make_top();
	snprintf(f.settings.state, sizeof(f.settings.state), "%s/state", top);
	snprintf(f.settings.run, sizeof(f.settings.run), "%s/run", top);
	CHECK(folders_make(&f.settings, &f.ctx.ids, &e) == 0);
	CHECK(folders_open(&f.ctx.folders, &f.settings, &e) == 0);
	make_pairs();
	make_kinds(f.kinds, (const char *const[]){"/bin/true", NULL});
	f.ctx.settings = &f.settings;
	f.ctx.handoff = &f.handoff;
	f.ctx.chores = chores_new(loop_new(), &f.ctx.folders);
	CHECK(f.ctx.chores);
}

/* ---- one run ---- */

static unsigned int count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	CHECK(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void begin(void)
{
	const struct instances_config c = {.loop = f.ctx.loop = loop_new(),
		.settings = &f.settings,
		.ids = &f.ctx.ids,
		.folders = &f.ctx.folders,
		.chores = f.ctx.chores, /* on a loop that never turns */
		.control_fd = f.handoff.fds[HANDOFF_CONTROL_OURS],
		.logger_fd = f.handoff.fds[HANDOFF_LOGGER_OURS]};

	f.ctx.instances = instances_new(&c);
	CHECK(c.loop && f.ctx.instances);
	memset(f.ctx.closing, 0, sizeof(f.ctx.closing));
	make_layer(1, "");
	make_layer(2, ".tmp");
	CHECK(volume_make_dir(NULL, MOUNT_VOLUME, 1) == 0);
}

static void clear(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);

	CHECK(d);
	for (struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)io_remove_tree(dirfd, e->d_name);
	closedir(d);
}

static void drain(int fd)
{
	static struct msg m;

	while (msg_recv(fd, &m) == 1)
		msg_close_fds(&m);
}

static void end(void)
{
	const struct folders *o = &f.ctx.folders;
	const int used[] = {o->instances, o->fifo, o->layers, o->volumes, o->cache,
		o->trash, o->logs, o->ssh};

	instances_free(f.ctx.instances);
	for (unsigned int i = 0; i < CLOSING_MAX; i++)
		loop_cancel(f.ctx.closing[i].timer);
	loop_free(f.ctx.loop);
	for (size_t i = 0; i < ARRAY_LEN(used); i++)
		clear(used[i]);
}

enum peer { CONTROL, LOGGER, ROUTER, PEERS };
static const int ours[PEERS] = {HANDOFF_CONTROL_OURS, HANDOFF_LOGGER_OURS, HANDOFF_FIXED};

static int handle(enum peer p, struct msg *m)
{
	if (p == CONTROL)
		return dispatch_control(&f.ctx, m);
	if (p == LOGGER)
		return dispatch_logger(&f.ctx, m);
	return dispatch_router(&f.ctx, f.handoff.fds[HANDOFF_FIXED], m);
}

static bool unanswered(enum peer p, uint32_t type)
{
	return type == MSG_HELLO || (p == CONTROL && type == MSG_EXITED_ACK) ||
	       (p == ROUTER && type == MSG_ROUTER_LEAVES) ||
	       (p == LOGGER && (type == MSG_LOG_DONE || type == MSG_LOG_CLOSE));
}

/* Each question has one answer, of its type and number; a refusal stands in the log. */
static void check_answer(enum peer p, const struct msg_head *asked, unsigned int logged)
{
	static struct msg m;
	unsigned int answers = 0;

	while (msg_recv(f.handoff.fds[ours[p] + 1], &m) == 1) {
		const struct msg_head *h = &m.head;

		if (h->type == asked->type && h->seq == asked->seq &&
			h->type != MSG_EXITED && h->type != MSG_LOG_ATTACH) {
			answers++;
			CHECK(h->status <= 0 && h->status > -4096);
			CHECK(h->status == 0 || m.nfds == 0);
			CHECK(h->status == 0 || h->status == -ESRCH ||
				h->status == -EBUSY || logged);
		}
		msg_close_fds(&m);
	}
	if (unanswered(p, asked->type))
		CHECK(answers == 0);
	else if (asked->type != MSG_APP_REMOVE) /* that waits for the logger */
		CHECK(answers == 1);
}

static void step(struct input *in)
{
	static struct {
		struct msg_head head;
		char body[MSG_BODY_MAX + 64];
	} m;
	static struct msg got;
	uint8_t how = take_u8(in);
	const struct sound *s = &sounds[take_u8(in) % ARRAY_LEN(sounds)];
	enum peer p = is_from_logger(s->type)	? LOGGER
		      : is_from_router(s->type) ? ROUTER
						: CONTROL;
	size_t size = s->size;
	unsigned int n = s->n_fds;
	int fds[80], r;

	memset(&m, 0, sizeof(m.head) + MSG_BODY_MAX);
	if (s->fill)
		s->fill(in, m.body);
	for (unsigned int i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = f.kinds[(s->first_kind + i) % KINDS];
	if (how & 1)
		take_patches(in, m.body, size);
	if (how & 2)
		size = take_u16(in) % sizeof(m.body);
	if (how & 4)
		n = take_u8(in) % ARRAY_LEN(fds);
	if (how & 8)
		for (unsigned int i = 0; i < 4; i++)
			fds[i] = f.kinds[take_u8(in) % KINDS];
	m.head = (struct msg_head){.type = s->type, .seq = 9, .size = (uint32_t)size};
	if (how & 16)
		take_patches(in, &m.head, sizeof(m.head));
	if (how & 32)
		p = take_u8(in) % PEERS;
	f.fail = how & 64;
	f.logged = 0;
	if (!send_raw(f.handoff.fds[ours[p] + 1], &m, sizeof(m.head) + size, fds, n))
		return;
	r = msg_recv(f.handoff.fds[ours[p]], &got);
	CHECK(r == 1 || r == -EPROTO);
	if (r == 1) {
		struct msg_head asked = got.head;

		CHECK(asked.size == size);
		(void)handle(p, &got);
		msg_close_fds(&got);
		check_answer(p, &asked, f.logged);
	}
	if (how & 128) /* all that runs ends */
		for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
			for (struct instance *i = f.ctx.instances->buckets[b]; i;
				i = i->next)
				if (i->pidfd >= 0)
					(void)eventfd_write(i->pidfd, 1);
	CHECK(loop_once(f.ctx.loop, 0) == 0);
}

/* The table is full at its maximum, and has room again when ends are recorded. */
static void fill_table(void)
{
	struct msg_start m;
	struct msg_started out;
	struct err e;
	int pty;

	sound_start(&(struct input){0}, &m);
	m.flags = START_STDIO; /* no FIFO each */
	for (unsigned int i = 0; i <= INSTANCES_MAX; i++) {
		const int fds[4] = {f.kinds[0], f.kinds[2], f.kinds[2], f.kinds[2]};

		m.id = i + 1;
		int r = instances_start(f.ctx.instances, &m, fds, 4, &out, &pty, &e);
		CHECK(r == (i < INSTANCES_MAX ? 0 : -EAGAIN));
		struct instance *made = instance_find(f.ctx.instances, m.id);
		if (made)
			instance_ended(made);
		drain(f.handoff.fds[ours[CONTROL] + 1]);
	}
	instances_acked(f.ctx.instances, 1);
	CHECK(f.ctx.instances->n == INSTANCES_MAX - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned int fds, table = 0;
	char records[SETTINGS_PATH_MAX + 16];

	if (!top[0])
		make_stage();
	for (int p = 0; p < PEERS; p++)
		drain(f.handoff.fds[ours[p] + 1]);
	fds = count_entries("/proc/self/fd");
	f.fail = false;
	begin();
	if (size == 4 && memcmp(data, "FILL", 4) == 0)
		fill_table();
	for (unsigned int i = 0; i < STEPS_MAX && in.n && table == 0; i++)
		step(&in);
	/* what was refused left no record, what is known has one */
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = f.ctx.instances->buckets[b]; i; i = i->next) {
			struct record r;

			CHECK(record_read(f.ctx.folders.instances, i->record.id, &r) ==
				0);
			table++;
		}
	CHECK(table == f.ctx.instances->n);
	snprintf(records, sizeof(records), "%s/instances", f.settings.run);
	CHECK(count_entries(records) <= table * 2); /* and its exit file */
	end();
	for (int p = 0; p < PEERS; p++)
		drain(f.handoff.fds[ours[p] + 1]);
	CHECK(count_entries("/proc/self/fd") == fds);
	return 0;
}
