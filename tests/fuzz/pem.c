/*
 * Certificates as people bring them: archives and texts, a sound pair with some bytes changed or
 * any bytes; and what uacme writes. What is taken is a pair that is taken again, the same, and a
 * refusal is a sentence without a key in it.
 */
#include "tests/fuzz/fuzz.h"

#include "cli/certs_input.h"
#include "control/certs/acme_plan.h"
#include "control/certs/cert.h"

#include <errno.h>

/* For a.example and *.b.example, from 2026-11-28 for ten years, self-signed. */
#define NOW_US 1800000000000000u
static const char sound_chain[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBszCCAVqgAwIBAgIUAdgeu6Yo0MTT5YiK4wZDyAaTW8MwCgYIKoZIzj0EAwIw\n"
	"FDESMBAGA1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyODA3MjI0MloXDTM2MTEyNTA3\n"
	"MjI0MlowFDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"
	"AQcDQgAEpUJsSvmOe/JVoXFafXiK0AaKJDFuyHOeALRjNYtWcYVTTPgEJ4rsO9pN\n"
	"LSkmvjqg0DRwY5VaPmPBqmqxEqE7vKOBiTCBhjAdBgNVHQ4EFgQUF7vqLczwwupD\n"
	"Ex320ehVrnEq8oUwHwYDVR0jBBgwFoAUF7vqLczwwupDEx320ehVrnEq8oUwIQYD\n"
	"VR0RBBowGIIJYS5leGFtcGxlggsqLmIuZXhhbXBsZTATBgNVHSUEDDAKBggrBgEF\n"
	"BQcDATAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0cAMEQCIC3nD8Dc7TlFp/Lx\n"
	"nJ7MKgZfqB9lXFhWKafFewAQd+haAiBCEfzXURIZ234gBvNWnZqDweHwM3VRKer5\n"
	"EwZKgGJizQ==\n"
	"-----END CERTIFICATE-----\n";
static const char sound_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgup+6MBc1HW4PRC1p\n"
	"y1kwB61MDHksMQaC1M/WK3Dvj4ahRANCAASlQmxK+Y578lWhcVp9eIrQBookMW7I\n"
	"c54AtGM1i1ZxhVNM+AQniuw72k0tKSa+OqDQNHBjlVo+Y8GqarESoTu8\n"
	"-----END PRIVATE KEY-----\n";

static void taken(struct cert_pair *p, const json_t *hosts)
{
	struct cert_pair again;
	struct cert facts;
	struct err e = {0};

	CHECK(cert_read(p->chain, &facts, &e) == 0);
	CHECK(strcmp(facts.fingerprint, p->facts.fingerprint) == 0);
	CHECK(json_array_size(facts.names) > 0 && facts.until_us > NOW_US);
	CHECK(cert_check(p->chain, p->key, hosts, NOW_US, &again, &e) == 0);
	CHECK(strcmp(again.chain, p->chain) == 0 && strcmp(again.key, p->key) == 0);
	cert_pair_clear(&again);
	cert_clear(&facts);
}

/* 0 when it is taken. */
static int try_pair(const char *chain, const char *key)
{
	json_t *hosts = json_pack("[s, s]", "a.example", "x.b.example");
	struct cert_pair p;
	struct err e = {0};
	int r = cert_check(chain, key, hosts, NOW_US, &p, &e);

	CHECK(r == 0 || r == -EINVAL);
	if (r == 0) {
		taken(&p, hosts);
		cert_pair_clear(&p);
	} else {
		CHECK(e.text[0] && !strstr(e.text, "PRIVATE KEY-"));
	}
	json_decref(hosts);
	return r;
}

/* A text with some bytes changed; stays text. How many. */
static unsigned int change(struct input *in, char *text)
{
	size_t len = strlen(text);

	unsigned int n = take_u8(in) % 8;

	for (unsigned int i = 0; i < n; i++) {
		size_t at = take_u16(in) % len;
		char c = (char)take_u8(in);

		text[at] = c ? c : text[at];
	}
	return n;
}

/* What may stand behind a certificate. */
static const char *text_between(struct input *in)
{
	return take_u8(in) & 1 ? "and so on\n" : "";
}

static void try_changed(struct input *in)
{
	char chain[2 * sizeof(sound_chain)], key[sizeof(sound_key)];

	snprintf(chain, sizeof(chain), "%s%s", sound_chain, text_between(in));
	memcpy(key, sound_key, sizeof(key));
	unsigned int changes = change(in, chain);
	changes += change(in, key);
	int r = try_pair(chain, key);
	CHECK(changes || r == 0);
}

static void try_any(const struct input *in)
{
	char *text autofree = text_of(in->p, in->n);

	try_pair(text, sound_key);
	try_pair(sound_chain, text);
	try_pair(text, text);
}

static void try_input(const struct input *in)
{
	autobuf whole = {.max = CERTS_INPUT_MAX}, chain = BUF_INIT, key = BUF_INIT;
	struct err e = {0};

	buf_add(&whole, in->p, in->n);
	int r = certs_input(&whole, &chain, &key, &e);
	CHECK(r == 0 || (r == -EINVAL && e.text[0]));
	if (r == 0)
		CHECK(chain.len && key.len && chain.len <= in->n && key.len <= in->n);
}

static void try_output(const struct input *in)
{
	char *text autofree = text_of(in->p, in->n), out[512];
	bool limited, forgotten;
	json_t *v;

	acme_explain(text, out, sizeof(out), &limited, &forgotten);
	v = json_string(out);
	CHECK(v && out[0]); /* it is shown and kept as text */
	json_decref(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	switch (take_u8(&in) % 4) {
	case 0:
		try_changed(&in);
		break;
	case 1:
		try_any(&in);
		break;
	case 2:
		try_input(&in);
		break;
	default:
		try_output(&in);
		break;
	}
	return 0;
}
