/* Addresses and ranges. */
#include "lib/addr.h"
#include "lib/name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OURS "198.18.0.0/15" /* ADDR_BASE */

const char *const addr_private4[] = {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10",
	"127.0.0.0/8", "168.63.129.16", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.168.0.0/16", OURS, "224.0.0.0/4", "240.0.0.0/4", NULL};
const char *const addr_private6[] = {"::/127", "::ffff:0:0/96", "64:ff9b::/96",
	"fc00::/7", "fe80::/10", "ff00::/8", NULL};
const char *const addr_never4[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", OURS,
	"224.0.0.0/4", "240.0.0.0/4", NULL};
/* From 64:ff9b:: on: what a gateway makes of addr_never4 (RFC 6052). */
const char *const addr_never6[] = {"::/127", "::ffff:0:0/96", "64:ff9b::/104",
	"64:ff9b::7f00:0/104", "64:ff9b::a9fe:0/112", "64:ff9b::c612:0/111",
	"64:ff9b::e000:0/100", "64:ff9b::f000:0/100", "fd00:ec2::254", "fd20:ce::254",
	ADDR6_RANGE, "fe80::/10", "ff00::/8", NULL};

static unsigned int bits_of(int family)
{
	return family == AF_INET ? 32 : 128;
}

/* Clears the bits that don't count; true when there were any. */
static bool clear_rest(struct addr *a)
{
	bool any = false;

	for (unsigned int i = a->prefix; i < bits_of(a->family); i++) {
		unsigned char bit = (unsigned char)(0x80 >> i % 8);

		any = any || (a->bytes[i / 8] & bit);
		a->bytes[i / 8] &= (unsigned char)~bit;
	}
	return any;
}

int addr_parse(const char *s, struct addr *ret)
{
	size_t len = strcspn(s, "/");
	struct addr a = {.family = memchr(s, ':', len) ? AF_INET6 : AF_INET};
	char text[INET6_ADDRSTRLEN];
	uint64_t prefix = bits_of(a.family);

	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, len);
	text[len] = '\0';
	if (inet_pton(a.family, text, a.bytes) != 1 ||
		(s[len] && num_parse_u64(s + len + 1, 0, prefix, &prefix) < 0))
		return -EINVAL;
	a.prefix = (unsigned int)prefix;
	bool rest = clear_rest(&a);

	*ret = a;
	return rest ? -EDOM : 0;
}

bool addr_is_single(const struct addr *a)
{
	return a->prefix == bits_of(a->family);
}

void addr_unmap(struct addr *a)
{
	struct in6_addr in6;

	memcpy(&in6, a->bytes, sizeof(in6));
	if (a->family != AF_INET6 || a->prefix != 128 || !IN6_IS_ADDR_V4MAPPED(&in6))
		return;
	*a = (struct addr){.family = AF_INET, .prefix = 32};
	memcpy(a->bytes, in6.s6_addr + 12, 4);
}

void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	if (!inet_ntop(a->family, a->bytes, out, ADDR_TEXT_MAX))
		out[0] = '\0';
	if (!addr_is_single(a)) {
		size_t len = strlen(out);

		snprintf(out + len, ADDR_TEXT_MAX - len, "/%u", a->prefix);
	}
}

bool addr_contains(const struct addr *outer, const struct addr *inner)
{
	struct addr a = *inner;

	if (outer->family != inner->family || outer->prefix > inner->prefix)
		return false;
	a.prefix = outer->prefix;
	clear_rest(&a);
	return memcmp(a.bytes, outer->bytes, sizeof(a.bytes)) == 0;
}

bool addr_overlaps(const struct addr *a, const struct addr *b)
{
	return addr_contains(a, b) || addr_contains(b, a);
}

bool addr_is_never(const struct addr *a)
{
	const char *const *list = a->family == AF_INET ? addr_never4 : addr_never6;
	struct addr range;

	for (; *list; list++)
		if (addr_parse(*list, &range) == 0 && addr_contains(&range, a))
			return true;
	return false;
}

void addr6_of(uint32_t addr4, unsigned char out[16])
{
	static const unsigned char prefix[12] = {0xfd, 'b', 'e', 'r', 't', 'h'};
	uint32_t a = htonl(addr4);

	memcpy(out, prefix, sizeof(prefix));
	memcpy(out + sizeof(prefix), &a, sizeof(a));
}
