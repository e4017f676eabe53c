/* What there is to attack on the private host: its network and the world behind it, services, a process, a key. */
#include "runtime/network/rtnl.h"
#include "tests/attack/ground.h"
#include "tests/attack/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define HOST_PID 30001	       /* above what any sandbox counts to */
#define KEY_POS_ALL 0x3f000000 /* <linux/keyctl.h> has no permissions */
#define KEY_USR_VIEW 0x00010000
#define KEY_OTH_VIEW 0x00000001

static int write_to(const char *path, const char *text)
{
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) > 0 ? 0 : -1;
}

static int add_addresses(int nl, const char *name, const char *const *addresses)
{
	unsigned int index = if_nametoindex(name);
	struct in_addr a;

	for (; *addresses; addresses++)
		if (inet_pton(AF_INET, *addresses, &a) != 1 ||
			rtnl_address(nl, index, AF_INET, &a) < 0)
			return -1;
	return rtnl_up(nl, 1) < 0 || rtnl_up(nl, index) < 0 ? -1 : 0;
}

static int default_route(
	int nl, const char *name, const char *gateway, const unsigned char mac[6])
{
	unsigned int index = if_nametoindex(name);
	struct in_addr a;

	return inet_pton(AF_INET, gateway, &a) == 1 &&
			       rtnl_neighbour(nl, index, AF_INET, &a, mac) >= 0 &&
			       rtnl_route(nl, index, AF_INET, NULL, &a) >= 0
		       ? 0
		       : -1;
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 1024) < 0))
		return -1;
	return fd;
}

/* Another machine: a network namespace with addresses of several kinds. */
static int make_world(struct ground *g, int host_ns)
{
	static const char *const addresses[] = {
		WORLD_ADDR, PRIVATE_ADDR, METADATA_ADDR, NULL};
	int nl autoclose = -1;

	if (unshare(CLONE_NEWNET) < 0 || (nl = rtnl_open()) < 0 ||
		rtnl_veth(nl, "eth0", "world", host_ns) < 0 ||
		add_addresses(nl, "eth0", addresses) < 0 ||
		default_route(nl, "eth0", HOST_ADDR, rtnl_mac_host) < 0)
		return -1;
	g->world_tcp = bound(SOCK_STREAM, PORT_WORLD);
	g->world_udp = bound(SOCK_DGRAM, PORT_SPOOF);
	return g->world_tcp < 0 || g->world_udp < 0 ? -1 : 0;
}

static int listen_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path + 1, HOST_ABSTRACT, sizeof(HOST_ABSTRACT));
	if (bind(fd, (struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				sizeof(HOST_ABSTRACT))) < 0 ||
		listen(fd, 1024) < 0)
		return -1;
	return fd;
}

static int make_network(struct ground *g)
{
	static const char *const addresses[] = {HOST_ADDR, NULL};
	int ns autoclose = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int nl autoclose = rtnl_open();
	int r = make_world(g, ns);

	if (setns(ns, CLONE_NEWNET) < 0 || r < 0)
		return ground_trouble("the world behind the host");
	/* no reverse path filter: what the packet filter stops, it stops alone; forwarding is on before the
	 * runtime would note it as the host's */
	if (write_to("/proc/sys/net/ipv4/ip_forward", "1") < 0 ||
		write_to("/proc/sys/net/ipv4/conf/all/rp_filter", "0") < 0 ||
		write_to("/proc/sys/net/ipv4/conf/default/rp_filter", "0") < 0 ||
		add_addresses(nl, "world", addresses) < 0 ||
		default_route(nl, "world", WORLD_ADDR, rtnl_mac_inside) < 0)
		return ground_trouble("the host's network");
	g->host_tcp = bound(SOCK_STREAM, PORT_HOST);
	g->host_abstract = listen_abstract();
	return g->host_tcp < 0 || g->host_abstract < 0
		       ? ground_trouble("the host's services")
		       : 0;
}

static volatile unsigned int *reached;

static void count(int signo UNUSED)
{
	++*reached;
}

/* A process of the host, with a number that nobody inside has. */
static int make_process(struct ground *g)
{
	pid_t number = HOST_PID;
	struct clone_args a = {.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&number,
		.set_tid_size = 1};

	g->host_signals = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->host_signals == MAP_FAILED)
		return ground_trouble("mmap");
	reached = g->host_signals;
	g->host_pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (g->host_pid == 0) {
		signal(SIGWINCH, count);
		for (;;)
			pause();
	}
	return g->host_pid < 0 ? ground_trouble("the host's process") : 0;
}

static int make_ipc(void)
{
	struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 8};
	mode_t old = umask(0);
	mqd_t q = mq_open(HOST_MQUEUE, O_RDWR | O_CREAT, 0666, &a);

	umask(old);
	return q < 0 || shmget(HOST_SHM_KEY, 4096, IPC_CREAT | 0666) < 0
		       ? ground_trouble("the host's ipc")
		       : 0;
}

/* A key whose name anybody may see who sees root's keys. */
static int make_key(void)
{
	long key = syscall(
		SYS_add_key, "user", "berth-attack", "x", 1, KEY_SPEC_PROCESS_KEYRING);

	/* and one that is handed down to every process */
	long handed = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0
			      ? -1
			      : syscall(SYS_add_key, "user", "berth-attack-session", "x",
					1, KEY_SPEC_SESSION_KEYRING);

	return key < 0 || handed < 0 ||
			       syscall(SYS_keyctl, KEYCTL_SETPERM, key,
				       KEY_POS_ALL | KEY_USR_VIEW | KEY_OTH_VIEW) < 0
		       ? ground_trouble("the host's key")
		       : 0;
}

int host_open(struct ground *g)
{
	return make_network(g) < 0 || make_ipc() < 0 || make_key() < 0 ||
			       make_process(g) < 0
		       ? -1
		       : 0;
}
