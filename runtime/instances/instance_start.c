/* Sandboxes come to life: started, entered, or found again after a restart. The rest:
 * instances.c. */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/stackrun.h"
#include "runtime/disk/layers.h"
#include "runtime/disk/volumes.h"
#include "runtime/instances/fifos.h"
#include "runtime/instances/instance_table.h"
#include "runtime/process.h"
#include "runtime/sandbox/start_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- what comes with the messages --- */

static bool is_folder(int fd)
{
	struct statx st;

	/* without asking a file system that the sender may serve */
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0 ||
	       S_ISDIR(st.stx_mode);
}

/* A folder of the host as somebody's stdin would be a way out of the sandbox. */
static int check_stdio(const int *fds, unsigned int n, struct err *e)
{
	for (unsigned int i = 0; i < n; i++)
		if (is_folder(fds[i]))
			return err_set(e, EINVAL, "stdin, stdout or stderr is a folder");
	return 0;
}

/* The spec is read by berth-init, inside; here it only must be what can be read there. */
static int check_fds(const int *fds, unsigned int n, struct err *e)
{
	if (io_memfd_check(fds[0]) < 0)
		return err_set(e, EINVAL, "the spec is not a sealed memory file");
	return check_stdio(fds + 1, n - 1, e);
}

/* --- a start --- */

/* What it is made of exists, and nobody else makes the same layer. */
static int check_parts(struct instances *in, const struct msg_start *m, struct err *e)
{
	const struct folders *f = in->c.folders;

	for (unsigned int k = 0; k < m->n_layers + m->n_others; k++)
		if (!layer_is_final(f->layers, m->layers[k]))
			return err_set(e, ENOENT, "layer %llx is not on this host",
				(unsigned long long)m->layers[k]);
	if (m->upper && layer_is_final(f->layers, m->upper))
		return err_set(
			e, EEXIST, "layer %llx exists", (unsigned long long)m->upper);
	if (m->upper && instances_use_layer(in, m->upper))
		return err_set(e, EBUSY, "layer %llx is being made",
			(unsigned long long)m->upper);
	for (unsigned int k = 0; k < m->n_mounts; k++) {
		int r = 0;

		if (m->mounts[k].kind == MOUNT_CACHE)
			r = volume_make_dir(in->c.rt, MOUNT_CACHE, m->mounts[k].id);
		else if (m->mounts[k].kind == MOUNT_SNAPSHOTS)
			r = volume_make_dir(in->c.rt, MOUNT_SNAPSHOTS, m->mounts[k].id);
		else if (m->mounts[k].kind == MOUNT_VOLUME &&
			 !volume_exists(f, m->mounts[k].id))
			r = -ENOENT;
		if (r < 0)
			return err_sys(e, -r, "volume %llx",
				(unsigned long long)m->mounts[k].id);
	}
	return 0;
}

static void fill_record(struct record *r, const struct msg_start *m)
{
	*r = (struct record){.magic = RECORD_MAGIC,
		.kind = RECORD_SANDBOX,
		.state = RECORD_STARTING,
		.id = m->id,
		.app = m->app,
		.release = m->release,
		.n_layers = m->n_layers + m->n_others,
		.n_mounts = m->n_mounts,
		.upper = m->upper};
	if (!(m->flags & (START_STDIO | START_TTY)))
		r->flags |= RECORD_FIFO;
	/* Enough to find it by its id when this worker dies before sandbox_start has
	 * returned. */
	r->sandbox = (struct sandbox_record){.magic = SANDBOX_RECORD_MAGIC,
		.app = m->app,
		.id = m->id,
		.boot = 0,
		.profile = (uint8_t)m->profile,
		.uid = (uint16_t)m->uid,
		.gid = (uint16_t)m->gid,
		.flags = m->flags,
		.upper = m->upper};
	memcpy(r->sandbox.name, m->name, sizeof(r->sandbox.name));
	memcpy(r->layers, m->layers, sizeof(r->layers));
	for (unsigned int k = 0; k < m->n_mounts; k++) {
		r->mounts[k].id = m->mounts[k].id;
		r->mounts[k].kind = m->mounts[k].kind;
	}
}

/* Everything that an unsuccessful start left. pty: NULL, or the master (-1: none). */
static void undo_start(struct instance *i, int *pty)
{
	if (pty && *pty >= 0)
		close(TAKE_FD(*pty));
	if (i->record.flags & RECORD_FIFO)
		fifo_remove(i->all->c.folders->fifo, i->record.id);
	record_remove(i->all->c.folders->instances, i->record.id);
	instance_drop(i);
}

static int prepare_io(
	struct instance *i, struct sandbox_io *io, const int *fds, unsigned int n_fds)
{
	const struct folders *f = i->all->c.folders;

