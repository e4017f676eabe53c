/*
 * berthd as a whole, as root, against a berth-control and a router worker in foreign hands:
 * every field of every message takes every value at which a range could end, every size,
 * descriptors of all kinds; then changes at random. Each message has its one answer, berthd
 * lives on as the same processes, a sound message still works, and in the end nothing is
 * left. FUZZ_S: seconds for what is random.
 *
 * As in runtime/berthd_stage_test.h this program stands in for berth-control and the router.
 */
#include "runtime/berthd_stage_test.h"
#include "runtime/leftovers_test.h"

#include "tests/fuzz/messages.h"

#include <sys/pidfd.h>
#include <sys/syscall.h>

#define RANDOM_S 6
#define BATCH 100
#define SETTLE_MS 20000
#define SEQ 7	    /* of what is tried; others have higher ones */
#define AHEAD_MAX 8 /* groups and processes that wait for the next starts */
#define FDS_OF_AHEAD 2
#define UPPERS_MAX 4096
#define FRESH_ID ((uint64_t)1 << 48)
#define APPS_MAX 64
#define FDS_OF_APP 2 /* its user namespace and map, kept for the next start */

static int router = -1; /* the router worker's end of its pair */
static int kinds[KINDS], log_fd;
static pid_t monitor, worker;
static uint64_t uppers[UPPERS_MAX];
static unsigned int n_uppers, tried, refused;
static bool stop_at_once; /* what is started */
static uint32_t apps[APPS_MAX];
static unsigned int n_apps;
static struct buf before;

/* ---- the fields ---- */

struct field {
	const char *name;
	size_t at, size;
};
#define F(type, field)                                                                   \
	{                                                                                \
#field, offsetof(struct type, field), sizeof(((struct type *)0)->field)  \
	}

static const struct field hello_fields[] = {
	F(msg_hello, epoch), F(msg_hello, pid), F(msg_hello, pad)};
#define LIMITS_FIELDS(type)                                                              \
	F(type, limits.memory_bytes), F(type, limits.scratch_bytes),                     \
		F(type, limits.io_read_bytes), F(type, limits.io_write_bytes),           \
		F(type, limits.cpu_millis), F(type, limits.pids),                        \
		F(type, limits.nofile), F(type, limits.pad)
#define MOUNT_FIELDS(i)                                                                  \
	F(msg_start, mounts[i].id), F(msg_start, mounts[i].kind),                        \
		F(msg_start, mounts[i].flags), F(msg_start, mounts[i].path)
static const struct field start_fields[] = {F(msg_start, id), F(msg_start, app),
	F(msg_start, profile), F(msg_start, flags), F(msg_start, n_layers),
	LIMITS_FIELDS(msg_start), F(msg_start, layers), F(msg_start, upper),
	F(msg_start, n_mounts), F(msg_start, stop_timeout_ms), MOUNT_FIELDS(0),
	MOUNT_FIELDS(1), MOUNT_FIELDS(2), MOUNT_FIELDS(3), MOUNT_FIELDS(4),
	MOUNT_FIELDS(5), MOUNT_FIELDS(6), MOUNT_FIELDS(7), MOUNT_FIELDS(8),
	MOUNT_FIELDS(9), MOUNT_FIELDS(10), MOUNT_FIELDS(11), MOUNT_FIELDS(12),
	MOUNT_FIELDS(13), MOUNT_FIELDS(14), MOUNT_FIELDS(15), F(msg_start, name)};
static const struct field stop_fields[] = {
	F(msg_stop, id), F(msg_stop, timeout_ms), F(msg_stop, pad)};
static const struct field signal_fields[] = {
	F(msg_signal, id), F(msg_signal, signo), F(msg_signal, pad)};
static const struct field limits_fields[] = {F(msg_limits, id), LIMITS_FIELDS(msg_limits),
	F(msg_limits, which), F(msg_limits, pad)};
