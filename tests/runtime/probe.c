/* The program that the sandbox tests run inside: static, one small deed a word. Prints
 * what it finds on stdout. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int cat(const char *path)
{
	char buf[65536];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		printf("%s: %s\n", path, strerror(errno));
		return 1;
	}
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 1;
	return n < 0;
}

static int list(const char *path)
{
	struct dirent *e;
	DIR *d = opendir(path);

	if (!d)
		return printf("%s: %s\n", path, strerror(errno)), 1;
	while ((e = readdir(d)))
		puts(e->d_name);
	return 0;
}

static int eat(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *p = malloc(1 << 20);
		if (!p)
			return 3;
		memset(p, 1, 1 << 20);
	}
	return 0;
}

static int fork_many(int n)
{
	int made = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			break;
		made++;
	}
	printf("%d\n", made);
	return 0;
}

/* Both families; the length of the address. */
static socklen_t address(const char *addr, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (void *)ret;
	struct sockaddr_in *four = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(addr, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET6, addr, &six->sin6_addr);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)atoi(port));
	inet_pton(AF_INET, addr, &four->sin_addr);
	return sizeof(*four);
}

/* A socket that is connected, or -1 after saying why not. */
static int reach(const char *addr, const char *port, int type)
{
	struct timeval t = {3, 0};
	struct sockaddr_storage a;
	socklen_t len = address(addr, port, &a);
	int fd = socket(a.ss_family, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	if (connect(fd, (struct sockaddr *)&a, len) < 0)
		return printf("%s\n", strerror(errno)), -1;
	return fd;
}

static int to(const char *addr, const char *port)
{
	if (reach(addr, port, SOCK_STREAM) < 0)
		return 1;
	puts("connected");
	return 0;
}

/* What the other end says first; by datagram, after a word of ours. */
static int ask(const char *addr, const char *port, int type, const char *word)
{
	char text[256];
	int fd = reach(addr, port, type);
	ssize_t n;

	if (fd < 0)
		return 1;
	if (type == SOCK_DGRAM && send(fd, word, strlen(word), 0) < 0)
		return printf("%s\n", strerror(errno)), 1;
	n = recv(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return printf("%s\n", strerror(errno)), 1;
	text[n] = '\0';
	puts(text);
	return 0;
}

/* Bytes to and fro on one connection until it breaks: says why, exits 3. */
static int talk(const char *addr, const char *port)
{
	int fd = reach(addr, port, SOCK_STREAM);
	char text[256];
	bool said = false;

	if (fd < 0)
		return 1;
	while (recv(fd, text, sizeof(text), 0) > 0 &&
		send(fd, "x", 1, MSG_NOSIGNAL) == 1) {
		if (!said)
			puts("talking");
		said = true;
		usleep(20000);
	}
	printf("%s\n", strerror(errno));
	return 3;
}

/* Bound to the port; datagrams of both families come there. */
static int datagrams(int family, const char *port)
{
	struct sockaddr_storage any;
	socklen_t len = address(family == AF_INET6 ? "::" : "0.0.0.0", port, &any);
	int fd = socket(family, SOCK_DGRAM, 0);

	return bind(fd, (struct sockaddr *)&any, len) < 0 ? -1 : fd;
}

/* From one socket, with the same port at both ends, without end; a line each. */
static int keep_saying(const char *addr, const char *port)
{
	struct sockaddr_storage a;
	socklen_t len = address(addr, port, &a);
	int fd = datagrams(a.ss_family, port);

	for (;; usleep(20000)) {
		sendto(fd, "word", 4, 0, (struct sockaddr *)&a, len);
		puts("said");
	}
}

/* A line for each datagram. */
static int hear(const char *port)
{
	int fd = datagrams(AF_INET6, port);
	char word[16];

	puts("ready");
	while (recv(fd, word, sizeof(word), 0) > 0)
		puts("heard");
	return 1;
}

/* To the first who sends one, without end; a line each. */
static int answer(const char *port)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd = datagrams(AF_INET6, port);
	char word[16];

	puts("ready");
	if (recvfrom(fd, word, sizeof(word), 0, (struct sockaddr *)&peer, &len) < 0)
		return 1;
	for (;; usleep(20000)) {
		sendto(fd, "word", 4, 0, (struct sockaddr *)&peer, len);
		puts("said");
	}
}

/* Tries until it gets through: exits 0 then. */
static int insist(const char *addr, const char *port)
{
	puts("trying");
	for (int i = 0; i < 1000000; i++, usleep(1000)) {
		struct sockaddr_storage a;
		socklen_t len = address(addr, port, &a);
		int fd = socket(a.ss_family, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&a, len) == 0)
			return 0;
		close(fd);
	}
	return 1;
}

