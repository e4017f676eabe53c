/* What messages leave behind: nothing, compared with what was there before them. */
#ifndef TESTS_FUZZ_LEFT_H
#define TESTS_FUZZ_LEFT_H

#include "runtime/instances/leftovers_test.h"
#include "tests/fuzz/speaker.h"

#define SETTLE_MS 20000
#define AHEAD_MAX 8 /* groups and processes that wait for the next starts */
#define FDS_OF_AHEAD 2
#define FDS_OF_APP 2 /* its user namespace and map, kept for the next start */
#define FRESH_ID ((uint64_t)1 << 48)

static int log_fd;
static pid_t monitor, worker;
static struct buf before;

static void end_all(void)
{
	uint64_t until = io_mono_ns() + DEADLINE_MS * 1000000ull;

	while (listed() > 0) {
		for (uint32_t i = 0; i < found.n; i++) {
			struct msg_stop stop = {.id = found.rows[i].id};
			struct msg_instance ack = {.id = stop.id};

			(void)msg_send(
				control, MSG_STOP, 0, 0, &stop, sizeof(stop), NULL, 0);
			(void)msg_send(control, MSG_EXITED_ACK, 0, 0, &ack, sizeof(ack),
				NULL, 0);
		}
		assert_true(io_mono_ns() < until);
		nap();
	}
	while (n_uppers) {
		struct msg_layer layer = {.id = uppers[--n_uppers]};

		if (layer.id != LAYER)
			(void)request(MSG_LAYER_REMOVE, &layer, sizeof(layer), NULL, 0);
	}
}

/* A volume that a sandbox still had mounted when its removal was asked for; the first, which starts name, when it was made
 * anew with a size. */
static void remove_volumes(void)
{
	struct msg_volume first = {.id = 1};
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	path_of(path, "state/volumes");
	d = opendir(path);
	while (d && (entry = readdir(d))) {
		struct msg_volume volume = {.id = strtoull(entry->d_name, NULL, 16)};

		if (entry->d_name[0] != '.' &&
			(volume.id != first.id || strstr(entry->d_name, ".img")))
			(void)request(
				MSG_VOLUME_REMOVE, &volume, sizeof(volume), NULL, 0);
	}
	if (d)
		closedir(d);
	(void)request(MSG_VOLUME_CREATE, &first, sizeof(first), NULL, 0);
}

/* One sandbox from its start to its end: what is kept ready for the next is there then. */
static void run_true(void)
{
	const char *argv[] = {"/bin/sh", "-c", "exit 7", NULL}, *env[] = {NULL};
	struct msg_start start = start_of(FRESH_ID + next_id++);
	int spec = spec_pack(argv, env, "/");

	assert_true(spec >= 0);
	start.limits.scratch_bytes = 32 << 20;
	if (request(MSG_START, &start, sizeof(start), &spec, 1) < 0)
		fail_msg("a sound start: %s",
			((const struct msg_started *)(const void *)reply.body)->error);
	close(spec);
	wait_exit(start.id);
	assert_int_equal(last_exit.reason, EXIT_REASON_EXITED);
	assert_int_equal(last_exit.value, 7);
}

/* "ID STATEPATH" in the registry of the host's berths. */
static void find_id(char id[9])
{
	char path[PATH_MAX], state[PATH_MAX];

	path_of(state, "state");
	for (int i = 0; i < 31; i++) {
		autobuf b = BUF_INIT;

		snprintf(path, sizeof(path), RUNTIME_REGISTRY "/block-%02d", i);
		if (io_read_file(AT_FDCWD, path, &b) < 0 || b.len < 10)
			continue;
		b.data[strcspn(b.data, "\n")] = '\0';
		if (strcmp(b.data + 9, state) == 0)
			snprintf(id, 9, "%.8s", b.data);
	}
	assert_int_equal(strlen(id), 8);
}

static bool is_group(const char *line)
{
	static const char *const kinds_of[] = {
		"group ", "memory ", "cpu ", "cpuacct ", "freezer ", "unified "};

	for (size_t i = 0; i < ARRAY_LEN(kinds_of); i++)
		if (strcmp(line, kinds_of[i]) == 0)
			return true;
	return false;
}

/* Groups and processes that wait for the next starts come and go: no more than that many. */
static void drop_ahead(struct buf *list)
{
	autobuf kept = BUF_INIT;
	unsigned int groups = 0;
	char *save = NULL;

	for (char *l = strtok_r(list->data, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save)) {
		if (is_group(l))
			groups += strcmp(l, "group ") == 0;
		else if (strcmp(l, "member berth-ready") != 0 &&
			 (strncmp(l, "fd ", 3) != 0 || strstr(l, "/")))
			buf_addf(&kept, "%s\n", l);
	}
	if (groups > AHEAD_MAX)
		buf_addf(&kept, "%u groups\n", groups);
	buf_reset(list);
	buf_add(list, kept.data, kept.len);
}

static unsigned int count_fds(pid_t pid)
{
	char path[64];
	struct dirent *e;
	unsigned int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void list_all(struct buf *out)
{
	char id[9] = "", state[sizeof(top) + 8], run[sizeof(top) + 8];
	struct leftovers l = {.dir = top,
		.id = id,
		.state = state,
		.run = run,
		.pid = worker,
		.children = monitor};

	find_id(id);
	snprintf(state, sizeof(state), "%s/state", top);
	snprintf(run, sizeof(run), "%s/run", top);
	buf_reset(out);
	leftovers_list(&l, out);
	drop_ahead(out);
}

static unsigned int fds_before;

static unsigned int fds_most(void)
{
	return fds_before + FDS_OF_APP * n_apps + FDS_OF_AHEAD * AHEAD_MAX;
}

static unsigned int count_line(const struct buf *list, const char *line, size_t len)
{
	unsigned int n = 0;

	for (const char *p = list->data, *nl; p && (nl = strchr(p, '\n')); p = nl + 1)
		n += (size_t)(nl - p) == len && strncmp(p, line, len) == 0;
	return n;
}

/* The first line that is there more often than before, or NULL. */
static const char *find_left(const struct buf *now)
{
	for (const char *p = now->data, *nl; p && (nl = strchr(p, '\n')); p = nl + 1)
		if (count_line(now, p, (size_t)(nl - p)) >
			count_line(&before, p, (size_t)(nl - p)))
			return p;
	return NULL;
}

static bool in_log(const char *text)
{
	autobuf log = BUF_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log_fd);
	return io_read_file(AT_FDCWD, path, &log) == 0 && log.data &&
	       strstr(log.data, text);
}

/* berthd is who it was, does what it did, and keeps nothing. */
static void settle(void)
{
	uint64_t until = io_mono_ns() + SETTLE_MS * 1000000ull;
	char path[PATH_MAX];
	autobuf now = BUF_INIT;
	const char *left;

	end_all();
	remove_volumes();
	assert_int_equal(monitor_pid(), monitor);
	assert_int_equal(worker_pid(), worker);
	assert_false(in_log("killed by signal"));
	path_of(path, "state/layers/0000000000000001/fs");
	if (access(path, F_OK) < 0)
		make_layer(); /* it was asked for, and went */
	run_true();
	do {
		list_all(&now);
		left = find_left(&now);
	} while ((left || count_fds(worker) > fds_most()) && io_mono_ns() < until &&
		 (usleep(50000), true));
	if (left)
		fail_msg("left: %.*s", (int)strcspn(left, "\n"), left);
	assert_in_range(count_fds(worker), 1, fds_most());
}

#endif
