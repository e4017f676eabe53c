/* Whose the bytes on the disk are: berthd's counts and the database, put together. */
#ifndef CONTROL_SHARE_H
#define CONTROL_SHARE_H

#include "control/data/usage.h"

/* What is an app's alone, but for shared_bytes. */
struct share {
	uint32_t app;
	const char *name;
	uint64_t layers, git, caches, logs, volumes, scratch;
	uint64_t unnamed;   /* of scratch: in files without a name */
	uint64_t snapshots; /* of volumes: of what they were before */
	uint64_t shared;    /* layers that it needs, and others too: part of the host's */
};
struct shares {
	struct share *apps; /* as the apps were given */
	size_t n;
	uint64_t shared, base,
		tagged; /* layers of several apps; base images; of images that have a name only */
	uint64_t unneeded;	   /* layers that nothing needs any more */
	uint64_t unfinished;	   /* layers that are being made */
	uint64_t volumes, scratch; /* that no app has */
	uint64_t gone;		   /* of apps that are no more, or are being removed */
	uint64_t database;	   /* and keys */
	uint64_t removing;
	uint64_t other;
	uint64_t unnamed;   /* of the apps' scratch and ours: in no folder */
	uint64_t snapshots; /* of the apps' volumes and ours */
	bool partial;	    /* there is more than could be counted */
};

/* Everything that the counts are joined with; all of it stays the caller's. */
struct share_from {
	const struct usage *usage;
	const struct db_app *apps;
	int n_apps;
	const struct db_layer *layers; /* by id */
	int n_layers;
	const struct db_need *needs; /* by layer, then app */
	int n_needs;
	const struct db_mount *mounts; /* of volumes */
	int n_mounts;
};

/* Names point into f->apps. 0 (shares_clear) or -ENOMEM. */
int shares_make(const struct share_from *f, struct shares *ret);
void shares_clear(struct shares *s);
/* All that is one app's alone. */
uint64_t share_total(const struct share *a);
/* The apps', and everything else: what du says of the state folder, and unnamed. */
uint64_t shares_total(const struct shares *s);

#endif
