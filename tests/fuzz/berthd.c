/*
 * berthd as a whole, as root, against a berth-control and a router worker in foreign hands:
 * every field of every message takes every value at which a range could end, every size,
 * descriptors of all kinds; then changes at random. Each message has its one answer, berthd
 * lives on as the same processes, a sound message still works, and in the end nothing is
 * left. FUZZ_S: seconds for what is random.
 *
 * As in runtime/berthd_stage_test.h this program stands in for berth-control and the router.
 */

#include "tests/fuzz/fields.h"
#include "tests/fuzz/left.h"

#include <sys/pidfd.h>
#include <sys/syscall.h>

#define RANDOM_S 6
#define BATCH 100

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
		if (!set_value(m.body, f, v))
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
		(void)set_value(m.body, &l->fields[next_random() % l->n],
			next_random() % (unsigned int)(ARRAY_LEN(numbers) +
						       ARRAY_LEN(texts) + 4));
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

/* A daemon is in the list before it is the program, with that program's descriptors. */
static bool is_router(pid_t pid)
{
	autobuf b = {.max = 4096};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	return pid > 0 && io_read_file(AT_FDCWD, path, &b) == 0 && b.data &&
	       strstr(b.data, "berth-router");
}

/* The stand-in router has it as its descriptor 3. */
static int take_router_end(void)
{
	int pidfd, fd = -1;
	pid_t pid;

	WAIT_FOR(is_router(pid = daemon_pid("router.0 ")));
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
