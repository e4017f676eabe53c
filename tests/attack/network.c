/* Attacks with sockets and over the network. */
#include "tests/attack/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_SECONDS 2
#ifndef IPPROTO_L2TP
#define IPPROTO_L2TP 115
#endif

static int opens(int family, int type, int protocol)
{
	return result(socket(family, type, protocol));
}

int attack_socket_raw(void)
{
	return opens(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

int attack_socket_packets(void)
{
	return opens(AF_INET, SOCK_RAW, IPPROTO_RAW);
}

int attack_socket_sctp(void)
{
	return opens(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
}

int attack_socket_udplite(void)
{
	return opens(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
}

int attack_socket_l2tp(void)
{
	return opens(AF_INET, SOCK_DGRAM, IPPROTO_L2TP);
}

int attack_socket_packet(void)
{
	return opens(AF_PACKET, SOCK_RAW, 0);
}

int attack_socket_vsock(void)
{
	return opens(AF_VSOCK, SOCK_STREAM, 0);
}

int attack_socket_alg(void)
{
	return opens(AF_ALG, SOCK_SEQPACKET, 0);
}

int attack_socket_xdp(void)
{
	return opens(AF_XDP, SOCK_RAW, 0);
}

int attack_socket_key(void)
{
	return opens(AF_KEY, SOCK_RAW, 2);
}

int attack_socket_netfilter(void)
{
	return opens(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

int attack_socket_generic(void)
{
	return opens(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
}

int attack_socket_uevent(void)
{
	return opens(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
}

/* An interface that does not exist. */
int attack_interface(void)
{
	struct ifreq q = {.ifr_name = "none"};

	return result(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &q));
}

int attack_transparent(void)
{
	int one = 1;

	return result(setsockopt(socket(AF_INET, SOCK_STREAM, 0), IPPROTO_IP,
		IP_TRANSPARENT, &one, sizeof(one)));
}

/* ---- reaching others ---- */

static struct sockaddr_in address(const char *addr, int port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};

	inet_pton(AF_INET, addr ? addr : "0.0.0.0", &a.sin_addr);
	return a;
}

static int reach(const char *addr, int port)
{
	struct sockaddr_in a = address(addr, port);
	struct timeval t = {CONNECT_SECONDS, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	return result(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

int attack_host_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(a.sun_path + 1, HOST_ABSTRACT, sizeof(HOST_ABSTRACT));
	return result(connect(fd, (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			    sizeof(HOST_ABSTRACT))));
}

int attack_host_loopback(void)
{
	return reach("127.0.0.1", PORT_HOST);
}

int attack_host_address(void)
{
	return reach(HOST_ADDR, PORT_HOST);
}

int attack_other_app(void)
{
	return reach(getenv(ENV_APP_ADDR), PORT_APP);
}

int attack_other_app_udp(void)
{
	struct sockaddr_in a = address(getenv(ENV_APP_ADDR), PORT_APP);

	return result(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0,
		(struct sockaddr *)&a, sizeof(a)));
}

int attack_metadata(void)
{
	return reach(METADATA_ADDR, PORT_WORLD);
}

int attack_world(void)
{
	return reach(WORLD_ADDR, PORT_WORLD);
}

int attack_private_net(void)
{
	return reach(PRIVATE_ADDR, PORT_WORLD);
}

/* A whole packet of its own, so that the source can be anybody. */
int attack_spoof(void)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[8];
	} p = {.ip = {.ihl = 5, .version = 4, .ttl = 64, .protocol = IPPROTO_UDP},
		.text = "spoofed"};
	struct sockaddr_in to = address(WORLD_ADDR, PORT_SPOOF);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		return errno;
	p.ip.tot_len = htons(sizeof(p));
	p.ip.saddr = address(SPOOFED_ADDR, 0).sin_addr.s_addr;
	p.ip.daddr = to.sin_addr.s_addr;
	p.udp.source = htons(9);
	p.udp.dest = to.sin_port;
	p.udp.len = htons(sizeof(p) - sizeof(p.ip));
	return result(sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)));
}

/* ---- descriptors over a unix socket ---- */

int attack_peer_pidfd(void)
{
	int pair[2], fd = -1;
	socklen_t len = sizeof(fd);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return errno;
	return result(getsockopt(pair[0], SOL_SOCKET, 77 /* SO_PEERPIDFD */, &fd, &len));
}

int attack_pass_pidfd(void)
{
	int pair[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return errno;
	return result(
		setsockopt(pair[0], SOL_SOCKET, 76 /* SO_PASSPIDFD */, &on, sizeof(on)));
}

/* A connection with bytes that its other end, open in this process, never takes: whoever
 * closes it last waits. */
static int slow_to_close(void)
{
	static char bytes[1 << 16];
	const struct linger linger = {1, LINGER_S};
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int from = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(from, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
	if (bind(from, (struct sockaddr *)&a, len) < 0 || listen(from, 1) < 0 ||
		getsockname(from, (struct sockaddr *)&a, &len) < 0 ||
		connect(to, (struct sockaddr *)&a, len) < 0 ||
		accept(from, NULL, NULL) < 0 ||
		setsockopt(to, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		return -1;
	for (int i = 0; i < 10; i++, usleep(5000)) /* until the other end takes no more */
		while (send(to, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	return to;
}

int attack_pass_linger(void)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int slow = slow_to_close(), c = accept(3, NULL, NULL);

	if (slow < 0 || c < 0)
		return errno;
	memcpy(CMSG_DATA(&control.head), &slow, sizeof(slow));
	if (sendmsg(c, &m, MSG_NOSIGNAL) < 0 && send(c, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	close(slow);
	/* the other end must stay when this process ends, or the wait would end too */
	if (fork() == 0)
		for (;;)
			pause();
	return 0;
}
