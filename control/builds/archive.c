/* A source archive as a commit: the sandbox that makes it, and what it follows. */
#include "control/builds/archive.h"
#include "control/builds/build.h"
#include "control/builds/step.h"
#include "control/repos.h"
#include "control/spool.h"
#include "lib/io.h"
#include "receiver/source.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ZERO_OID "0000000000000000000000000000000000000000"
#define ENV_WORDS 9

/* The commit that the new one follows; empty: the app has none. */
struct tip {
	char ref[300], commit[GIT_OID_HEXSZ + 1], tree[GIT_OID_HEXSZ + 1];
};

bool archive_author_valid(const char *text)
{
	const char *mail = strchr(text, '<');
	size_t len = strlen(text);

	for (const char *s = text; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return mail && mail > text + 1 && mail[-1] == ' ' && text[len - 1] == '>' &&
	       strcspn(mail + 1, "<> ") == strlen(mail + 1) - 1 && len < 200;
}

/* The name of a key may hold what no author may. */
static void write_author(const char *actor, char *out, size_t size)
{
	char name[80];

	snprintf(name, sizeof(name), "%s", actor);
	for (char *s = name; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == '<' || *s == '>' || *s == 0x7f)
			*s = '-';
	snprintf(out, size, "%s <%s@localhost>", name, name);
}

/* ---- what is there ---- */

static int read_tip(git_repository *repo, struct tip *t, struct err *e)
{
	git_reference *ref = NULL;
	git_oid tree;
	int r = 0;

	if (git_reference_lookup(&ref, repo, t->ref) == 0 && git_reference_target(ref)) {
		git_oid_tostr(t->commit, sizeof(t->commit), git_reference_target(ref));
		r = source_commit(repo, t->commit, &tree, NULL, e);
		if (r == 0)
			git_oid_tostr(t->tree, sizeof(t->tree), &tree);
	}
	git_reference_free(ref);
	return r;
}

static int find_tip(
	struct control *c, const struct db_app *app, struct tip *t, struct err *e)
{
	git_repository *repo = NULL;
	char path[PATH_MAX];

	snprintf(t->ref, sizeof(t->ref), "refs/heads/%s",
		app->deploy_branch[0] ? app->deploy_branch : "main");
	repo_path(c, app, path);
	int r = source_open(path, &repo, e);
	if (r == -ENOENT)
		return 0; /* the first push makes it */
	if (r == 0)
		r = read_tip(repo, t, e);
	git_repository_free(repo);
	return r;
}

/* ---- the sandbox ---- */

/* The archive becomes a commit in the file `pack`. *ret: what buildpacks/source/archive.h says. */
static int make_pack(struct control *c, const struct db_app *app,
	const struct archive_order *o, const struct spool *p, const struct tip *t,
	int pack, struct sink *s, json_t **ret, struct err *e)
{
	char words[ENV_WORDS - 1][256], author[200];
	autobuf message = BUF_INIT;
	const char *env[ENV_WORDS + 1];
	json_t *layers = json_array();
	uint64_t stack,
		max = SOURCE_TOTAL_MAX < p->max_bytes ? SOURCE_TOTAL_MAX : p->max_bytes;
	int i = 0, r = stack_layer(c, &stack, e);

	write_author(o->actor, author, sizeof(author));
#define WORD(...) snprintf(words[i++], sizeof(words[0]), __VA_ARGS__)
	WORD("BERTH_PARENT=%s", t->commit);
	WORD("BERTH_TREE=%s", t->tree);
	WORD("BERTH_FORCE=%s", o->force ? "1" : "");
	WORD("BERTH_AUTHOR=%s", o->author ? o->author : author);
	WORD("BERTH_TIME=%llu", (unsigned long long)(io_now_us() / 1000000));
	WORD("BERTH_MAX_FILES=%u", SOURCE_ENTRIES_MAX);
	WORD("BERTH_MAX_BYTES=%llu", (unsigned long long)max);
	WORD("BERTH_MAX_FILE=%llu", (unsigned long long)SOURCE_BLOB_MAX);
#undef WORD
	for (i = 0; i < ENV_WORDS - 1; i++)
		env[i] = words[i];
	buf_addf(
		&message, "BERTH_MESSAGE=%s", o->message ? o->message : "Source archive");
	env[i++] = message.data;
	env[i] = NULL;
	if (r == 0 && message.failed)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0) {
		struct step st = {.app = app->id,
			.command = "archive",
			.title = "reading the archive",
			.env = env,
			.layers = layers,
			.profile = PROFILE_APP,
			.flags = START_NO_NET,
			.stdin_fd = p->fd,
			.output_fd = pack};
		json_array_append_new(layers, json_integer((json_int_t)stack));
		r = step_run(c, &st, s, ret, e);
	}
	json_decref(layers);
	return r;
}

