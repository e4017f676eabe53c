/* What several handlers show of an app: its state, hostnames and formation, as JSON. */
#ifndef CONTROL_VIEW_H
#define CONTROL_VIEW_H

#include "control/control.h"

/*
 * created (no release yet), removing, stopped, running, starting, waiting (for its turn
 * after a boot), restarting (soon), crashed, ended (as its restart policy says), idle
 * (scaled to nothing). rows: instances not ended, of this app and perhaps others.
 */
const char *view_state(
	struct control *c, const struct db_app *a, const struct db_instance *rows, int n);
/* Running instances of the app among rows. */
unsigned int view_running(const struct db_app *a, const struct db_instance *rows, int n);
/* "http://..." or "" while the app has no hostname. Array of all hostnames, custom ones
 * first. NULL: failed. */
json_t *view_hostnames(struct control *c, const struct db_app *a);
/* Process types of the live release -> command; an empty object without a release. NULL:
 * failed. */
json_t *view_processes(struct control *c, uint32_t app);
/* "web, worker" */
void view_type_names(const json_t *processes, char *out, size_t size);
/* The URL as a JSON string. */
json_t *view_url(struct control *c, const struct db_app *a);

#endif
