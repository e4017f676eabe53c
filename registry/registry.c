/*
 * berth-registry: images to and from registries, for berth-control, which starts it and tells it what to do (lib/proto.h). It
 * speaks to strangers: it opens no file but what libcurl and the C library read, can be called by nobody, and ends with control.
 */
#include "lib/confine.h"
#include "lib/name.h"
#include "registry/talk.h"
#include "registry/transfer.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define FILE_BYTES ((uint64_t)17 << 30)	 /* control says how many there is room for */
#define MEMORY_BYTES ((uint64_t)1 << 30) /* of address space; 40 MB are in use */

static int limit(int what, uint64_t most)
{
	const struct rlimit rl = {most, most};

	return setrlimit(what, &rl) < 0 ? -errno : 0;
}

static int enter(struct err *e)
{
	static const struct confine_place places[] = {
		{"/etc", CONFINE_READ}, /* name servers, the CA store */
		{"/run/systemd/resolve", CONFINE_READ},
	};
	int r;

	if ((r = limit(RLIMIT_FSIZE, FILE_BYTES)) < 0 ||
		(r = limit(RLIMIT_AS, MEMORY_BYTES)) < 0 ||
		(r = limit(RLIMIT_CORE, 0)) < 0)
		return err_sys(e, -r, "cannot limit berth-registry");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, errno, "cannot hide berth-registry's memory");
	r = confine("berth-registry", places, ARRAY_LEN(places), CONFINE_CALLS_OUT, e);
	return r == -EOPNOTSUPP ? 0 : r;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int login(struct remote *r, struct err *e)
{
	int n = remote_login(r, e);

	if (n == 0 && !r->authorization[0])
		talk_detail(
			"%s does not ask who it is: the password was not tried", r->host);
	if (n == 0)
		talk_send(json_pack("{s:s}", "done", ""));
	return n;
}

static int transfer(const json_t *order, struct err *e)
{
	static struct remote r;
	const char *op = text(order, "op"), *reference = text(order, "reference");
	const json_int_t most = json_integer_value(json_object_get(order, "max_bytes"));

	r = (struct remote){.host = text(order, "host"),
		.repository = text(order, "repository"),
		.user = text(order, "user"),
		.password = text(order, "password"),
		.action = op && strcmp(op, "push") == 0 ? "pull,push" : "pull"};
	if (!op || !reference || !r.host || !r.repository || !r.user != !r.password)
		return err_set(e, EPROTO, "berth-control gave no order");
	int n = remote_open(&r, e);
	if (n == 0)
		n = strcmp(op, "login") == 0 ? login(&r, e)
		    : strcmp(op, "push") == 0
			    ? transfer_push(&r, reference, e)
			    : transfer_pull(&r, reference, (uint64_t)most, e);
	remote_close(&r);
	return n;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	uint64_t parent;

	if (argc != 2 || num_parse_u64(argv[1], 1, INT32_MAX, &parent) < 0) {
		fprintf(stderr, "berth-registry is started by berth-control\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (getppid() != (pid_t)parent)
		return 1;
	int n = enter(&e);
	json_t *order = n == 0 ? talk_wait() : NULL;
	if (n == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		n = err_set(&e, EIO, "libcurl does not start");
	if (n == 0)
		n = transfer(order, &e);
	json_decref(order);
	if (n < 0)
		talk_error(&e);
	return n < 0;
}
