/* Certificates: whole ones are used, corrupt ones refused, a name finds its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io.h"
#include "router/certs.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PEM "-----BEGIN X-----\n"

static const struct {
	const char *name;
	uint32_t cert, flags;
} names[] = {
	{".w.example", 1, HOST_WILDCARD},
	{"a.example", 0, 0},
	{"a.w.example", 0, 0},
};

struct small {
	struct certs_head head;
	struct certs_ticket tickets[2];
	struct certs_cert certs[2];
	struct certs_name names[ARRAY_LEN(names)];
	struct certs_acme acme[2];
	char strings[200];
};

static uint32_t put(struct small *s, const char *text)
{
	uint32_t at = s->head.strings_size;

	memcpy(s->strings + at, text, strlen(text));
	s->head.strings_size += (uint32_t)strlen(text);
	return at;
}

/* Size of what is made in s. */
static size_t make(struct small *s)
{
	memset(s, 0, sizeof(*s));
	s->head.magic = CERTS_MAGIC;
	s->head.n_tickets = 2;
	s->head.n_certs = 2;
	s->head.n_names = ARRAY_LEN(names);
	s->head.n_acme = 2;
	for (size_t i = 0; i < 2; i++)
		s->certs[i] = (struct certs_cert){
			put(s, PEM), strlen(PEM), put(s, PEM), strlen(PEM)};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		s->names[i] = (struct certs_name){put(s, names[i].name),
			(uint32_t)strlen(names[i].name), names[i].cert, names[i].flags};
	s->acme[0] = (struct certs_acme){put(s, "tok"), 3, put(s, "tok.one"), 7};
	s->acme[1] = (struct certs_acme){put(s, "tok2"), 4, put(s, "tok2.two"), 8};
	s->head.size = (uint32_t)(offsetof(struct small, strings) + s->head.strings_size);
	return s->head.size;
}

static int parse(const struct small *s, size_t size)
{
	struct certs *c = NULL;
	struct err e = {0};
	int r = certs_parse(s, size, &c, &e);

	assert_int_equal(r == 0, c != NULL);
	if (r < 0)
		assert_true(e.text[0]);
	certs_free(c);
	return r;
}

static void whole_ones_are_used(void **state)
{
	struct small s;
	size_t size = make(&s);

	(void)state;
	assert_int_equal(parse(&s, size), 0);
}

#define REFUSED(change)                                                                  \
	do {                                                                             \
		size_t size = make(&s);                                                  \
		change;                                                                  \
		assert_int_equal(parse(&s, size), -EBADMSG);                             \
	} while (0)

static void corrupt_ones_are_refused(void **state)
{
	struct small s;

	(void)state;
	REFUSED(s.head.magic++);
	REFUSED(s.head.size--);
	REFUSED(size--);
	REFUSED(size = 3);
	REFUSED(s.head.n_certs++);
	REFUSED(s.head.n_tickets = CERTS_TICKETS_MAX + 1);
	REFUSED(s.head.n_names = UINT32_MAX);
	REFUSED(s.head.strings_size++);
	REFUSED(s.certs[1].chain_off = s.head.strings_size);
	REFUSED(s.certs[1].chain_len = UINT32_MAX);
	REFUSED(s.certs[0].key_off = UINT32_MAX);
	REFUSED(s.certs[0].key_len = 1);
	REFUSED(s.strings[s.certs[0].key_off] = 'x');
	REFUSED(s.names[1].cert = 2);
	REFUSED(s.names[1].flags = 4);
	REFUSED(s.names[1].flags = HOST_WILDCARD);
	REFUSED(s.names[0].flags = 0);
	REFUSED(s.names[1].name_len = 0);
	REFUSED(s.names[2] = s.names[1]);
	REFUSED(s.strings[s.names[1].name_off] = 'A');
	REFUSED(s.acme[0].token_len = 0);
	REFUSED(s.acme[0].text_len = UINT32_MAX);
	REFUSED(s.acme[1] = s.acme[0]);
	REFUSED(s.strings[s.acme[0].token_off] = '/');
	REFUSED(s.strings[s.acme[0].text_off] = '\n');
}

