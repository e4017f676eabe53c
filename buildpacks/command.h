/* The commands of berth-build: one row each in build.c. */
#ifndef BUILDPACKS_COMMAND_H
#define BUILDPACKS_COMMAND_H

/* Each gets the words after the program's name (argv[0] is the command) and returns the
 * exit status. */
int command_unpack(int argc, char **argv);
int command_source(int argc, char **argv);
int command_toolchain(int argc, char **argv);
int command_deps(int argc, char **argv);
int command_compile(int argc, char **argv);
/* Of a Dockerfile (dockerfile/docker_step.c); each reads its orders from stdin. */
int command_docker_plan(int argc, char **argv);
int command_docker_run(int argc, char **argv);
int command_docker_copy(int argc, char **argv);
int command_docker_pack(int argc, char **argv);
int command_docker_user(int argc, char **argv);
/* Images: a layer as tar, what differs between two. */
int command_layer(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_rebase(int argc, char **argv);
int command_import_plan(int argc, char **argv);
int command_import_layer(int argc, char **argv);
/* Snapshots of a volume (volume/vault_cmd.c). */
int command_snapshot(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_volume_export(int argc, char **argv);
int command_volume_import(int argc, char **argv);
/* Files of a volume, for a backup. */
int command_stow(int argc, char **argv);
int command_unstow(int argc, char **argv);
int command_empty(int argc, char **argv);
/* A source archive as a commit (source/archive.c). */
int command_archive(int argc, char **argv);
/* Helpers for the packs' scripts. */
int command_json(int argc, char **argv);
int command_semver(int argc, char **argv);
/* What every script may rely on, whatever started us: PATH, HOME, BERTH_BUILD, no
 * GIT_DIR, umask 022. */
void step_environment(void);

#endif
