/* What bin/release of a classic buildpack prints: the subset of YAML that buildpacks
 * write there. */
#ifndef BUILDPACKS_RELEASE_YAML_H
#define BUILDPACKS_RELEASE_YAML_H

#include "buildpacks/plan/plan.h"

/*
 * Adds default_process_types (types already in p stay) and config_vars to the plan; other
 * top-level keys are skipped. Known forms: "key:" with indented "name: value" lines,
 * "key: {}", "key: []", "key: {name: value, …}"; values plain, 'single' or "double"
 * quoted; comments. 0, -EINVAL with the line's number.
 */
int release_yaml_parse(struct plan *p, const char *text, size_t len, struct err *e);

#endif