	*io = (struct sandbox_io){
		.spec_fd = fds[0], .stdio = {-1, -1, -1}, .fifo_fd = -1};
	for (unsigned int k = 1; k < n_fds; k++)
		io->stdio[k - 1] = fds[k];
	io->exit_fd = record_exit_create(f->instances, i->record.id);
	if (io->exit_fd < 0)
		return io->exit_fd;
	if (i->record.flags & RECORD_FIFO) {
		int r;

		io->fifo_fd = fifo_make(f->fifo, i->record.id);
		if (io->fifo_fd < 0)
			return io->fifo_fd;
		r = instance_attach(i);
		if (r < 0)
			return r;
	}
	return 0;
}

static void close_io(const struct sandbox_io *io)
{
	if (io->exit_fd >= 0)
		close(io->exit_fd);
	if (io->fifo_fd >= 0)
		close(io->fifo_fd);
}

/* It runs, but nobody would see its end: it must not outlive this call. */
static void end_unseen(struct instance *i, int pidfd)
{
	siginfo_t si;

	if (i->record.kind == RECORD_SANDBOX)
		(void)sandbox_kill(i->all->c.rt, &i->record.sandbox);
	else
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	if (i->record.kind == RECORD_SANDBOX)
		sandbox_cleanup(i->all->c.rt, &i->record.sandbox);
	if (i->record.upper)
		(void)layer_remove(
			i->all->c.chores, i->all->c.folders->layers, i->record.upper);
}

static int finish_start(
	struct instance *i, int pidfd, struct msg_started *out, struct err *e)
{
	int r;

	i->record.state = RECORD_RUNNING;
	r = instance_save(i);
	if (r == 0)
		r = instance_watch(i, pidfd);
	else
		i->pidfd = pidfd; /* closed with the instance */
	if (r < 0) {
		end_unseen(i, pidfd);
		return err_sys(e, -r, "cannot keep watch over it");
	}
	*out = (struct msg_started){.id = i->record.id,
		.pid = i->record.kind == RECORD_STACK ? i->record.pid
						      : i->record.sandbox.pid};
	return 0;
}

static int new_instance(struct instances *in, const struct record *r,
	struct instance **ret, struct err *e)
{
	int w;

	if (in->stopping)
		return err_set(e, ESHUTDOWN, "berthd is stopping");
	if (instance_find(in, r->id))
		return err_set(
			e, EEXIST, "instance %llx exists", (unsigned long long)r->id);
	if (in->n >= INSTANCES_MAX)
		return err_set(e, EAGAIN,
			"there are %u instances that run or whose end is not recorded",
			in->n);
	*ret = instance_add(in, r);
	if (!*ret)
		return err_sys(e, ENOMEM, "start");
	w = instance_save(*ret);
	if (w < 0) {
		instance_drop(*ret);
		return err_sys(e, -w, "cannot write the instance's record");
	}
	return 0;
}

int instances_start(struct instances *in, const struct msg_start *m, const int *fds,
	unsigned int n_fds, struct msg_started *out, int *ret_pty, struct err *e)
{
	struct instance *i;
	struct sandbox_io io;
	struct record record;
	int pidfd, r = start_check(m, n_fds, e);

	*ret_pty = -1;
	if (r < 0 || (r = check_fds(fds, n_fds, e)) < 0 ||
		(r = check_parts(in, m, e)) < 0)
		return r;
	fill_record(&record, m);
	r = new_instance(in, &record, &i, e);
	if (r < 0)
		return r;
	r = prepare_io(i, &io, fds, n_fds);
	io.tty = m->flags & START_TTY;
	if (r < 0)
		err_sys(e, -r, "cannot prepare the instance's files");
	else
		r = sandbox_start(
			in->c.rt, m, &io, &i->record.sandbox, &pidfd, ret_pty, e);
	if (r == 0)
		r = finish_start(i, pidfd, out, e);
	close_io(&io);
	if (r < 0)
		undo_start(i, ret_pty);
	return r;
}

