/* Hostnames, buildpacks and drains. */
#include "cli/part.h"
#include "lib/drain_url.h"

#include <stdio.h>
#include <string.h>

void plan_domains(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:[], s:[]}", "add", "remove"), *v;
	char index[24];
	size_t i;

	json_array_foreach (want, i, v) {
		snprintf(index, sizeof(index), "%zu", i);
		if (list_holds(have, v))
			continue;
		part_note(p, "add", json_string_value(v), NULL, NULL,
			part_place(p, index, NULL));
		json_array_append(json_object_get(body, "add"), v);
	}
	json_array_foreach (have, i, v) {
		if (!p->prune || list_holds(want, v))
			continue;
		part_note(p, "remove", json_string_value(v), NULL, NULL,
			part_place(p, NULL, NULL));
		json_array_append(json_object_get(body, "remove"), v);
	}
	part_call(p, "PATCH", body, false, p->app ? "domains" : "/v1/domains");
}

/* Their order counts: a list that is another takes the place of the one there. */
void plan_buildpacks(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:O}", "set", want);

	if (!json_equal(want, have) && (json_array_size(want) || json_array_size(have)))
		part_note(p, "change", "list", NULL, NULL, part_place(p, NULL, NULL));
	part_call(p, "PATCH", body, false, "buildpacks");
}

/* As the API shows it: without passwords, and the certificate as a fact. */
static json_t *drain_shown(const json_t *drain)
{
	json_t *o = json_deep_copy(drain);
	char shown[DRAIN_URL_MAX];
	struct drain_url u;

	if (drain_url_parse(out_member(drain, "url"), &u, NULL) == 0) {
		drain_url_show(&u, shown);
		json_object_set_new(o, "url", json_string(shown));
	}
	if (json_object_get(o, "ca"))
		json_object_set_new(o, "own-ca", json_true());
	json_object_del(o, "ca");
	if (!json_is_true(json_object_get(o, "gzip")))
		json_object_del(o, "gzip");
	if (!json_is_true(json_object_get(o, "insecure")))
		json_object_del(o, "insecure");
	return o;
}

static void drop_drain(struct part *p, const json_t *drain)
{
	part_call(p, "DELETE", NULL, false,
		p->app ? "drains?drain=%s" : "/v1/drains?drain=%s",
		api_word(out_member(drain, "url")));
}

/* The one of that URL; NULL. */
static json_t *drain_at(const json_t *list, const json_t *url)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_equal(json_object_get(v, "url"), url))
			return v;
	return NULL;
}

void plan_drains(struct part *p, const json_t *want, const json_t *have)
{
	json_t *named = json_array(), *v;
	size_t i;

	json_array_foreach (want, i, v) {
		json_t *shown = drain_shown(v), *url = json_object_get(shown, "url");
		json_t *old = drain_at(have, url);
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		json_array_append_new(named, shown);
		if (old && json_equal(old, shown))
			continue;
		if (old)
			drop_drain(p, old);
		part_note(p, old ? "change" : "add", json_string_value(url), NULL, NULL,
			part_place(p, index, NULL));
		part_call(p, "POST", json_deep_copy(v), false,
			p->app ? "drains" : "/v1/drains");
	}
	json_array_foreach (have, i, v) {
		if (!p->prune || drain_at(named, json_object_get(v, "url")))
			continue;
		part_note(p, "remove", out_member(v, "url"), NULL, NULL,
			part_place(p, NULL, NULL));
		drop_drain(p, v);
	}
	json_decref(named);
}
