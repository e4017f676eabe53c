/*
 * From what a host file says and what the host says to the steps between them. A plan is a list of steps, in the order in
 * which they are done:
 *
 *   {app: name or null, section: "config",
 *    changes: [{change: "add", "change" or "remove", what, from?, to?, path: [names in the file]}],
 *    calls: [{method, path, body?, stream: bool, first, end: the changes that it makes}]}
 *
 * Values of config, passwords and keys are in no change.
 */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "cli/cli.h"
#include "cli/hostfile.h"

/*
 * Asks the API for what the file speaks of. prune: what a section of the file does not name is to go; volumes never. 0 or a
 * status, said.
 */
int plan_make(struct cli *c, const struct hostfile *f, bool prune, json_t **ret);
/* Changes of that kind ("remove"; NULL: all) in the steps. */
size_t plan_count(const json_t *steps, const char *kind);

#endif
