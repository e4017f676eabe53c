/* Network rules. */
#include "cli/part.h"

#include <stdio.h>
#include <string.h>

static const char *rule_target(const json_t *rule)
{
	json_t *allow = json_object_get(rule, "allow");

	return json_string_value(allow ? allow : json_object_get(rule, "deny"));
}

/* The same of two: allowed or denied aside. */
static bool same_rule(const json_t *a, const json_t *b)
{
	return strcmp(rule_target(a), rule_target(b)) == 0 &&
	       strcmp(out_member(a, "ports"), out_member(b, "ports")) == 0 &&
	       strcmp(out_member(a, "protocol"), out_member(b, "protocol")) == 0 &&
	       json_is_true(json_object_get(a, "builds")) ==
		       json_is_true(json_object_get(b, "builds"));
}

static json_t *rule_like(const json_t *list, const json_t *rule)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (same_rule(v, rule))
			return v;
	return NULL;
}

static const char *rule_text(const json_t *rule)
{
	static char text[512];
	const char *ports = out_member(rule, "ports"),
		   *protocol = out_member(rule, "protocol");

	snprintf(text, sizeof(text), "%s %s%s%s%s%s%s",
		json_object_get(rule, "allow") ? "allow" : "deny", rule_target(rule),
		*ports ? " port " : "", ports, *protocol ? " " : "", protocol,
		json_is_true(json_object_get(rule, "builds")) ? " of builds" : "");
	return text;
}

static void put_rule(struct part *p, const json_t *rule)
{
	part_call(p, "POST",
		json_pack("{s:s, s:O*, s:O*, s:O*}", "target", rule_target(rule), "ports",
			json_object_get(rule, "ports"), "protocol",
			json_object_get(rule, "protocol"), "builds",
			json_object_get(rule, "builds")),
		false, "network/%s", json_object_get(rule, "allow") ? "allow" : "deny");
}

/* A rule without ports takes all about its target with it: those that stay are put again. */
static void drop_rule(struct part *p, const json_t *rule, const json_t *want)
{
	const char *ports = out_member(rule, "ports"),
		   *protocol = out_member(rule, "protocol");
	json_t *v;
	size_t i;

	part_call(p, "DELETE", NULL, false, "network?target=%s%s%s%s%s%s",
		api_word(rule_target(rule)), *ports ? "&ports=" : "", api_word(ports),
		*protocol ? "&protocol=" : "", api_word(protocol),
		json_is_true(json_object_get(rule, "builds")) ? "&builds=1" : "");
	json_array_foreach (want, i, v)
		if (!*ports && !*protocol &&
			strcmp(rule_target(v), rule_target(rule)) == 0)
			put_rule(p, v);
}

void plan_network(struct part *p, const json_t *want, const json_t *have)
{
	json_t *v;
	size_t i;

	json_array_foreach (have, i, v) {
		if (!p->prune || rule_like(want, v))
			continue;
		part_note(
			p, "remove", rule_text(v), NULL, NULL, part_place(p, NULL, NULL));
		drop_rule(p, v, want);
	}
	json_array_foreach (want, i, v) {
		json_t *old = rule_like(have, v);
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		if (old && !json_object_get(old, "allow") == !json_object_get(v, "allow"))
			continue;
		part_note(p, old ? "change" : "add", rule_text(v), NULL, NULL,
			part_place(p, index, NULL));
		put_rule(p, v);
	}
}
