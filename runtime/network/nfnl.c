/* Elements of nftables maps. */
#include "runtime/network/nfnl.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#define ELEMENT_MAX 256 /* bytes of one element's message: names are below 32, keys 20 */
#define FAMILY 1	/* NFPROTO_INET */

static int open_socket(int flags, uint32_t groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int nfnl_open(void)
{
	return open_socket(0, 0);
}

int nfnl_listen(void)
{
	return open_socket(SOCK_NONBLOCK, 1u << (NFNLGRP_NFTABLES - 1));
}

const struct nlmsghdr *nfnl_next(const char *in, size_t got, size_t *at)
{
	const struct nlmsghdr *h = (const void *)(in + *at);

	if (*at + sizeof(*h) > got || h->nlmsg_len < sizeof(*h) ||
		*at + h->nlmsg_len > got)
		return NULL;
	*at += NLMSG_ALIGN(h->nlmsg_len);
	return h;
}

/* An attribute of a message about a table, with its length; NULL without. */
static const void *find_attribute(const struct nlmsghdr *h, int type, size_t *ret_len)
{
	const char *at = (const char *)(h + 1) + NLMSG_ALIGN(sizeof(struct nfgenmsg)),
		   *end = (const char *)h + h->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)at;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type) {
			*ret_len = a->nla_len - NLA_HDRLEN;
			return at + NLA_HDRLEN;
		}
		at += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static bool names_table(const struct nlmsghdr *h, const char *table)
{
	const struct nfgenmsg *g = (const void *)(h + 1);
	size_t len = 0;
	const void *name = find_attribute(h, NFTA_TABLE_NAME, &len);

	return name && g->nfgen_family == FAMILY && len == strlen(table) + 1 &&
	       memcmp(name, table, len) == 0;
}

bool nfnl_heard(int fd, const char *table)
{
	char in[32768] __attribute__((aligned(8)));
	bool gone = false;
	ssize_t got;

	while ((got = recv(fd, in, sizeof(in), 0)) > 0 || errno == EINTR) {
		const struct nlmsghdr *h;
		size_t at = 0;

		while (got > 0 && (h = nfnl_next(in, (size_t)got, &at)))
			gone |= h->nlmsg_type ==
					(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE) &&
				names_table(h, table);
	}
	return gone || errno == ENOBUFS;
}

static struct nlmsghdr *begin_message(struct nfnl_batch *b, uint16_t type, uint16_t flags,
	unsigned char family, int res)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)(b->data + b->len);
	struct nfgenmsg *g = NLMSG_DATA(h);

	*h = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof(*g)),
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = b->n};
	*g = (struct nfgenmsg){.nfgen_family = family,
		.version = NFNETLINK_V0,
		.res_id = htons((uint16_t)res)};
	return h;
}

static void end_message(struct nfnl_batch *b, const struct nlmsghdr *h)
{
	b->len += NLMSG_ALIGN(h->nlmsg_len);
}

static struct nlattr *add(struct nlmsghdr *h, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)(void *)((char *)h + h->nlmsg_len);

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	memset((char *)a + a->nla_len, 0, NLA_ALIGN(a->nla_len) - a->nla_len);
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	h->nlmsg_len += NLA_ALIGN(a->nla_len);
	return a;
}

static struct nlattr *nest(struct nlmsghdr *h, uint16_t type)
{
	return add(h, type | NLA_F_NESTED, NULL, 0);
}

static void end_nest(const struct nlmsghdr *h, struct nlattr *a)
{
	a->nla_len = (uint16_t)((const char *)h + h->nlmsg_len - (char *)a);
}

void nfnl_begin(struct nfnl_batch *b, const char *table)
{
	b->table = table;
	b->len = 0;
	b->n = 0;
	end_message(b, begin_message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
			       NFNL_SUBSYS_NFTABLES));
}

static void add_text(struct nlmsghdr *h, uint16_t type, const char *text)
{
	add(h, type, text, strlen(text) + 1);
}

