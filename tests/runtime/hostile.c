/* What an app does that wants out: static, one attempt a word. Prints what came of it. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define TEXT_MAX 262144
#define EXAMPLES 10 /* of a kind are printed: the pipe is read at the end */
#define AHEAD 64    /* pids rise by one: the next ones are looked for */

static volatile sig_atomic_t over;

static void end(int signo)
{
	over = signo;
}

/* The length, or -1. */
static int slurp(const char *path, char *text)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), n = 0, r;

	if (fd < 0)
		return -1;
	while (n < TEXT_MAX - 1 && (r = (int)read(fd, text + n, TEXT_MAX - 1 - n)) > 0)
		n += r;
	close(fd);
	text[n] = '\0';
	return n;
}

/* ---- what is there ---- */

/* The kind, the mode, the device and the file system of each place berth makes. */
static int places(char **arg)
{
	static const char *const paths[] = {"/proc", "/proc/sys", "/proc/kcore",
		"/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/cmdline",
		"/proc/acpi", "/proc/scsi", "/dev", "/dev/null", "/dev/zero", "/dev/full",
		"/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts",
		"/dev/shm", "/dev/fd", "/dev/console", "/tmp", "/etc", "/etc/hosts",
		"/etc/hostname", "/etc/resolv.conf", "/etc/ssl/certs", "/berth/host"};
	struct stat st;
	struct statfs fs;

	(void)arg;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		/* a host without a store gives none: the image keeps its own folder */
		if (strcmp(paths[i], "/etc/ssl/certs") == 0 &&
			access("/etc/ssl/certs/ca-certificates.crt", F_OK) < 0)
			continue;
		if (lstat(paths[i], &st) < 0 || statfs(paths[i], &fs) < 0) {
			printf("%s: %s\n", paths[i], strerror(errno));
			continue;
		}
		printf("%s: %o %lx on %lx flags %lx\n", paths[i], st.st_mode, st.st_rdev,
			(long)fs.f_type, (long)fs.f_flags);
	}
	return 0;
}

/* "read N, write ERROR" of each path. */
static int touch(char **arg)
{
	static char text[TEXT_MAX];

	for (; *arg; arg++) {
		int n = slurp(*arg, text), fd = open(*arg, O_WRONLY | O_NONBLOCK), e;
		ssize_t put = fd < 0 ? -1 : write(fd, "|/x", 3);

		e = errno;
		printf("%s: read %d, write %s\n", *arg, n,
			put < 0 ? strerror(e) : "DONE");
	}
	return 0;
}

static int who(char **arg)
{
	static char text[TEXT_MAX];
	char *caps =
		slurp("/proc/self/status", text) > 0 ? strstr(text, "CapPrm:") : NULL;

	(void)arg;
	printf("%d %d %d %d %s\n", getuid(), geteuid(), getgid(), getegid(),
		caps ? strtok(caps + 8, "\n") : "?");
	return 0;
}

/* Opens everything in a folder. */
static int nodes(char **arg)
{
	struct dirent *e;
	DIR *d = opendir(*arg);

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NONBLOCK);
			printf("%s: %s\n", e->d_name, fd < 0 ? strerror(errno) : "DONE");
		}
	return d ? 0 : 1;
}

/* Whether the working folder lies below the root, and which descriptors are open. */
static int where(char **arg)
{
	struct stat top, root;
	char up[3 * 64 + 1] = "";

	(void)arg;
	for (int i = 0; i < 64; i++)
		memcpy(up + 3 * i, "../", 4);
	if (stat(up, &top) < 0 || stat("/", &root) < 0)
		return printf("lost: %s\n", strerror(errno)), 0;
	printf("%s", top.st_dev == root.st_dev && top.st_ino == root.st_ino ? "inside"
									    : "OUTSIDE");
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	puts("");
	return 0;
}

/* All texts that may name a path of the host. */
static int paths(char **arg)
{
	static const char *const files[] = {"mountinfo", "mounts", "mountstats", "maps",
		"cgroup", "cmdline", "environ", "net/unix"};
	static char text[TEXT_MAX];
	char path[64], to[PATH_MAX];
	DIR *d = opendir("/proc");
	struct dirent *e;

	(void)arg;
	while (d && (e = readdir(d))) {
		if (!isdigit(e->d_name[0]))
			continue;
		for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
			snprintf(path, sizeof(path), "/proc/%.16s/%s", e->d_name,
				files[i]);
			for (int n = slurp(path, text), k = 0; k < n; k++)
				putchar(text[k] ? text[k] : '\n');
		}
		for (int i = 0; i < 16; i++) {
			snprintf(path, sizeof(path), "/proc/%.16s/fd/%d", e->d_name, i);
			ssize_t n = readlink(path, to, sizeof(to) - 1);
			if (n > 0)
				printf("%s -> %.*s\n", path, (int)n, to);
		}
	}
	puts("END");
	return 0;
}