static const struct field enter_fields[] = {
	F(msg_enter, id), F(msg_enter, target), F(msg_enter, flags), F(msg_enter, pad)};
static const struct field sockets_fields[] = {
	F(msg_sockets, id), F(msg_sockets, n), F(msg_sockets, family)};
static const struct field instance_fields[] = {F(msg_instance, id)};
static const struct field layer_fields[] = {F(msg_layer, id), F(msg_layer, size_bytes)};
static const struct field page_fields[] = {F(msg_layer_page, after), F(msg_layer_page, n),
	F(msg_layer_page, pad), F(msg_layer_page, ids)};
static const struct field volume_fields[] = {F(msg_volume, id)};
static const struct field app_fields[] = {
	F(msg_app, id), F(msg_app, pad), F(msg_app, name)};
/* but a suite that exists: it would be built */
static const struct field stack_fields[] = {
	F(msg_stack, id), F(msg_stack, suite), F(msg_stack, pad)};
static const struct field freeze_fields[] = {
	F(msg_freeze, id), F(msg_freeze, flags), F(msg_freeze, pad)};
#define RULE_FIELDS(i)                                                                   \
	F(msg_network, rules[i].kind), F(msg_network, rules[i].verdict),                 \
		F(msg_network, rules[i].protocol), F(msg_network, rules[i].prefix),      \
		F(msg_network, rules[i].first), F(msg_network, rules[i].last),           \
		F(msg_network, rules[i].number), F(msg_network, rules[i].addr)
static const struct field network_fields[] = {F(msg_network, app),
	F(msg_network, n_rules), F(msg_network, hosts_size), F(msg_network, pad),
	RULE_FIELDS(0), RULE_FIELDS(1), RULE_FIELDS(2), RULE_FIELDS(3),
	{"rules[4..]", offsetof(struct msg_network, rules[4]),
		sizeof(struct net_rule) * (NET_RULES_MAX - 4)},
	F(msg_network, hosts)};
static const struct field name_fields[] = {
	F(msg_name, number), F(msg_name, n), F(msg_name, ids)};

static const struct layout {
	uint32_t type;
	const struct field *fields;
	unsigned int n;
} layouts[] = {
#define L(type, fields)                                                                  \
	{                                                                                \
		type, fields, (unsigned int)ARRAY_LEN(fields)                            \
	}
	L(MSG_HELLO, hello_fields), L(MSG_START, start_fields), L(MSG_STOP, stop_fields),
	L(MSG_SIGNAL, signal_fields), L(MSG_LIMITS, limits_fields),
	L(MSG_ENTER, enter_fields), L(MSG_SOCKETS, sockets_fields),
	L(MSG_PORTS, instance_fields), L(MSG_LIST, instance_fields),
	L(MSG_LAYER_COMMIT, layer_fields), L(MSG_LAYER_REMOVE, layer_fields),
	L(MSG_LAYER_LIST, page_fields), L(MSG_VOLUME_CREATE, volume_fields),
	L(MSG_VOLUME_REMOVE, volume_fields), L(MSG_APP_REMOVE, app_fields),
	L(MSG_STACK_BUILD, stack_fields), L(MSG_FREEZE, freeze_fields),
	L(MSG_THAW, instance_fields), L(MSG_NETWORK, network_fields),
	L(MSG_NAME, name_fields), L(MSG_EXITED_ACK, instance_fields),
	L(MSG_ROUTER_SOCKETS, sockets_fields), L(MSG_ROUTER_WAKE, instance_fields)};