/* ---- the answer ---- */

static const char *text(const json_t *said, const char *key)
{
	return json_string_value(json_object_get(said, key));
}

static bool is_oid(const char *s)
{
	return s && strlen(s) == GIT_OID_HEXSZ &&
	       strspn(s, "0123456789abcdef") == GIT_OID_HEXSZ;
}

static void describe(const json_t *said, struct sink *s)
{
	const char *top = text(said, "top");
	json_int_t left_out = json_integer_value(json_object_get(said, "left_out"));
	json_int_t files = json_integer_value(json_object_get(said, "files"));
	json_int_t bytes = json_integer_value(json_object_get(said, "bytes"));

	sink_detail(s, "%lld files, %lld kB", (long long)files, (long long)(bytes >> 10));
	if (top)
		sink_detail(s, "all of it lies in %s/, which is taken off", top);
	if (left_out)
		sink_detail(s, "%lld files in .git and __MACOSX are left out",
			(long long)left_out);
}

static int send_pack(const struct archive_order *o, const struct tip *t, const char *oid,
	int pack, struct sink *s, struct err *e)
{
	char line[400];
	int n = snprintf(line, sizeof(line), "%s %s %s\n",
		t->commit[0] ? t->commit : ZERO_OID, oid, t->ref);
	int r = io_write_all(o->out, line, (size_t)n);

	if (r == 0 && lseek(pack, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, -r, "send the commit");
	return spool_copy(pack, o->out, ARCHIVE_PACK_MAX, s, e);
}

static int answer(const struct archive_order *o, const struct tip *t, const json_t *said,
	int pack, struct sink *s, struct err *e)
{
	const char *oid = text(said, "commit");

	if (!is_oid(text(said, "tree")))
		return err_set(e, EBADMSG, "the archive was read without a result");
	describe(said, s);
	if (json_is_true(json_object_get(said, "same"))) {
		sink_step(s,
			"Nothing changed: %.7s holds just these files (--force deploys "
			"them again)",
			t->commit);
		return 0;
	}
	if (!is_oid(oid))
		return err_set(e, EBADMSG, "the archive was read without a result");
	sink_detail(s, "commit %.7s on %s", oid, t->ref + strlen("refs/heads/"));
	return send_pack(o, t, oid, pack, s, e);
}

int archive_commit(struct control *c, const struct db_app *app,
	const struct archive_order *o, struct sink *s, struct err *e)
{
	struct spool p = SPOOL_NONE;
	struct tip t = {0};
	json_t *said = NULL;
	int pack autoclose = spool_file(c, e);
	int r = pack < 0 ? pack : find_tip(c, app, &t, e);

	if (r == 0)
		sink_step(s, "Reading the archive");
	if (r == 0)
		r = spool_take(&p, c, o->in, s, e);
	if (r == 0)
		r = make_pack(c, app, o, &p, &t, pack, s, &said, e);
	spool_drop(&p);
	if (r == 0)
		r = answer(o, &t, said, pack, s, e);
	json_decref(said);
	return r;
}
