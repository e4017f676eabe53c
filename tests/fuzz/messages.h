/* Messages to berthd as they should be, for the targets that change them. */
#ifndef TESTS_FUZZ_MESSAGES_H
#define TESTS_FUZZ_MESSAGES_H

#include "tests/fuzz/fuzz.h"

#include "lib/msg.h"
#include "lib/proto.h"
#include "lib/spec.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SMALL_IDS 6u /* so that they meet */

static uint64_t small_id(struct input *in)
{
	return take_u8(in) % SMALL_IDS + 1;
}

static void sound_start(struct input *in, void *body)
{
	struct msg_start *m = body;

	*m = (struct msg_start){.id = small_id(in),
		.app = 3,
		.profile = PROFILE_APP,
		.n_layers = 1,
		.layers = {1},
		.limits = {.memory_bytes = 64 << 20, .cpu_millis = 1000, .pids = 64},
		.n_mounts = 2,
		.mounts = {{.id = 1, .kind = MOUNT_VOLUME, .path = "/data"},
			{.id = 3, .kind = MOUNT_CACHE, .path = "/cache"}},
		.name = "web.1"};
}

static void sound_enter(struct input *in, void *body)
{
	*(struct msg_enter *)body = (struct msg_enter){
		.id = small_id(in), .target = small_id(in), .flags = START_TTY};
}

static void sound_limits(struct input *in, void *body)
{
	*(struct msg_limits *)body = (struct msg_limits){.id = small_id(in),
		.limits = {.memory_bytes = 64 << 20, .cpu_millis = 1000, .pids = 64},
		.which = LIMIT_ALL};
}

static void sound_sockets(struct input *in, void *body)
{
	*(struct msg_sockets *)body =
		(struct msg_sockets){.id = small_id(in), .n = 16, .family = AF_INET};
}

static void sound_app(struct input *in, void *body)
{
	*(struct msg_app *)body =
		(struct msg_app){.id = (uint32_t)small_id(in), .name = "blog"};
}

static void sound_rename(struct input *in, void *body)
{
	*(struct msg_rename *)body = (struct msg_rename){.from = "blog", .to = "shop"};
	((struct msg_rename *)body)->to[3] = (char)('a' + (take_u8(in) & 15));
}

static void sound_network(struct input *in, void *body)
{
	struct msg_network *m = body;

	*m = (struct msg_network){.app = 3,
		.n_rules = 5,
		.hosts_size = 3,
		.whose = (uint32_t)small_id(in) & 1};
	m->rules[0] = (struct net_rule){
		.kind = NET_ADDRESS4, .prefix = 8, .verdict = NET_ALLOW, .addr = {10}};
	m->rules[1] =
		(struct net_rule){.kind = NET_ADDRESS6, .prefix = 16, .addr = {0xfd, 1}};
	m->rules[2] = (struct net_rule){
		.kind = NET_NAME, .number = 7, .protocol = 6, .first = 80, .last = 90};
	m->rules[3] = (struct net_rule){.kind = NET_SERVERS, .verdict = NET_ALLOW};
	m->rules[4] = (struct net_rule){.kind = NET_INTERNET};
}

static void sound_name(struct input *in, void *body)
{
	*(struct msg_name *)body =
		(struct msg_name){.number = 7, .n = 1, .ids = {small_id(in)}};
}

static void sound_cache(struct input *in, void *body)
{
	*(struct msg_cache *)body = (struct msg_cache){.part = small_id(in), .app = 3};
}

static void sound_size(struct input *in, void *body)
{
	*(struct msg_volume_size *)body = (struct msg_volume_size){.id = small_id(in),
		.size_bytes = VOLUME_SIZE_MIN + take_u8(in) * 4096u,
		.flags = take_u8(in) & 1};
}

static void sound_usage(struct input *in, void *body)
{
	*(struct msg_usage *)body = (struct msg_usage){.kinds = take_u8(in)};
}

static void sound_git(struct input *in, void *body)
{
	*(struct msg_git *)body = (struct msg_git){
		.name = "app", .push = take_u8(in) & 1, .step = GIT_ADVERTISE};
}

static void sound_log(struct input *in, void *body)
{
	*(struct msg_log_limits *)body = (struct msg_log_limits){
		.budget_bytes = LOG_BUDGET_MIN, .app = (uint32_t)small_id(in)};
}

/* All others begin with an id, or are zero. */
static void sound_id(struct input *in, void *body)
{
	uint64_t id = small_id(in);

	memcpy(body, &id, sizeof(id));
}

