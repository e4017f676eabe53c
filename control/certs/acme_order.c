/* One order of a certificate: the account, the request, uacme, the answer. */
#include "control/certs/acme_order.h"
#include "control/certs/acme_child.h"
#include "control/certs/acme_plan.h"
#include "control/certs/certs.h"
#include "control/child.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OUTPUT_MAX ((size_t)64 << 10)
#define FORGOTTEN 1 /* of issue(): the authority does not know the account */
#define MARKER "registered"

/* Where an order works: one folder for each authority, for an account belongs to one. */
struct place {
	struct control *c;
	char helper[PATH_MAX], folder[PATH_MAX];
	char *server, *email; /* NULL: uacme's own default, none */
	int fd;		      /* of the folder */
};

static void leave(struct place *p)
{
	free(p->server);
	free(p->email);
	if (p->fd >= 0)
		close(p->fd);
}
#define autoplace __attribute__((cleanup(leave))) struct place

int acme_order_open(struct control *c, struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/control/acme", c->state);
	int r = io_mkdirs(path, 0700);
	return r < 0 ? err_sys(e, -r, "cannot make %s", path) : 0;
}

static void folder_name(const char *server, char out[17])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)server, strlen(server));
	SHA256Final(digest, &ctx);
	for (size_t i = 0; i < 8; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int enter(struct control *c, struct place *p, struct err *e)
{
	char name[17];
	int r = io_beside_program("berth-acme", p->helper, sizeof(p->helper));

	p->c = c;
	if (r == 0)
		r = db_setting_get(c->db, 0, "tls", "server", &p->server);
	if (r == 0)
		r = db_setting_get(c->db, 0, "tls", "email", &p->email);
	if (r < 0)
		return err_sys(e, -r, "the settings of automatic certificates");
	folder_name(p->server ? p->server : "", name);
	snprintf(p->folder, sizeof(p->folder), "%s/control/acme/%s", c->state, name);
	r = io_mkdirs(p->folder, 0700);
	p->fd = r < 0 ? -1 : open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? err_sys(e, r < 0 ? -r : errno, "cannot open %s", p->folder)
			 : 0;
}

/* ---- uacme ---- */

static bool token_valid(const char *token)
{
	static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
					"wxyz0123456789-_";

	return *token && token[strspn(token, base64url)] == '\0';
}

/* RFC 8555 8.1: the answer is the token, a dot, the account key's thumbprint. */
static bool answer_valid(const struct acme_ask *ask)
{
	size_t n = strlen(ask->token);

	return token_valid(ask->token) && strncmp(ask->answer, ask->token, n) == 0 &&
	       ask->answer[n] == '.' && token_valid(ask->answer + n + 1);
}

static int answer(void *arg, const struct acme_ask *ask)
{
	struct control *c = arg;
	struct err e = {0};

	if (ask->what != ACME_BEGIN)
		return token_valid(ask->token) ? certs_challenge(c, ask->token, NULL, &e)
					       : -EINVAL;
	if (!answer_valid(ask))
		return -EINVAL;
	int r = certs_challenge(c, ask->token, ask->answer, &e);
	if (r < 0)
		log_warn("challenge for %s: %s", ask->name, e.text);
	return r;
}

static int run(struct place *p, const char *const *words, int *ret_status,
	struct buf *output, struct err *e)
{
	const char *args[24] = {"-c", p->folder, "-h", p->helper, "-t", "EC"};
	size_t n = 6;
	struct acme_child child = {.helper = p->helper,
		.folder = p->folder,
		.args = args,
		.deadline_ms = ACME_ORDER_MS,
		.answer = answer,
		.arg = p->c};

	if (p->server) {
		args[n++] = "-a";
		args[n++] = p->server;
	}
	while (*words && n + 1 < ARRAY_LEN(args))
		args[n++] = *words++;
	return acme_child_run(&child, ret_status, output, e);
}

static int failed(const struct buf *output, struct err *e)
{
	char text[512];
	bool limited, forgotten;

	acme_explain(output->data ? output->data : "", text, sizeof(text), &limited,
		&forgotten);
	err_set(e, limited ? EAGAIN : EPROTO, "%s", text);
	return forgotten ? FORGOTTEN : -e->code;
}

/* ---- the account ---- */

static bool registered(struct place *p, struct buf *email)
{
	struct stat st;

	return fstatat(p->fd, "private/key.pem", &st, 0) == 0 &&
	       io_read_file(p->fd, MARKER, email) == 0;
}

/* word: new, or update when it is there and only the address is another one. 0, FORGOTTEN, or -errno. */
static int register_account(struct place *p, const char *word, struct err *e)
{
	autobuf output = {.max = OUTPUT_MAX};
	const char *email = p->email ? p->email : "";
	const char *const words[] = {"-y", word, *email ? email : NULL, NULL};
	int status = 0;
	int r = run(p, words, &status, &output, e);

	/* one whose marker was lost is there already */
	if (r == 0 && status != 0 &&
		!(output.data && strstr(output.data, "Account already exists")))
		r = failed(&output, e);
	if (r != 0)
		return r;
	r = io_replace_file(p->fd, MARKER, email, strlen(email), 0600);
	return r < 0 ? err_sys(e, -r, "the account cannot be recorded") : 0;
}

static int account(struct place *p, struct err *e)
{
	autobuf email = {.max = 1024};
	bool there = registered(p, &email);
	int r;

	if (there && strcmp(email.data ? email.data : "", p->email ? p->email : "") == 0)
		return 0;
	r = register_account(p, there ? "update" : "new", e);
	if (r == FORGOTTEN && there)
		r = register_account(p, "new", e);
	return r == FORGOTTEN ? -e->code : r;
}

int acme_order_new_account(struct control *c, struct err *e)
{
	autoplace p = {.fd = -1};
	char aside[64];
	int r = enter(c, &p, e);

	if (r < 0)
		return r;
	snprintf(aside, sizeof(aside), "private/key-%llu.pem",
		(unsigned long long)(io_now_us() / 1000000));
	if (renameat(p.fd, "private/key.pem", p.fd, aside) < 0 && errno != ENOENT)
		return err_sys(e, errno, "cannot move the account's key aside");
	unlinkat(p.fd, MARKER, 0);
	return 0;
}

/* ---- the order ---- */

/* 0, FORGOTTEN, or -errno. */
static int issue(struct place *p, const char *request, struct err *e)
{
	autobuf output = {.max = OUTPUT_MAX};
	char path[PATH_MAX + 32];
	const char *const words[] = {"-n", "issue", path, NULL};
	int status = 0;
	int r = account(p, e);

	snprintf(path, sizeof(path), "%s/%s", p->folder, request);
	if (r == 0)
		r = run(p, words, &status, &output, e);
	certs_no_challenges(p->c);
	return r == 0 && status != 0 ? failed(&output, e) : r;
}

static int take(struct place *p, const char *file, const char *key, const json_t *names,
	struct cert_pair *ret, struct err *e)
{
	autobuf chain = {.max = CERT_PEM_MAX};
	int r = io_read_file(p->fd, file, &chain);

	if (r == 0 && (!chain.data || strlen(chain.data) != chain.len))
		r = -EBADMSG;
	if (r < 0)
		return err_sys(e, -r, "the certificate that uacme wrote cannot be read");
	r = cert_check(chain.data, key, names, io_now_us(), ret, e);
	return r < 0 ? err_add(e, "the authority's certificate") : 0;
}

static int order(struct place *p, const char *id, const json_t *names,
	struct cert_pair *ret, struct err *e)
{
	char request[48], file[48];
	char *key = NULL, *text autofree = NULL;
	int r = cert_request(names, &key, &text, e);

	if (r < 0)
		return r;
	snprintf(request, sizeof(request), "%s.csr", id);
	snprintf(file, sizeof(file), "%s-cert.pem", id);
	unlinkat(p->fd, file, 0);
	r = io_replace_file(p->fd, request, text, strlen(text), 0600);
	if (r < 0)
		err_sys(e, -r, "the request cannot be written");
	if (r == 0)
		r = issue(p, request, e);
	if (r == FORGOTTEN) {
		unlinkat(p->fd, MARKER, 0);
		r = issue(p, request, e);
	}
	if (r == 0)
		r = take(p, file, key, names, ret, e);
	unlinkat(p->fd, request, 0);
	unlinkat(p->fd, file, 0);
	cert_wipe(key);
	return r > 0 ? -e->code : r;
}

int acme_order(struct control *c, uint32_t app, const json_t *names,
	struct cert_pair *ret, struct err *e)
{
	autoplace p = {.fd = -1};
	char id[24];
	int r;

	if (json_array_size(names) > CERT_NAMES_MAX)
		return err_set(e, E2BIG,
			"%zu names are more than one certificate takes (%u)",
			json_array_size(names), CERT_NAMES_MAX);
	snprintf(id, sizeof(id), "app-%u", app);
	r = enter(c, &p, e);
	return r < 0 ? r : order(&p, id, names, ret, e);
}
