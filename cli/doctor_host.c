/* The checks of berth doctor that look at the host, and how a check says what it found. */
#include "cli/doctor.h"
#include "lib/firewall.h"
#include "lib/io.h"
#include "lib/name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define DISK_LEAST ((uint64_t)2 << 30) /* a stack, and a build */
#define INODES_LEAST 100000u
#define MMDEBSTRAP_PROFILE "/etc/apparmor.d/mmdebstrap" /* AppArmor 4 brings it */

void doctor_says(struct doctor *d, enum doctor_state state, const char *fmt, ...)
{
	va_list ap;

	d->state = state;
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
}

void doctor_hint(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->hint, sizeof(d->hint), fmt, ap);
	va_end(ap);
}

static bool read_text(const char *path, struct buf *text)
{
	return io_read_file(AT_FDCWD, path, text) == 0 && text->len;
}

/* What a program prints, or false when it is not there or fails. */
static bool output_of(const char *const argv[], struct buf *text)
{
	int p[2], status = 1;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	close(p[1]);
	if (pid > 0) {
		io_read_all(p[0], text);
		waitpid(pid, &status, 0);
	}
	close(p[0]);
	return status == 0 && text->len;
}

void doctor_kernel(struct doctor *d)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) != 2 || major < 6 ||
		(major == 6 && minor < 1)) {
		doctor_says(d, DOCTOR_FAILED, "Linux %s; berth needs 6.1 or newer",
			u.release);
		doctor_hint(d, "install a newer kernel: Debian 12, 13 and Ubuntu 24.04 "
			       "have one");
		return;
	}
	doctor_says(d, DOCTOR_OK, "Linux %s, %s", u.release, u.machine);
}

void doctor_namespaces(struct doctor *d)
{
	autobuf most = {.max = 64}, restricted = {.max = 64};

	if (!read_text("/proc/sys/user/max_user_namespaces", &most) ||
		atoi(most.data) < 1000) {
		doctor_says(d, DOCTOR_FAILED,
			"the host allows %d user namespaces; each app needs some",
			most.len ? atoi(most.data) : 0);
		doctor_hint(d, "sysctl -w user.max_user_namespaces=65536, and a line in "
			       "/etc/sysctl.d to keep it");
		return;
	}
	/* What berthd makes is root's and not meant by it; mmdebstrap is no root. */
	if (read_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
		    &restricted) &&
		restricted.data[0] == '1' && access(MMDEBSTRAP_PROFILE, F_OK) < 0) {
		doctor_says(d, DOCTOR_WARNING,
			"AppArmor keeps users without privilege from making user "
			"namespaces, and there is no " MMDEBSTRAP_PROFILE);
		doctor_hint(d,
			"base images are made as such a user: if stacks:create fails, "
			"sysctl -w "
			"kernel.apparmor_restrict_unprivileged_userns=0 while it runs");
		return;
	}
	doctor_says(d, DOCTOR_OK, "%d allowed", atoi(most.data));
}

static void say_cgroups(struct doctor *d, int version, const char *missing)
{
	if (missing)
		doctor_says(d, DOCTOR_FAILED, "version %d, without %s", version, missing);
	else
		doctor_says(d, DOCTOR_OK, "version %d", version);
}

bool doctor_has_word(const char *text, const char *word)
{
	const size_t len = strlen(word);

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (n == len && memcmp(text, word, n) == 0)
			return true;
		text += n + (text[n] != '\0');
	}
	return false;
}

void doctor_cgroups(struct doctor *d)
{
	static const char *const needed[] = {"memory", "cpu", "pids"};
	const char *missing[2] = {NULL}; /* in version 1, in version 2 */
	autobuf two = {.max = 4096};
	bool unified = read_text("/sys/fs/cgroup/cgroup.controllers", &two);

	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", needed[i]);
		if (access(path, F_OK) < 0)
			missing[0] = needed[i];
		if (unified && !doctor_has_word(two.data, needed[i]))
			missing[1] = needed[i];
	}
	say_cgroups(d, unified ? 2 : 1, missing[unified]);
	if (d->state == DOCTOR_FAILED)
		doctor_hint(d,
			"they are switched on at boot: cgroup_enable=memory in the "
			"kernel's command line, or a kernel that has them");
}

