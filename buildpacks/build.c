/*
 * berth-build: every read or write of layer content. Runs inside a sandbox, always; the
 * root is the sandbox's overlay, the built-in buildpacks are at /berth/packs. What it
 * prints for people goes to stderr, results to stdout.
 */
#include "buildpacks/command.h"
#include "lib/base.h"
#include "lib/log.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *args;
	int n_min, n_max; /* arguments */
	int (*run)(int argc, char **argv);
} commands[] = {
	{"unpack", "< STACK.tar", 0, 0, command_unpack},
	{"source", "[changes] < TREE.tar", 0, 1, command_source},
	{"toolchain", "PACK [KEY]", 1, 2, command_toolchain},
	{"deps", "PACK < FILES.tar", 1, 1, command_deps},
	{"compile", "PACK", 1, 1, command_compile},
	{"docker-plan", "< ORDERS", 0, 0, command_docker_plan},
	{"docker-run", "< ORDERS", 0, 0, command_docker_run},
	{"docker-copy", "< ORDERS FILES.tar", 0, 0, command_docker_copy},
	{"docker-pack", "< ORDERS > FILES.tar", 0, 0, command_docker_pack},
	{"docker-user", "< ORDERS", 0, 0, command_docker_user},
	{"layer", "oci|oci-zstd|docker|rootfs|digest", 1, 1, command_layer},
	{"diff", "", 0, 0, command_diff},
	{"rebase", "", 0, 0, command_rebase},
	{"import-plan", "< IMAGE.tar", 0, 0, command_import_plan},
	{"import-layer", "< IMAGE.tar", 0, 0, command_import_layer},
	{"stow", "< KNOWN > FILES", 0, 0, command_stow},
	{"unstow", "< FILES", 0, 0, command_unstow},
	{"empty", "", 0, 0, command_empty},
	{"archive", "< ARCHIVE > PACK", 0, 0, command_archive},
	{"snapshot", "NAME", 1, 1, command_snapshot},
	{"restore", "NAME", 1, 1, command_restore},
	{"forget", "", 0, 0, command_forget},
	{"volume-export", "NAME > ARCHIVE", 1, 1, command_volume_export},
	{"volume-import", "NAME < ARCHIVE", 1, 1, command_volume_import},
	{"json", "FILE KEY[/KEY]...", 1, 64, command_json},
	{"semver", "RANGE [PREFERRED] < VERSIONS | --covers RANGE MAJOR", 1, 3,
		command_semver},
};

static int usage(void)
{
	fprintf(stderr, "usage:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(stderr, "  berth-build %s %s\n", commands[i].name,
			commands[i].args);
	return 2;
}

int main(int argc, char **argv)
{
	log_open("berth-build");
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argc - 2 < commands[i].n_min || argc - 2 > commands[i].n_max)
			break;
		return commands[i].run(argc - 1, argv + 1);
	}
	return usage();
}
