/*
 * What a Dockerfile means: from its instructions, the images it builds on and the files beside it
 * to steps, each with everything it depends on, and the configuration of the image. The order of
 * events is control's: it asks for the bases first, then for the plan (control/builds/docker.h).
 */
#ifndef BUILDPACKS_DOCKER_PLAN_H
#define BUILDPACKS_DOCKER_PLAN_H

#include "buildpacks/dockerfile/docker_context.h"
#include "buildpacks/dockerfile/dockerfile.h"
#include "buildpacks/plan/plan.h"

#define DOCKER_STAGES_MAX 64

/*
 * {"bases": [reference...]}: images that the needed stages begin with or copy from (no stages of
 * its own, no scratch). -errno with e.
 */
int docker_bases(const struct dockerfile *d, json_t **ret, struct err *e);

/*
 * input: {"bases": {reference: configuration}, "args": {NAME: VALUE}, "config": [KEY...]}; a
 * configuration is the `config` object of an OCI image configuration, args are the build's, config
 * names the config variables that it sees. Returns
 *
 * {"stages": [{"from": {"scratch": true} | {"image": reference} | {"stage": N}, "steps": [step...]}
 *  or null, ...], "target": N, "n_steps": N, "config": configuration, "warnings": [sentence...], "health_path"?: PATH,
 *  "predefined": {NAME: VALUE} (of args: for every RUN, part of no key)}
 *
 * A stage that the last one does not need is null. A step is
 * {"op": "run" | "copy", "line": N, "title": "RUN ...", "do": what its sandbox is told,
 *  "context": [path...] (copy: of the source tree), "from": as above (copy: of another image),
 *  "private": true (it sees values of the app's own)}.
 */
int docker_plan(const struct dockerfile *d, struct docker_context *context,
	const json_t *input, json_t **ret, struct err *e);

/*
 * Whether the tree in APP_DIR is built by its Dockerfile: it has one, no buildpack is forced and no
 * .buildpacks names any. 1 with p->pack "dockerfile" and p->docker what docker_bases says (or
 * p->error), else 0.
 */
int docker_detect(struct plan *p);
/* Reads APP_DIR/Dockerfile. As dockerfile_parse. */
int docker_read(struct dockerfile *d, struct err *e);

#endif
