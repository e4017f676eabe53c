/* Accepts connections and finds out whose they are, without ever blocking on one of them.
 */
#include "control/access/auth.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

struct waiting {
	int fd;
	uint64_t deadline_ns;
	struct identity id;
	char line[AUTH_LINE_MAX];
	size_t len;
};

struct auth {
	struct control *c;
	int listen_fd, wake_fd;
	uid_t ssh_uid; /* (uid_t)-1: no such user here */
	unsigned int most;
	auth_deliver deliver;
	void *arg;
	pthread_t thread;
	atomic_uint open;
	atomic_bool stopping;
	struct waiting waiting[AUTH_WAITING_MAX];
	unsigned int n_waiting;
};

static uid_t find_ssh_uid(void)
{
	const char *name = getenv("BERTH_SSH_USER");
	struct passwd pw, *found = NULL;
	char space[4096];

	if (!name || !*name)
		name = "berth";
	if (getpwnam_r(name, &pw, space, sizeof(space), &found) != 0 || !found) {
		log_warn("user %s does not exist: no ssh access", name);
		return (uid_t)-1;
	}
	return found->pw_uid;
}

static void deliver(struct auth *a, int fd, const struct identity *id)
{
	atomic_fetch_add(&a->open, 1);
	a->deliver(a->arg, fd, id);
}

static void drop(struct auth *a, unsigned int i)
{
	a->waiting[i] = a->waiting[--a->n_waiting];
}

static void name_key(struct auth *a, struct identity *id, const char *line)
{
	struct db_key k;
	uint64_t n;

	if (strncmp(line, "KEY ", 4) != 0 ||
		num_parse_u64(line + 4, 1, UINT32_MAX, &n) < 0) {
		snprintf(id->refused, sizeof(id->refused),
			"the connection did not name a key");
		return;
	}
	int r = db_key_get(a->c->db, (uint32_t)n, &k);
	if (r < 0) {
		snprintf(id->refused, sizeof(id->refused), "%s",
			r == -ENOENT ? "this ssh key was removed"
				     : "the key cannot be looked up");
		return;
	}
	id->key = k.id;
	snprintf(id->actor, sizeof(id->actor), "%s", k.name);
}

/* Reads the KEY line byte by byte, so that nothing of the request behind it is taken.
 * False when waiting ended. */
static bool read_line(struct auth *a, unsigned int i)
{
	struct waiting *w = &a->waiting[i];

	while (w->len < sizeof(w->line)) {
		char c;
		ssize_t n = recv(w->fd, &c, 1, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0) {
			close(w->fd);
			drop(a, i);
			return false;
		}
		if (c == '\n') {
			struct waiting done = *w;

			done.line[done.len] = '\0';
			drop(a, i);
			/* there was when it came; others may have been quicker */
			if (!auth_has_room(a)) {
				close(done.fd);
				return false;
			}
			name_key(a, &done.id, done.line);
			deliver(a, done.fd, &done.id);
			return false;
		}
		w->line[w->len++] = c;
	}
	close(w->fd);
	drop(a, i);
	return false;
}

bool auth_has_room(struct auth *a)
{
	return atomic_load(&a->open) + AUTH_ROOT_ROOM < a->most;
}

static void greet(struct auth *a, int fd)
{
	struct identity id = {0};
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		close(fd);
		return;
	}
	id.uid = peer.uid;
	if (peer.uid == 0) {
		snprintf(id.actor, sizeof(id.actor), "root");
		deliver(a, fd, &id);
		return;
	}
	if (peer.uid != a->ssh_uid) {
		/* Strangers may learn that they are, but never fill the house. */
		if (atomic_load(&a->open) >= a->most / 2) {
			close(fd);
			return;
		}
		snprintf(id.actor, sizeof(id.actor), "uid %u", peer.uid);
		snprintf(id.refused, sizeof(id.refused),
			"not a member: only root and the holders of an ssh key or a "
			"token may use this berth");
		deliver(a, fd, &id);
		return;
	}
	if (!auth_has_room(a)) {
		close(fd);
		return;
	}
	struct waiting *w = &a->waiting[a->n_waiting++];
	*w = (struct waiting){.fd = fd,
		.id = id,
		.deadline_ns = io_mono_ns() + AUTH_DEADLINE_MS * UINT64_C(1000000)};
	read_line(
		a, a->n_waiting -
			   1); /* berth-shell sends it at once: most often it is there */
}