/* ---- ways out ---- */

/* Every way to write to, or read, the program of another process. */
static int try_exe(const char *pid)
{
	static const int flags[] = {O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC};
	char path[64];
	int done = 0, fd;

	snprintf(path, sizeof(path), "/proc/%.16s/exe", pid);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if ((fd = open(path, flags[i] | O_CLOEXEC)) >= 0)
			close(fd), done++;
	if ((fd = open(path, O_PATH | O_CLOEXEC)) < 0)
		return done;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	close(fd);
	return done + 1;
}

static int exe(char **arg)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int done = 0;

	(void)arg;
	while (d && (e = readdir(d)))
		if (isdigit(e->d_name[0]) && atoi(e->d_name) != getpid())
			done += try_exe(e->d_name);
	printf("%d\n", done);
	return 0;
}

static int abstract(char **arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(*arg));

	memcpy(a.sun_path + 1, *arg, strlen(*arg));
	puts(connect(fd, (struct sockaddr *)&a, len) < 0 ? strerror(errno) : "DONE");
	return 0;
}

static void say(const char *what, long r)
{
	printf("%s: %s\n", what, r < 0 ? strerror(errno) : "DONE");
}

/* release_agent: a v1 hierarchy of one's own, or the one that is there. */
static int release_agent(char **arg)
{
	static const char *const there[] = {"/sys/fs/cgroup/release_agent",
		"/sys/fs/cgroup/memory/release_agent",
		"/sys/fs/cgroup/rdma/release_agent",
		"/proc/1/root/sys/fs/cgroup/memory/release_agent"};
	static char text[TEXT_MAX];

	(void)arg;
	for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
		say(there[i], open(there[i], O_WRONLY));
	say("mount", mount("none", "/tmp", "cgroup", 0, "memory"));
	say("mount-named", mount("none", "/tmp", "cgroup", 0, "none,name=x"));
	say("mount2", mount("none", "/tmp", "cgroup2", 0, NULL));
	say("fsopen", syscall(SYS_fsopen, "cgroup", 0));
	say("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP));
	slurp("/proc/self/mountinfo", text);
	printf("mounted: %s\n", strstr(text, " - cgroup") ? "DONE" : "none");
	return 0;
}

static int keys(char **arg)
{
	static char text[TEXT_MAX];

	/* KEYCTL_SEARCH the session keyring, KEYCTL_GET_KEYRING_ID, add_key, request_key */
	say("search", syscall(SYS_keyctl, 10, -3, "user", *arg, 0));
	say("session", syscall(SYS_keyctl, 0, -3, 0));
	say("add", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	say("request", syscall(SYS_request_key, "user", *arg, NULL, -3));
	printf("listed: %d %d\n", slurp("/proc/keys", text),
		slurp("/proc/key-users", text));
	return 0;
}

/* Calls that type into a terminal, or load code into the kernel for it. */
static int tty_calls(char **arg)
{
	int discipline = 21, fd = open("/dev/tty", O_RDWR); /* N_GSM */
	char c = 'x';

	(void)arg;
	printf("tty: %s\n", isatty(0) && fd >= 0 ? ttyname(0) : "none");
	say("type", ioctl(0, TIOCSTI, &c));
	say("type-tty", ioctl(fd, TIOCSTI, &c));
	say("type-high", syscall(SYS_ioctl, 0, 0x700000000ul | TIOCSTI, &c));
	say("console", ioctl(0, TIOCLINUX, &c));
	say("take-console", ioctl(0, TIOCCONS, 0));
	say("discipline", ioctl(0, TIOCSETD, &discipline));
	return 0;
}

/* ---- beside somebody who starts or enters ---- */

/* Exchanges two names for ever: DIR A B. */
static int exchange(char **arg)
{
	int dir = open(arg[0], O_RDONLY | O_DIRECTORY);

	puts("ready");
	while (renameat2(dir, arg[1], dir, arg[2], RENAME_EXCHANGE) == 0)
		;
	printf("%s\n", strerror(errno));
	return 1;
}

/* Looks at the processes that appear, until SIGTERM. Returns how many there were. */
static int follow(void (*look)(int pid))
{
	int last = getpid(), seen = 0;

	signal(SIGTERM, end);
	puts("ready");
	while (!over)
		for (int pid = last, ahead = last + AHEAD; pid <= ahead; pid++) {
			if (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH))
				continue;
			if (pid > last)
				seen++, last = pid;
			look(pid);
		}
	return seen;
}

static const struct {
	const char *name;
	bool compared; /* with one's own; else looked through for the word */
} shown[] = {{"mountinfo", true}, {"net/unix", true}, {"cmdline", false},
	{"environ", false}, {"cgroup", false}};
static char own[2][TEXT_MAX];
static const char *word;

/* A line of text that is none of one's own, which may have more: a socket that was there for a moment. */
static bool has_other_line(const char *text, const char *mine)
{
	char line[1024];

	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s\n", (int)n, text);
		if (!strstr(mine, line))
			return true;
	}
	return false;
}