void doctor_filesystems(struct doctor *d)
{
	autobuf known = {.max = 16384};
	static const char *const modules[] = {"overlay", "ext4"};

	if (!read_text("/proc/filesystems", &known)) {
		doctor_says(d, DOCTOR_SKIPPED, "/proc/filesystems cannot be read");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
		autobuf found = {.max = 4096};
		const char *const argv[] = {"modinfo", "-n", modules[i], NULL};

		if (strstr(known.data, modules[i]) || output_of(argv, &found))
			continue;
		doctor_says(d, DOCTOR_FAILED, "the kernel has no %s", modules[i]);
		doctor_hint(d,
			"modprobe %s; a kernel made for containers or small machines may "
			"lack it",
			modules[i]);
		return;
	}
	if (access("/dev/loop-control", F_OK) < 0) {
		doctor_says(d, DOCTOR_WARNING,
			"overlay and ext4; no loop devices, so scratch space and volumes "
			"have no size");
		doctor_hint(d, "modprobe loop");
		return;
	}
	doctor_says(d, DOCTOR_OK, "overlay, ext4, loop devices");
}

void doctor_clock(struct doctor *d)
{
	struct timex t = {0};
	int state = adjtimex(&t);

	if (state < 0) {
		doctor_says(d, DOCTOR_SKIPPED, "adjtimex: %s", strerror(errno));
	} else if (state == TIME_ERROR || t.status & STA_UNSYNC) {
		doctor_says(d, DOCTOR_WARNING,
			"nothing keeps it right; certificates and logs go by it");
		doctor_hint(d, "apt install systemd-timesyncd, or chrony; in a virtual "
			       "machine its host may do it unseen");
	} else {
		doctor_says(d, DOCTOR_OK, "synchronised");
	}
}

void doctor_disk(struct doctor *d, const char *folder)
{
	struct statvfs s;
	char free_text[24], total[24];
	uint64_t room;

	if (statvfs(folder, &s) < 0) {
		if (errno == ENOENT)
			doctor_says(d, DOCTOR_SKIPPED,
				"%s is made when berthd first starts", folder);
		else
			doctor_says(d, DOCTOR_FAILED, "%s: %s", folder, strerror(errno));
		return;
	}
	room = (uint64_t)s.f_bavail * s.f_frsize;
	num_format_size(room, free_text);
	num_format_size((uint64_t)s.f_blocks * s.f_frsize, total);
	doctor_says(d,
		room < DISK_LEAST || (s.f_files && s.f_favail < INODES_LEAST)
			? DOCTOR_WARNING
			: DOCTOR_OK,
		"%s of %s free in %s%s", free_text, total, folder,
		s.f_files && s.f_favail < INODES_LEAST
			? ", and few files more can be made"
			: "");
	if (d->state == DOCTOR_WARNING)
		doctor_hint(d, "berth disk:report says what takes it; berth disk:set "
			       "--global releases 5 keeps fewer releases");
}

/* The value of the next line of that key from *at on, which moves behind it; "" when there is no more. */
static const char *sshd_value(const char **at, const char *key, char out[256])
{
	const size_t len = strlen(key);

	out[0] = '\0';
	while (**at && !out[0]) {
		const char *line = *at;
		size_t n = strcspn(line, "\n");

		*at += n + (line[n] == '\n');
		if (n > len && line[len] == ' ' && memcmp(line, key, len) == 0)
			snprintf(out, 256, "%.*s", (int)(n - len - 1), line + len + 1);
	}
	return out;
}

/* AllowUsers: a line for each of its patterns, USER or USER@HOST. first: of them; "" when all are allowed. */
static bool sshd_allows(const char *config, const char *user, char first[256])
{
	const char *at = config, *more = config;
	char value[256];

	if (!sshd_value(&at, "allowusers", first)[0])
		return true;
	while (sshd_value(&more, "allowusers", value)[0]) {
		char *rest = value, *pattern;

		while ((pattern = strsep(&rest, " "))) {
			pattern[strcspn(pattern, "@")] = '\0';
			if (fnmatch(pattern, user, 0) == 0)
				return true;
		}
	}
	return false;
}

void doctor_sshd_says(struct doctor *d, const char *user, const char *config)
{
	const char *login = config, *ports = config;
	char value[256];

	if (strcmp(sshd_value(&login, "pubkeyauthentication", value), "yes") != 0) {
		doctor_says(d, DOCTOR_FAILED,
			"no login by key for %s (PubkeyAuthentication %s)", user, value);
		doctor_hint(d, "PubkeyAuthentication yes, in /etc/ssh/sshd_config");
	} else if (!sshd_allows(config, user, value)) {
		doctor_says(d, DOCTOR_FAILED, "%s may not log in: AllowUsers is %.100s",
			user, value);
		doctor_hint(d, "add %s to AllowUsers, in /etc/ssh/sshd_config", user);
	} else {
		sshd_value(&ports, "port", value);
		doctor_says(d, DOCTOR_OK, "lets %s in by key, on port %.20s", user,
			value[0] ? value : "22");
	}
}

