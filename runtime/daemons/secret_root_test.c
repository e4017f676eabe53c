/* The key of the secrets: made once, root's alone, and never guessed at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io.h"
#include "lib/proto.h"
#include "runtime/daemons/secret.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct settings settings;
static char path[SETTINGS_PATH_MAX + 32];

static int set_up(void **state)
{
	(void)state;
	snprintf(settings.state, sizeof(settings.state), "/tmp/berth-secret.XXXXXX");
	assert_non_null(mkdtemp(settings.state));
	snprintf(path, sizeof(path), "%s/" SECRET_KEY_NAME, settings.state);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, settings.state);
}

static void read_key(uint8_t key[PROTO_SECRET_SIZE])
{
	struct err e = {0};
	int fd autoclose = secret_key_open(&settings, &e);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, key, PROTO_SECRET_SIZE, 0), PROTO_SECRET_SIZE);
	assert_int_equal(write(fd, key, 1), -1);
}

static void it_is_made_once_and_for_root_alone(void **state)
{
	uint8_t first[PROTO_SECRET_SIZE], second[PROTO_SECRET_SIZE];
	static const uint8_t none[PROTO_SECRET_SIZE];
	struct stat st;

	(void)state;
	read_key(first);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600);
	assert_true(st.st_uid == 0 && st.st_size == PROTO_SECRET_SIZE);
	assert_memory_not_equal(first, none, sizeof(first));
	read_key(second);
	assert_memory_equal(first, second, sizeof(first));
	assert_int_equal(unlink(path), 0);
	read_key(second);
	assert_memory_not_equal(first, second, sizeof(first));
}

static void refused(int code, const char *why)
{
	struct err e = {0};

	assert_int_equal(secret_key_open(&settings, &e), -code);
	assert_non_null(strstr(e.text, why));
}

static void what_is_no_key_is_refused_and_left_alone(void **state)
{
	uint8_t key[PROTO_SECRET_SIZE];
	struct stat st;

	(void)state;
	read_key(key);
	assert_int_equal(chmod(path, 0640), 0);
	refused(EBADMSG, "chmod 600");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chown(path, 65534, 0), 0);
	refused(EBADMSG, "chown root");
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(truncate(path, 31), 0);
	refused(EBADMSG, "31 bytes instead of 32");
	assert_int_equal(truncate(path, 0), 0);
	refused(EBADMSG, "0 bytes");
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	refused(ELOOP, SECRET_KEY_NAME);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(EBADMSG, "no key");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_made_once_and_for_root_alone),
		T(what_is_no_key_is_refused_and_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
