/* Base images by name. */
#include "control/docker.h"
#include "control/images.h"
#include <errno.h>
#include <string.h>

/* Names under which people know what a stack is. */
static const struct {
	const char *name, *stack;
} aliases[] = {
	{"debian", "debian-12"},
	{"debian:latest", "debian-12"},
	{"debian:stable", "debian-12"},
	{"debian:stable-slim", "debian-12"},
	{"debian:bookworm", "debian-12"},
	{"debian:bookworm-slim", "debian-12"},
	{"debian:12", "debian-12"},
	{"debian:12-slim", "debian-12"},
	{"debian-12", "debian-12"},
};

/* "docker.io/library/debian:12" is debian:12. */
static const char *short_name(const char *reference)
{
	static const char *const leads[] = {
		"docker.io/library/", "docker.io/", "library/"};

	for (size_t i = 0; i < ARRAY_LEN(leads); i++)
		if (strncmp(reference, leads[i], strlen(leads[i])) == 0)
			return reference + strlen(leads[i]);
	return reference;
}

static int stack_base(
	struct control *c, json_t **ret_layers, json_t **ret_config, struct err *e)
{
	uint64_t id;
	int r = stack_layer(c, &id, e);

	if (r < 0)
		return r;
	*ret_layers = json_pack("[I]", (json_int_t)id);
	*ret_config = json_pack("{s:[s], s:[s]}", "Env",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"Cmd", "/bin/bash");
	return *ret_layers && *ret_config ? 0 : err_set(e, ENOMEM, "out of memory");
}

int docker_base(struct control *c, const char *reference, json_t **ret_layers,
	json_t **ret_config, struct err *e)
{
	const char *name = short_name(reference);

	/* one that was imported under the name of a stack is meant */
	int r = image_base(c, name, ret_layers, ret_config, e);
	for (size_t i = 0; r == -ENOENT && i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i].name, name) == 0)
			return stack_base(c, ret_layers, ret_config, e);
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			"base image %.200s is not known here; there are scratch, "
			"debian:12 (also "
			"debian:bookworm, -slim) and what `berth images:list` shows; "
			"`berth "
			"images:import` brings another",
			reference);
	return r;
}