static int serve(const char *addr, const char *port, const char *text)
{
	struct sockaddr_storage a;
	socklen_t len = address(addr, port, &a);
	int fd = socket(a.ss_family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 16) < 0)
		return 1;
	puts("serving");
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c >= 0 && write(c, text, strlen(text)) != (ssize_t)strlen(text))
			return 2;
		close(c);
	}
}

/* ---- the listener that a start gave, descriptor 3 ---- */

/* Of the network that this socket belongs to. */
static void print_interfaces(const char *what, int fd)
{
	struct ifreq list[64];
	struct ifconf c = {.ifc_len = sizeof(list), .ifc_req = list};

	printf("%s interfaces", what);
	if (ioctl(fd, SIOCGIFCONF, &c) == 0)
		for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(list[0]); i++)
			printf(" %s %s", list[i].ifr_name,
				inet_ntoa(((struct sockaddr_in *)&list[i].ifr_addr)
						  ->sin_addr));
	puts("");
}

static void print_name(int fd)
{
	struct sockaddr_un a = {.sun_path = ""};
	socklen_t len = sizeof(a);

	printf("name %s\n", getsockname(fd, (struct sockaddr *)&a, &len) == 0
				    ? a.sun_path
				    : strerror(errno));
}

static void print_peer(int fd)
{
	struct ucred c = {.pid = -1};
	socklen_t len = sizeof(c);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len);
	printf("peer pid %d uid %u\n", c.pid, c.uid);
}

/* Hands a descriptor over; what comes of it. */
static const char *hand_over(int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int one = 1;

	memcpy(CMSG_DATA(&control.head), &one, sizeof(one));
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? strerror(errno) : "passed";
}

/* What a connection and the listener tell, and what they let it do. */
static int listener(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	int c, pair[2];

	printf("LISTEN_FDS %s LISTEN_PID %s\n", n ? n : "(none)",
		!pid			? "(none)"
		: atoi(pid) == getpid() ? "mine"
					: "another's");
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("descriptor %d\n", fd);
	c = accept(3, NULL, NULL);
	if (c < 0)
		return printf("accept: %s\n", strerror(errno)), 1;
	print_name(3);
	print_name(c);
	print_interfaces("listener", 3);
	print_interfaces("connection", c);
	print_peer(3);
	print_peer(c);
	printf("descriptor to the peer: %s\n", hand_over(c));
	printf("descriptor to itself: %s\n",
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 ? hand_over(pair[0])
							       : "no pair");
	return write(c, "hello", 5) != 5;
}

/* Takes what comes, n times; 0: nothing, with room for one that waits. */
static int accept_times(int n)
{
	if (n == 0 && listen(3, 1) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (n--) {
		int c = accept(3, NULL, NULL);

		if (c < 0 || write(c, "hello", 5) != 5)
			return 1;
		close(c);
	}
	return pause();
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return printf("%s: %s\n", path, strerror(errno)), 1;
	return close(fd);
}

static int fill(const char *path, int mib)
{
	static char block[1 << 20];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	memset(block, 'x', sizeof(block));
	for (size_t left = (size_t)mib << 20, n; left > 0; left -= n) {
		ssize_t wrote =
			write(fd, block, left < sizeof(block) ? left : sizeof(block));
		if (wrote <= 0) /* the last write before the end may be a short one */
			return printf("%s: %s\n", path, strerror(errno)), 1;
		n = (size_t)wrote;
	}
	return 0;
}

/* A line every 2 ms, without end. */
static int count(void)
{
	for (int n = 1;; n++) {
		printf("%d\n", n);
		usleep(2000);
	}
}

/* So much of the page cache is its own, until it is ended. */
static int fill_and_wait(const char *path, int mib)
{
	int fd;

	if (fill(path, mib) || (fd = open(path, O_RDONLY)) < 0 || fsync(fd) < 0)
		return 1;
	puts("ready");
	return pause();
}

/* Past the page cache; prints how long it took, in ms. */
static int read_disk(const char *path, int mib)
{
	struct timespec from, to;
	void *block;
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0 || posix_memalign(&block, 4096, 1 << 20))
		return printf("%s: %s\n", path, strerror(errno)), 1;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < mib; i++)
		if (pread(fd, block, 1 << 20, (off_t)i << 20) != 1 << 20)
			return printf("%s: %s\n", path, strerror(errno)), 1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%ld\n",
		(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	return 0;
}

/* Waits for the signal, also in a child, then tells the limits of both. */
static int nofile_after(int signo)
{
	struct rlimit l;
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t pid = fork();
	if (pid > 0)
		puts("ready");
	sigwait(&set, &got);
	if (pid > 0) {
		kill(pid, signo);
		waitpid(pid, &got, 0);
	}
	getrlimit(RLIMIT_NOFILE, &l);
	printf("%lu %lu\n", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max);
	return 0;
}

