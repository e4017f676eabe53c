/* backup:verify and backup:list: what is in a store, and whether all of it can be read. */
#include "backup/run.h"
#include "backup/tree.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FILES_TOLD 5 /* of one item; the rest is counted */

struct check {
	const json_t *item;
	unsigned int told;
};

static const char *what(const json_t *item)
{
	static char text[400];

	snprintf(text, sizeof(text), "%s%s%.200s", text_of(item, "kind"),
		*text_of(item, "name") ? " " : "", text_of(item, "name"));
	return text;
}

static void missing(void *arg, const char *path, const char *why)
{
	struct check *c = arg;

	if (c->told++ < FILES_TOLD)
		say_fail("%s: %s%s%s", what(c->item),
			*path ? path : "the list of its files", ": ", why);
}

static int look(void *arg UNUSED, const void *data UNUSED, size_t size UNUSED,
	struct err *e UNUSED)
{
	return 0;
}

static bool is_tree(const json_t *item)
{
	return json_object_get(item, "entries") != NULL;
}

/* How much of it cannot be restored: files of a tree, or 1. */
static int check_item(struct store *s, const json_t *item)
{
	struct check c = {.item = item};
	struct err e = {0};

	if (!is_tree(item)) {
		if (blob_read(s, json_object_get(item, "chunks"), look, NULL, &e) == 0)
			return 0;
		say_fail("%s: %s", what(item), e.text);
		return 1;
	}
	int bad = tree_verify(s, item, missing, &c);
	if (c.told > FILES_TOLD)
		say_fail("%s: and %u files more", what(item), c.told - FILES_TOLD);
	return bad;
}

static int check_list(struct store *s, const json_t *list)
{
	const json_t *items = json_object_get(list, "items");
	size_t i, n = json_array_size(items), whole = 0;
	int bad = 0;
	json_t *item;

	json_array_foreach ((json_t *)(uintptr_t)items, i, item) {
		int hit = check_item(s, item);

		bad += hit;
		whole += hit == 0;
	}
	if (!bad) {
		say_step("Backup %s: all of %zu things can be restored",
			text_of(list, "id"), n);
		return 0;
	}
	say_fail("backup %s is damaged: %zu of %zu things are whole", text_of(list, "id"),
		whole, n);
	return bad;
}

static int check_one(struct store *s, const char *id, int *bad, struct err *e)
{
	json_t *list = NULL;
	int r = list_read(s, id, &list, e);

	if (r < 0) {
		say_fail("%s", e->text);
		(*bad)++;
		return 0;
	}
	*bad += check_list(s, list);
	json_decref(list);
	return 0;
}

int run_verify(const struct options *o, struct err *e)
{
	char(*ids)[STORE_ID_MAX] autofree = NULL;
	struct store *s = NULL;
	int bad = 0, n, r = store_open(o->place, &o->secret, &s, e);

	if (r < 0)
		return r;
	if (*store_fault(s)) {
		say_fail("%s", store_fault(s));
		bad++;
	}
	n = o->id || !store_is_folder(s) ? 1 : store_list(s, &ids, e);
	for (int i = 0; i < n; i++)
		check_one(s, ids ? ids[i] : o->id, &bad, e);
	store_close(s);
	if (n < 0)
		return n;
	if (n == 0)
		return err_set(e, ENOENT, "there is no backup in this folder");
	return bad ? err_set(e, EBADMSG, "the backup is damaged") : 0;
}

/* ---- list ---- */

static uint64_t bytes_of(const json_t *list)
{
	uint64_t sum = 0;
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(list, "items"), i, item)
		sum += number_of(item, json_object_get(item, "size") ? "size" : "bytes");
	return sum;
}

static void print_list(const struct options *o, const json_t *list, json_t *all)
{
	json_t *row = json_pack("{s:O, s:O, s:O, s:O, s:O, s:I}", "id",
		json_object_get(list, "id"), "time", json_object_get(list, "time"),
		"host", json_object_get(list, "host"), "app",
		json_object_get(list, "app"), "apps", json_object_get(list, "apps"),
		"bytes", (json_int_t)bytes_of(list));

	json_array_append_new(all, row);
	if (o->json)
		return;
	printf("%-26s %-20.20s %-20s %4zu %10s\n", text_of(list, "id"),
		text_of(list, "host"),
		*text_of(list, "app") ? text_of(list, "app") : "all",
		json_array_size(json_object_get(list, "apps")),
		size_text(bytes_of(list)));
}

int run_list(const struct options *o, struct err *e)
{
	char(*ids)[STORE_ID_MAX] autofree = NULL;
	struct store *s = NULL;
	json_t *all = json_array();
	int n = 0, r = store_open(o->place, &o->secret, &s, e);

	if (r == 0 && (n = store_list(s, &ids, e)) < 0)
		r = n;
	if (r == 0 && !o->json && !o->quiet)
		printf("%-26s %-20s %-20s %4s %10s\n", "BACKUP", "HOST", "OF", "APPS",
			"BYTES");
	for (int i = 0; r == 0 && i < n; i++) {
		json_t *list = NULL;

		if (list_read(s, ids[i], &list, e) < 0) {
			say_fail("%s", e->text);
			continue;
		}
		print_list(o, list, all);
		json_decref(list);
	}
	if (r == 0 && o->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	store_close(s);
	return r;
}
