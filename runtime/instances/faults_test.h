/*
 * Makes one system call of this program fail, chosen by its number: a helper process
 * traces the thread that asked (ptrace(2)) and the processes that it makes, each until it
 * runs another program. Nothing in the traced code knows. x86-64 only.
 *
 *	fault_arm(&(struct fault){.process = 0, .call = 7}, 0);
 *	... what is to be tried ...
 *	fault_disarm();
 *
 * Processes are told apart by how they were made (enum fault_process); each counts its own
 * calls from 0.
 */
#ifndef RUNTIME_FAULTS_TEST_H
#define RUNTIME_FAULTS_TEST_H

#include "lib/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define FAULT_CALLS 4096
#define FAULT_MARK 0x62726674 /* prctl(2) has no such option: it begins and ends */
#define FAULT_NONE -1

enum fault_process {
	FAULT_SELF,   /* the thread */
	FAULT_CLONED, /* its children by clone(2) or fork(3): the first and the second */
	FAULT_CLONED_NEXT,
	FAULT_SPAWNED, /* by vfork(2), as posix_spawn(3) does */
	FAULT_CLONED3, /* by clone3(2): first and second, whoever called */
	FAULT_CLONED3_NEXT,
	FAULT_PROCESSES,
};

enum fault_deed {
	FAULT_FAIL,   /* the call is not made and returns error */
	FAULT_KILL,   /* its process gets SIGKILL instead of making it */
	FAULT_ORPHAN, /* process 0 gets SIGKILL instead, the one that calls goes on */
};

struct fault {
	int process, call; /* enum fault_process, or FAULT_NONE: only count */
	enum fault_deed deed;
	int error; /* 0: one that the call is likely to meet */
	int spare; /* a call's number that always works and does not count; 0: none */
};

/* What happened between arm and disarm. */
struct fault_seen {
	int calls[FAULT_PROCESSES];
	uint16_t nr[FAULT_PROCESSES][FAULT_CALLS];
	bool gone[FAULT_PROCESSES]; /* ended, or runs another program */
	bool hit;
	int error;
};

struct fault_shared {
	struct fault plan;
	struct fault_seen seen;
	pid_t thread;
	bool marked;	    /* it says itself when it begins */
	volatile bool stop; /* enough seen */
	volatile bool busy; /* the tracer still has somebody */
};

static struct fault_shared *fault_shared;
static int fault_ask[2] = {-1, -1}, fault_go[2] = {-1, -1}; /* its ends are 3 and 4 */
static pid_t fault_tracer;

/* ---- which calls, and how they fail ---- */

/* Those that cannot fail on a valid descriptor or range, or whose failure no program can
 * answer; and what belongs to the test. */
static bool fault_left_out(const struct __ptrace_syscall_info *i)
{
	switch (i->entry.nr) {
	case SYS_close:
	case SYS_munmap:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_futex:
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigreturn:
	case SYS_restart_syscall:
	case SYS_pause:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_getpid:
	case SYS_gettid:
	case SYS_getppid:
	case SYS_umask:
	case SYS_kill:
		return true;
	case SYS_write:
		return i->entry.args[0] == STDERR_FILENO;
	default:
		return false;
	}
}

static int fault_likely(uint64_t nr)
{
	switch (nr) {
	case SYS_brk:
	case SYS_mmap:
	case SYS_mprotect:
	case SYS_mremap:
		return ENOMEM;
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
	case SYS_socket:
	case SYS_socketpair:
	case SYS_pipe2:
	case SYS_memfd_create:
	case SYS_dup3:
	case SYS_open_tree:
	case SYS_fsopen:
	case SYS_fsmount:
	case SYS_pidfd_open:
		return EMFILE;
	case SYS_clone:
	case SYS_clone3:
	case SYS_fork:
	case SYS_vfork:
		return EAGAIN;
	case SYS_mkdirat:
	case SYS_mknodat:
	case SYS_write:
	case SYS_ftruncate:
	case SYS_renameat:
	case SYS_sendfile:
		return ENOSPC;
	case SYS_read:
	case SYS_pread64:
	case SYS_getdents64:
	case SYS_unlinkat:
		return EIO;
	case SYS_sendmsg:
	case SYS_recvmsg:
		return ENOBUFS;
	default:
		return EPERM;
	}
}

/* ---- the tracer ---- */

struct fault_traced {
	pid_t tid;
	int process; /* FAULT_NONE: its parent has not said yet */
	uint64_t nr; /* of its call */
	bool inject; /* that call's return value is ours */
	bool waits;  /* stopped, until its parent has said */
};

struct fault_tracer {
	struct fault_traced list[16];
	int seen[FAULT_PROCESSES];
	bool counting, done;
};

