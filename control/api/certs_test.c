/* Certificates through the API: what is taken, where keys lie, what goes when it goes; automatic ones without an authority. */
#include "control/api/fixture.h"
#include "control/certs/cert_fixture.h"
#include <dirent.h>

/* The body of a POST, of a self-signed certificate for these names. */
static char *body_for(const char *name, const char *subject, const char *names)
{
	static char chain[1 << 16], key[1 << 16];
	struct made m = make_cert(&(struct recipe){.subject = subject, .names = names});
	json_t *o;

	chain[0] = key[0] = '\0';
	put_cert(chain, &m);
	put_key(key, &m, NULL);
	free_made(&m);
	o = json_pack("{s:s, s:s}", "chain", chain, "key", key);
	if (name)
		json_object_set_new(o, "name", json_string(name));
	char *text = json_dumps(o, 0);
	json_decref(o);
	return text;
}

static unsigned int key_files(struct fixture *f)
{
	char path[128];
	unsigned int n = 0;
	struct dirent *entry;
	struct stat st;

	snprintf(path, sizeof(path), "%s/control/certs", f->folder);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		n++;
	}
	closedir(dir);
	return n;
}

static void a_certificate_is_added_shown_and_removed(void **state)
{
	struct fixture *f = *state;
	char *body autofree = body_for(NULL, "shop", "DNS:shop.localhost,DNS:x.example");
	char *second autofree = body_for("x", "x", "DNS:x.example");

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/certs", NULL, 200,
		"{\"enabled\":false,\"without\":[\"shop.localhost\"],\"certificates\":{}"
		"}");
	expect(f, "POST", "/v1/apps/shop/certs", body, 201,
		"\"serves\":[\"shop.localhost\"]");
	assert_int_equal(atomic_load(&sent_certs), 1);
	assert_int_equal(atomic_load(&refreshes), 1);
	assert_int_equal(key_files(f), 1);
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"add\":[\"x.example\"]}", 200,
		"x.example");
	expect(f, "POST", "/v1/apps/shop/certs", second, 201, "\"x\":{\"state\"");
	assert_int_equal(key_files(f), 2);
	expect(f, "GET", "/v1/certs", NULL, 200, "\"state\":\"valid\"");
	expect(f, "GET", "/v1/apps/shop/certs/x", NULL, 200, "BEGIN CERTIFICATE");
	/* the same again takes its place */
	expect(f, "POST", "/v1/apps/shop/certs", second, 201, "self-signed");
	assert_int_equal(key_files(f), 2);
	expect(f, "DELETE", "/v1/apps/shop/certs/y", NULL, 404, "certs:report shop");
	expect(f, "DELETE", "/v1/apps/shop/certs/x", NULL, 200, "\"default\"");
	assert_int_equal(key_files(f), 1);
	expect(f, "GET", "/v1/events?app=shop", NULL, 200, "certs:remove");
}

static void keys_never_come_out(void **state)
{
	struct fixture *f = *state;
	char *body autofree = body_for(NULL, "shop", "DNS:shop.localhost");
	static const char *const paths[] = {"/v1/apps/shop/certs", "/v1/certs",
		"/v1/apps/shop/certs/default", "/v1/events"};
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/certs", body, 201, "serves");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_int_equal(ask(f, "GET", paths[i], NULL, &out), 200);
		assert_null(strstr(out.data, "PRIVATE"));
	}
}

static void what_is_wrong_with_a_certificate_is_answered(void **state)
{
	struct fixture *f = *state;
	char *other autofree = body_for(NULL, "x", "DNS:other.example");
	char *named autofree = body_for("automatic", "x", "DNS:shop.localhost");
	char *good autofree = body_for(NULL, "x", "DNS:shop.localhost");

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/certs", "{\"chain\":\"x\",\"key\":\"y\"}", 409,
		"there is no certificate in it");
	expect(f, "POST", "/v1/apps/shop/certs", "{\"chain\":\"x\"}", 400,
		"key is missing");
	expect(f, "POST", "/v1/apps/shop/certs", other, 409,
		"is for other.example, the app's hostnames are shop.localhost");
	expect(f, "POST", "/v1/apps/shop/certs", named, 400, "choose another");
	assert_int_equal(key_files(f), 0);
	atomic_store(&fail_next, true);
	expect(f, "POST", "/v1/apps/shop/certs", good, 500, "stored, but the router");
}

