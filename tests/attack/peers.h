/* The attacks under other sandboxes with their defaults, to compare. */
#ifndef ATTACK_PEERS_H
#define ATTACK_PEERS_H

#include "tests/attack/ground.h"

enum peer { RUNC, BWRAP, PEERS };
extern const char *const peer_names[PEERS];

/* Installed here. */
bool peer_there(enum peer p);
/* The root folder that they get: the probe, and the same planted files as in a layer. 0 or -1. */
int peers_plant(struct ground *g, const char *probe);
/* Runs the probe's rows (argv, NULL at the end) there, as uid 1000 or 0; what it prints, at most out->max. 0 or -1. */
int peer_run(struct ground *g, enum peer p, bool root, const char *const *argv,
	struct buf *out);

#endif