void doctor_sshd(struct doctor *d, const char *user)
{
	char who[96];
	autobuf config = {.max = 65536};
	const char *const argv[] = {"/usr/sbin/sshd", "-T", "-C", who, NULL};

	if (geteuid() != 0) {
		doctor_says(d, DOCTOR_SKIPPED, "only root can ask sshd for its settings");
		return;
	}
	snprintf(who, sizeof(who), "user=%.32s,host=localhost,addr=127.0.0.1", user);
	if (output_of(argv, &config)) {
		doctor_sshd_says(d, user, config.data);
		return;
	}
	doctor_says(d, DOCTOR_FAILED, "sshd does not say its settings (%s -T)", argv[0]);
	doctor_hint(d, "apt install openssh-server; sshd -t says what is wrong "
		       "with its configuration");
}

void doctor_firewall_says(struct doctor *d, const char *rules)
{
	char table[64];
	bool in = firewall_drops(rules, "input", table),
	     forward = firewall_drops(rules, "forward", table);

	if (!in && !forward) {
		doctor_says(d, DOCTOR_OK, "the host drops nothing by default");
		return;
	}
	doctor_says(d, DOCTOR_WARNING, "the host drops %s by default",
		in && forward ? "what arrives and what apps send"
		: in	      ? "what arrives"
			      : "what apps send");
	doctor_hint(d, "%s%s%s",
		in ? "it must accept tcp to the ports of ssh, http and https" : "",
		in && forward ? "; " : "",
		forward ? "its forward chain must accept iifname \"b*-*\" and answers to "
			  "them"
			: "");
}

void doctor_firewall(struct doctor *d)
{
	autobuf rules = {.max = (size_t)4 << 20};
	const char *const argv[] = {"nft", "list", "chains", NULL};

	if (geteuid() != 0)
		doctor_says(d, DOCTOR_SKIPPED, "only root can read the rules");
	else if (output_of(argv, &rules))
		doctor_firewall_says(d, rules.data);
	else
		doctor_says(d, DOCTOR_OK, "the host has no rules of its own");
}

void doctor_port(struct doctor *d, const char *address, bool running)
{
	const char *port = strrchr(address, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV},
			*found;
	char host[256];
	int fd, one = 1;

	if (!port || port - address >= (ptrdiff_t)sizeof(host)) {
		doctor_says(d, DOCTOR_FAILED, "\"%.100s\" is not HOST:PORT", address);
		return;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(port - address), address);
	if (running) {
		doctor_says(d, DOCTOR_OK, "berth listens on %.200s", address);
		return;
	}
	if (host[0] == '[')
		snprintf(host, sizeof(host), "%.*s", (int)(port - address) - 2,
			address + 1);
	if (getaddrinfo(host, port + 1, &hints, &found) != 0) {
		doctor_says(
			d, DOCTOR_FAILED, "%.200s is not an address of a host", address);
		return;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (found->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 ||
		listen(fd, 1) < 0) {
		doctor_says(d, errno == EACCES ? DOCTOR_SKIPPED : DOCTOR_FAILED,
			"%.200s: %s", address, strerror(errno));
		doctor_hint(d,
			"ss -ltnp 'sport = :%.10s' names who has it; end that, or set "
			"http and https in berth.conf",
			port + 1);
	} else {
		doctor_says(d, DOCTOR_OK, "%.200s is free", address);
	}
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
}

static bool is_own(const struct sockaddr *a)
{
	struct ifaddrs *all, *i;
	bool own = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !own; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != a->sa_family)
			continue;
		if (a->sa_family == AF_INET)
			own = memcmp(&((const struct sockaddr_in *)a)->sin_addr,
				      &((struct sockaddr_in *)i->ifa_addr)->sin_addr,
				      4) == 0;
		else if (a->sa_family == AF_INET6)
			own = memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
				      &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr,
				      16) == 0;
	}
	freeifaddrs(all);
	return own;
}

void doctor_domain(struct doctor *d, const char *domain)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char name[300], address[64];
	int r;

	/* Any app's name will do: the record is a wildcard. */
	snprintf(name, sizeof(name), "berth-doctor.%.253s", domain);
	r = getaddrinfo(name, NULL, &hints, &found);
	if (r != 0) {
		doctor_says(d, DOCTOR_WARNING, "*.%.200s: %s", domain, gai_strerror(r));
		doctor_hint(
			d, "make a DNS record *.%.200s that points at this host", domain);
		return;
	}
	getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
		NI_NUMERICHOST);
	if (is_own(found->ai_addr)) {
		doctor_says(d, DOCTOR_OK, "*.%.200s is %s, this host", domain, address);
	} else {
		doctor_says(d, DOCTOR_WARNING,
			"*.%.200s is %s, which is no address of this host", domain,
			address);
		doctor_hint(d, "well where a router or a cloud's gateway hands it on to "
			       "this host; else change the DNS record");
	}
	freeaddrinfo(found);
}
