/* An image that comes as such becomes a release: imported, or tagged. */
#include "control/builds/docker.h"
#include "control/builds/own_start.h"
#include "control/deploy/deploy.h"
#include "control/images/images.h"
#include "lib/io.h"
#include <stdio.h>
#include <string.h>

/* The other process types of an image that berth once exported. */
static json_t *labelled_processes(const json_t *config)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(config, "Labels"), "berth.processes"));
	json_t *all = text ? json_loads(text, 0, NULL) : NULL, *v;
	json_t *kept = json_object();
	const char *type;

	json_object_foreach (all, type, v)
		if (json_is_string(v) && name_type_valid(type) &&
			strcmp(type, "web") != 0)
			json_object_set(kept, type, v);
	json_decref(all);
	return kept;
}

static int fill_image(struct deploy *d, const char *reference, struct err *e)
{
	struct db_image *image = &d->image;
	json_t *found = NULL, *processes, *layers = NULL, *config = NULL;
	int r = image_base(d->c, reference, &layers, &config, e);

	if (r < 0)
		return r;
	image->app = d->app.id;
	image->layers = layers;
	image->config = json_deep_copy(config);
	image->checks = json_object();
	snprintf(image->pack, sizeof(image->pack), "image");
	json_decref(config);
	processes = labelled_processes(image->config);
	r = docker_find_user(d->c, d->app.id, image->layers, image->config, d->s, e);
	if (r == 0)
		r = own_start_processes(image->config, processes, &found, e);
	json_decref(processes);
	if (r < 0)
		return r;
	image->processes = json_incref(json_object_get(found, "processes"));
	image->env = json_incref(json_object_get(found, "env"));
	json_decref(found);
	r = db_image_create(d->c->db, image);
	return r < 0 ? err_sys(e, -r, "record the image") : 0;
}

static int image_act(struct deploy *d, void *reference, struct err *e)
{
	char description[256];
	int r = fill_image(d, reference, e);

	d->built_ns = io_mono_ns();
	if (r < 0)
		return r;
	deploy_set_stopped(d, false);
	snprintf(description, sizeof(description), "Image %.200s",
		(const char *)reference);
	d->release_task = true;
	return deploy_release(d, description, e);
}

static int image_locked(struct deploy *d, void *reference, struct err *e)
{
	int r = deploy_config_load(d, e);

	return r < 0 ? r : deploy_work(d, "image", "", image_act, reference, e);
}

int deploy_image(struct control *c, uint32_t app, const char *reference,
	const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, image_locked, (void *)(uintptr_t)reference, e);
}
