/* Snapshots of a volume, by berth-build: the vault is mounted at /vault, the volume at /volume. */
#include "buildpacks/command.h"
#include "buildpacks/volume/vault.h"
#include "buildpacks/volume/vault_pack.h"
#include "lib/name.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define VAULT_PLACE "/vault"
#define VOLUME_PLACE "/volume"
#define PASSES 3 /* at most, while the app runs */
#define ENOUGH_BYTES                                                                     \
	((uint64_t)16 << 20) /* so little left to read, and it may be held: a few ms */
#define KEEP_MAX 4096

struct place {
	struct vault *v;
	int vault, volume;
};

static void leave(struct place *p)
{
	vault_close(p->v);
	if (p->vault >= 0)
		close(p->vault);
	if (p->volume >= 0)
		close(p->volume);
}

static int enter(struct place *p, bool volume, bool read_only, struct err *e)
{
	const struct vault_options o = {.read_only = read_only};

	*p = (struct place){
		.vault = open(VAULT_PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.volume = -1};
	if (p->vault < 0)
		return err_sys(e, errno, "open the snapshots");
	if (volume)
		p->volume = open(VOLUME_PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (volume && p->volume < 0)
		return err_sys(e, errno, "open the volume");
	p->v = vault_open(p->vault, &o, e);
	return p->v ? 0 : -e->code;
}

/* An answer, or the reason why there is none: one line, which control reads. */
static int answer(int r, const struct vault_stats *s, const struct err *e, FILE *to)
{
	json_t *o = r < 0 ? json_pack("{s:s}", "error", e->text)
			  : json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files",
				    (json_int_t)s->files, "bytes", (json_int_t)s->bytes,
				    "read_files", (json_int_t)s->read_files, "new_bytes",
				    (json_int_t)s->new_bytes, "wrote_files",
				    (json_int_t)s->wrote_files, "wrote_bytes",
				    (json_int_t)s->wrote_bytes, "removed",
				    (json_int_t)s->removed, "freed_bytes",
				    (json_int_t)s->freed_bytes);

	if (!o || json_dumpf(o, to, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
		return 1;
	fputc('\n', to);
	json_decref(o);
	return fflush(to) == 0 ? 0 : 1;
}

static void tell(const char *word)
{
	fprintf(stderr, "%s\n", word);
	fflush(stderr);
}

/* ---- a snapshot ---- */

/* Without it all is read, which is only slower. */
static struct vault_tree *previous_tree(struct vault *v)
{
	const char *name = getenv("BERTH_PREVIOUS");
	struct vault_tree *t = NULL;
	struct err e;

	return name && *name && vault_load(v, name, &t, &e) == 0 ? t : NULL;
}

static int scan_again(struct place *p, struct vault_tree **t, unsigned int flags,
	struct vault_stats *s, struct err *e)
{
	struct vault_tree *next = NULL;
	int r;

	s->entries = s->files = s->bytes = 0; /* of the last scan alone */
	r = vault_scan(p->v, p->volume, *t, flags, &next, s, e);
	if (r < 0)
		return r;
	vault_tree_free(*t);
	*t = next;
	return 0;
}

/* While it changes, until little is left of what has changed meanwhile. */
static int scan_running(
	struct place *p, struct vault_tree **t, struct vault_stats *s, struct err *e)
{
	int r = 0;

	for (int i = 0; i < PASSES && r == 0; i++) {
		uint64_t before = s->read_bytes;

		r = scan_again(p, t, 0, s, e);
		if (s->read_bytes - before < ENOUGH_BYTES)
			break;
	}
	return r;
}

/* Until control says that nobody writes any more. */
static int await_hold(struct err *e)
{
	char c;
	ssize_t n;

	tell("ready");
	do
		n = read(STDIN_FILENO, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : err_set(e, ECANCELED, "cancelled");
}

static int take(struct place *p, const char *name, struct vault_stats *s, struct err *e)
{
	struct vault_tree *t = previous_tree(p->v);
	bool hold = getenv("BERTH_HOLD") != NULL;
	int r = scan_running(p, &t, s, e);

	if (r == 0 && hold && (r = await_hold(e)) == 0) {
		r = scan_again(p, &t, VAULT_HELD, s, e);
		tell("read");
	}
	if (r == 0)
		r = vault_save(p->v, name, t, s, e);
	vault_tree_free(t);
	return r;
}

int command_snapshot(int argc, char **argv)
{
	struct vault_stats s = {0};
	struct err e = {0};
	struct place p;
	int r = enter(&p, true, false, &e);

	(void)argc;
	if (r == 0)
		r = take(&p, argv[1], &s, &e);
	leave(&p);
	return answer(r, &s, &e, stdout);
}

/* ---- and back ---- */

static int give_back(
	struct place *p, const char *name, struct vault_stats *s, struct err *e)
{
	const char *now_name = getenv("BERTH_NOW");
	struct vault_tree *t = NULL, *now = NULL;
	struct err ignored;
	int r = vault_load(p->v, name, &t, e);

	if (r == 0 && now_name && *now_name)
		(void)vault_load(p->v, now_name, &now, &ignored);
	if (r == 0)
		r = vault_restore(p->v, t, now, p->volume, s, e);
	vault_tree_free(t);
	vault_tree_free(now);
	return r;
}

int command_restore(int argc, char **argv)
{
	struct vault_stats s = {0};
	struct err e = {0};
	struct place p;
	int r = enter(&p, true, false, &e);

	(void)argc;
	if (r == 0)
		r = give_back(&p, argv[1], &s, &e);
	leave(&p);
	return answer(r, &s, &e, stdout);
}

/* ---- forgetting ---- */

static size_t split(char *words, const char *ret[KEEP_MAX])
{
	size_t n = 0;

	for (char *word; (word = strsep(&words, " "));)
		if (*word && n < KEEP_MAX)
			ret[n++] = word;
	return n;
}

int command_forget(int argc, char **argv)
{
	const char **keep autofree = calloc(KEEP_MAX, sizeof(*keep));
	const char *said = getenv("BERTH_KEEP");
	char *words autofree = strdup(said ? said : "");
	struct vault_stats s = {0};
	struct err e = {0};
	struct place p;
	int r = enter(&p, false, false, &e);

	(void)argc;
	(void)argv;
	if (!keep || !words)
		abort();
	if (r == 0)
		r = vault_prune(p.v, keep, split(words, keep), &s, &e);
	leave(&p);
	return answer(r, &s, &e, stdout);
}

/* ---- as an archive ---- */

int command_volume_export(int argc, char **argv)
{
	struct vault_stats s = {0};
	struct err e = {0};
	struct place p;
	int r = enter(&p, false, true, &e);

	(void)argc;
	if (r == 0)
		r = vault_pack(p.v, argv[1], STDOUT_FILENO, &s, &e);
	leave(&p);
	return answer(r, &s, &e, stderr);
}

static uint64_t number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && num_parse_u64(text, 0, INT64_MAX, &v) == 0 ? v : fallback;
}

int command_volume_import(int argc, char **argv)
{
	const struct vault_unpack u = {.fd = STDIN_FILENO,
		.max_bytes = number("BERTH_MAX_BYTES", INT64_MAX),
		.max_files = number("BERTH_MAX_FILES", 1000000),
		.unverified = getenv("BERTH_UNVERIFIED") != NULL};
	struct vault_tree *t = NULL;
	struct vault_stats s = {0};
	struct err e = {0};
	struct place p;
	int r = enter(&p, false, false, &e);

	(void)argc;
	if (r == 0)
		r = vault_unpack(p.v, &u, &t, &s, &e);
	if (r == 0)
		r = vault_save(p.v, argv[1], t, &s, &e);
	vault_tree_free(t);
	leave(&p);
	return answer(r, &s, &e, stdout);
}