static int find(const struct certs *c, const char *name)
{
	return certs_find(c, name, strlen(name));
}

static void a_name_finds_its_own(void **state)
{
	struct small s;
	struct certs *c = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(certs_parse(&s, make(&s), &c, &e), 0);
	assert_int_equal(find(c, "a.example"), 0);
	assert_int_equal(find(c, "A.Example."), 0);
	assert_int_equal(find(c, "a.w.example"), 0);
	assert_int_equal(find(c, "b.w.example"), 1);
	assert_int_equal(find(c, "b.a.w.example"), -ENOENT);
	assert_int_equal(find(c, "w.example"), -ENOENT);
	assert_int_equal(find(c, ".w.example"), -ENOENT);
	assert_int_equal(find(c, "example"), -ENOENT);
	assert_int_equal(find(c, ""), -ENOENT);
	assert_int_equal(find(c, "."), -ENOENT);
	certs_free(c);
}

static uint32_t freed;

static void free_made(struct cert *c)
{
	assert_non_null(c);
	freed++;
}

static struct certs *parsed(struct small *s)
{
	struct certs *c = NULL;
	struct err e = {0};

	assert_int_equal(certs_parse(s, s->head.size, &c, &e), 0);
	c->free_made = free_made;
	return c;
}

static void what_was_made_stays_with_the_same_bytes(void **state)
{
	static char one, two;
	struct small s, t;
	struct certs *old, *c;

	(void)state;
	make(&s);
	make(&t);
	t.strings[t.certs[1].key_off + 12] = 'y'; /* another key */
	old = parsed(&s);
	c = parsed(&t);
	old->made[0] = (struct cert *)&one;
	old->made[1] = (struct cert *)&two;
	certs_inherit(c, old);
	assert_ptr_equal(c->made[0], &one);
	assert_null(c->made[1]);
	assert_null(old->made[0]);
	freed = 0;
	certs_free(old);
	assert_int_equal(freed, 1);
	certs_free(c);
	assert_int_equal(freed, 2);
}

static void a_token_finds_its_text(void **state)
{
	struct small s;
	struct certs *c = NULL;
	struct err e = {0};
	uint32_t len = 0;

	(void)state;
	assert_int_equal(certs_parse(&s, make(&s), &c, &e), 0);
	assert_memory_equal(certs_acme_text(c, "tok2", 4, &len), "tok2.two", 8);
	assert_int_equal(len, 8);
	assert_non_null(certs_acme_text(c, "tok", 3, &len));
	assert_null(certs_acme_text(c, "to", 2, &len));
	assert_null(certs_acme_text(c, "", 0, &len));
	certs_free(c);
}

static void only_a_sealed_memory_file_is_loaded(void **state)
{
	struct small s;
	size_t size = make(&s);
	struct certs *c = NULL;
	struct err e = {0};
	int good autoclose = io_memfd_sealed("certs", &s, size);
	int bad autoclose = memfd_create("certs", MFD_CLOEXEC);

	(void)state;
	assert_true(good >= 0 && bad >= 0);
	assert_int_equal(write(bad, &s, size), (ssize_t)size);
	assert_int_equal(certs_load(bad, &c, &e), -EPERM);
	assert_int_equal(certs_load(good, &c, &e), 0);
	assert_int_equal(find(c, "a.example"), 0);
	certs_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_ones_are_used),
		cmocka_unit_test(corrupt_ones_are_refused),
		cmocka_unit_test(a_name_finds_its_own),
		cmocka_unit_test(what_was_made_stays_with_the_same_bytes),
		cmocka_unit_test(a_token_finds_its_text),
		cmocka_unit_test(only_a_sealed_memory_file_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
