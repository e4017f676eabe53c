/* berthd as a whole: what it says that all things take of the disk. */
#include "runtime/berthd_stage_test.h"
#include "runtime/command.h"

static bool asked(uint32_t kinds, int out)
{
	struct msg_usage m = {.kinds = kinds};

	return request(MSG_USAGE, &m, sizeof(m), &out, 1) ==
	       0; /* or one before is at work */
}

/* The sum of the wanted rows but those that no folder shows; *ret is the last of that kind. */
static uint64_t counted_of(uint32_t kinds, uint32_t kind, struct usage_row *ret)
{
	struct usage_row row = {0};
	uint64_t sum = 0;
	int pipes[2];

	*ret = row;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	WAIT_FOR(asked(kinds, pipes[1]));
	close(pipes[1]);
	while (row.kind != USAGE_END) {
		assert_int_equal(io_read_full(pipes[0], &row, sizeof(row)), 0);
		assert_false(row.flags & USAGE_PARTIAL);
		assert_true(!kinds || row.kind == USAGE_END || kinds & 1u << row.kind);
		if (row.kind == kind)
			*ret = row;
		if (row.kind != USAGE_UNNAMED)
			sum += row.bytes;
	}
	assert_int_equal(io_read_full(pipes[0], &row, 1), -EPIPE);
	close(pipes[0]);
	return sum;
}

static uint64_t counted(uint32_t kind, struct usage_row *ret)
{
	return counted_of(0, kind, ret);
}

static uint64_t du_of_state(void)
{
	char path[PATH_MAX];
	const char *const argv[] = {"du", "-s", "-B1", path, NULL};
	autobuf out = {.max = 256};

	path_of(path, "state");
	assert_int_equal(command_run(argv, NULL, 0, &out), 0);
	return strtoull(out.data, NULL, 10);
}

static bool sum_is_right(void)
{
	struct usage_row row;

	return counted(USAGE_OTHER, &row) == du_of_state();
}

static void write_file(const char *name, size_t size)
{
	char path[PATH_MAX];
	char *bytes autofree = calloc(1, size);

	path_of(path, name);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && bytes);
	assert_int_equal(io_write_all(fd, bytes, size), 0);
	assert_int_equal(fsync(fd), 0);
}

static void every_byte_below_the_state_folder_is_in_a_row(void **state UNUSED)
{
	uint64_t id =
		start_shell("echo much >/tmp/x; while :; do sleep 0.05; done", NULL);
	struct msg_volume v = {.id = 7};
	struct usage_row row;

	assert_int_equal(request(MSG_VOLUME_CREATE, &v, sizeof(v), NULL, 0), 0);
	write_file("state/volumes/0000000000000007/file", 100000);
	write_file("state/layers/beside", 5000);
	WAIT_FOR(sum_is_right());
	counted(USAGE_VOLUME, &row);
	assert_int_equal(row.id, 7);
	assert_in_range(row.bytes, 100000, 120000);
	counted(USAGE_LAYER, &row);
	assert_int_equal(row.id, LAYER);
	assert_in_range(row.bytes, 100000, 100 << 20);
	stop_app(id);
	assert_int_equal(request(MSG_VOLUME_REMOVE, &v, sizeof(v), NULL, 0), 0);
	WAIT_FOR(sum_is_right());
}

static bool nothing_is_being_removed(void)
{
	struct msg_disk d;

	assert_int_equal(request(MSG_DISK, NULL, 0, NULL, 0), 0);
	memcpy(&d, reply.body, sizeof(d));
	return !d.removing;
}

static void a_cache_goes_when_no_build_has_it(void **state UNUSED)
{
	const char *argv[] = {
		"/bin/sh", "-c", "echo x >/cache/x; while :; do sleep 0.05; done", NULL};
	const char *env[] = {"PATH=/bin", NULL};
	struct msg_start m = start_of(next_id++);
	struct msg_cache cache = {.app = m.app}, none = {.app = 0};
	int spec = spec_pack(argv, env, "/");
	struct usage_row row;

	m.mounts[m.n_mounts++] =
		(struct msg_mount){.id = m.app, .kind = MOUNT_CACHE, .path = "/cache"};
	assert_int_equal(request(MSG_START, &m, sizeof(m), &spec, 1), 0);
	close(spec);
	assert_int_equal(
		request(MSG_CACHE_REMOVE, &cache, sizeof(cache), NULL, 0), -EBUSY);
	stop_app(m.id);
	uint64_t bytes = counted_of(1u << USAGE_CACHE, USAGE_CACHE, &row);
	assert_int_equal(bytes, row.bytes);
	assert_int_equal(row.app, m.app);
	assert_in_range(row.used_us, io_now_us() - 60000000, io_now_us());
	assert_int_equal(
		request(MSG_CACHE_REMOVE, &none, sizeof(none), NULL, 0), -EINVAL);
	assert_int_equal(request(MSG_CACHE_REMOVE, &cache, sizeof(cache), NULL, 0), 0);
	assert_false(nothing_is_being_removed());
	counted(USAGE_CACHE, &row);
	assert_int_equal(row.kind, 0);
	WAIT_FOR(nothing_is_being_removed());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_below_the_state_folder_is_in_a_row),
		cmocka_unit_test(a_cache_goes_when_no_build_has_it),
	};

	stand_in(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
