/* The few rtnetlink(7) requests berth needs, one at a time, each waiting for the kernel's
 * answer. */
#include "runtime/network/rtnl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

const unsigned char rtnl_mac_inside[6] = {0x02, 0x62, 0x72, 0x00, 0x00, 0x02};
const unsigned char rtnl_mac_host[6] = {0x02, 0x62, 0x72, 0x00, 0x00, 0x01};

struct request {
	struct nlmsghdr head;
	char rest[1024];
};

int rtnl_open(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void begin(
	struct request *q, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	q->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	memcpy(NLMSG_DATA(&q->head), body, len);
}

/* All requests here are below 400 bytes: struct request has room. */
static struct rtattr *add(struct request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a =
		(struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len =
		(uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
	return a;
}

static void end(struct request *q, struct rtattr *a)
{
	a->rta_len = (uint16_t)((char *)q + q->head.nlmsg_len - (char *)a);
}

static int talk(int nl, struct request *q)
{
	char answer[8192] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)answer;
	ssize_t n;

	if (send(nl, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	do {
		n = recv(nl, answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(*h) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* Else it has as many as the host could have processors, each with folders in /sys; none of
 * them is used without XDP (veth(4) hands packets to the processor's own queue). */
static void one_queue(struct request *q)
{
	const uint32_t one = 1;

	add(q, IFLA_NUM_TX_QUEUES, &one, sizeof(one));
	add(q, IFLA_NUM_RX_QUEUES, &one, sizeof(one));
}

int rtnl_veth(int nl, const char *name, const char *peer, int peer_ns)
{
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
	struct rtattr *info, *data, *other;
	uint32_t ns = (uint32_t)peer_ns;
	struct request q;

	begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	add(&q, IFLA_IFNAME, name, strlen(name) + 1);
	add(&q, IFLA_ADDRESS, rtnl_mac_inside, 6);
	one_queue(&q);
	info = add(&q, IFLA_LINKINFO, NULL, 0);
	add(&q, IFLA_INFO_KIND, "veth", 5);
	data = add(&q, IFLA_INFO_DATA, NULL, 0);
	other = add(&q, VETH_INFO_PEER, &link, sizeof(link));
	add(&q, IFLA_IFNAME, peer, strlen(peer) + 1);
	add(&q, IFLA_ADDRESS, rtnl_mac_host, 6);
	one_queue(&q);
	add(&q, IFLA_NET_NS_FD, &ns, sizeof(ns));
	end(&q, other);
	end(&q, data);
	end(&q, info);
	return talk(nl, &q);
}

int rtnl_up(int nl, unsigned int ifindex)
{
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC,
		.ifi_index = (int)ifindex,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP};
	struct request q;

	begin(&q, RTM_NEWLINK, 0, &link, sizeof(link));
	return talk(nl, &q);
}

static size_t addr_len(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

int rtnl_address(int nl, unsigned int ifindex, int family, const void *addr)
{
	struct ifaddrmsg a = {.ifa_family = (unsigned char)family,
		.ifa_prefixlen = (unsigned char)(addr_len(family) * 8),
		.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = ifindex};
	struct request q;

	begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof(a));
	add(&q, IFA_LOCAL, addr, addr_len(family));
	add(&q, IFA_ADDRESS, addr, addr_len(family));
	return talk(nl, &q);
}

int rtnl_route(
	int nl, unsigned int ifindex, int family, const void *dst, const void *gateway)
{
	struct rtmsg m = {.rtm_family = (unsigned char)family,
		.rtm_dst_len = dst ? (unsigned char)(addr_len(family) * 8) : 0,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST,
		.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_flags = gateway ? RTNH_F_ONLINK : 0};
	struct request q;

	begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	if (dst)
		add(&q, RTA_DST, dst, addr_len(family));
	if (gateway)
		add(&q, RTA_GATEWAY, gateway, addr_len(family));
	add(&q, RTA_OIF, &ifindex, sizeof(ifindex));
	return talk(nl, &q);
}

int rtnl_neighbour(int nl, unsigned int ifindex, int family, const void *addr,
	const unsigned char mac[6])
{
	struct ndmsg n = {.ndm_family = (unsigned char)family,
		.ndm_ifindex = (int)ifindex,
		.ndm_state = NUD_PERMANENT};
	struct request q;

	begin(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &n, sizeof(n));
	add(&q, NDA_DST, addr, addr_len(family));
	add(&q, NDA_LLADDR, mac, 6);
	return talk(nl, &q);
}