static const struct sound {
	uint32_t type;
	size_t size;
	void (*fill)(struct input *in, void *body);
	unsigned int n_fds, first_kind;
} sounds[] = {
	{MSG_HELLO, sizeof(struct msg_hello), sound_id, 0, 0},
	{MSG_START, sizeof(struct msg_start), sound_start, 1, 0},
	{MSG_START, sizeof(struct msg_start), sound_start, 1, 0}, /* twice as often */
	{MSG_STOP, sizeof(struct msg_stop), sound_id, 0, 0},
	{MSG_SIGNAL, sizeof(struct msg_signal), sound_id, 0, 0},
	{MSG_LIMITS, sizeof(struct msg_limits), sound_limits, 0, 0},
	{MSG_ENTER, sizeof(struct msg_enter), sound_enter, 1, 0},
	{MSG_SOCKETS, sizeof(struct msg_sockets), sound_sockets, 0, 0},
	{MSG_PORTS, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_LIST, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_LAYER_COMMIT, sizeof(struct msg_layer), sound_id, 0, 0},
	{MSG_LAYER_REMOVE, sizeof(struct msg_layer), sound_id, 0, 0},
	{MSG_LAYER_LIST, sizeof(struct msg_layer_page), sound_id, 0, 0},
	{MSG_VOLUME_CREATE, sizeof(struct msg_volume), sound_id, 0, 0},
	{MSG_VOLUME_REMOVE, sizeof(struct msg_volume), sound_id, 0, 0},
	{MSG_APP_REMOVE, sizeof(struct msg_app), sound_app, 0, 0},
	{MSG_KEYS_WRITE, 0, NULL, 1, 1},
	{MSG_STACK_BUILD, sizeof(struct msg_stack), sound_id, 2, 2},
	{MSG_DISK, 0, NULL, 0, 0},
	{MSG_FREEZE, sizeof(struct msg_freeze), sound_id, 0, 0},
	{MSG_THAW, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_NETWORK, sizeof(struct msg_network), sound_network, 0, 0},
	{MSG_NAME, sizeof(struct msg_name), sound_name, 0, 0},
	{MSG_HOST, 0, NULL, 0, 0},
	{MSG_USAGE, sizeof(struct msg_usage), sound_usage, 1, 2},
	{MSG_CACHE_REMOVE, sizeof(struct msg_cache), sound_cache, 0, 0},
	{MSG_LOG_LIMITS, sizeof(struct msg_log_limits), sound_log, 0, 0},
	{MSG_VOLUME_SIZE, sizeof(struct msg_volume_size), sound_size, 0, 0},
	{MSG_VOLUME_INFO, sizeof(struct msg_volume), sound_id, 0, 0},
	{MSG_GIT, sizeof(struct msg_git), sound_git, 4, 2},
	{MSG_REPO_RENAME, sizeof(struct msg_rename), sound_rename, 0, 0},
	{MSG_EXITED_ACK, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_ROUTER_SOCKETS, sizeof(struct msg_sockets), sound_sockets, 0, 0},
	{MSG_ROUTER_WAKE, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_ROUTER_LEAVES, 0, NULL, 0, 0},
	{MSG_LOG_DONE, sizeof(struct msg_instance), sound_id, 0, 0},
	{MSG_LOG_CLOSE, sizeof(struct msg_app), sound_app, 0, 0},
};

static bool is_from_logger(uint32_t type)
{
	return type >= MSG_LOG_ATTACH;
}

static bool is_from_router(uint32_t type)
{
	return type >= MSG_ROUTER_SOCKETS && !is_from_logger(type);
}

/* Descriptors of all kinds; 0 is a sound spec of argv, 1 sound keys. */
#define KINDS 9

static void make_kinds(int kinds[KINDS], const char *const *argv)
{
	static const char *const env[] = {NULL};
	static const struct msg_key key = {.id = 7,
		.type = "ssh-ed25519",
		.blob = "AAAAC3NzaC1lZDI1NTE5AAAAIA0123456789abcdefghijklmnopqr"};
	int pipes[2], pair[2];

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	kinds[0] = spec_pack(argv, env, "/");
	kinds[1] = io_memfd_sealed("keys", &key, sizeof(key));
	kinds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	kinds[3] = pipes[0]; /* its other end stays open: whoever reads it, hangs */
	kinds[4] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kinds[5] = open("/", O_PATH | O_CLOEXEC);
	kinds[6] = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	kinds[7] = pair[0];
	kinds[8] = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < KINDS; i++)
		CHECK(kinds[i] >= 0);
}

/* Bytes as they are, also what msg_send would not send. */
static bool send_raw(
	int fd, const void *data, size_t size, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 80)];
	} space = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		mh.msg_control = space.space;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)size;
}

#endif
