/*
 * What registries say: challenges, manifests, configurations, addresses. The first byte says which: c m d u. What is taken has its
 * form, whatever it was read from.
 */
#include "tests/fuzz/fuzz.h"

#include "registry/challenge.h"
#include "registry/manifest.h"
#include "registry/origin.h"

static void try_challenge(const char *text)
{
	struct challenge c;

	challenge_parse(text, &c);
	CHECK(memchr(c.realm, 0, sizeof(c.realm)) &&
		memchr(c.scope, 0, sizeof(c.scope)) &&
		memchr(c.service, 0, sizeof(c.service)));
	CHECK(c.scheme == CHALLENGE_BEARER
			? c.realm[0]
			: c.scheme == CHALLENGE_BASIC || (!c.realm[0] && !c.scope[0]));
}

static void check_descriptor(const struct descriptor *d)
{
	CHECK(digest_valid(d->digest) && d->size > 0);
}

static void try_manifest(const char *text, size_t len)
{
	struct manifest m;
	struct err e = {0};

	if (manifest_parse(text, len, "amd64", &m, &e) < 0) {
		CHECK(e.text[0]);
		return;
	}
	CHECK(m.index || (m.n_layers > 0 && m.n_layers <= MANIFEST_LAYERS_MAX));
	check_descriptor(m.index ? &m.chosen : &m.config);
	for (size_t i = 0; i < m.n_layers; i++)
		check_descriptor(&m.layers[i]);
}

static void try_diff_ids(const char *text, size_t len)
{
	char ids[3][72];
	struct err e = {0};

	for (size_t n = 0; n <= ARRAY_LEN(ids); n++) {
		if (manifest_diff_ids(text, len, ids, n, &e) < 0) {
			CHECK(e.text[0]);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			CHECK(digest_valid(ids[i]));
	}
}

static void try_address(const char *text)
{
	struct origin o, again;
	char url[URL_MAX_LEN], whole[600];

	if (origin_join("https://a.test/v2/x", text, url) < 0 || origin_of(url, &o) < 0)
		return;
	CHECK(strcmp(o.scheme, "https") == 0 || strcmp(o.scheme, "http") == 0);
	CHECK(!strpbrk(o.host, "/@?# ") && o.port[0]);
	snprintf(whole, sizeof(whole), "%s://%s:%s/", o.scheme, o.host, o.port);
	if (origin_of(whole, &again) == 0)
		CHECK(origin_same(&o, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text autofree = text_of(data + (size > 0), size - (size > 0));
	const size_t len = size - (size > 0);

	switch (size ? *data : 0) {
	case 'c':
		try_challenge(text);
		break;
	case 'm':
		try_manifest(text, len);
		break;
	case 'd':
		try_diff_ids(text, len);
		break;
	default:
		try_address(text);
	}
	return 0;
}