int instances_enter(struct instances *in, const struct msg_enter *m, const int *fds,
	unsigned int n_fds, struct msg_started *out, int *ret_pty, struct err *e)
{
	struct instance *target = instance_find(in, m->target), *i;
	struct record record = {.magic = RECORD_MAGIC,
		.kind = RECORD_SANDBOX,
		.state = RECORD_STARTING,
		.id = m->id};
	struct sandbox_io io;
	int pidfd, go autoclose = -1, r;

	*ret_pty = -1;
	if (m->id == 0 || (m->flags & ~(uint32_t)(START_STDIO | START_TTY)) ||
		m->flags == 0 || start_fds(m->flags) != (int)n_fds)
		return err_set(e, EINVAL, "the flags %#x do not fit %u descriptors",
			m->flags, n_fds);
	if ((r = check_fds(fds, n_fds, e)) < 0)
		return r;
	if (!target || target->record.state != RECORD_RUNNING ||
		target->record.kind != RECORD_SANDBOX)
		return err_set(e, ESRCH, "the instance does not run");
	record.app = target->record.app;
	record.sandbox.magic = SANDBOX_RECORD_MAGIC;
	record.sandbox.id = m->id;
	record.sandbox.app = record.app;
	record.sandbox.flags = SANDBOX_ENTERED;
	record.sandbox.target = m->target;
	/* whoever joins a frozen group stands still in it */
	if (instance_frozen(target))
		return err_set(e, EBUSY, "the instance is frozen");
	r = new_instance(in, &record, &i, e);
	if (r < 0)
		return r;
	r = prepare_io(i, &io, fds, n_fds);
	io.tty = m->flags & START_TTY;
	if (r < 0)
		err_sys(e, -r, "cannot prepare the files");
	else
		r = sandbox_enter(in->c.rt, &target->record.sandbox, m->id, m->flags, &io,
			&i->record.sandbox, &pidfd, ret_pty, &go, e);
	if (r == 0)
		r = finish_start(i, pidfd, out, e);
	if (r == 0)
		process_go(TAKE_FD(go));
	close_io(&io);
	if (r < 0)
		undo_start(i, ret_pty);
	return r;
}

int instances_build_stack(struct instances *in, const struct msg_stack *m, const int *fds,
	struct msg_started *out, struct err *e)
{
	const struct instances_config *c = &in->c;
	struct record record = {.magic = RECORD_MAGIC,
		.kind = RECORD_STACK,
		.state = RECORD_STARTING,
		.id = m->id,
		.boot = records_boot()};
	struct instance *i;
	int exit_fd autoclose = -1, go autoclose = -1;
	int pidfd, r;

	if (m->id == 0)
		return err_set(e, EINVAL, "the ids start at 1");
	if ((r = check_stdio(fds, 2, e)) < 0)
		return r;
	snprintf(record.sandbox.name, sizeof(record.sandbox.name), "stack");
	r = new_instance(in, &record, &i, e);
	if (r < 0)
		return r;
	exit_fd = record_exit_create(c->folders->instances, m->id);
	r = exit_fd < 0 ? err_sys(e, -exit_fd, "exit file")
			: stackrun_start(c->settings, c->ids, c->folders, m->id, m->suite,
				  exit_fd, fds[0], fds[1], &pidfd, &go, e);
	if (r > 0) {
		i->record.pid = (uint32_t)r;
		(void)process_start_time(r, &i->record.start_time);
		r = finish_start(i, pidfd, out, e);
		if (r == 0)
			process_go(TAKE_FD(go));
	}
	if (r < 0) {
		stackrun_cleanup(c->chores, c->folders, m->id);
		undo_start(i, NULL);
	}
	return r;
}

/* --- adoption --- */

static int adopt_process(struct instance *i, int *ret_pidfd)
{
	const struct record *r = &i->record;

	if (r->kind == RECORD_SANDBOX)
		return sandbox_adopt(i->all->c.rt, &r->sandbox, ret_pidfd);
	if (r->boot != records_boot())
		return -ESRCH;
	*ret_pidfd = process_open((pid_t)r->pid, r->start_time);
	return *ret_pidfd < 0 ? *ret_pidfd : 0;
}

static void adopt_running(struct instance *i)
{
	int pidfd, r = adopt_process(i, &pidfd);

	if (r == 0)
		r = instance_watch(i, pidfd);
	if (r < 0) {
		instance_ended(i);
		return;
	}
	log_debug("instance %llx still runs", (unsigned long long)i->record.id);
	if (i->record.flags & RECORD_STOPPING)
		instance_plan_kill(i);
}

/* The worker died in the middle of the start; control was told nothing and asks again. */
static void drop_unfinished(struct instance *i)
{
	log_warn("the start of %llx was interrupted: undone",
		(unsigned long long)i->record.id);
	if (i->record.kind == RECORD_SANDBOX &&
		!(i->record.sandbox.flags & SANDBOX_ENTERED)) {
		(void)sandbox_kill(i->all->c.rt, &i->record.sandbox);
		sandbox_cleanup(i->all->c.rt, &i->record.sandbox);
	}
	if (i->record.upper) /* nothing but this start has written to it */
		(void)layer_remove(
			i->all->c.chores, i->all->c.folders->layers, i->record.upper);
	if (i->record.kind == RECORD_STACK)
		stackrun_cleanup(i->all->c.chores, i->all->c.folders, i->record.id);
	undo_start(i, NULL);
}