static const struct layout *layout_of(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

/* ---- one message and what follows ---- */

static struct {
	struct msg_head head;
	_Alignas(8) char body[MSG_BODY_MAX + 64];
} m;

static bool is_unanswered(uint32_t type)
{
	return type == MSG_HELLO || type == MSG_EXITED_ACK || type == MSG_ROUTER_LEAVES;
}

/* A question that always has an answer: whatever was asked before it was dealt with. */
static unsigned int answers_until(int fd, uint32_t type, int *ret_status)
{
	const struct msg_instance nobody = {.id = UINT64_MAX};
	uint32_t last = fd == router ? MSG_ROUTER_WAKE : MSG_DISK, seq = next_seq++;
	unsigned int n = 0;

	assert_int_equal(msg_send(fd, last, seq, 0, fd == router ? &nobody : NULL,
				 fd == router ? sizeof(nobody) : 0, NULL, 0),
		0);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, DEADLINE_MS) <= 0 || msg_recv(fd, &reply) != 1)
			fail_msg("no answer after message %u", type);
		if (reply.head.type == last && reply.head.seq == seq) {
			msg_close_fds(&reply);
			return n;
		}
		if (reply.head.type == type && reply.head.seq == SEQ) {
			n++;
			*ret_status = reply.head.status;
			if (reply.head.status < 0)
				assert_int_equal(reply.nfds, 0);
		}
		if (reply.head.type == MSG_EXITED)
			(void)msg_send(control, MSG_EXITED_ACK, 0, 0, reply.body,
				sizeof(struct msg_instance), NULL, 0);
		msg_close_fds(&reply);
	}
}

static void note_app(uint32_t app)
{
	for (unsigned int i = 0; i < n_apps; i++)
		if (apps[i] == app)
			return;
	assert_true(n_apps < APPS_MAX);
	apps[n_apps++] = app;
}

/* What was made and would stay. */
static void undo(uint32_t type)
{
	const struct msg_start *start = (const void *)m.body;
	struct msg_network network = {.app = *(const uint32_t *)(const void *)m.body};
	struct msg_name name = {.number = network.app};
	struct msg_layer layer = {.id = *(const uint64_t *)(const void *)m.body};

	struct msg_stop stop = {.id = layer.id};

	if (type == MSG_START)
		note_app(start->app);
	if (type == MSG_START && stop_at_once)
		(void)msg_send(control, MSG_STOP, 0, 0, &stop, sizeof(stop), NULL, 0);
	if (type == MSG_START && start->upper && n_uppers < UPPERS_MAX)
		uppers[n_uppers++] = start->upper;
	else if (type == MSG_NETWORK)
		assert_int_equal(
			request(MSG_NETWORK, &network, sizeof(network), NULL, 0), 0);
	else if (type == MSG_NAME)
		assert_int_equal(request(MSG_NAME, &name, sizeof(name), NULL, 0), 0);
	else if (type == MSG_VOLUME_CREATE && layer.id != 1)
		(void)request(
			MSG_VOLUME_REMOVE, &layer, sizeof(struct msg_volume), NULL, 0);
	else if (type == MSG_LAYER_COMMIT && layer.id != LAYER)
		(void)request(MSG_LAYER_REMOVE, &layer, sizeof(layer), NULL, 0);
}

static const struct sound *sound_of(uint32_t type)
{
	const struct sound *s = sounds;

	while (s->type != type)
		s++;
	return s;
}

static void try_message(
	const struct sound *s, size_t size, const int *fds, unsigned int n)
{
	int fd = is_from_router(s->type) ? router : control, status = 0;
	bool whole = m.head.size == size, known = m.head.type == s->type;

	if (m.head.type == MSG_STACK_BUILD &&
		((struct msg_stack *)(void *)m.body)->suite == 1)
		return;
	assert_true(send_raw(fd, &m, sizeof(m.head) + size, fds, n));
	unsigned int answers = answers_until(fd, m.head.type, &status);
	tried++;
	refused += status < 0;
	if (!known || m.head.seq != SEQ)
		return;
	if (!whole || is_unanswered(s->type))
		assert_int_equal(answers, 0);
	else if (s->type != MSG_APP_REMOVE) /* waits for the logger */
		assert_int_equal(answers, 1);
	assert_in_range(-status, 0, 4095);
	if (answers && status == 0)
		undo(s->type);
}