static void add_verdict(struct nlmsghdr *h, const char *chain)
{
	struct nlattr *verdict = nest(h, NFTA_DATA_VERDICT);
	uint32_t code = htonl((uint32_t)NFT_JUMP);

	add(h, NFTA_VERDICT_CODE, &code, sizeof(code));
	add_text(h, NFTA_VERDICT_CHAIN, chain);
	end_nest(h, verdict);
}

/* One element with its key; chain and data NULL: it goes. */
static void element(struct nfnl_batch *b, const char *map, const void *key,
	size_t key_len, const char *chain, const void *data, size_t data_len)
{
	bool gone = !chain && !data;
	struct nlattr *list, *one, *part;
	struct nlmsghdr *h;

	b->n++;
	if (b->len + ELEMENT_MAX > sizeof(b->data))
		return; /* nfnl_commit sees it: the end does not fit either */
	h = begin_message(b,
		(uint16_t)(NFNL_SUBSYS_NFTABLES << 8 |
			   (gone ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM)),
		(uint16_t)(NLM_F_ACK | (gone ? 0 : NLM_F_CREATE | NLM_F_EXCL)), FAMILY,
		0);
	add_text(h, NFTA_SET_ELEM_LIST_TABLE, b->table);
	add_text(h, NFTA_SET_ELEM_LIST_SET, map);
	list = nest(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	one = nest(h, NFTA_LIST_ELEM);
	part = nest(h, NFTA_SET_ELEM_KEY);
	add(h, NFTA_DATA_VALUE, key, key_len);
	end_nest(h, part);
	if (!gone) {
		part = nest(h, NFTA_SET_ELEM_DATA);
		if (chain)
			add_verdict(h, chain);
		else
			add(h, NFTA_DATA_VALUE, data, data_len);
		end_nest(h, part);
	}
	end_nest(h, one);
	end_nest(h, list);
	end_message(b, h);
}

void nfnl_jump(struct nfnl_batch *b, const char *map, const void *key, size_t key_len,
	const char *chain)
{
	element(b, map, key, key_len, chain, NULL, 0);
}

void nfnl_value(struct nfnl_batch *b, const char *map, const void *key, size_t key_len,
	const void *data, size_t data_len)
{
	element(b, map, key, key_len, NULL, data, data_len);
}

static void take_handle(const struct nlmsghdr *h, uint64_t *handle)
{
	size_t len = 0;
	const void *data = find_attribute(h, NFTA_TABLE_HANDLE, &len);
	uint64_t value;

	if (!data || len != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	*handle = be64toh(value);
}

/* The kernel has done the work, and queued all its answers, when the send returns. handle:
 * of a table that was asked for, or NULL. */
static int read_answers(int fd, unsigned int n, uint64_t *handle)
{
	char in[8192] __attribute__((aligned(8)));
	unsigned int acks = 0;
	int r = 0;

	for (;;) {
		ssize_t got = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		const struct nlmsghdr *h;
		size_t at = 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		while ((h = nfnl_next(in, (size_t)got, &at))) {
			const struct nlmsgerr *e = (const void *)(h + 1);

			if (handle && h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 |
							       NFT_MSG_NEWTABLE))
				take_handle(h, handle);
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			acks++;
			r = r ? r : e->error;
		}
	}
	return r ? r : acks < n ? -EPROTO : 0;
}

int nfnl_commit(int fd, struct nfnl_batch *b)
{
	if (b->n == 0)
		return 0;
	if (b->len + ELEMENT_MAX > sizeof(b->data))
		return -E2BIG;
	end_message(b,
		begin_message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (send(fd, b->data, b->len, 0) < 0)
		return -errno;
	return read_answers(fd, b->n, NULL);
}

int nfnl_table_handle(int fd, const char *table, uint64_t *ret)
{
	struct nfnl_batch b = {.len = 0};
	struct nlmsghdr *h = begin_message(
		&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_ACK, FAMILY, 0);
	uint64_t handle = 0; /* the kernel's begin with 1 */
	int r;

	add_text(h, NFTA_TABLE_NAME, table);
	if (send(fd, h, h->nlmsg_len, 0) < 0)
		return -errno;
	r = read_answers(fd, 1, &handle);
	if (r < 0 || !handle)
		return r < 0 ? r : -EPROTO;
	*ret = handle;
	return 0;
}