static void keys_go_with_their_app_and_when_no_row_names_them(void **state)
{
	struct fixture *f = *state;
	char *body autofree = body_for(NULL, "shop", "DNS:shop.localhost");
	struct err e = {0};
	char path[128];

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/certs", body, 201, "serves");
	snprintf(path, sizeof(path), "%s/control/certs/0123", f->folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	certs_close(f->c.certs); /* a start finds what a kill left behind */
	assert_int_equal(certs_open(&f->c, &f->c.certs, &e), 0);
	assert_int_equal(key_files(f), 1);
	expect(f, "DELETE", "/v1/apps/shop?confirm=shop", NULL, 200, "x 0\n");
	certs_app_gone(&f->c);
	assert_int_equal(key_files(f), 0);
}

/* Their rows come last. */
static void a_restores_keys_outlive_an_app_that_goes_meanwhile(void **state)
{
	struct fixture *f = *state;
	char path[128];

	certs_keys_first(&f->c, true);
	snprintf(path, sizeof(path), "%s/control/certs/0123", f->folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	certs_app_gone(&f->c);
	assert_int_equal(key_files(f), 1);
	certs_keys_first(&f->c, false); /* it failed: no row names it */
	assert_int_equal(key_files(f), 0);
}

static void automatic_ones_want_a_hostname_that_can_be_checked(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/tls", NULL, 200, "\"state\":\"off\"");
	expect(f, "POST", "/v1/apps/shop/tls/enable", "{}", 409, "domains:add shop");
	expect(f, "POST", "/v1/apps/shop/tls/renew", "{}", 409, "tls:enable shop");
	expect(f, "POST", "/v1/apps/shop/tls/disable", "{}", 409, "tls:enable shop");
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"add\":[\"*.x.example\"]}", 200,
		"x");
	expect(f, "POST", "/v1/apps/shop/tls/enable", "{}", 409, "without *");
	expect(f, "GET", "/v1/tls", NULL, 200, "[]");
}

static void their_settings_are_checked(void **state)
{
	struct fixture *f = *state;

	expect(f, "PUT", "/v1/settings/tls", "{\"email\":\"ann@example.com\"}", 200,
		"\"computed\":\"ann@example.com\"");
	expect(f, "PUT", "/v1/settings/tls", "{\"email\":\"ann\"}", 400, "no address");
	expect(f, "PUT", "/v1/settings/tls", "{\"email\":\"-x@a.example\"}", 400,
		"no address");
	expect(f, "PUT", "/v1/settings/tls",
		"{\"server\":\"https://ca.example/directory\"}", 200, "ca.example");
	expect(f, "PUT", "/v1/settings/tls", "{\"server\":\"http://ca.example/\"}", 400,
		"https://");
	expect(f, "PUT", "/v1/settings/tls", "{\"server\":\"--config\"}", 400,
		"https://");
	make_released(f, "shop");
	expect(f, "PUT", "/v1/apps/shop/settings/tls", "{\"email\":\"a@b.example\"}", 400,
		"--global");
}