static void compose(const struct sound *s, struct input *in)
{
	memset(&m, 0, sizeof(m));
	m.head =
		(struct msg_head){.type = s->type, .seq = SEQ, .size = (uint32_t)s->size};
	if (s->fill)
		s->fill(in, m.body);
}

static void try_sound(const struct sound *s)
{
	try_message(s, s->size, &kinds[s->first_kind], s->n_fds);
}

/* ---- nothing is left ---- */

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

/* A volume that a sandbox still had mounted when its removal was asked for. */
static void remove_volumes(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	path_of(path, "state/volumes");
	d = opendir(path);
	while (d && (entry = readdir(d))) {
		struct msg_volume volume = {.id = strtoull(entry->d_name, NULL, 16)};

		if (entry->d_name[0] != '.' && volume.id != 1)
			(void)request(
				MSG_VOLUME_REMOVE, &volume, sizeof(volume), NULL, 0);
	}
	if (d)
		closedir(d);
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
		else if (strncmp(l, "fd ", 3) != 0 || strstr(l, "/"))
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

/* ---- values ---- */

static const uint64_t edges[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64,
	65, 128, 255, 256, 999, 1024, 4095, 4096, 65535, 65536, 3600000, 3600001, 4194304,
	4194305, (16 << 20) - 1, 16 << 20, 1073741816, 1073741817, 0x7fffffff, 0x80000000,
	0xfffffffe, 0xffffffff, 0x100000000, (uint64_t)1 << 40, ((uint64_t)1 << 40) + 1,
	(uint64_t)1 << 44, ((uint64_t)1 << 44) + 1, 0x7fffffffffffffff,
	0x8000000000000000, 0xfffffffffffffffe, 0xffffffffffffffff};
static const char *const texts[] = {"", "/", "/..", "/a/../b", "../../etc", "/proc",
	"/dev/null", "/a//b", "/a/", "a b", "a\nb", ".", "-x", "%s%n", "\xff\xfe",
	"/berth", "web.1"};

/* The field takes the value number i; false when there is none. */
static bool set_value(const struct field *f, size_t i)
{
	char *at = m.body + f->at;
	size_t width = f->size < 8 ? f->size : 8;

	if (i < ARRAY_LEN(edges)) {
		if (width < 8 && edges[i] >> (8 * width) != 0)
			memset(at, 0xa5,
				width); /* what would be cut off is another one */
		else
			memcpy(at, &edges[i], width);
		return true;
	}
	i -= ARRAY_LEN(edges);
	if (f->size <= 8)
		return false;
	if (i < ARRAY_LEN(texts)) {
		memset(at, 0, f->size);
		memcpy(at, texts[i], strnlen(texts[i], f->size - 1));
		return true;
	}
	i -= ARRAY_LEN(texts);
	if (i < 3)
		memset(at, i == 0 ? 'A' : i == 1 ? 0xff : '/', f->size);
	else if (i == 3) /* only its end */
		memset(at + f->size - 8, 0xff, 8);
	return i < 4;
}

/* ---- the tests ---- */

static void what_runs_is_in_the_list_of_what_is_left(void **state UNUSED)
{
	autobuf now = BUF_INIT;

	compose(sound_of(MSG_START), &(struct input){NULL, 0});
	try_sound(sound_of(MSG_START));
	list_all(&now);
	assert_non_null(find_left(&now));
	settle();
}

static void every_byte_of_every_message_is_in_the_table(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(sounds); i++) {
		const struct layout *l = layout_of(sounds[i].type);
		size_t at = 0;

		if (sounds[i].size == 0 || is_from_logger(sounds[i].type))
			continue;
		assert_non_null(l);
		for (size_t k = 0; k < l->n; k++) {
			if (l->fields[k].at != at)
				fail_msg("message %u: what is before %s?", l->type,
					l->fields[k].name);
			at += l->fields[k].size;
		}
		assert_int_equal(at, sounds[i].size);
	}
}

