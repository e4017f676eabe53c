/* Unit tests of what berthd decides without being root: messages' ranges, keys, sources,
 * names, settings. */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/daemons/stackmake.h"
#include "runtime/handoff.h"
#include "runtime/keys.h"
#include "runtime/process.h"
#include "runtime/records.h"
#include "runtime/sandbox/start_check.h"
#include "runtime/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct msg_start good_start(void)
{
	struct msg_start m = {.id = 5,
		.app = 2,
		.profile = PROFILE_APP,
		.n_layers = 1,
		.layers = {9},
		.limits = {.memory_bytes = 512 << 20, .cpu_millis = 1000, .pids = 512},
		.name = "web.1"};

	return m;
}

static void a_good_start_is_accepted(void **state UNUSED)
{
	struct msg_start m = good_start();
	struct err e = {0};

	assert_int_equal(start_check(&m, 1, &e), 0);
	m.flags = START_STDIO | START_BUILDER;
	assert_int_equal(start_check(&m, 4, &e), 0);
}

#define SET(field, text) snprintf(field, sizeof(field), "%s", text)
#define REFUSED(change, n_fds)                                                           \
	do {                                                                             \
		struct msg_start m = good_start();                                       \
		struct err e = {0};                                                      \
		change;                                                                  \
		assert_int_equal(start_check(&m, n_fds, &e), -EINVAL);                   \
		assert_true(e.text[0]);                                                  \
	} while (0)

static void each_field_of_a_start_has_its_range(void **state UNUSED)
{
	REFUSED(m.id = 0, 1);
	REFUSED(m.app = 0, 1);
	REFUSED(m.profile = 3, 1);
	REFUSED(m.flags = 1 << 9, 1);
	REFUSED(m.uid = 1, 1);
	REFUSED((m.flags = START_USER, m.gid = 65536), 1);
	REFUSED((m.flags = START_USER, m.profile = PROFILE_BUILD_ROOT), 1);
	REFUSED((m.flags = START_USER | START_BUILDER), 1);
	REFUSED(m.flags = START_IMAGE_FILES, 1);
	REFUSED(m.flags = START_STDIO | START_TTY, 4);
	REFUSED(m.flags = START_STDIO, 1);
	REFUSED(m.flags = 0, 4);
	REFUSED(m.n_layers = PROTO_LAYERS_MAX + 1, 1);
	REFUSED(m.n_layers = 0, 1);
	REFUSED(m.n_mounts = PROTO_MOUNTS_MAX + 1, 1);
	REFUSED(m.limits.memory_bytes = 1, 1);
	REFUSED(m.limits.cpu_millis = 0, 1);
	REFUSED(m.limits.memory_bytes = LIMIT_MEMORY_MAX + 1, 1);
	REFUSED(m.limits.cpu_millis = LIMIT_CPU_MAX + 1, 1);
	REFUSED(m.limits.pids = LIMIT_PIDS_MAX + 1, 1);
	REFUSED(m.limits.nofile = LIMIT_NOFILE_MIN - 1, 1);
	REFUSED(m.limits.nofile = LIMIT_NOFILE_MAX + 1, 1);
	REFUSED(m.limits.scratch_bytes = LIMIT_SCRATCH_MIN - 1, 1);
	REFUSED(m.limits.scratch_bytes = LIMIT_SCRATCH_MAX + 1, 1);
	REFUSED(m.limits.io_read_bytes = LIMIT_IO_MIN - 1, 1);
	REFUSED(m.limits.io_write_bytes = LIMIT_IO_MAX + 1, 1);
	REFUSED(m.stop_timeout_ms = STOP_TIMEOUT_MAX_MS + 1, 1);
	REFUSED(m.stop_signal = STOP_SIGNAL_MAX + 1, 1);
	REFUSED(m.name[0] = '\0', 1);
	REFUSED(SET(m.name, "../x"), 1);
	REFUSED(memset(m.name, 'a', sizeof(m.name)), 1);
}

static void a_mount_must_be_a_plain_path_and_the_apps_own_cache(void **state UNUSED)
{
	REFUSED((m.n_mounts = 1, m.mounts[0].kind = MOUNT_VOLUME,
			SET(m.mounts[0].path, "/a/../b")),
		1);
	REFUSED((m.n_mounts = 1, m.mounts[0].kind = MOUNT_VOLUME,
			SET(m.mounts[0].path, "a")),
		1);
	REFUSED((m.n_mounts = 1, m.mounts[0].kind = 9, SET(m.mounts[0].path, "/a")), 1);
	REFUSED((m.n_mounts = 1, m.mounts[0].kind = MOUNT_CACHE, m.mounts[0].id = 3,
			SET(m.mounts[0].path, "/a")),
		1);
	REFUSED((m.n_mounts = 1, m.mounts[0].kind = MOUNT_VOLUME, m.mounts[0].flags = 2,
			SET(m.mounts[0].path, "/a")),
		1);
}

