/*
 * What berth-build reads from an app and its buildpack (lines of bin/plan, bin/release,
 * version ranges) and berth-static from a client. The plan is always one JSON object; the
 * same text means the same.
 */
#include "tests/fuzz/fuzz.h"

#include "buildpacks/plan/pack.h"
#include "buildpacks/plan/plan.h"
#include "buildpacks/plan/release_yaml.h"
#include "buildpacks/plan/semver.h"
#include "buildpacks/static/static_http.h"
#include "buildpacks/static/static_rules.h"
#include "lib/name.h"

#include <errno.h>
#include <sys/mman.h>

typedef int (*reader)(struct plan *p, const char *text, size_t len, struct err *e);

/* control's end: json, and only names that it takes. */
static void check_plan(const struct plan *p)
{
	int fd autoclose = memfd_create("plan", MFD_CLOEXEC);
	const char *name;
	json_t *v;

	CHECK(fd >= 0);
	/* text that is not UTF-8 cannot be printed, and is refused then */
	if (plan_print(p, fd) < 0)
		return;
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	json_t *o = json_loadfd(fd, 0, NULL);
	CHECK(json_is_object(o));
	json_decref(o);
	json_object_foreach (p->processes, name, v)
		CHECK(name_type_valid(name) && json_is_string(v));
	json_object_foreach (p->env, name, v)
		CHECK(name_key_valid(name) && json_is_string(v));
}

static void try_plan(reader read, const char *text, size_t n)
{
	struct plan p;
	struct err e = {0};

	CHECK(plan_init(&p) == 0);
	int r = read(&p, text, n, &e);
	CHECK(r == 0 || (r < 0 && e.text[0]));
	if (r == 0)
		check_plan(&p);
	plan_free(&p);
}

static void try_range(const char *text)
{
	uint64_t v;
	unsigned int major = (unsigned char)text[0] % 30;
	int covers = semver_covers(text, major), r;

	r = semver_parse(text, &v);
	if (r == 0) /* a version is a range of itself */
		CHECK(strlen(text) >= SEMVER_RANGE_MAX || semver_match(text, v) == 1);
	for (uint64_t minor = 0; minor < 3; minor++) {
		v = (uint64_t)major << 42 | minor << 21 | minor * 7;
		r = semver_match(text, v);
		CHECK(r == 1 || r == 0 || r == -EINVAL);
		CHECK((r < 0) == (covers < 0));
		/* a range that ends just below the largest number is not berth's to tell */
		CHECK(covers != 1 || r == 1 || strstr(text, "2097151"));
	}
}

static void try_static(char *text, size_t n)
{
	struct http_request r = {0};
	char *head = NULL;
	off_t first = -1, last = -1;
	int status;

	/* as berth-static gives it: up to the CRLF of the last line */
	CHECK(asprintf(&head, "%s\r\n", text) >= 0);
	status = http_parse_head(head, &r);
	CHECK(status == 0 || status == 400 || status == 404 || status == 405 ||
		status == 501 || status == 505);
	if (status == 0) {
		CHECK(memchr(r.path, '\0', sizeof(r.path)));
		CHECK(r.raw_len >= 0 && r.query_len >= 0);
		CHECK(http_path_hidden(r.path) ||
			(r.path[0] != '/' && !strstr(r.path, "/../") &&
				strncmp(r.path, "../", 3) != 0));
		CHECK(http_type_of(r.path));
	}
	free(head);
	status = http_parse_range(text, (off_t)n, &first, &last);
	CHECK(status == 200 || status == 206 || status == 416);
	if (status == 206)
		CHECK(first >= 0 && first <= last && last < (off_t)n);
	(void)http_etag_matches(text, "\"abc\"");
}

/* _redirects and _headers; the text's first line is also a path. */
static void try_rules(const char *text)
{
	struct rules *r = calloc(1, sizeof(*r));
	char path[256], to[RULES_TO_MAX];
	autobuf fields = {.max = RULES_HEADERS_MAX + 1};

	CHECK(r);
	snprintf(path, sizeof(path), "/%.*s", (int)strcspn(text, "\n"), text);
	rules_parse_redirects(r, strdup(text), NULL, NULL);
	rules_parse_headers(r, strdup(text), NULL, NULL);
	const struct redirect *d = rules_redirect(r, path, false, to);
	if (d)
		CHECK(strlen(to) < RULES_TO_MAX && strncmp(to, "//", 2) != 0 &&
			(d->status == 200 || !strpbrk(to, "\r\n")));
	rules_headers(r, path, &fields);
	CHECK(!fields.failed);
	if (fields.len)
		CHECK(strcmp(fields.data + fields.len - 2, "\r\n") == 0);
	rules_free(r);
	free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t what = take_u8(&in) % 5;
	char *text = text_of(in.p, in.n);

	if (what == 0)
		try_plan(plan_add_lines, text, in.n);
	else if (what == 1)
		try_plan(release_yaml_parse, text, in.n);
	else if (what == 2)
		try_range(text);
	else if (what == 3)
		try_static(text, in.n);
	else
		try_rules(text);
	(void)pack_name_valid(text);
	free(text);
	return 0;
}