/* First of all: of a flood of them only some stand there. */
static void a_refusal_stands_in_the_log_with_its_reason(void **state UNUSED)
{
	compose(sound_of(MSG_START), &(struct input){NULL, 0});
	((struct msg_start *)(void *)m.body)->profile = 99;
	try_sound(sound_of(MSG_START));
	assert_true(in_log("berth-control: message 10 is refused: unknown profile 99"));
	compose(sound_of(MSG_ROUTER_SOCKETS), &(struct input){NULL, 0});
	((struct msg_sockets *)(void *)m.body)->n = 0;
	try_sound(sound_of(MSG_ROUTER_SOCKETS));
	assert_true(in_log("berth-router: message 80 is refused: "));
	compose(sound_of(MSG_DISK), &(struct input){NULL, 0});
	m.head.size = 5;
	try_sound(sound_of(MSG_DISK));
	assert_true(in_log("berth-control: a malformed message is dropped"));
}

/* Mounts beyond those that the sound message has: each would start a sandbox. */
static bool is_unused(uint32_t type, const struct field *f)
{
	return type == MSG_START && f->at >= offsetof(struct msg_start, mounts[2]) &&
	       f->at < offsetof(struct msg_start, name);
}

/* Those that take milliseconds each, started sandboxes and runs of nft, take every so many-th
 * value in a short round. */
static size_t stride_of(uint32_t type)
{
	return getenv("FUZZ_S")	     ? 1
	       : type == MSG_START   ? 4
	       : type == MSG_NETWORK ? 12
				     : 1;
}

static void try_field(const struct sound *s, const struct field *f, size_t first)
{
	for (size_t step = stride_of(s->type), v = first % step;; v += step) {
		compose(s, &(struct input){NULL, 0});
		if (s->type == MSG_START && f->at > 0) /* else there is one already */
			((struct msg_start *)(void *)m.body)->id = FRESH_ID + next_id++;
		if (!set_value(f, v))
			return;
		try_sound(s);
	}
}

static void each_field_takes_each_value(void **state UNUSED)
{
	stop_at_once = true;
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		const struct layout *l = &layouts[i];

		for (size_t k = 0; k < l->n; k++)
			if (!is_unused(l->type, &l->fields[k]))
				try_field(sound_of(l->type), &l->fields[k], k);
	}
	stop_at_once = false;
	settle();
}

static void a_message_of_another_size_is_refused(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 64, 1023, 4096,
		sizeof(struct msg_start) - 1, sizeof(struct msg_start) + 1,
		MSG_BODY_MAX - 1, MSG_BODY_MAX, MSG_BODY_MAX + 1};

	for (size_t i = 0; i < ARRAY_LEN(sounds); i++) {
		const struct sound *s = &sounds[i];

		if (is_from_logger(s->type))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
			compose(s, &(struct input){NULL, 0});
			/* what the head says, and what comes */
			try_message(s, sizes[k], &kinds[s->first_kind], s->n_fds);
			if (sizes[k] > MSG_BODY_MAX)
				continue; /* cut on its way: there is no answer */
			m.head.size = (uint32_t)sizes[k];
			try_message(s, sizes[k], &kinds[s->first_kind], s->n_fds);
		}
	}
	settle();
}

static void descriptors_of_every_kind_and_number_come(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(sounds); i++) {
		const struct sound *s = &sounds[i];

		if (is_from_logger(s->type) || s->type == MSG_HELLO)
			continue;
		for (unsigned int kind = 0; kind < KINDS; kind++)
			for (unsigned int n = 0; n <= 8; n++) {
				int fds[8];

				for (unsigned int k = 0; k < 8; k++)
					fds[k] = kinds[(kind + k / 4) % KINDS];
				compose(s, &(struct input){NULL, 0});
				if (n == 4 && s->type == MSG_START)
					((struct msg_start *)(void *)m.body)->flags =
						START_STDIO;
				try_message(s, s->size, fds, n);
			}
	}
	settle();
}