static struct fault_traced *fault_find(struct fault_tracer *t, pid_t tid)
{
	for (size_t i = 0; i < ARRAY_LEN(t->list); i++)
		if (t->list[i].tid == tid)
			return &t->list[i];
	return NULL;
}

static struct fault_traced *fault_adopt(struct fault_tracer *t, pid_t tid)
{
	struct fault_traced *p = fault_find(t, tid);

	if (!p && (p = fault_find(t, 0)))
		*p = (struct fault_traced){.tid = tid, .process = FAULT_NONE};
	return p;
}

static int fault_kind(
	struct fault_tracer *t, const struct fault_traced *parent, int event)
{
	int kind = event == PTRACE_EVENT_VFORK ? FAULT_SPAWNED
		   : parent->nr == SYS_clone3  ? FAULT_CLONED3
					       : FAULT_CLONED;

	if (kind != FAULT_SPAWNED && t->seen[kind]++)
		kind++;
	return kind;
}

/* The thread is through, or dead: all others go on untraced, once they have stopped. */
static void fault_finish(struct fault_tracer *t)
{
	t->done = true;
	for (size_t i = 0; i < ARRAY_LEN(t->list); i++) {
		struct fault_traced *p = &t->list[i];

		if (p->tid && p->waits && ptrace(PTRACE_DETACH, p->tid, NULL, NULL) == 0)
			p->tid = 0;
		else if (p->tid)
			ptrace(PTRACE_INTERRUPT, p->tid, NULL, NULL);
	}
}

static void fault_gone(struct fault_tracer *t, struct fault_traced *p)
{
	p->tid = 0;
	if (p->process != FAULT_NONE)
		fault_shared->seen.gone[p->process] = true;
	if (p->process == FAULT_SELF)
		fault_finish(t);
}

/* The k-th call is about to be made. */
static void fault_strike(struct fault_traced *p, uint64_t nr)
{
	struct fault_seen *s = &fault_shared->seen;
	const struct fault *f = &fault_shared->plan;

	s->hit = true;
	s->error = f->error ? f->error : fault_likely(nr);
	if (f->deed == FAULT_FAIL) {
		ptrace(PTRACE_POKEUSER, p->tid, offsetof(struct user, regs.orig_rax), -1);
		p->inject = true;
	} else {
		kill(f->deed == FAULT_KILL ? p->tid : fault_shared->thread, SIGKILL);
	}
}

static void fault_entry(struct fault_tracer *t, struct fault_traced *p,
	const struct __ptrace_syscall_info *i)
{
	struct fault_seen *s = &fault_shared->seen;
	const struct fault *f = &fault_shared->plan;
	int k;

	if (p->process == FAULT_SELF && i->entry.nr == SYS_prctl &&
		i->entry.args[0] == FAULT_MARK) {
		t->counting = true;
		return;
	}
	if (!t->counting || p->process == FAULT_NONE || fault_left_out(i) ||
		(f->spare && i->entry.nr == (uint64_t)f->spare))
		return;
	k = s->calls[p->process]++;
	if (k < FAULT_CALLS)
		s->nr[p->process][k] = (uint16_t)i->entry.nr;
	if (!s->hit && p->process == f->process && k == f->call)
		fault_strike(p, i->entry.nr);
}

static void fault_syscall(struct fault_tracer *t, struct fault_traced *p)
{
	struct __ptrace_syscall_info i = {0};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->tid, sizeof(i), &i) < 0)
		return;
	if (i.op == PTRACE_SYSCALL_INFO_ENTRY) {
		p->nr = i.entry.nr;
		fault_entry(t, p, &i);
	}
	if (i.op == PTRACE_SYSCALL_INFO_EXIT && p->inject) {
		ptrace(PTRACE_POKEUSER, p->tid, offsetof(struct user, regs.rax),
			-(long)fault_shared->seen.error);
		p->inject = false;
	}
}

/* p has made a child. */
static void fault_born(struct fault_tracer *t, struct fault_traced *p, int event)
{
	unsigned long tid = 0;
	struct fault_traced *child;

	if (ptrace(PTRACE_GETEVENTMSG, p->tid, NULL, &tid) < 0 ||
		!(child = fault_adopt(t, (pid_t)tid)))
		return;
	child->process = fault_kind(t, p, event);
	if (child->waits)
		ptrace(PTRACE_SYSCALL, child->tid, NULL, NULL);
	child->waits = false;
}

static bool fault_enough(struct fault_tracer *t, const struct fault_traced *p)
{
	const struct fault_shared *s = fault_shared;

	if (!t->done && s->seen.hit && !p->inject)
		fault_finish(t); /* what follows is no concern of ours */
	return t->done || (s->stop && !p->inject && p->process == FAULT_SELF);
}