static void only_a_build_reads_layers_and_those_that_it_names(void **state UNUSED)
{
	struct msg_start good = good_start();
	struct err e = {0};

	good.profile = PROFILE_BUILD_ROOT;
	good.flags = START_BUILDER;
	good.n_others = 1;
	good.layers[1] = 77;
	good.n_mounts = 2;
	good.mounts[0] =
		(struct msg_mount){.id = 77, .kind = MOUNT_LAYER, .path = "/tmp/l"};
	good.mounts[1] = (struct msg_mount){
		.id = MERGED_ID(0, 2), .kind = MOUNT_MERGED, .path = "/tmp/m"};
	assert_int_equal(start_check(&good, 1, &e), 0);
#define WORSE(change)                                                                    \
	do {                                                                             \
		struct msg_start m = good;                                               \
		change;                                                                  \
		assert_int_equal(start_check(&m, 1, &e), -EINVAL);                       \
	} while (0)
	WORSE(m.profile = PROFILE_APP);
	WORSE(m.flags = 0);
	WORSE(m.n_others = PROTO_LAYERS_MAX);
	WORSE(m.mounts[0].id = 78);
	WORSE(m.mounts[1].id = MERGED_ID(0, 3));
	WORSE(m.mounts[1].id = MERGED_ID(2, 1));
	WORSE(m.mounts[1].id = MERGED_ID(UINT32_MAX, UINT32_MAX));
	WORSE(m.mounts[1].id = MERGED_ID(1, 0));
	good.n_mounts = 0;
	good.flags |= START_BARE;
	assert_int_equal(start_check(&good, 1, &e), 0);
	WORSE(m.n_mounts = 1);
	WORSE(m.profile = PROFILE_APP);
	WORSE(m.flags = START_BARE);
#undef WORSE
}

static void snapshots_are_for_a_build_without_network(void **state UNUSED)
{
	struct msg_start good = good_start();
	struct err e = {0};

	good.profile = PROFILE_BUILD_ROOT;
	good.flags = START_BUILDER | START_NO_NET;
	good.n_mounts = 1;
	good.mounts[0] =
		(struct msg_mount){.id = 5, .kind = MOUNT_SNAPSHOTS, .path = "/vault"};
	assert_int_equal(start_check(&good, 1, &e), 0);
	good.flags = START_BUILDER;
	assert_int_equal(start_check(&good, 1, &e), -EINVAL);
	good.flags = START_NO_NET;
	assert_int_equal(start_check(&good, 1, &e), -EINVAL);
	good.profile = PROFILE_APP;
	assert_int_equal(start_check(&good, 1, &e), -EINVAL);
}

#define BLOB "AAAAC3NzaC1lZDI1NTE5AAAAIA0123456789abcdefghijklmnopqrstuvwxyzABCDEF"

static int compose(const char *type, const char *blob, struct buf *out)
{
	struct msg_key key = {.id = 7};
	struct err e = {0};

	snprintf(key.type, sizeof(key.type), "%s", type);
	snprintf(key.blob, sizeof(key.blob), "%s", blob);
	return keys_compose(&key, 1, "/run/berth", "/var/lib/berth", out, &e);
}

static void a_key_becomes_a_line_that_allows_one_command(void **state UNUSED)
{
	autobuf b = BUF_INIT;

	assert_int_equal(compose("ssh-ed25519", BLOB, &b), 0);
	assert_non_null(strstr(b.data,
		"\nrestrict,pty,command=\"berth-shell --run /run/berth --state "
		"/var/lib/berth --key 7\" ssh-ed25519 " BLOB "\n"));
}

