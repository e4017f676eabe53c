/* Disk: layers are counted, and those that nothing can need any more removed. */
#ifndef CONTROL_RETENTION_H
#define CONTROL_RETENTION_H

#include "control/control.h"

/* In the background, at most once a minute; the request in between is kept for the next call. */
void retention_soon(struct control *c);
/* berthd counts a layer some seconds after it was made: asks it for the sizes that are not known yet. */
void retention_count(struct control *c);
/* Has berthd write the image's layers to disk, without waiting. 0, or -EIO: the disk failed, and the next build makes anew what is lost. */
int retention_begin_settle(struct control *c, const json_t *layers);
/* Waits until they are there: what a release is made of outlives a power cut. 0, -ETIMEDOUT, -EIO as above or -errno. */
int retention_settle(struct control *c, const json_t *layers);
/* At once, before it returns: layers that nothing needs, that were not used for an hour, nor by what runs for longer. */
void retention_now(struct control *c);
/* While on, as often as off follows: no layer is removed. */
void retention_hold(bool on);
/* Now: layers that nothing needs, without the hour that they have else; kept: how many releases are. Their bytes, as far as they were counted. */
uint64_t retention_drop(struct control *c, enum db_kept kept);
/* What was last used before then, no build and no import that runs has found. */
uint64_t retention_since(struct control *c);
/* The ids of all final layers on disk, rising; *ret allocated, NULL before. How many, or -errno. */
int retention_list(struct control *c, uint64_t **ret);
/*
 * Removes those of the layers, which were on disk, that have no row now: a row is made before its layer and goes before it,
 * so control died between the two, or something used the layer then.
 */
void retention_drop_stray(struct control *c, const uint64_t *ids, int n);
/* Removes those that were begun before then and never became ready, with their rows: of builds of an earlier control, whose sandboxes may
 * have had them still when this one started. */
void retention_drop_half(struct control *c, uint64_t before_us);
/* Removes what lies on disk, final or half-made, and has no row. */
void retention_stray(struct control *c);
/* Removes a layer that was last used before then and that nothing can need. 0, -ENOENT: it is needed after all, -errno. */
int retention_remove(struct control *c, uint64_t id, uint64_t older_than_us);

#endif
