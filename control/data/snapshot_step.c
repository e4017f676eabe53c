/* A step of berth-build that has a volume's snapshots. */
#include "control/data/snapshot_step.h"
#include "control/builds/layers.h"
#include "control/builds/step.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>

const char *snapshot_name(uint64_t id, char out[32])
{
	snprintf(out, 32, "s%llu", (unsigned long long)id);
	return out;
}

static void quiet_write(struct sink *s, char kind, const char *text)
{
	(void)s;
	if (kind == 'o')
		log_info("%s", text);
}

struct sink vault_quiet(void)
{
	return (struct sink){.write = quiet_write, .watch_fd = -1};
}

/* Its root is an empty layer of its own, which goes. */
int vault_step(struct control *c, const struct vault_step *v, struct sink *s,
	json_t **ret, struct err *e)
{
	const struct msg_mount mounts[] = {
		{.id = v->volume, .kind = MOUNT_SNAPSHOTS, .path = "/vault"},
		{.id = v->volume, .kind = MOUNT_VOLUME, .path = "/volume"}};
	struct step st = {.app = STEP_NO_APP,
		.command = v->command,
		.argument = v->argument,
		.env = v->env,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET,
		.quick = true,
		.discard = true,
		.stdin_fd = v->in,
		.output_fd = v->out,
		.mounts = mounts,
		.n_mounts = v->with_volume ? 2 : 1};
	int r = db_layer_begin(c->db, "vault", "", 0, &st.upper);

	*ret = NULL;
	if (r < 0)
		return err_sys(e, -r, "record a step");
	r = step_run(c, &st, s, ret, e);
	layer_drop(c, st.upper);
	if (r == 0 && !*ret)
		r = err_set(e, EIO, "the %s ended without a result", v->command);
	return r;
}
