/*
 * Images that bring their own start: built from a Dockerfile, or imported. db_image.config is the `config` object of their
 * OCI image configuration (Entrypoint, Cmd, User, WorkingDir, Env, ExposedPorts ...), and in its member "Berth" what was
 * found out about them here: {"uid", "gid", "home", "web", "kept"}. web is the text that stands for Entrypoint and Cmd among
 * the image's processes; kept are the layers of its build, other stages' too, which the next build will ask for.
 */
#ifndef CONTROL_OWN_START_H
#define CONTROL_OWN_START_H

#include "control/control.h"

/* {}: it does not. */
bool own_start(const struct db_image *i);
/*
 * What the image starts, *ret {"processes": {type: command}, "env": {NAME: VALUE}} from Env, Entrypoint and Cmd (web), and
 * the Procfile's types (may be NULL), which win; notes "web" in config. -EINVAL when nothing is to be started.
 */
int own_start_processes(
	json_t *config, const json_t *procfile, json_t **ret, struct err *e);
/*
 * The words of a process type's command (image.processes), or of a one-off's argv (command NULL). Entrypoint stands before
 * a command, not before a one-off; the text of a Procfile is its Cmd in shell form. A new array, or NULL.
 */
json_t *own_start_argv(
	const struct db_image *i, const char *command, const char *const *argv);
const char *own_start_folder(const struct db_image *i);
const char *own_start_home(const struct db_image *i);
void own_start_user(const struct db_image *i, struct msg_start *m);
/* STOPSIGNAL, as in msg_start; 0: none. */
uint32_t own_start_stop_signal(const struct db_image *i);
/* The first TCP port that it exposes; 0: none. */
uint16_t own_start_port(const struct db_image *i);
/* A spec memfd (lib/spec.h) for it; -errno. */
int own_start_pack(const struct db_image *i, const char *command, const char *const *argv,
	const char *const *env);

#endif