/* Each line: name, and "refused" with the reason or "DONE". */
static void say(const char *what, long r)
{
	if (r < 0)
		printf("%s: refused: %s\n", what, strerror(errno));
	else
		printf("%s: DONE\n", what);
}

/* Opens a file of the kernel's; what only stands in its place is refused, too. */
static int open_real(const char *path)
{
	struct stat st;
	int fd = open(path, O_WRONLY);

	if (fd < 0 || fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return fd;
	errno = ENXIO;
	return -1;
}

static int forbidden(void)
{
	char c = 'x';

	say("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	say("unshare-user", unshare(CLONE_NEWUSER));
	say("unshare-net", unshare(CLONE_NEWNET));
	say("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	say("clone3", syscall(SYS_clone3, NULL, 0));
	say("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
	say("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
	say("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say("io_uring", syscall(425, 1, NULL));
	say("tiocsti", ioctl(0, TIOCSTI, &c));
	say("tiocsti-high", syscall(SYS_ioctl, 0, 0x100000000ul | TIOCSTI, &c));
	say("tioclinux", ioctl(0, 0x541C, &c));
	say("vsock", socket(40, SOCK_STREAM, 0));
	say("alg", socket(38, SOCK_SEQPACKET, 0));
	say("packet", socket(AF_PACKET, SOCK_RAW, 0));
	say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	say("netlink-audit", socket(AF_NETLINK, SOCK_RAW, 9));
	say("mknod", mknod("/tmp/null", S_IFCHR | 0666, 0x103));
	say("setuid", setuid(0));
	say("sethostname", sethostname("x", 1));
	say("settime", clock_settime(CLOCK_REALTIME, &(struct timespec){1, 0}));
	say("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
	say("chroot", chroot("/tmp"));
	say("personality", syscall(SYS_personality, 0x0200000));
	say("init-fd", open("/proc/1/fd/4", O_RDWR));
	say("init-mem", open("/proc/1/mem", O_RDWR));
	say("init-exe", open("/proc/1/exe", O_RDONLY));
	say("sysctl", open_real("/proc/sys/kernel/core_pattern"));
	say("sysrq", open_real("/proc/sysrq-trigger"));
	return 0;
}

static int permitted(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};
	int s = socket(AF_INET, SOCK_STREAM, 0), w = 0;
	pid_t pid;

	say("bind-80", bind(s, (struct sockaddr *)&a, sizeof(a)));
	say("unix", socket(AF_UNIX, SOCK_STREAM, 0));
	say("netlink-route", socket(AF_NETLINK, SOCK_RAW, 0));
	say("write-tmp", put("/tmp/x", "1"));
	say("write-shm", put("/dev/shm/x", "1"));
	say("write-null", put("/dev/null", "1"));
	say("ptmx", open("/dev/ptmx", O_RDWR | O_NOCTTY));
	say("stdout", open("/dev/stdout", O_WRONLY));
	say("urandom", open("/dev/urandom", O_RDONLY));
	pid = fork();
	if (pid == 0)
		_exit(0);
	say("fork", pid < 0 ? -1 : waitpid(pid, &w, 0));
	return 0;
}

static void lines(const char *path, const char *const *wanted)
{
	char line[1024];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		for (size_t i = 0; wanted[i]; i++)
			if (!strncmp(line, wanted[i], strlen(wanted[i])))
				fputs(line, stdout);
	if (f)
		fclose(f);
}

/* mount point, options, file system: what does not differ between two alike. */
static void mounts(void)
{
	char line[2048], at[512], options[256], type[64];
	FILE *f = fopen("/proc/self/mountinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %511s %255s", at, options) == 2 &&
			sscanf(strstr(line, " - "), " - %63s", type) == 1)
			printf("mount %s %s %s\n", at, options, type);
	if (f)
		fclose(f);
}

/* All that confines this process, for comparison with another. */
static int confines(void)
{
	static const char *const status[] = {"Umask", "Uid", "Gid", "Groups", "Seccomp",
		"SigBlk", "SigIgn", "Cap", "NoNewPrivs", NULL};
	static const char *const all[] = {"", NULL};
	struct rlimit l;
	struct stat st;

	printf("leader %d\n", getsid(0) == getpid());
	lines("/proc/self/status", status);
	lines("/proc/self/cgroup", all);
	lines("/proc/self/oom_score_adj", all);
	lines("/proc/net/route", all);
	lines("/proc/sys/net/ipv4/ip_unprivileged_port_start", all);
	mounts();
	for (int r = 0; r < RLIM_NLIMITS; r++)
		if (getrlimit((__rlimit_resource_t)r, &l) == 0)
			printf("limit %d %ld %ld\n", r, (long)l.rlim_cur,
				(long)l.rlim_max);
	for (int fd = 0; fd < 1024; fd++)
		if (fstat(fd, &st) == 0)
			printf("fd %d %o %d\n", fd, st.st_mode & S_IFMT, isatty(fd));
	return 0;
}

int main(int argc, char **argv)
{
	const char *op = argc > 1 ? argv[1] : "", *a = argc > 2 ? argv[2] : "0",
		   *b = argc > 3 ? argv[3] : "0";
	struct rlimit l;
	struct utsname u;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(op, "exit"))
		return atoi(a);
	if (!strcmp(op, "raise"))
		return raise(atoi(a));
	if (!strcmp(op, "sleep"))
		return sleep((unsigned int)atoi(a)) ? 1 : 0;
	if (!strcmp(op, "trap")) { /* waits for the signal, then exits 7 */
		sigset_t set;
		int got;
		sigemptyset(&set);
		sigaddset(&set, atoi(a));
		sigprocmask(SIG_BLOCK, &set, NULL);
		puts("ready");
		return sigwait(&set, &got) == 0 && got == atoi(a) ? 7 : 8;
	}
	if (!strcmp(op, "confines"))
		return confines();
	if (!strcmp(op, "cat"))
		return cat(a);
	if (!strcmp(op, "ls"))
		return list(a);
	if (!strcmp(op, "eat"))
		return eat((size_t)atoi(a));
	if (!strcmp(op, "keep")) { /* so much, until the end */
		eat((size_t)atoi(a));
		puts("ready");
		return pause();
	}
	if (!strcmp(op, "read-disk"))
		return read_disk(a, atoi(b));
	if (!strcmp(op, "read-after")) { /* SIGTERM */
		sigset_t set;
		int got;
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		puts("ready");
		sigwait(&set, &got);
		return read_disk(a, atoi(b));
	}
	if (!strcmp(op, "nofile-after"))
		return nofile_after(atoi(a));
	if (!strcmp(op, "eat-child")) {
		int w;
		pid_t pid = fork();
		if (pid == 0)
			_exit(eat((size_t)atoi(a)));
		waitpid(pid, &w, 0);
		return WIFSIGNALED(w) ? 128 + WTERMSIG(w) : 0;
	}
	if (!strcmp(op, "forks"))
		return fork_many(atoi(a));
	if (!strcmp(op, "connect"))
		return to(a, b);
	if (!strcmp(op, "ask"))
		return ask(a, b, SOCK_STREAM, "");
	if (!strcmp(op, "udp"))
		return ask(a, b, SOCK_DGRAM, argc > 4 ? argv[4] : "word");
	if (!strcmp(op, "say"))
		return keep_saying(a, b);
	if (!strcmp(op, "hear"))
		return hear(a);
	if (!strcmp(op, "answer"))
		return answer(a);
	if (!strcmp(op, "insist"))
		return insist(a, b);
	if (!strcmp(op, "talk"))
		return talk(a, b);
	if (!strcmp(op, "serve"))
		return serve(a, b, argc > 4 ? argv[4] : "hello");
	if (!strcmp(op, "listener"))
		return listener();
	if (!strcmp(op, "accept"))
		return accept_times(atoi(a));
	if (!strcmp(op, "unlistened"))
		return close(3) < 0 || puts("ready") < 0 || fflush(stdout) || pause();
	if (!strcmp(op, "put"))
		return put(a, b);
	if (!strcmp(op, "fill"))
		return fill(a, atoi(b));
	if (!strcmp(op, "fill-and-wait"))
		return fill_and_wait(a, atoi(b));
	if (!strcmp(op, "count"))
		return count();
	if (!strcmp(op, "ids"))
		return printf("%d %d %d\n", getuid(), getgid(), getpid()), 0;
	if (!strcmp(op, "host"))
		return uname(&u) == 0 ? printf("%s\n", u.nodename), 0 : 1;
	if (!strcmp(op, "nofile"))
		return getrlimit(RLIMIT_NOFILE, &l) == 0
		       ? printf("%lu\n", (unsigned long)l.rlim_max),
		       0 : 1;
	if (!strcmp(op, "env"))
		return printf("%s\n", getenv(a) ? getenv(a) : "(none)"), 0;
	if (!strcmp(op, "tty"))
		return isatty(0) && ttyname(0) ? printf("%s\n", ttyname(0)), 0 : 1;
	if (!strcmp(op, "forbidden"))
		return forbidden();
	if (!strcmp(op, "permitted"))
		return permitted();
	if (!strcmp(op, "stat")) {
		struct stat st;
		if (stat(a, &st) < 0)
			return printf("%s\n", strerror(errno)), 1;
		return printf("%o %u %u\n", st.st_mode, st.st_uid, st.st_gid), 0;
	}
	if (!strcmp(op, "spin"))
		for (time_t end = time(NULL) + atoi(a); time(NULL) < end;)
			;
	return 0;
}