static void what_is_not_a_key_is_refused(void **state UNUSED)
{
	struct msg_key key = {.id = 1};
	struct err e = {0};
	autobuf b = BUF_INIT;

	assert_int_equal(compose("ssh-dss", BLOB, &b), -EINVAL);
	assert_int_equal(compose("ssh-ed25519 ", BLOB, &b), -EINVAL);
	assert_int_equal(compose("ssh-ed25519", BLOB "\nssh-rsa", &b), -EINVAL);
	assert_int_equal(compose("ssh-ed25519", BLOB " x", &b), -EINVAL);
	assert_int_equal(compose("ssh-ed25519", "AAA", &b), -EINVAL);
	assert_int_equal(compose("ssh-ed25519", "", &b), -EINVAL);
	memset(key.type, 's', sizeof(key.type));
	assert_int_equal(keys_compose(&key, 1, "/r", "/s", &b, &e), -EINVAL);
	memset(&key, 0, sizeof(key));
	snprintf(key.type, sizeof(key.type), "ssh-rsa");
	memset(key.blob, 'A', sizeof(key.blob));
	assert_int_equal(keys_compose(&key, 1, "/r", "/s", &b, &e), -EINVAL);
	assert_int_equal(keys_compose(NULL, 0, "/r\" x", "/s", &b, &e), -EINVAL);
}

static void only_debians_own_archives_become_sources(void **state UNUSED)
{
	static const char targets[] =
		"Packages|Debian|http://one.example/debian/|bookworm|bookworm|main\n"
		"Packages|Debian|http://one.example/debian/|bookworm|bookworm|non-free\n"
		"Packages|Debian|http://one.example/debian/|bookworm|bookworm|main\n"
		"Translations|Debian|http://two.example/|bookworm|bookworm|main\n"
		"Packages|Debian|http://one.example/debian-security/"
		"|bookworm-security|bookworm|main\n"
		"Packages|Debian|http://one.example/debian/"
		"|bookworm-backports|bookworm|main\n"
		"Packages|. nodistro|http://node.example/|nodistro|nodistro|main\n"
		"Packages|Debian|http://bad.example/ x|bookworm|bookworm|main\n"
		"garbage\n";
	autobuf b = BUF_INIT;

	assert_int_equal(stack_sources(targets, "bookworm", &b), 2);
	assert_string_equal(b.data,
		"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
		"http://one.example/debian/ bookworm main\n"
		"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
		"http://one.example/debian-security/ "
		"bookworm-security main\n");
}

static void a_host_of_another_release_has_the_same_archives(void **state UNUSED)
{
	static const char targets[] =
		"Packages|Debian|http://h.example/debian/|trixie|trixie|main\n"
		"Packages|Debian|http://h.example/debian/|trixie-updates|trixie|main\n"
		"Packages|Debian|http://h.example/debian/|sid|sid|main\n";
	autobuf b = BUF_INIT;

	assert_int_equal(stack_sources(targets, "bookworm", &b), 2);
	assert_non_null(strstr(b.data, "http://h.example/debian/ bookworm main\n"));
	assert_non_null(
		strstr(b.data, "http://h.example/debian/ bookworm-updates main\n"));
}

static void proxies_of_the_host_are_kept_and_nothing_else(void **state UNUSED)
{
	autobuf b = BUF_INIT;

	stack_apt_settings("APT::Install-Recommends \"1\";\nAcquire::http::Proxy "
			   "\"http://p.example:3128\";\n"
			   "Acquire::IndexTargets \"\";\nAcquire::Retries "
			   "\"3\";\nDPkg::Post-Invoke \"x\";\n",
		&b);
	assert_string_equal(b.data,
		"Acquire::http::Proxy "
		"\"http://p.example:3128\";\nAcquire::Retries \"3\";\n");
}

static void ids_are_sixteen_digits_and_nothing_else(void **state UNUSED)
{
	uint64_t id;
	char name[32];

	id_name(name, 0xabc, ".tmp");
	assert_string_equal(name, "0000000000000abc.tmp");
	assert_true(id_parse(name, ".tmp", &id));
	assert_int_equal(id, 0xabc);
	assert_false(id_parse(name, "", &id));
	assert_false(id_parse("0000000000000ABC", "", &id));
	assert_false(id_parse("000000000000abc", "", &id));
	assert_false(id_parse("..", "", &id));
}

static void a_process_is_found_by_pid_and_start_time(void **state UNUSED)
{
	uint64_t start;
	int fd;

	assert_int_equal(process_start_time(getpid(), &start), 0);
	fd = process_open(getpid(), start);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(process_open(getpid(), start + 1), -ESRCH);
	assert_in_range(process_ticks(), start, start + 60 * sysconf(_SC_CLK_TCK));
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	assert_int_equal(process_nofile(getpid()), l.rlim_max);
}

static int load(struct settings *s, const char *a, const char *b)
{
	static char name[] = "berthd";
	char one[64], two[64];
	char *argv[] = {name, one, two, NULL};
	struct err e = {0};

	snprintf(one, sizeof(one), "%s", a);
	snprintf(two, sizeof(two), "%s", b ? b : "");
	optind = 0;
	return settings_load(s, b ? 3 : 2, argv, &e);
}

