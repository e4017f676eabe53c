/* Connections that the kernel tracks. */
#include "runtime/network/conntrack.h"
#include "lib/addr.h"
#include "runtime/network/nfnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

struct message {
	struct nlmsghdr h;
	struct nfgenmsg g;
	char attrs[256]; /* a tuple has below 100 bytes */
};

static size_t payload(const struct nlattr *a)
{
	return a->nla_len - (size_t)NLA_HDRLEN;
}

static const struct nlattr *find(const void *in, size_t len, int type)
{
	const char *at = in, *end = at + len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)at;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		at += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static const struct nlattr *find_in(const struct nlattr *nest, int type)
{
	return nest ? find(nest + 1, payload(nest), type) : NULL;
}

static const struct nlattr *find_of(const struct nlmsghdr *h, int type)
{
	const struct message *m = (const void *)h;

	return h->nlmsg_len < offsetof(struct message, attrs)
		       ? NULL
		       : find(m->attrs, h->nlmsg_len - offsetof(struct message, attrs),
				 type);
}

/* Who sends in this direction. */
static uint32_t source(const struct nlattr *tuple)
{
	const struct nlattr *ip = find_in(tuple, CTA_TUPLE_IP);
	const struct nlattr *four = find_in(ip, CTA_IP_V4_SRC),
			    *six = find_in(ip, CTA_IP_V6_SRC);
	unsigned char counterpart[16];
	uint32_t addr;

	if (four && payload(four) == sizeof(addr)) {
		memcpy(&addr, four + 1, sizeof(addr));
		return ntohl(addr);
	}
	if (!six || payload(six) != sizeof(counterpart))
		return 0;
	memcpy(&addr, (const char *)(six + 1) + 12, sizeof(addr));
	addr6_of(ntohl(addr), counterpart);
	return memcmp(counterpart, six + 1, sizeof(counterpart)) == 0 ? ntohl(addr) : 0;
}

/* The kernel's answer is there when the send returns. */
static int request(int fd, const struct message *m)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char echo[sizeof(*m)];
	} answer;
	ssize_t got;

	if (send(fd, m, m->h.nlmsg_len, 0) < 0)
		return -errno;
	got = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	return (size_t)got < offsetof(typeof(answer), echo) ||
			       answer.h.nlmsg_type != NLMSG_ERROR
		       ? -EPROTO
		       : answer.e.error;
}

/* The one that the kernel described; 0 also when it ended meanwhile. */
static int forget(int fd, const struct nlmsghdr *entry)
{
	static const int types[] = {CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE};
	struct message m = {
		.h = {.nlmsg_len = offsetof(struct message, attrs),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.g = ((const struct message *)(const void *)entry)->g};
	int r;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct nlattr *a = find_of(entry, types[i]);

		if (!a)
			continue;
		if (m.h.nlmsg_len + NLA_ALIGN(a->nla_len) > sizeof(m))
			return -EMSGSIZE;
		memcpy((char *)&m + m.h.nlmsg_len, a, a->nla_len);
		m.h.nlmsg_len += NLA_ALIGN(a->nla_len);
	}
	r = request(fd, &m);
	return r == -ENOENT ? 0 : r;
}

int conntrack_forget(bool (*gone)(void *arg, uint32_t addr), void *arg)
{
	const struct message dump = {
		.h = {.nlmsg_len = offsetof(struct message, attrs),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	char in[32768] __attribute__((aligned(8)));
	int list autoclose = nfnl_open(), change autoclose = nfnl_open();
	int r = 0;

	if (list < 0 || change < 0)
		return list < 0 ? list : change;
	if (send(list, &dump, dump.h.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t got = recv(list, in, sizeof(in), 0);
		const struct nlmsghdr *h;
		size_t at = 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EPROTO;
		while ((h = nfnl_next(in, (size_t)got, &at))) {
			if (h->nlmsg_type == NLMSG_DONE)
				return r;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)(h + 1))->error;
			if (!gone(arg, source(find_of(h, CTA_TUPLE_ORIG))) &&
				!gone(arg, source(find_of(h, CTA_TUPLE_REPLY))))
				continue;
			int one = forget(change, h);
			r = r ? r : one;
		}
	}
}
