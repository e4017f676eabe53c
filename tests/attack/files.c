/* Attacks through files: device nodes, programs with more rights, /proc, descriptors left open. */
#include "tests/attack/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- device nodes: /dev/null under another name, so that opening it does nothing ---- */

static int make(const char *path, mode_t type, unsigned int major, unsigned int minor)
{
	int r;

	unlink(path);
	r = result(mknod(path, type | 0666, makedev(major, minor)));
	return r;
}

int attack_mknod_char(void)
{
	return make("/tmp/char", S_IFCHR, 1, 3);
}

int attack_mknod_block(void)
{
	return make("/tmp/block", S_IFBLK, 7, 0);
}

int attack_device_made(void)
{
	int r = make("/tmp/made", S_IFCHR, 1, 3);

	return r ? r : try_open("/tmp/made", O_RDWR);
}

int attack_device_layer(void)
{
	return try_open("/planted/null", O_RDWR);
}

int attack_device_volume(void)
{
	return try_open("/volume/null", O_RDWR);
}

int attack_dev_write(void)
{
	int r = try_open("/dev/attack", O_WRONLY | O_CREAT);

	unlink("/dev/attack");
	return r;
}

int attack_volume_read_only(void)
{
	return try_open("/volume-ro/note", O_WRONLY);
}

/* ---- programs with more rights than their user ---- */

/* What the program at path becomes: 64 and the bits of "who" in probe.c, or the errno of running it. */
static int run_who(const char *path)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		execl(path, path, "who", (char *)NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : DIED;
}

static int gain(const char *path, int bit)
{
	int r = run_who(path);

	if (r < WHO)
		return r;
	return r & bit ? 0 : NOTHING;
}

int attack_suid_layer(void)
{
	return gain("/planted/suid", WHO_ROOT);
}

int attack_suid_volume(void)
{
	return gain("/volume/suid", WHO_ROOT);
}

/* The file's capability is NET_ADMIN; what the probe itself has is given up first. */
static int drop_own(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return result(syscall(SYS_capset, &head, data));
}

int attack_file_caps(void)
{
	int r = drop_own();

	return r ? r : gain("/planted/caps", WHO_NET_ADMIN);
}

int attack_descriptors(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		char path[32], to[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		/* the row's own pipe is the only one that may be there */
		if (readlink(path, to, sizeof(to) - 1) > 0 && strncmp(to, "pipe:", 5))
			return 0;
	}
	return NOTHING;
}

int attack_write_root(void)
{
	return try_open("/app/new", O_WRONLY | O_CREAT);
}

/* ---- /proc ---- */

/* A mask opens as well, but it is /dev/null. */
static int open_unmasked(const char *path, int flags)
{
	int r = try_open(path, flags);
	struct stat st;

	return r == 0 && stat(path, &st) == 0 && S_ISCHR(st.st_mode) ? NOTHING : r;
}

int attack_core_pattern(void)
{
	return try_open("/proc/sys/kernel/core_pattern", O_WRONLY);
}

int attack_drop_caches(void)
{
	return try_open("/proc/sys/vm/drop_caches", O_WRONLY);
}

int attack_modprobe(void)
{
	return try_open("/proc/sys/kernel/modprobe", O_WRONLY);
}

int attack_sysrq(void)
{
	return open_unmasked("/proc/sysrq-trigger", O_WRONLY);
}

int attack_irq(void)
{
	return try_open("/proc/irq/default_smp_affinity", O_WRONLY);
}

/* Only a hierarchy that is there already: a new one would be the whole machine's. */
static int hierarchy_there(const char *controller)
{
	char name[64];
	int hierarchy = 0, found = 0;
	FILE *f = fopen("/proc/cgroups", "re");

	if (!f || fscanf(f, "%*[^\n]\n") < 0)
		return 0;
	while (fscanf(f, "%63s %d %*[^\n]\n", name, &hierarchy) == 2)
		if (strcmp(name, controller) == 0)
			found = hierarchy > 0;
	fclose(f);
	return found;
}

int attack_release_agent(void)
{
	const char *place = "/tmp/hierarchy";
	int r;

	if (!hierarchy_there("memory"))
		return EBUSY;
	mkdir(place, 0700);
	r = result(syscall(SYS_mount, "cgroup", place, "cgroup", 0, "memory"));
	if (r)
		return r;
	r = try_open("/tmp/hierarchy/release_agent", O_WRONLY);
	syscall(SYS_umount2, place, 2 /* MNT_DETACH */);
	return r;
}

int attack_kcore(void)
{
	return try_read("/proc/kcore");
}

/* An address that is not all zeros. */
int attack_kallsyms(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long address, seen = 0;

	if (!f)
		return errno;
	for (int i = 0; i < 1000 && fscanf(f, "%lx %*[^\n]\n", &address) == 1; i++)
		seen |= address;
	fclose(f);
	return seen ? 0 : NOTHING;
}

int attack_kmsg(void)
{
	return open_unmasked("/proc/kmsg", O_RDONLY);
}

int attack_cmdline(void)
{
	return try_read("/proc/cmdline");
}

int attack_keys(void)
{
	return try_read("/proc/keys");
}

int attack_key_users(void)
{
	return try_read("/proc/key-users");
}

int attack_timer_list(void)
{
	return try_read("/proc/timer_list");
}

int attack_kpageflags(void)
{
	return try_read("/proc/kpageflags");
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

int attack_drivers(void)
{
	return entries("/proc/acpi") || entries("/proc/asound") ||
			       entries("/proc/driver") || entries("/proc/scsi")
		       ? 0
		       : NOTHING;
}
