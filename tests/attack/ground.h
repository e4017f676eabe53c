/*
 * The ground that the attack tests stand on: a host of their own in private namespaces (pid, mount, network, ipc,
 * uts), with a process, services and a world behind it to attack, a runtime with planted layers and volumes, and
 * another app. What a sandbox without guards reaches is this, never the machine. All of it goes with its processes.
 */
#ifndef ATTACK_GROUND_H
#define ATTACK_GROUND_H

#include "runtime/inside.h"
#include <sys/types.h>

#define VOLUME_OWN                                                                       \
	5 /* read-write at /volume: a device node and a set-uid program in it */
#define VOLUME_READ_ONLY 6 /* at /volume-ro */
#define VOLUME_OTHER 9	   /* the other app's */

struct guest {
	struct msg_start start;
	struct sandbox_record rec;
	struct err e;
	int pidfd, exit_fd, fifo_fd;
	int out; /* its stdout (and stderr without a FIFO), our end */
};

struct ground {
	char dir[64], state[96];
	struct runtime *rt;
	uint64_t next;	/* sandbox id */
	int init[2][2]; /* berth-init to run: [dumpable][readable] */
	pid_t host_pid;
	volatile unsigned int *host_signals; /* how often it was reached */
	int host_tcp, host_abstract, world_tcp, world_udp;
	struct guest app; /* the other one */
	char env[4][96];  /* what the probe is told */
	bool net_off;
};

/*
 * Runs body(arg) as the only thing in such private namespaces, then removes what it left (control groups, dir).
 * Returns body's exit status, or 1 when it did not end within the seconds.
 */
int ground_run(int (*body)(struct ground *g, void *arg), void *arg, unsigned int seconds);

/* Opens runtime, services, world and the other app. 0, or -1 and a line on stderr. bin: folder of the programs;
 * probe: the static one; open_init: berth-init without GUARD_DUMP, NULL: none. */
int ground_open(
	struct ground *g, const char *bin, const char *probe, const char *open_init);
/* Everything ended and removed; false when something was left. */
bool ground_close(struct ground *g);

/* A sandbox with the layer and the volumes; small limits, or with GUARD_LIMITS in off far higher ones. */
struct guest guest_new(struct ground *g, uint32_t profile, uint32_t off);
/* argv: of the probe, without its name. log_fd: FIFO for stderr, -1: none. 0 or -errno, e set. */
int guest_start(struct ground *g, struct guest *b, const char *const *argv, int log_fd);
/* The same in a running one, as berth enter does. */
int guest_enter(struct ground *g, const struct guest *target, struct guest *b,
	const char *const *argv);
/* Waits for its end, kills it after the seconds; reaps. False: it had to be killed. */
bool guest_wait(struct ground *g, struct guest *b, unsigned int seconds);
/* True when nobody has the other end of its output any more, within ms. What is read meanwhile is dropped. */
bool guest_silent(struct guest *b, int ms);
/* After the wait: frees what it held. */
void guest_done(struct ground *g, struct guest *b);

/* host.c and guest.c, for ground_open: what is outside, and what a sandbox finds. 0 or -1. */
int host_open(struct ground *g);
int guest_plant(struct ground *g, const char *probe);
/* A copy of a file. 0 or -1. */
int ground_copy(const char *from, const char *to, uid_t owner, mode_t mode);
/* What a root folder and a volume hold, for sandboxes whose root is that user. 0 or -1. */
int ground_plant_root(const char *folder, const char *probe, uid_t root);
int ground_plant_volume(const char *folder, const char *probe, uid_t root);
/* "attack: WHAT: errno's words" on stderr. -1. */
int ground_trouble(const char *what);

/* Leaves out these guards from now on (enum guard); 0: none. In a build without BERTH_TEST_GUARDS only 0 works. */
void ground_guards(struct ground *g, uint32_t off);

#endif
