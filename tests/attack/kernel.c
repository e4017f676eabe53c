/* Attacks on the kernel itself: its own programs, keys, modules, clocks, and calls of other machines. */
#include "tests/attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TIOCLINUX 0x541C
#define BAD_MAGIC 0

int attack_add_key(void)
{
	return result(
		syscall(SYS_add_key, "user", "attack", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

int attack_host_key(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user",
		"berth-attack-session", 0));
}

int attack_request_key(void)
{
	return result(syscall(SYS_request_key, "user", "nobody has it", NULL, 0));
}

int attack_keyctl(void)
{
	return result(
		syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

/* Asks for the first program's number after the last possible one. */
int attack_bpf(void)
{
	union bpf_attr a = {.start_id = INT32_MAX - 1};

	return result(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &a, sizeof(a)));
}

int attack_perf(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.disabled = 1};

	return result(syscall(SYS_perf_event_open, &a, -1, 0, -1, 0));
}

int attack_io_uring(void)
{
	char params[120] = {0};

	return result(syscall(SYS_io_uring_setup, 1, params));
}

int attack_userfaultfd(void)
{
	return result(syscall(SYS_userfaultfd, O_CLOEXEC));
}

int attack_userfaultfd_user(void)
{
	return result(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}

int attack_init_module(void)
{
	char nothing[64] = {0};

	return result(syscall(SYS_init_module, nothing, sizeof(nothing), ""));
}

int attack_finit_module(void)
{
	return result(syscall(SYS_finit_module, -1, "", 0));
}

int attack_delete_module(void)
{
	return result(syscall(SYS_delete_module, "no_such_module", O_NONBLOCK));
}

/* With flags that no kernel has. */
int attack_kexec_load(void)
{
	return result(syscall(SYS_kexec_load, 0, 0, NULL, 0xf000));
}

int attack_kexec_file_load(void)
{
	return result(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0xf000));
}

int attack_reboot(void)
{
	return result(syscall(SYS_reboot, BAD_MAGIC, BAD_MAGIC, 0, NULL));
}

int attack_acct(void)
{
	return result(syscall(SYS_acct, "/nowhere"));
}

/* SYSLOG_ACTION_CONSOLE_LEVEL with a level that does not exist */
int attack_syslog(void)
{
	return result(syscall(SYS_syslog, 8, NULL, 99));
}

int attack_settimeofday(void)
{
	struct timezone zone = {.tz_minuteswest = 99999};

	return result(syscall(SYS_settimeofday, NULL, &zone));
}

/* To what it is. */
int attack_clock_settime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return result(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

int attack_adjtimex(void)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 1};

	return result(syscall(SYS_adjtimex, &t));
}

int attack_clock_adjtime(void)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 1};

	return result(syscall(SYS_clock_adjtime, 0, &t));
}

int attack_sethostname(void)
{
	return result(syscall(SYS_sethostname, "attack", 6));
}

int attack_setdomainname(void)
{
	return result(syscall(SYS_setdomainname, "attack", 6));
}

int attack_iopl(void)
{
	return result(syscall(SYS_iopl, 3));
}

int attack_ioperm(void)
{
	return result(syscall(SYS_ioperm, 0x80, 1, 1));
}

/* In a session without a terminal: there is nothing to hang up. */
int attack_vhangup(void)
{
	setsid();
	return result(syscall(SYS_vhangup));
}

int attack_fanotify(void)
{
	return result(syscall(SYS_fanotify_init, FAN_CLASS_CONTENT, O_RDONLY));
}

int attack_move_pages(void)
{
	void *page[1] = {&page};
	int status[1];

	return result(syscall(SYS_move_pages, 0, 1, page, NULL, status, 0));
}

int attack_migrate_pages(void)
{
	unsigned long node = 1;

	return result(syscall(SYS_migrate_pages, 0, 2, &node, &node));
}

int attack_modify_ldt(void)
{
	char table[64];

	return result(syscall(SYS_modify_ldt, 0, table, sizeof(table)));
}

int attack_personality(void)
{
	return result(syscall(SYS_personality, READ_IMPLIES_EXEC));
}

/* getpid of 32-bit x86 */
int attack_int80(void)
{
	long r = 20;

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r > 0 ? 0 : (int)-r;
}

int attack_x32(void)
{
	return result(syscall(0x40000000 + SYS_getpid));
}

/* ---- terminals ---- */

/* A pty of its own that is its controlling terminal. fd or -errno. */
static int own_terminal(void)
{
	char name[64];
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), slave;

	if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)))
		return -errno;
	setsid();
	slave = open(name, O_RDWR | O_NOCTTY);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		return -errno;
	return slave;
}

static int on_terminal(unsigned long request, void *arg)
{
	int fd = own_terminal();

	return fd < 0 ? 900 - fd : result(syscall(SYS_ioctl, fd, request, arg));
}

int attack_tiocsti(void)
{
	char c = 'x';

	return on_terminal(TIOCSTI, &c);
}

/* The kernel looks at the lower 32 bits alone. */
int attack_tiocsti_high(void)
{
	char c = 'x';

	return on_terminal(0x100000000ul | TIOCSTI, &c);
}

int attack_tioclinux(void)
{
	char paste = 3;

	return on_terminal(TIOCLINUX, &paste);
}