static void fault_stopped(struct fault_tracer *t, struct fault_traced *p, int status)
{
	int event = status >> 16, signo = WSTOPSIG(status);
	bool call = signo == (SIGTRAP | 0x80);

	if (call)
		fault_syscall(t, p);
	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		event == PTRACE_EVENT_CLONE)
		fault_born(t, p, event);
	if (event == PTRACE_EVENT_EXEC || fault_enough(t, p)) {
		/* one that was killed meanwhile still has to be waited for */
		if (ptrace(PTRACE_DETACH, p->tid, NULL, NULL) == 0)
			fault_gone(t, p);
		return;
	}
	p->waits = p->process == FAULT_NONE;
	if (!p->waits)
		ptrace(PTRACE_SYSCALL, p->tid, NULL,
			(void *)(uintptr_t)(call || event ? 0 : signo));
}

static bool fault_any(const struct fault_tracer *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->list); i++)
		if (t->list[i].tid)
			return true;
	return false;
}

/* One run: until nobody is traced any more. */
static void fault_trace(pid_t thread)
{
	struct fault_tracer t = {.counting = !fault_shared->marked};
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEEXEC;
	char go = ptrace(PTRACE_SEIZE, thread, NULL, options) == 0 ? 'y' : 'n';
	int status;

	if (go == 'y') {
		fault_adopt(&t, thread)->process = FAULT_SELF;
		ptrace(PTRACE_INTERRUPT, thread, NULL, NULL);
	}
	if (write(4, &go, 1) != 1)
		return;
	while (fault_any(&t)) {
		pid_t tid = waitpid(-1, &status, __WALL);
		struct fault_traced *p = tid > 0 ? fault_adopt(&t, tid) : NULL;

		if (!p)
			break;
		if (WIFSTOPPED(status))
			fault_stopped(&t, p, status);
		else
			fault_gone(&t, p);
	}
}

/* What was born while its maker died may stop for us when nobody else is traced any more. */
static void fault_let_go(void)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
		if (WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, tid, NULL, NULL);
}

static _Noreturn void fault_serve(void)
{
	struct pollfd asked = {.fd = 3, .events = POLLIN};
	char c;

	for (;;) {
		if (poll(&asked, 1, 20) == 0) {
			fault_let_go();
			continue;
		}
		if (read(3, &c, 1) != 1)
			break;
		fault_trace(fault_shared->thread);
		fault_shared->busy = false;
	}
	_exit(0);
}

/* ---- for tests ---- */

/* 0, or -errno. */
static UNUSED int fault_open(void)
{
	fault_shared = mmap(NULL, sizeof(*fault_shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault_shared == MAP_FAILED || pipe2(fault_ask, O_CLOEXEC) < 0 ||
		pipe2(fault_go, O_CLOEXEC) < 0)
		return -errno;
	fault_tracer = fork();
	if (fault_tracer == 0) {
		/* copies of what the tested code has open would keep it alive */
		dup2(fault_ask[0], 3);
		dup2(fault_go[1], 4);
		close_range(5, ~0u, 0);
		fault_serve();
	}
	close(fault_ask[0]);
	close(fault_go[1]);
	return fault_tracer < 0 ? -errno : 0;
}

static UNUSED void fault_close(void)
{
	close(fault_ask[1]);
	waitpid(fault_tracer, NULL, 0);
}

/* Begins with thread, 0 being the calling one. False: it cannot be traced. */
static UNUSED bool fault_arm(const struct fault *f, pid_t thread)
{
	char c = 'r';

	while (fault_shared->busy)
		usleep(1000);
	memset(&fault_shared->seen, 0, sizeof(fault_shared->seen));
	fault_shared->plan = *f;
	fault_shared->stop = false;
	fault_shared->busy = true;
	fault_shared->marked = thread == 0;
	fault_shared->thread = thread ? thread : (pid_t)syscall(SYS_gettid);
	if (write(fault_ask[1], &c, 1) != 1 || read(fault_go[0], &c, 1) != 1 || c != 'y')
		return false;
	if (thread == 0)
		prctl(FAULT_MARK, 0, 0, 0, 0);
	return true;
}

/* Until that process is through, which the call under test need not wait for. */
static UNUSED void fault_wait(int process)
{
	const volatile struct fault_seen *now = &fault_shared->seen;

	for (int ms = 0; ms < 5000 && !now->hit && !now->gone[process]; ms++)
		usleep(1000);
}

/* Another thread is let go at its next call only. */
static UNUSED const struct fault_seen *fault_disarm(void)
{
	fault_shared->stop = true;
	(void)getppid();
	return &fault_shared->seen;
}

#endif
