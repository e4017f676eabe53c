/* source.c against a real repository, its tar read back by the system's tar. */
#include "receiver/source.h"

#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static char dir[] = "/tmp/source_test.XXXXXX";

/* Runs a script in the test's folder; its output is appended to out. The exit status. */
static int sh(const char *script, struct buf *out)
{
	int p[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		if (chdir(dir) == 0)
			execl("/bin/sh", "sh", "-euc", script, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	if (out)
		assert_int_equal(io_read_all(p[0], out), 0);
	close(p[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const char make_repo[] =
	"export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "
	"GIT_AUTHOR_DATE='1700000000 +0000' "
	"GIT_COMMITTER_DATE='1700000000 +0000'\n"
	"git init -q -b main work; cd work; git config user.name t; git config "
	"user.email t@t\n"
	"mkdir -p web/lib node_modules empty\n"
	"d=$(printf 'd%.0s' $(seq 120))/$(printf 'e%.0s' $(seq 120)); mkdir -p $d; "
	"printf z > $d/f\n"
	"printf '{}' > package.json; printf 'x' > web/lib/a.js; printf 'y' > "
	"web/package.json; : > none\n"
	"printf '#!/bin/sh\\n' > run.sh; chmod 755 run.sh; ln -s web/lib/a.js link; ln "
	"-s /etc/passwd out\n"
	"ln -s $(printf 'l%.0s' $(seq 150)) longlink; printf 'é' > 'naïve file'; "
	"printf q > \"$(printf 'bad\\377name')\"; head -c 700000 /dev/zero | tr '\\0' k "
	"> big\n"
	"printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:1\\nsize 5\\n' "
	"> movie.mp4\n"
	"git add -A; git update-index --add --cacheinfo "
	"160000,1234567890123456789012345678901234567890,sub/mod\n"
	"git commit -qm one; git tag -a -m t v1; git rev-parse HEAD; git rev-parse v1\n"
	/* trees that git itself would refuse to make */
	"b=$(git rev-parse HEAD:package.json); t=$(git rev-parse HEAD:web)\n"
	"mk() { git hash-object -w -t tree --literally --stdin; }\n"
	"raw() { printf '%s %s\\0' \"$1\" \"$2\"; printf '%s' \"$3\" | sed "
	"'s/../\\\\x&/g' | xargs -0 printf '%b'; }\n"
	"raw 100644 .GIT $b | mk; raw 40000 .. $t | mk; { raw 120000 a $b; raw 100644 "
	"a.b $b; raw 40000 a $t; } | mk\n"
	"raw 100644 'x/y' $b | mk; raw 100644 gone "
	"1111111111111111111111111111111111111111 | mk\n";

static char ids[7][64]; /* commit, tag, bad trees */
static git_repository *repo;

static int setup(void **state UNUSED)
{
	autobuf out = BUF_INIT;
	char path[64], *line, *save = NULL;
	size_t n = 0;
	struct err e;

	if (!mkdtemp(dir) || sh(make_repo, &out) != 0)
		return -1;
	for (line = strtok_r(out.data, "\n", &save); line && n < 7;
		line = strtok_r(NULL, "\n", &save))
		snprintf(ids[n++], sizeof(ids[0]), "%s", line);
	snprintf(path, sizeof(path), "%s/work/.git", dir);
	return n == 7 && source_open(path, &repo, &e) == 0 ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
	git_repository_free(repo);
	return io_remove_tree(AT_FDCWD, dir);
}

/* Streams into the file t.tar of the test's folder. */
static int stream(const char *hex, const struct source_filter *f, struct source_report *r,
	struct err *e)
{
	char path[64];
	git_oid id;
	int fd autoclose = -1;

	snprintf(path, sizeof(path), "%s/t.tar", dir);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(git_oid_fromstr(&id, hex), 0);
	return source_stream(repo, &id, fd, f, r, e);
}

static void the_tar_holds_what_git_archive_holds(void **state UNUSED)
{
	struct source_report r = {0};
	struct err e = {0};
	autobuf out = BUF_INIT;

	assert_int_equal(stream(ids[0], NULL, &r, &e), 0);
	assert_int_equal(
		sh("mkdir a b; git -C work archive HEAD | tar -x -C a; tar -x -f t.tar "
		   "-C b\n"
		   "rmdir a/sub/mod; diff -r --no-dereference a b\n"
		   "test -x b/run.sh && ! test -x b/none; readlink b/longlink | wc -c",
			&out),
		0);
	assert_string_equal(out.data, "151\n");
	assert_int_equal(r.n_submodules, 1);
	assert_string_equal(r.submodules[0], "sub/mod");
	assert_int_equal(r.n_lfs, 1);
	assert_string_equal(r.lfs[0], "movie.mp4");
	assert_true(r.bytes > 700000);
	source_report_free(&r);
}

static void equal_trees_give_equal_bytes_owned_by_1000(void **state UNUSED)
{
	autobuf one = BUF_INIT, two = BUF_INIT;
	struct err e = {0};

	assert_int_equal(stream(ids[0], NULL, NULL, &e), 0);
	assert_int_equal(sh("sha256sum < t.tar; tar tvf t.tar --numeric-owner | grep -vc "
			    "' 1000/1000 ' || true",
				 &one),
		0);
	assert_int_equal(stream(ids[1], &(struct source_filter){0}, NULL, &e), 0);
	assert_int_equal(sh("sha256sum < t.tar; tar tvf t.tar --numeric-owner | grep -vc "
			    "' 1000/1000 ' || true",
				 &two),
		0);
	assert_string_equal(one.data, two.data);
	assert_non_null(strstr(one.data, "\n0\n"));
}

static void a_filter_takes_only_what_it_names(void **state UNUSED)
{
	static const char *const files[] = {
		"package.json", "web/package.json", "absent", "web/li", "empty"};
	struct source_filter f = {
		.files = files, .n_files = ARRAY_LEN(files), .mtime_s = 1700000000};
	autobuf out = BUF_INIT;
	struct err e = {0};

	assert_int_equal(stream(ids[0], &f, NULL, &e), 0);
	assert_int_equal(
		sh("tar tf t.tar; TZ=UTC tar tvf t.tar | grep -c '2023-11-14 22:13'",
			&out),
		0);
	assert_string_equal(out.data, "package.json\nweb/\nweb/package.json\n3\n");
	f.files = (const char *const[]){"web"};
	f.n_files = 1;
	buf_reset(&out);
	assert_int_equal(stream(ids[0], &f, NULL, &e), 0);
	assert_int_equal(sh("tar tf t.tar", &out), 0);
	assert_string_equal(out.data, "web/\nweb/lib/\nweb/lib/a.js\nweb/package.json\n");
}

static void on_a_base_only_what_differs_is_sent(void **state UNUSED)
{
	static const char second[] =
		"cd work; git -c core.quotePath=off rm -rqf run.sh web/lib out; mkdir "
		"out; printf 1 > out/f; "
		"printf file > web/lib; printf '{ }' > package.json; chmod 755 none; "
		"git add -A; git commit -qm two; git rev-parse HEAD HEAD~1^{tree}";
	static const char names[] = "tar tf t.tar 2>/dev/null";
	struct source_report r = {0}, counted = {0};
	struct source_filter f = {0};
	autobuf out = BUF_INIT;
	struct err e = {0};
	git_oid base, tree;

	assert_int_equal(sh(second, &out), 0);
	assert_int_equal(git_oid_fromstrn(&tree, out.data, GIT_OID_HEXSZ), 0);
	assert_int_equal(
		git_oid_fromstrn(&base, out.data + GIT_OID_HEXSZ + 1, GIT_OID_HEXSZ), 0);
	out.data[GIT_OID_HEXSZ] = '\0';
	f.base = &base;
	assert_int_equal(stream(out.data, &f, &r, &e), 0);
	buf_reset(&out);
	assert_int_equal(sh(names, &out), 0);
	assert_string_equal(out.data,
		"out\nrun.sh\nsub\nnone\nout/\nout/f\npackage.json\n"
		"web/lib\nweb/lib\n");
	assert_int_equal(r.gone, 4);
	assert_int_equal(r.entries, 6); /* web/ is looked into */
	assert_int_equal(r.bytes, 1 + 3 + 4);
	assert_int_equal(source_stream(repo, &tree, -1, &f, &counted, &e), 0);
	assert_memory_equal(&counted, &r, sizeof(r));
	f.base = &tree; /* a commit is none */
	assert_int_equal(stream(ids[0], &f, NULL, &e), -ENOENT);
	assert_int_equal(sh("git -C work reset -q --hard HEAD~1", NULL), 0);
}

static void names_no_file_may_have_are_refused(void **state UNUSED)
{
	static const char *const says[] = {"'.GIT'", "'..'", "'a' twice", "'x/y'"};

	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		struct err e = {0};

		assert_int_equal(stream(ids[2 + i], NULL, NULL, &e), -EINVAL);
		assert_non_null(strstr(e.text, says[i]));
	}
}

static void a_missing_object_is_named_as_such(void **state UNUSED)
{
	struct err e = {0};

	assert_int_equal(stream(ids[6], NULL, NULL, &e), -ENOENT);
	assert_true(e.text[0] != 0);
}

static void one_file_is_read_within_its_limit(void **state UNUSED)
{
	autobuf out = BUF_INIT;
	struct err e = {0};
	git_oid tree;
	int64_t when = 0;

	assert_int_equal(source_commit(repo, ids[0], &tree, &when, &e), 0);
	assert_int_equal(when, 1700000000);
	assert_int_equal(source_file(repo, &tree, "web/package.json", 10, &out, &e), 0);
	assert_string_equal(out.data, "y");
	assert_int_equal(source_file(repo, &tree, "big", 1000, &out, &e), -EFBIG);
	assert_int_equal(source_file(repo, &tree, "web", 1000, &out, &e), -ENOENT);
	assert_int_equal(source_file(repo, &tree, "link", 1000, &out, &e), -ENOENT);
	assert_int_equal(source_file(repo, &tree, "nope", 1000, &out, &e), -ENOENT);
	assert_int_equal(source_commit(repo, ids[1], NULL, NULL, &e), 0);
	assert_int_equal(source_commit(repo, "main", NULL, NULL, &e), -EINVAL);
	assert_int_equal(source_commit(repo, ids[2], NULL, NULL, &e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tar_holds_what_git_archive_holds),
		cmocka_unit_test(equal_trees_give_equal_bytes_owned_by_1000),
		cmocka_unit_test(a_filter_takes_only_what_it_names),
		cmocka_unit_test(on_a_base_only_what_differs_is_sent),
		cmocka_unit_test(names_no_file_may_have_are_refused),
		cmocka_unit_test(a_missing_object_is_named_as_such),
		cmocka_unit_test(one_file_is_read_within_its_limit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