/* Rows of an app beside the one there is, until there are n, with its key. */
static void add_rows(struct fixture *f, uint32_t app, int n)
{
	struct db_cert have;
	char folder[128];

	snprintf(folder, sizeof(folder), "%s/control/certs", f->folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(db_cert_get(f->c.db, app, "default", &have), 0);
	for (int i = 1; i < n; i++) {
		struct db_cert row = have;

		snprintf(row.name, sizeof(row.name), "c%d", i);
		snprintf(row.key_file, sizeof(row.key_file), "c%d", i);
		assert_int_equal(linkat(fd, have.key_file, fd, row.key_file, 0), 0);
		assert_int_equal(db_cert_put(f->c.db, &row), 0);
	}
	db_cert_clear(&have);
	close(fd);
}

/* Asked at once: what the request saw before counts for nothing. */
static void the_most_that_an_app_has_is_held_where_they_are_stored(void **state)
{
	struct fixture *f = *state;
	char *body autofree = body_for(NULL, "shop", "DNS:shop.localhost");
	char *more autofree = body_for("more", "shop", "DNS:shop.localhost");
	json_t *names = json_pack("[s]", "shop.localhost");
	char chain[] = "chain", key[] = "key";
	const struct cert_pair p = {.chain = chain, .key = key, .facts.names = names};
	struct err e = {0};
	uint32_t app = make_released(f, "shop");

	expect(f, "POST", "/v1/apps/shop/certs", body, 201, "serves");
	add_rows(f, app, CERTS_OF_APP_MAX);
	expect(f, "POST", "/v1/apps/shop/certs", more, 409, "shop has 20 certificates");
	assert_int_equal(certs_put(&f->c, app, "more", &p, &e), -E2BIG);
	assert_int_equal(key_files(f), CERTS_OF_APP_MAX);
	/* these take no more room */
	expect(f, "POST", "/v1/apps/shop/certs", body, 201, "serves");
	assert_int_equal(certs_put(&f->c, app, "", &p, &e), 0);
	json_decref(names);
}

static void an_app_with_too_many_keeps_its_certificates(void **state)
{
	struct fixture *f = *state;
	char *body autofree = body_for(NULL, "shop", "DNS:shop.localhost");
	struct err e = {0};
	uint32_t app = make_released(f, "shop");

	expect(f, "POST", "/v1/apps/shop/certs", body, 201, "serves");
	add_rows(f, app, CERTS_OF_APP_MAX + 2);
	assert_int_equal(certs_refresh(&f->c, &e), 0);
	assert_true(certs_serve(f->c.certs, "shop.localhost"));
}

static char *drain_body(const char *ca)
{
	json_t *o = json_pack("{s:s, s:s}", "url", "https://logs.example.com/", "ca", ca);
	char *text = json_dumps(o, 0);

	json_decref(o);
	return text;
}

static void of_a_drains_authorities_only_the_certificates_are_kept(void **state)
{
	struct fixture *f = *state;
	struct made m = make_cert(&(struct recipe){.subject = "CA", .authority = true});
	static char ca[1 << 16], wanted[1 << 16];
	struct db_drain *rows autofree = NULL;

	ca[0] = wanted[0] = '\0';
	for (int i = 0; i < 12; i++) { /* more than a server's chain may have */
		put_cert(wanted, &m);
		strcat(ca, "of mine:\a\n");
		put_cert(ca, &m);
	}
	size_t len = strlen(ca), more = (32u << 10) - len;
	memset(ca + len, '\a', more); /* would take 6 characters each on the way */
	ca[len + more] = '\0';
	free_made(&m);
	make_released(f, "shop");

	char *bad autofree = drain_body("-----BEGIN CERTIFICATE-----\n\a\a\a\a\n"
					"-----END CERTIFICATE-----\n");
	expect(f, "POST", "/v1/apps/shop/drains", bad, 400,
		"--ca: certificate 1 cannot be read");
	char *none autofree = drain_body("\n");
	expect(f, "POST", "/v1/apps/shop/drains", none, 400, "--ca: there is no");
	char *body autofree = drain_body(ca);
	expect(f, "POST", "/v1/apps/shop/drains", body, 201, "logs.example.com");
	assert_int_equal(db_drain_list(f->c.db, &rows), 1);
	char *kept autofree = db_drain_ca(f->c.db, rows[0].id);
	assert_string_equal(kept, wanted);
	strcat(ca, "\a");
	char *large autofree = drain_body(ca);
	expect(f, "POST", "/v1/apps/shop/drains", large, 400, "of up to 32 kB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_certificate_is_added_shown_and_removed),
		T(keys_never_come_out),
		T(what_is_wrong_with_a_certificate_is_answered),
		T(keys_go_with_their_app_and_when_no_row_names_them),
		T(a_restores_keys_outlive_an_app_that_goes_meanwhile),
		T(automatic_ones_want_a_hostname_that_can_be_checked),
		T(their_settings_are_checked),
		T(the_most_that_an_app_has_is_held_where_they_are_stored),
		T(an_app_with_too_many_keeps_its_certificates),
		T(of_a_drains_authorities_only_the_certificates_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