/* What a process shows that is not of the sandbox. */
static void look_at_texts(int pid)
{
	static char text[TEXT_MAX];
	static int foreign[sizeof(shown) / sizeof(*shown)];
	char path[64];

	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, shown[i].name);
		int n = slurp(path, text);
		if (n > 0 &&
			(shown[i].compared ? has_other_line(text, own[i])
					   : strstr(text, word) != NULL) &&
			foreign[i]++ < EXAMPLES)
			printf("FOREIGN %s: %.200s\n", shown[i].name, text);
	}
}

static int watch(char **arg)
{
	word = *arg;
	slurp("/proc/self/mountinfo", own[0]);
	slurp("/proc/self/net/unix", own[1]);
	return printf("seen %d\n", follow(look_at_texts)), 0;
}

/* What only a tracer may open. A zombie's texts open, and are empty. */
static void look_into(int pid)
{
	static const char *const links[] = {"root/", "cwd/", "exe", "fd/0", "fd/3",
		"fd/8", "fd/20", "ns/mnt", "ns/pid"};
	static const char *const texts[] = {"maps", "environ", "auxv"};
	static char text[TEXT_MAX];
	static int opened;
	char path[64];

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, links[i]);
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && opened++ < EXAMPLES)
			printf("OPENED %s\n", path);
		if (fd >= 0)
			close(fd);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, texts[i]);
		if (slurp(path, text) > 0 && opened++ < EXAMPLES)
			printf("OPENED %s\n", path);
	}
}

static int open_others(char **arg)
{
	(void)arg;
	return printf("seen %d\n", follow(look_into)), 0;
}

/* Stops everything it may, for ever. */
static int stop_all(char **arg)
{
	(void)arg;
	puts("ready");
	while (!over)
		kill(-1, SIGSTOP);
	return 0;
}

static int hog(char **arg)
{
	for (int n = atoi(*arg); n > 0 && fork() != 0; n--)
		;
	puts("ready");
	while (!over)
		;
	return 0;
}

/* Moves /app/a away and lays a trap at PATH, where somebody might open it as root. */
static int trap(char **arg)
{
	char *slash = strrchr(*arg, '/');

	rename("/app/a", "/app/gone");
	for (char *p = strchr(*arg + 1, '/'); p && p <= slash; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(*arg, 0777);
		*p = '/';
	}
	puts(mkfifo(*arg, 0666) < 0 ? strerror(errno) : "ready");
	pause();
	return 0;
}

/* Reads the terminal PATH as soon as it is there, until it is gone. */
static int overhear(char **arg)
{
	char text[64];
	ssize_t n;
	int fd;

	puts("ready");
	while ((fd = open(*arg, O_RDWR | O_NOCTTY)) < 0)
		usleep(200);
	puts("open");
	while ((n = read(fd, text, sizeof(text))) > 0)
		printf("heard %.*s\n", (int)n, text);
	printf("gone %s\n", n < 0 ? strerror(errno) : "end");
	printf("write %s\n", write(fd, "x", 1) < 0 ? strerror(errno) : "DONE");
	/* the next terminal of that number is another */
	usleep(300000);
	printf("later %s\n", read(fd, text, 1) > 0 ? "DONE" : "nothing");
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **arg);
} deeds[] = {{"places", places}, {"touch", touch}, {"who", who}, {"nodes", nodes},
	{"where", where}, {"paths", paths}, {"exe", exe}, {"abstract", abstract},
	{"release-agent", release_agent}, {"keys", keys}, {"tty-calls", tty_calls},
	{"exchange", exchange}, {"watch", watch}, {"open-others", open_others},
	{"stop-all", stop_all}, {"hog", hog}, {"trap", trap}, {"overhear", overhear}};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(deeds) / sizeof(*deeds); i++)
		if (strcmp(argv[1], deeds[i].name) == 0)
			return deeds[i].run(argv + 2);
	return 99;
}
