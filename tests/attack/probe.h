/* What the attacks share: results, and the probe's small helpers. */
#ifndef ATTACK_PROBE_H
#define ATTACK_PROBE_H

#include <stddef.h>
#include <sys/types.h>

/* An attack's result: 0, an errno, or one of these. */
enum {
	NOTHING = 1000, /* no error and no effect */
	TIMEOUT = 1001,
	DIED = 1002, /* no answer of the probe */
	SKIP = 1003,
	KILLED = 1100, /* + signal */
};
#define KILLED_BY(sig) (KILLED + (sig))

/* What the driver tells in the probe's environment. */
#define ENV_HOST_PID "ATTACK_HOST_PID"	 /* of a process of the host */
#define ENV_APP_PID "ATTACK_APP_PID"	 /* of another app's command, the host's number */
#define ENV_APP_ADDR "ATTACK_APP_ADDR"	 /* IPv4 of the other app */
#define ENV_HOST_PATH "ATTACK_HOST_PATH" /* a file of the host */
#define PORT_APP 5000			 /* it listens there, TCP and UDP */
#define HOST_ADDR "203.0.113.1"		 /* the host, as the world sees it */
#define WORLD_ADDR "203.0.113.2" /* another machine; it has the next two as well */
#define PRIVATE_ADDR "10.77.0.2"
#define METADATA_ADDR "169.254.169.254"
#define SPOOFED_ADDR "203.0.113.77"
#define PORT_WORLD 7000
#define PORT_HOST 7001
#define PORT_SPOOF 7002 /* UDP, of the other machine */
#define HOST_ABSTRACT "berth-attack-host"
#define HOST_SHM_KEY 0x62657274
#define HOST_MQUEUE "/berth-attack"
#define LEAKED_FD 200
#define FLOOD_BYTES (16u << 20)

/* Exit status of "probe who": these bits together. */
enum { WHO = 64, WHO_ROOT = 1, WHO_NET_ADMIN = 2 };

/* 0 or errno of a call that gives -1. */
int result(long r);
/* Opens and closes: 0 or errno. */
int try_open(const char *path, int flags);
/* Opens and reads: 0 when there is something to read, NOTHING, or errno. */
int try_read(const char *path);
/* Runs f in a child: its result, or KILLED_BY its signal. */
int in_child(int (*f)(void));
/* A child that sleeps until it is killed. */
pid_t sleeper(void);
void end_sleeper(pid_t pid);
int env_number(const char *name);

#define BOTH(name, ...) int attack_##name(void);
#define EACH BOTH
#define ALONE_BOTH BOTH
#define ALLOWED BOTH
#include "rows.h"
#undef BOTH
#undef EACH
#undef ALONE_BOTH
#undef ALLOWED

#define LINGER_S 2 /* the time that pass_linger takes from who gets its descriptor */

#endif