static void adopt_record(void *arg, const struct record *r)
{
	struct instance *i = instance_add(arg, r);

	if (!i)
		log_error("out of memory: instance %llx is not watched",
			(unsigned long long)r->id);
}

void instances_adopt(struct instances *in)
{
	int r = records_walk(in->c.folders->instances, adopt_record, in);

	if (r < 0)
		log_error("cannot read the instances' records: %s", strerror(-r));
	instances_attach_all(in);
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++) {
		for (struct instance *i = in->buckets[b], *next; i; i = next) {
			next = i->next;
			if (i->record.state == RECORD_STARTING)
				drop_unfinished(i);
			else if (i->record.state == RECORD_RUNNING)
				adopt_running(i);
		}
	}
	runtime_sweep(in->c.rt);
	instances_tell_exits(in);
}

/* --- questions --- */

const struct record *instances_running(struct instances *in, uint64_t id)
{
	struct instance *i = instance_find(in, id);

	return i && i->record.state == RECORD_RUNNING && i->record.kind == RECORD_SANDBOX
		       ? &i->record
		       : NULL;
}

static bool find_running(struct instances *in,
	bool (*match)(const struct record *r, uint64_t id), uint64_t id)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.state != RECORD_ENDED && match(&i->record, id))
				return true;
	return false;
}

static bool uses_layer(const struct record *r, uint64_t id)
{
	for (unsigned int k = 0; k < r->n_layers && k < PROTO_LAYERS_MAX; k++)
		if (r->layers[k] == id)
			return true;
	return r->upper == id;
}

static bool uses_mount(const struct record *r, uint32_t kind, uint64_t id)
{
	for (unsigned int k = 0; k < r->n_mounts && k < PROTO_MOUNTS_MAX; k++)
		if (r->mounts[k].kind == kind && r->mounts[k].id == id)
			return true;
	return false;
}

static bool uses_volume(const struct record *r, uint64_t id)
{
	return uses_mount(r, MOUNT_VOLUME, id) || uses_mount(r, MOUNT_SNAPSHOTS, id);
}

static bool uses_cache(const struct record *r, uint64_t app)
{
	return uses_mount(r, MOUNT_CACHE, app);
}

/* Of whichever app: two of the same number are rare, and one that is spared goes later. */
static bool uses_cache_part(const struct record *r, uint64_t id)
{
	return uses_mount(r, MOUNT_CACHE_PART, id);
}

static bool is_of_app(const struct record *r, uint64_t app)
{
	return r->app == app;
}

static bool is_any(const struct record *r UNUSED, uint64_t id UNUSED)
{
	return true;
}

bool instances_use_layer(struct instances *in, uint64_t layer)
{
	return find_running(in, uses_layer, layer);
}

bool instances_use_volume(struct instances *in, uint64_t volume)
{
	return find_running(in, uses_volume, volume);
}

bool instances_use_app(struct instances *in, uint32_t app)
{
	return find_running(in, is_of_app, app);
}

bool instances_use_cache(struct instances *in, uint32_t app, uint64_t part)
{
	return find_running(in, part ? uses_cache_part : uses_cache, part ? part : app);
}

void instances_walk(
	struct instances *in, void (*cb)(void *arg, const struct record *r), void *arg)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.state == RECORD_RUNNING &&
				i->record.kind == RECORD_SANDBOX)
				cb(arg, &i->record);
}

bool instances_any_running(struct instances *in)
{
	return find_running(in, is_any, 0);
}

/* Keeps the rows sorted, the lowest ids first; what does not fit makes `more`. */
static void insert_row(struct msg_list *l, const struct instance *i)
{
	const struct record *r = &i->record;
	unsigned int at = l->n, max = ARRAY_LEN(l->rows);

	while (at > 0 && l->rows[at - 1].id > r->id)
		at--;
	if (l->n == max)
		l->more = 1;
	if (at == max)
		return;
	if (l->n < max)
		l->n++;
	memmove(&l->rows[at + 1], &l->rows[at], (l->n - 1 - at) * sizeof(l->rows[0]));
	l->rows[at].id = r->id;
	l->rows[at].app = r->app;
	l->rows[at].flags = r->sandbox.flags & START_LISTEN;
	l->rows[at].state = r->state == RECORD_ENDED ? LIST_ENDED
			    : instance_frozen(i)     ? LIST_FROZEN
						     : LIST_RUNS;
}

void instances_list(struct instances *in, uint64_t after, struct msg_list *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.id > after && !(i->record.flags & RECORD_ACKED))
				insert_row(ret, i);
}
