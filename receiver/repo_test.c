/* What a killed push left goes with the next one, and nothing that a running one has. */
#include "receiver/repo.h"

#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OLD "1111111111111111111111111111111111111111"
#define NEWER "2222222222222222222222222222222222222222"

static const char *const left[] = {"HEAD.lock", "refs/heads/main.lock",
	"refs/heads/a/b.lock", "refs/tags/v1.lock", "objects/tmp_objdir-incoming-x",
	"objects/pack/tmp_pack_y"};
static const char *const kept[] = {
	"HEAD", "refs/heads/main", "refs/berth/x.lock", "objects/pack/pack-1.pack"};

static const struct repo_move move = {.ref = "refs/heads/main",
	.release = "refs/berth/releases/7",
	.old = OLD,
	.commit = COMMIT};

static void touch(const char *git_dir, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", git_dir, name);
	for (char *at = strchr(path + strlen(git_dir) + 1, '/'); at;
		at = strchr(at + 1, '/')) {
		*at = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*at = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static unsigned int count(const char *git_dir, const char *const *names, size_t n)
{
	char path[256];
	unsigned int there = 0;

	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", git_dir, names[i]);
		there += access(path, F_OK) == 0;
	}
	return there;
}

static bool ref_is(const char *git_dir, const char *ref, const char *commit)
{
	autobuf b = BUF_INIT;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", git_dir, ref);
	return io_read_file(AT_FDCWD, path, &b) == 0 &&
	       strncmp(b.data, commit, REPO_OID_HEX) == 0;
}

static void what_a_killed_push_left_goes_with_the_next(void **state UNUSED)
{
	char dir[] = "/tmp/berth-repo.XXXXXX";

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_LEN(left); i++)
		touch(dir, left[i]);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		touch(dir, kept[i]);
	int first = repo_hold(dir, &(struct repo_move){.ref = ""});
	assert_true(first >= 0);
	assert_int_equal(count(dir, left, ARRAY_LEN(left)), 0);
	assert_int_equal(count(dir, kept, ARRAY_LEN(kept)), ARRAY_LEN(kept));
	/* one that runs has it */
	for (size_t i = 0; i < ARRAY_LEN(left); i++)
		touch(dir, left[i]);
	int second = repo_hold(dir, &move);
	assert_true(second >= 0);
	assert_false(ref_is(dir, move.ref, COMMIT));
	assert_int_equal(count(dir, left, ARRAY_LEN(left)), ARRAY_LEN(left));
	close(first);
	close(second);
	/* what it had still to write is written by the first that is alone */
	first = repo_hold(dir, &move);
	assert_true(first >= 0);
	assert_true(ref_is(dir, move.ref, COMMIT));
	assert_true(ref_is(dir, move.release, COMMIT));
	close(first);
	assert_int_equal(repo_hold("/nonexistent", &move), -ENOENT);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

/* It asked, and waited while another one wrote that and pushed more. */
static void a_branch_that_went_on_is_not_taken_back(void **state UNUSED)
{
	char dir[] = "/tmp/berth-repo.XXXXXX";
	struct err e;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(repo_write_ref(dir, move.ref, NEWER, &e), 0);
	int held = repo_hold(dir, &move);
	assert_true(held >= 0);
	assert_true(ref_is(dir, move.ref, NEWER));
	close(held);
	assert_int_equal(repo_write_ref(dir, move.ref, OLD, &e), 0);
	held = repo_hold(dir, &move);
	assert_true(ref_is(dir, move.ref, COMMIT));
	close(held);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_killed_push_left_goes_with_the_next),
		cmocka_unit_test(a_branch_that_went_on_is_not_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
