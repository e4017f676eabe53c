/*
 * What berthd knows about a sandbox, on disk in run/instances: ID (16 hex digits) holds
 * struct record, ID.exit what its PID 1 writes at the end. Written before each step, so
 * that a restarted worker, or a later berthd, finds everything. Not fsynced: after a
 * power loss no process of it lives.
 */
#ifndef RUNTIME_RECORDS_H
#define RUNTIME_RECORDS_H

#include "lib/proto.h"
#include "runtime/runtime.h"

#define RECORD_MAGIC                                                                     \
	0x62726331u /* changes with the layout: records of another layout are not read   \
		     */

enum record_kind { RECORD_SANDBOX = 1, RECORD_STACK };
enum record_state {
	RECORD_STARTING = 1, /* nobody was told that it runs */
	RECORD_RUNNING,
	RECORD_ENDED, /* exited is filled */
};
enum record_flags {
	RECORD_FIFO = 1 << 0, /* has a log FIFO that the logger has not read to the end */
	RECORD_ACKED = 1 << 1,	  /* control knows of the end */
	RECORD_STOPPING = 1 << 2, /* kill_at_ns holds */
	RECORD_KILLED =
		1
		<< 3, /* SIGKILL was sent to all of it: berth-init leaves no word then */
};

struct record {
	uint32_t magic;
	uint32_t kind, state, flags;
	uint64_t id;
	uint32_t app;
	union {
		uint32_t
			pid; /* this and start_time: of RECORD_STACK; sandboxes have theirs
				     in sandbox */
		uint32_t release; /* of a sandbox, as in msg_start */
	};
	uint64_t start_time;
	uint64_t boot;	     /* RECORD_STACK: records_boot() */
	uint64_t kill_at_ns; /* monotonic: SIGKILL is due */
	struct sandbox_record sandbox;
	struct msg_exited exited;
	uint32_t n_layers, n_mounts;
	uint64_t upper;
	uint64_t layers[PROTO_LAYERS_MAX];
	struct {
		uint64_t id;
		uint32_t kind, pad;
	} mounts[PROTO_MOUNTS_MAX];
};

/* dirfd is that of run/instances everywhere. All return 0 or -errno (-ENOENT: there is
 * none). */
int record_write(int dirfd, const struct record *r);
int record_read(int dirfd, uint64_t id, struct record *ret);
/* Removes it and its exit file; absent is 0. */
int record_remove(int dirfd, uint64_t id);
/* Calls cb for each; those that cannot be read, or were not finished, are removed. */
int records_walk(int dirfd, void (*cb)(void *arg, const struct record *r), void *arg);
/* A new empty exit file, open for reading and writing / an existing one for reading. fd
 * or -errno. */
int record_exit_create(int dirfd, uint64_t id);
int record_exit_open(int dirfd, uint64_t id);
/* A hash of the kernel's boot id; 0 when it cannot be read. */
uint64_t records_boot(void);

/* The names of folders and files of u64 ids: 16 hex digits and a suffix. */
void id_name(char out[32], uint64_t id, const char *suffix);
/* The id of exactly 16 lower-case hex digits followed by the suffix; false for every
 * other name. */
bool id_parse(const char *name, const char *suffix, uint64_t *ret);

#endif