/* The stand-in's own generator: the same messages every time. */
static uint64_t random_state = 1;

static uint32_t next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33);
}

static void try_random(void)
{
	const struct sound *s = &sounds[next_random() % ARRAY_LEN(sounds)];
	uint8_t bytes[4] = {(uint8_t)next_random(), (uint8_t)next_random()};
	const struct layout *l = layout_of(s->type);
	size_t size = s->size;
	unsigned int n = s->n_fds;
	int fds[8];

	if (is_from_logger(s->type))
		return;
	compose(s, &(struct input){bytes, sizeof(bytes)});
	for (unsigned int k = next_random() % 3; l && k > 0; k--)
		(void)set_value(&l->fields[next_random() % l->n],
			next_random() %
				(unsigned int)(ARRAY_LEN(edges) + ARRAY_LEN(texts) + 4));
	for (unsigned int k = 0; k < 8; k++)
		fds[k] = kinds[(s->first_kind + k) % KINDS];
	if (next_random() % 8 == 0)
		fds[next_random() % 4] = kinds[next_random() % KINDS];
	if (next_random() % 16 == 0)
		n = next_random() % 9;
	if (next_random() % 16 == 0)
		size = m.head.size = next_random() % MSG_BODY_MAX;
	if (next_random() % 32 == 0)
		m.head.type = next_random() % 128;
	try_message(s, size, fds, n);
}

static void changes_at_random_do_no_harm(void **state UNUSED)
{
	const char *wanted = getenv("FUZZ_S");
	uint64_t seconds = wanted ? strtoul(wanted, NULL, 10) : RANDOM_S;
	uint64_t until = io_mono_ns() + seconds * 1000000000u;

	while (io_mono_ns() < until) {
		for (int i = 0; i < BATCH; i++)
			try_random();
		end_all();
		assert_int_equal(worker_pid(), worker);
	}
	settle();
	print_message("# %u messages, %u of them refused\n", tried, refused);
}

/* ---- the stage ---- */

/* The stand-in router has it as its descriptor 3. */
static int take_router_end(void)
{
	int pidfd, fd = -1;
	pid_t pid;

	WAIT_FOR((pid = daemon_pid("router.0 ")) > 0);
	pidfd = pidfd_open(pid, 0);
	if (pidfd >= 0) {
		fd = pidfd_getfd(pidfd, 3, 0);
		close(pidfd);
	}
	return fd;
}

static int set_up_stage(void **state)
{
	static const char *const argv[] = {"/bin/sleep", "60", NULL};
	struct msg_volume volume = {.id = 1};
	int err = dup(STDERR_FILENO);

	log_fd = memfd_create("log", MFD_CLOEXEC);
	if (err < 0 || log_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return -1;
	int r = setup(state);
	dup2(err, STDERR_FILENO);
	close(err);
	if (r < 0)
		return r;
	make_kinds(kinds, argv);
	router = take_router_end();
	monitor = monitor_pid();
	worker = worker_pid();
	assert_true(router >= 0 && monitor > 0 && worker > 0);
	assert_int_equal(request(MSG_VOLUME_CREATE, &volume, sizeof(volume), NULL, 0), 0);
	run_true();
	run_true();
	sleep(1); /* what is kept ready is made in the background */
	list_all(&before);
	fds_before = count_fds(worker);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_every_message_is_in_the_table),
		cmocka_unit_test(a_refusal_stands_in_the_log_with_its_reason),
		cmocka_unit_test(what_runs_is_in_the_list_of_what_is_left),
		cmocka_unit_test(each_field_takes_each_value),
		cmocka_unit_test(a_message_of_another_size_is_refused),
		cmocka_unit_test(descriptors_of_every_kind_and_number_come),
		cmocka_unit_test(changes_at_random_do_no_harm),
	};

	stand_in(argc, argv);
	return cmocka_run_group_tests(tests, set_up_stage, teardown);
}