static void expire(struct auth *a)
{
	uint64_t now = io_mono_ns();

	for (unsigned int i = a->n_waiting; i-- > 0;) {
		if (now < a->waiting[i].deadline_ns)
			continue;
		close(a->waiting[i].fd);
		drop(a, i);
	}
}

static void accept_one(struct auth *a)
{
	int fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0) {
		greet(a, fd);
		return;
	}
	if (errno == EMFILE || errno == ENFILE) {
		log_error("no descriptor left for a connection to the API");
		poll(NULL, 0, 100); /* the connection stays in the queue and would wake us
				       at once */
	}
}

static void *run(void *arg)
{
	struct auth *a = arg;
	struct pollfd fds[2 + AUTH_WAITING_MAX];

	while (!atomic_load(&a->stopping)) {
		bool room = atomic_load(&a->open) < a->most &&
			    a->n_waiting < AUTH_WAITING_MAX;
		unsigned int n = a->n_waiting;

		fds[0] =
			(struct pollfd){.fd = room ? a->listen_fd : -1, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = a->wake_fd, .events = POLLIN};
		for (unsigned int i = 0; i < n; i++)
			fds[2 + i] =
				(struct pollfd){.fd = a->waiting[i].fd, .events = POLLIN};
		if (poll(fds, 2 + n, n ? 500 : -1) < 0)
			continue;
		/* Backwards: a row that ends is replaced by the last one, which was
		 * looked at already. */
		for (unsigned int i = n; i-- > 0;) {
			if (fds[2 + i].revents)
				read_line(a, i);
		}
		expire(a);
		if (fds[1].revents) {
			uint64_t count;
			ssize_t got UNUSED = read(a->wake_fd, &count, sizeof(count));
		}
		if (fds[0].revents)
			accept_one(a);
	}
	return NULL;
}

static void wake(struct auth *a)
{
	uint64_t one = 1;
	ssize_t put UNUSED = write(a->wake_fd, &one, sizeof(one));
}

int auth_start(struct control *c, int listen_fd, unsigned int most, auth_deliver fn,
	void *arg, struct auth **ret)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->c = c;
	a->listen_fd = listen_fd;
	a->ssh_uid = find_ssh_uid();
	a->most = most;
	a->deliver = fn;
	a->arg = arg;
	io_set_nonblock(listen_fd, true);
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*ret = a; /* before the thread: what it delivers may end at once */
	int r = a->wake_fd < 0 ? -errno : -pthread_create(&a->thread, NULL, run, a);
	if (r < 0) {
		if (a->wake_fd >= 0)
			close(a->wake_fd);
		free(a);
		*ret = NULL;
		return r;
	}
	return 0;
}

void auth_add(struct auth *a, int fd, const struct identity *id)
{
	deliver(a, fd, id);
}

void auth_released(struct auth *a)
{
	/* Only a full house makes the thread deaf; else there is nobody to wake. */
	if (atomic_fetch_sub(&a->open, 1) >= a->most)
		wake(a);
}

void auth_stop(struct auth *a)
{
	if (!a)
		return;
	atomic_store(&a->stopping, true);
	wake(a);
	pthread_join(a->thread, NULL);
	for (unsigned int i = 0; i < a->n_waiting; i++)
		close(a->waiting[i].fd);
	a->n_waiting = 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	close(a->wake_fd);
	free(a);
}