static void settings_have_defaults_and_ranges(void **state UNUSED)
{
	/* not all of the environment: it also says how to print the results */
	static const char *const read[] = {"BERTH_STATE", "BERTH_RUN", "BERTH_HTTP",
		"BERTH_HTTPS", "BERTH_SSH_USER", "BERTH_WORKERS"};
	struct settings s;

	for (size_t i = 0; i < ARRAY_LEN(read); i++)
		unsetenv(read[i]);
	assert_int_equal(load(&s, "--run", "/x/run/"), 0);
	assert_string_equal(s.run, "/x/run");
	assert_string_equal(s.state, "/var/lib/berth");
	assert_in_range(s.workers, 1, 4);
	assert_string_equal(getenv("BERTH_RUN"), "/x/run");
	assert_int_equal(load(&s, "--run", "relative"), -EINVAL);
	assert_int_equal(load(&s, "--workers", "9"), -EINVAL);
	assert_int_equal(load(&s, "--workers", "x"), -EINVAL);
	assert_int_equal(load(&s, "extra", NULL), -EINVAL);
	assert_int_equal(load(&s, "--stop-all", NULL), 0);
	assert_int_equal(s.mode, MODE_STOP_ALL);
}

static void descriptors_are_found_again_from_the_environment(void **state UNUSED)
{
	struct handoff h = {.generation = 42, .n_workers = 2, .n_addrs = 2, .n_tls = 1},
		       back;
	struct err e = {0};

	memset(h.fds, -1, sizeof(h.fds));
	for (unsigned int i = 0; i < handoff_count(&h); i++)
		h.fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(handoff_to_env(&h), 0);
	assert_int_equal(fcntl(h.fds[0], F_GETFD), 0);
	assert_int_equal(handoff_from_env(&back, &e), 1);
	assert_memory_equal(&h, &back, sizeof(h));
	assert_int_equal(fcntl(h.fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(handoff_from_env(&back, &e), 0);
	close(h.fds[3]);
	assert_int_equal(setenv(HANDOFF_ENV, "42 2 1 0 3 4", 1), 0);
	assert_int_equal(handoff_from_env(&back, &e), -EBADF);
}

static void forget(struct handoff *h)
{
	for (unsigned int i = 0; i < handoff_count(h); i++)
		if (h->fds[i] >= 0)
			close(h->fds[i]);
}

/* As a start does, with another run folder each time. */
static int make(struct handoff *h, struct settings *s, struct err *e)
{
	int lock;

	snprintf(s->run, sizeof(s->run), "/tmp/berthd-unit-XXXXXX");
	assert_non_null(mkdtemp(s->run));
	lock = handoff_lock(s, e);
	assert_true(lock >= 0);
	int r = handoff_make(h, s, lock, e);
	assert_int_equal(io_remove_tree(AT_FDCWD, s->run), 0);
	return r;
}

static void two_berthds_do_not_share_a_port(void **state UNUSED)
{
	struct settings s = {
		.workers = 2, .http = "127.0.0.1:0,127.0.0.1:0", .https = "none"};
	struct handoff first, second;
	struct err e = {0};

	assert_int_equal(make(&first, &s, &e), 0);
	assert_int_equal(handoff_addresses(&first, false, s.http, sizeof(s.http)), 0);
	assert_int_equal(make(&second, &s, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "cannot listen on 127.0.0.1:"));
	forget(&second);
	forget(&first);
	assert_int_equal(make(&second, &s, &e), 0);
	forget(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_start_is_accepted),
		cmocka_unit_test(each_field_of_a_start_has_its_range),
		cmocka_unit_test(a_mount_must_be_a_plain_path_and_the_apps_own_cache),
		cmocka_unit_test(only_a_build_reads_layers_and_those_that_it_names),
		cmocka_unit_test(snapshots_are_for_a_build_without_network),
		cmocka_unit_test(a_key_becomes_a_line_that_allows_one_command),
		cmocka_unit_test(what_is_not_a_key_is_refused),
		cmocka_unit_test(only_debians_own_archives_become_sources),
		cmocka_unit_test(a_host_of_another_release_has_the_same_archives),
		cmocka_unit_test(proxies_of_the_host_are_kept_and_nothing_else),
		cmocka_unit_test(ids_are_sixteen_digits_and_nothing_else),
		cmocka_unit_test(a_process_is_found_by_pid_and_start_time),
		cmocka_unit_test(settings_have_defaults_and_ranges),
		cmocka_unit_test(descriptors_are_found_again_from_the_environment),
		cmocka_unit_test(two_berthds_do_not_share_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
