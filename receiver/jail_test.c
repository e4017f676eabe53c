/* jail.c: each act is tried by a child outside of the confinement, where it works, and by one inside. */
#include "receiver/jail.h"

#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static char top[] = "/tmp/jail_test.XXXXXX";
static pid_t bystander;
static int pair[2];

enum where { OUTSIDE, READING, WRITING };

static int in_top(int (*act)(const char *path), const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return act(path) < 0 ? errno : 0;
}

static int touch(const char *path)
{
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd;
}

static int look(const char *path)
{
	int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

	return fd;
}

static int cut(const char *path)
{
	return truncate(path, 0);
}

static int write_repo(void)
{
	return in_top(touch, "a.git/new");
}
static int write_other_repo(void)
{
	return in_top(touch, "b.git/new");
}
static int write_above(void)
{
	return in_top(touch, "new");
}
static int read_repo(void)
{
	return in_top(look, "a.git/old");
}
static int read_other_repo(void)
{
	return in_top(look, "b.git/old");
}
static int cut_other_repo(void)
{
	return in_top(cut, "b.git/old");
}
static int read_group(void)
{
	return look("/etc/group") < 0 ? errno : 0;
}
static int write_null(void)
{
	int fd autoclose = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

/* As git takes a pack out of its quarantine. */
static int move_between_folders(void)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/a.git/incoming/pack", top);
	snprintf(to, sizeof(to), "%s/a.git/objects/pack", top);
	if (touch(from) < 0 || rename(from, to) < 0)
		return errno;
	return unlink(to) < 0 ? errno : 0;
}

static int move_out(void)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/a.git/old", top);
	snprintf(to, sizeof(to), "%s/b.git/stolen", top);
	if (link(from, to) < 0)
		return errno;
	return unlink(to) < 0 ? errno : 0;
}

static int open_socket(int family)
{
	int fd autoclose = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : 0;
}
static int open_unix(void)
{
	return open_socket(AF_UNIX);
}
static int open_tcp(void)
{
	return open_socket(AF_INET);
}
static int make_pair(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	close(ends[0]);
	close(ends[1]);
	return 0;
}
static int use_ours(void)
{
	char c;

	return send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &c, 1, 0) == 1
		       ? 0
		       : errno;
}
static int signal_bystander(void)
{
	return kill(bystander, 0) < 0 ? errno : 0;
}
static int trace_bystander(void)
{
	if (ptrace(PTRACE_SEIZE, bystander, NULL, NULL) < 0)
		return errno;
	return 0;
}
static int read_its_memory(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", bystander);
	return look(path) < 0 ? errno : 0;
}
static int new_namespace(void)
{
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int run_git(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execlp("git", "git", "version", (char *)NULL);
		_exit(126);
	}
	waitpid(pid, &status, 0);
	return status ? EIO : 0;
}

static const struct {
	const char *name;
	int (*act)(void);
	int reading, writing; /* the errno wanted in each confinement; outside it is 0 */
} rows[] = {
	{"write the repository", write_repo, EACCES, 0},
	{"read the repository", read_repo, 0, 0},
	{"move between its folders", move_between_folders, EACCES, 0},
	{"write another repository", write_other_repo, EACCES, EACCES},
	{"read another repository", read_other_repo, EACCES, EACCES},
	{"truncate a file of another repository", cut_other_repo, EACCES, EACCES},
	{"link a file into another repository", move_out, EACCES, EACCES},
	{"write beside the repositories", write_above, EACCES, EACCES},
	{"read /etc", read_group, EACCES, EACCES},
	{"write /dev/null", write_null, 0, 0},
	{"open a unix socket", open_unix, EACCES, EACCES},
	{"open a TCP socket", open_tcp, EACCES, EACCES},
	{"make a socket pair", make_pair, EACCES, EACCES},
	{"use an inherited socket", use_ours, 0, 0},
	{"signal another process", signal_bystander, EPERM, EPERM},
	{"trace another process", trace_bystander, EACCES, EACCES},
	{"read its memory", read_its_memory, EACCES, EACCES},
	{"make a user namespace", new_namespace, EACCES, EACCES},
	{"run git", run_git, 0, 0},
};

/* The errno that the act ends with, in a process of its own. */
static int attempt(int (*act)(void), enum where where)
{
	char repo[64];
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = {0};
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), r = 0;

		dup2(fd, 1);
		snprintf(repo, sizeof(repo), "%s/a.git", top);
		if (where != OUTSIDE)
			r = jail_enter(repo, where == WRITING, "/bin", &e);
		if (r < 0)
			fprintf(stderr, "jail: %d %s\n", r, e.text);
		_exit(r < 0 ? 255 : act());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static bool newer_than(long abi)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > abi;
}

static void git_is_confined(void **state)
{
	(void)state;
	if (!newer_than(1))
		skip(); /* this kernel has no Landlock, or not enough of it */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int reading = rows[i].reading, writing = rows[i].writing;

		if (rows[i].act == signal_bystander && !newer_than(5))
			reading = writing = 0;
		if (rows[i].act == cut_other_repo && !newer_than(2))
			reading = writing = 0;
		print_message("# %s\n", rows[i].name);
		assert_int_equal(attempt(rows[i].act, OUTSIDE), 0);
		assert_int_equal(attempt(rows[i].act, READING), reading);
		assert_int_equal(attempt(rows[i].act, WRITING), writing);
	}
}

static void where_there_is_no_repository_nothing_can_be_written(void **state)
{
	(void)state;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct err e = {0};

		if (jail_enter("/nonexistent/repo", true, "/bin", &e) < 0)
			_exit(1);
		_exit(write_repo() == EACCES ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static int set_up(void **state)
{
	static const char *const folders[] = {
		"a.git", "b.git", "a.git/incoming", "a.git/objects"};
	char path[128];

	(void)state;
	if (!mkdtemp(top) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, folders[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	if (in_top(touch, "a.git/old") || in_top(touch, "b.git/old"))
		return -1;
	bystander = fork();
	if (bystander == 0)
		for (;;)
			pause();
	return bystander < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(bystander, SIGKILL);
	waitpid(bystander, NULL, 0);
	return io_remove_tree(AT_FDCWD, top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(git_is_confined),
		cmocka_unit_test(where_there_is_no_repository_nothing_can_be_written),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
