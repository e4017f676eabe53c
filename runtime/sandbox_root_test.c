/* Real sandboxes on this kernel, as root: what they can do, what they cannot, and that nothing is left. Takes some seconds. */
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/spec.h"
#include "runtime/runtime.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PROBE_SOURCE "tests/runtime/probe.c"
#define ROOT_LAYER 1
#define END_MS 15000

struct world {
	char dir[64], state[96];
	struct runtime *rt;
	uint64_t next;
};

static struct world w;

/* One sandbox: what to start, and what came of it. */
struct box {
	struct msg_start start;
	struct sandbox_record rec;
	struct msg_exited exited;
	struct err e;
	const char *env[4];
	int pidfd, master, exit_fd, output[2];
	char text[8192];
	bool quiet; /* no START_STDIO: output to the FIFO or nowhere */
};

static struct box box_new(void)
{
	struct box b = {.pidfd = -1, .master = -1, .exit_fd = -1, .output = {-1, -1}};

	b.start.id = ++w.next;
	b.start.app = 7;
	b.start.profile = PROFILE_APP;
	b.start.n_layers = 1;
	b.start.layers[0] = ROOT_LAYER;
	b.start.limits = (struct msg_limits_body){
		.memory_bytes = 64 << 20, .cpu_millis = 1000, .pids = 64, .nofile = 1024};
	snprintf(b.start.name, sizeof(b.start.name), "web.1");
	return b;
}

static int open_exit_file(uint64_t id)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/exit-%" PRIu64, w.dir, id);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static int box_start(struct box *b, const char *const *argv)
{
	struct sandbox_io io = {.stdio = {-1, -1, -1}, .fifo_fd = -1, .tty = (b->start.flags & START_TTY) != 0};
	int spec autoclose = spec_pack(argv, b->env, "/");
	int r;

	assert_true(spec >= 0);
	b->exit_fd = open_exit_file(b->start.id);
	assert_true(b->exit_fd >= 0);
	io.spec_fd = spec;
	io.exit_fd = b->exit_fd;
	if (!io.tty && !b->quiet) {
		assert_int_equal(pipe2(b->output, O_CLOEXEC), 0);
		io.stdio[1] = io.stdio[2] = b->output[1];
		b->start.flags |= START_STDIO;
	}
	r = sandbox_start(w.rt, &b->start, &io, &b->rec, &b->pidfd, &b->master, &b->e);
	if (b->output[1] >= 0)
		close(b->output[1]);
	return r;
}

static void box_must_start(struct box *b, const char *const *argv)
{
	int r = box_start(b, argv);

	if (r < 0)
		print_message("start: %s\n", b->e.text);
	assert_int_equal(r, 0);
}

static void box_end(struct box *b)
{
	struct pollfd p = {.fd = b->pidfd, .events = POLLIN};
	autobuf out = {.max = sizeof(b->text) - 1};
	siginfo_t info;

	assert_int_equal(poll(&p, 1, END_MS), 1);
	assert_int_equal(waitid(P_PIDFD, (id_t)b->pidfd, &info, WEXITED), 0);
	if (b->output[0] >= 0 && io_read_all(b->output[0], &out) == 0 && out.data)
		memcpy(b->text, out.data, out.len + 1);
	sandbox_exit_info(w.rt, &b->rec, b->exit_fd, &b->exited);
	sandbox_cleanup(w.rt, &b->rec);
	close(b->pidfd);
	close(b->exit_fd);
	if (b->output[0] >= 0)
		close(b->output[0]);
	if (b->master >= 0)
		close(b->master);
}

#define PROBE(...) ((const char *const[]){"/probe", __VA_ARGS__, NULL})
#define run(b, ...)                                                                               \
	do {                                                                                      \
		box_must_start(b, PROBE(__VA_ARGS__));                                            \
		box_end(b);                                                                       \
	} while (0)

static void assert_end(const struct box *b, enum exit_reason reason, int value)
{
	if (b->exited.reason != (uint32_t)reason || b->exited.value != value)
		print_message("reason %u value %d, output: %s\n", b->exited.reason, b->exited.value, b->text);
	assert_int_equal(b->exited.reason, reason);
	assert_int_equal(b->exited.value, value);
}

static void wait_for_line(const struct box *b)
{
	struct pollfd p = {.fd = b->output[0], .events = POLLIN};
	char line[64];

	assert_int_equal(poll(&p, 1, END_MS), 1);
	assert_true(read(b->output[0], line, sizeof(line)) > 0);
}

/* ---- the ends of a command ---- */

static void the_exit_status_comes_back(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "exit", "42");
	assert_end(&b, EXIT_REASON_EXITED, 42);
	assert_true(b.exited.time_us > io_now_us() - 60u * 1000000);
	assert_int_equal(b.exited.memory_limit_bytes, 64 << 20);
}

static void a_signal_is_told_as_one(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "raise", "11");
	assert_end(&b, EXIT_REASON_SIGNALED, 11);
}

static void a_command_that_is_missing_has_its_errno(void **state)
{
	struct box b = box_new();
	const char *const argv[] = {"/no/such/program", NULL};

	(void)state;
	box_must_start(&b, argv);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXEC, ENOENT);
}

static void too_much_memory_is_told_as_that(void **state)
{
	struct box b = box_new(), child = box_new();

	(void)state;
	run(&b, "eat", "256");
	assert_end(&b, EXIT_REASON_OOM, SIGKILL);
	run(&child, "eat-child", "256");
	assert_end(&child, EXIT_REASON_OOM, SIGKILL);
	struct box fits = box_new();
	run(&fits, "eat", "16");
	assert_end(&fits, EXIT_REASON_EXITED, 0);
	assert_true(fits.exited.memory_peak_bytes == 0 || fits.exited.memory_peak_bytes > 16u << 20);
}

static void a_kill_from_outside_without_a_record_is_lost(void **state)
{
	struct box b = box_new();

	(void)state;
	box_must_start(&b, PROBE("sleep", "60"));
	assert_int_equal(sandbox_kill(w.rt, &b.rec), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_LOST, 0);
}

static void signals_reach_the_command(void **state)
{
	struct box b = box_new(), killed = box_new();

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 7);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), -ESRCH);
	box_must_start(&killed, PROBE("trap", "15"));
	wait_for_line(&killed);
	assert_int_equal(sandbox_signal(w.rt, &killed.rec, SIGKILL), 0);
	box_end(&killed);
	assert_end(&killed, EXIT_REASON_SIGNALED, SIGKILL);
}

/* ---- limits ---- */

static void the_number_of_processes_is_limited(void **state)
{
	struct box b = box_new(), more = box_new();

	(void)state;
	b.start.limits.pids = 16;
	run(&b, "forks", "200");
	assert_int_equal(atoi(b.text), 14); /* 16 less berth-init and the probe */
	more.start.limits.pids = 300;
	run(&more, "forks", "200");
	assert_int_equal(atoi(more.text), 200);
}

static void processor_time_is_limited(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.limits.cpu_millis = 200;
	run(&b, "spin", "2");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	/* at most 3 s of wall time (time(2) counts whole seconds) at a fifth: 600 ms and some slack */
	assert_in_range(b.exited.cpu_us, 100000, 900000);
}

static void open_files_are_limited(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.limits.nofile = 321;
	run(&b, "nofile");
	assert_string_equal(b.text, "321\n");
}

static void limits_change_while_it_runs(void **state)
{
	struct box b = box_new();
	struct msg_limits_body l = b.start.limits;
	struct err e;

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	l.memory_bytes = 128 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, &e), 0);
	l.memory_bytes = 32 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, &e), 0);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(b.exited.memory_limit_bytes, 32 << 20);
}

/* ---- what it sees ---- */

static void only_its_own_processes_are_there(void **state)
{
	struct box b = box_new();
	char *save = NULL;
	int n = 0;

	(void)state;
	run(&b, "ls", "/proc");
	for (char *l = strtok_r(b.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		n += l[0] >= '1' && l[0] <= '9';
	assert_int_equal(n, 2); /* berth-init and the probe */
	struct box ids = box_new();
	run(&ids, "ids");
	assert_string_equal(ids.text, "1000 1000 2\n");
}

static void no_host_path_is_in_its_mounts(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "cat", "/proc/self/mountinfo");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(b.text, " / / ")); /* the positive control: this is a mount table */
	assert_non_null(strstr(b.text, "/proc/keys"));
	assert_null(strstr(b.text, "/tmp/berth"));
	assert_null(strstr(b.text, "layers"));
	assert_null(strstr(b.text, "scratch"));
}

static void the_host_name_is_the_instance(void **state)
{
	struct box b = box_new(), file = box_new();

	(void)state;
	run(&b, "host");
	assert_string_equal(b.text, "web.1\n");
	run(&file, "cat", "/etc/hosts");
	assert_non_null(strstr(file.text, "127.0.1.1 web.1"));
}

static void its_cgroup_looks_like_the_root(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "cat", "/proc/self/cgroup");
	assert_null(strstr(b.text, "berth"));
}

static void every_forbidden_call_is_refused(void **state)
{
	struct box b = box_new();
	char *save = NULL;

	(void)state;
	run(&b, "forbidden");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	for (char *l = strtok_r(b.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (strstr(l, "DONE"))
			print_message("%s\n", l);
		assert_null(strstr(l, "DONE"));
	}
}

static void every_permitted_call_works(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "permitted");
	if (strstr(b.text, "refused"))
		print_message("%s", b.text);
	assert_null(strstr(b.text, "refused"));
	assert_non_null(strstr(b.text, "fork: DONE"));
}

static void root_in_a_build_has_only_what_packages_need(void **state)
{
	struct box b = box_new(), owner = box_new();
	char *save = NULL;

	(void)state;
	b.start.profile = PROFILE_BUILD_ROOT;
	run(&b, "forbidden");
	for (char *l = strtok_r(b.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strstr(l, "DONE"))
			assert_true(strncmp(l, "setuid", 6) == 0 || strncmp(l, "chroot", 6) == 0);
	owner.start.profile = PROFILE_BUILD_ROOT;
	run(&owner, "ids");
	assert_string_equal(owner.text, "0 0 2\n");
}

/* ---- files ---- */

static void files_belong_to_ids_inside(void **state)
{
	struct box b = box_new(), denied = box_new();

	(void)state;
	run(&b, "stat", "/probe");
	assert_string_equal(b.text, "100755 0 0\n");
	run(&denied, "put", "/x", "1"); /* the root folder is root's */
	assert_end(&denied, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(denied.text, "Permission denied"));
}

static void scratch_is_gone_with_the_sandbox(void **state)
{
	struct box first = box_new(), second = box_new();

	(void)state;
	run(&first, "put", "/app/note", "hello");
	assert_end(&first, EXIT_REASON_EXITED, 0);
	run(&second, "cat", "/app/note");
	assert_end(&second, EXIT_REASON_EXITED, 1);
}

static void a_build_makes_a_layer_that_others_see(void **state)
{
	struct box build = box_new(), app = box_new();
	char from[160], to[160];

	(void)state;
	build.start.upper = 0x22;
	run(&build, "put", "/app/built", "yes");
	assert_end(&build, EXIT_REASON_EXITED, 0);
	snprintf(from, sizeof(from), "%s/layers/0000000000000022.tmp", w.state);
	snprintf(to, sizeof(to), "%s/layers/0000000000000022", w.state);
	assert_int_equal(rename(from, to), 0);
	app.start.app = 8; /* another app, another range */
	app.start.n_layers = 2;
	app.start.layers[1] = 0x22;
	run(&app, "cat", "/app/built");
	assert_string_equal(app.text, "yes");
	struct box who = box_new();
	who.start = app.start;
	who.start.id = ++w.next;
	run(&who, "stat", "/app/built");
	assert_string_equal(who.text, "100644 1000 1000\n");
}

static void a_volume_keeps_what_was_written(void **state)
{
	struct box first = box_new(), second = box_new(), ro = box_new();

	(void)state;
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 5), 0);
	first.start.n_mounts = 1;
	first.start.mounts[0] = (struct msg_mount){.id = 5, .kind = MOUNT_VOLUME, .path = "/srv/data/deep"};
	run(&first, "put", "/srv/data/deep/note", "kept");
	assert_end(&first, EXIT_REASON_EXITED, 0);
	second.start.app = 9;
	second.start.n_mounts = 1;
	second.start.mounts[0] = first.start.mounts[0];
	run(&second, "cat", "/srv/data/deep/note");
	assert_string_equal(second.text, "kept");
	ro.start.n_mounts = 1;
	ro.start.mounts[0] = first.start.mounts[0];
	ro.start.mounts[0].flags = MOUNT_READ_ONLY_FLAG;
	run(&ro, "put", "/srv/data/deep/note", "changed");
	assert_end(&ro, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(ro.text, "Read-only"));
}

static void a_link_in_a_layer_cannot_lead_a_mount_outside(void **state)
{
	struct box b = box_new();
	char path[160];

	(void)state;
	/* /app/out -> ../../../../../../../../tmp/berth-outside, resolved inside the sandbox */
	snprintf(path, sizeof(path), "%s/layers/%016x/fs/app/out", w.state, ROOT_LAYER);
	assert_int_equal(symlink("../../../../../../../../tmp/berth-outside", path), 0);
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 6), 0);
	b.start.n_mounts = 1;
	b.start.mounts[0] = (struct msg_mount){.id = 6, .kind = MOUNT_VOLUME, .path = "/app/out/x"};
	if (box_start(&b, PROBE("exit", "0")) == 0)
		box_end(&b);
	else
		close(b.exit_fd);
	assert_int_equal(access("/tmp/berth-outside", F_OK), -1);
	assert_int_equal(unlink(path), 0);
}

/* ---- network ---- */

static int listen_on_host(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* An address of the host that is not loopback, or NULL. */
static const char *host_address(char out[INET_ADDRSTRLEN])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd autoclose = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(0xc0000201); /* nothing is sent: connect only picks the source address */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return NULL;
	return inet_ntop(AF_INET, &a.sin_addr, out, INET_ADDRSTRLEN);
}

static void host_ports_cannot_be_reached(void **state)
{
	struct box b = box_new(), loop = box_new();
	char addr[INET_ADDRSTRLEN], port[8];
	struct sockaddr_in a = {.sin_family = AF_INET};
	uint16_t n;
	int listener autoclose = listen_on_host(&n), control autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (!host_address(addr))
		skip();
	/* the same connection from the host works, so what is refused below is refused by the filter */
	a.sin_port = htons(n);
	inet_pton(AF_INET, addr, &a.sin_addr);
	assert_int_equal(connect(control, (struct sockaddr *)&a, sizeof(a)), 0);
	snprintf(port, sizeof(port), "%u", n);
	run(&b, "connect", addr, port);
	assert_end(&b, EXIT_REASON_EXITED, 1);
	assert_string_equal(b.text, "Connection refused\n");
	run(&loop, "connect", "127.0.0.1", port); /* its own loopback, not the host's */
	assert_end(&loop, EXIT_REASON_EXITED, 1);
}

static uint32_t address_of(const struct box *b)
{
	char name[32];
	autobuf routes = {.max = 1 << 20};
	const char *line;
	unsigned int dest = 0;

	snprintf(name, sizeof(name), "b%s-%04x\t", runtime_id(w.rt), b->rec.net_index);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/net/route", &routes), 0);
	line = strstr(routes.data, name);
	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(name), "%x", &dest), 1);
	return dest;
}

static void other_apps_cannot_be_reached(void **state)
{
	struct box server = box_new(), client = box_new(), denied = box_new();
	char addr[INET_ADDRSTRLEN];
	uint32_t a;

	(void)state;
	box_must_start(&server, PROBE("serve", "0.0.0.0", "5000"));
	a = address_of(&server);
	inet_ntop(AF_INET, &a, addr, sizeof(addr));
	run(&client, "connect", addr, "5000");
	assert_end(&client, EXIT_REASON_EXITED, 1);
	run(&denied, "connect", "169.254.169.254", "80");
	assert_end(&denied, EXIT_REASON_EXITED, 1);
	assert_string_equal(denied.text, "Connection refused\n");
	sandbox_kill(w.rt, &server.rec);
	box_end(&server);
}

static void sockets_made_inside_reach_its_loopback(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct box b = box_new();
	struct pollfd p = {.events = POLLIN};
	char text[8] = "";
	int fds[4], tables[2], r = -1, outside;

	(void)state;
	box_must_start(&b, PROBE("serve", "127.0.0.1", "5000"));
	for (int i = 0; r != 5 && i < 200; i++) { /* until it listens */
		assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_INET, 4, fds), 0);
		connect(fds[0], (struct sockaddr *)&a, sizeof(a));
		p.fd = fds[0];
		poll(&p, 1, 1000);
		r = (int)recv(fds[0], text, sizeof(text) - 1, 0);
		for (int k = 0; k < 4; k++)
			close(fds[k]);
	}
	assert_string_equal(text, "hello");
	outside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(outside, (struct sockaddr *)&a, sizeof(a)), -1); /* nothing of it is on the host */
	close(outside);
	assert_int_equal(sandbox_ports(w.rt, &b.rec, tables), 0);
	autobuf tcp = BUF_INIT;
	assert_int_equal(io_read_all(tables[0], &tcp), 0);
	assert_non_null(strstr(tcp.data, "0100007F:1388"));
	close(tables[0]);
	close(tables[1]);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_INET, 1, fds), -ESRCH);
}

static void without_network_only_loopback_is_there(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.flags = START_NO_NET;
	run(&b, "cat", "/proc/net/dev");
	assert_non_null(strstr(b.text, "lo:"));
	assert_null(strstr(b.text, "eth0"));
}

/* ---- terminals, entering, adopting ---- */

static void a_terminal_is_its_stdin(void **state)
{
	struct box b = box_new();
	char text[256] = "";
	ssize_t n;

	(void)state;
	b.start.flags = START_TTY;
	box_must_start(&b, PROBE("tty"));
	assert_true(b.master >= 0);
	n = read(b.master, text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_string_equal(text, "/dev/pts/0\r\n");
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 0);
}

static void enter_with(const struct box *target, struct box *in, const char *const *argv)
{
	struct sandbox_io io = {.stdio = {-1, -1, -1}, .fifo_fd = -1};
	int spec autoclose = spec_pack(argv, in->env, "/");
	int r;

	in->exit_fd = io.exit_fd = open_exit_file(in->start.id);
	io.spec_fd = spec;
	assert_int_equal(pipe2(in->output, O_CLOEXEC), 0);
	io.stdio[1] = io.stdio[2] = in->output[1];
	r = sandbox_enter(w.rt, &target->rec, in->start.id, START_STDIO, &io, &in->rec, &in->pidfd, &in->master, &in->e);
	if (r < 0)
		print_message("enter: %s\n", in->e.text);
	assert_int_equal(r, 0);
	close(in->output[1]);
}

static void entering_joins_everything(void **state)
{
	struct box b = box_new(), in = box_new(), tree = box_new(), refused = box_new(), eater = box_new();

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	enter_with(&b, &in, PROBE("ids"));
	box_end(&in);
	assert_end(&in, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(in.text, "1000 1000 "));
	enter_with(&b, &tree, PROBE("cat", "/proc/1/comm"));
	box_end(&tree);
	assert_non_null(strstr(tree.text, "berth-init"));
	enter_with(&b, &refused, PROBE("forbidden"));
	box_end(&refused);
	assert_null(strstr(refused.text, "DONE"));
	enter_with(&b, &eater, PROBE("eat", "256")); /* its memory is the sandbox's */
	box_end(&eater);
	assert_end(&eater, EXIT_REASON_OOM, SIGKILL);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

static void a_new_runtime_adopts_what_runs(void **state)
{
	const struct runtime_config c = {.state = w.state, .run = w.dir, .lib = "build/bin"};
	struct box b = box_new(), gone = box_new(), in = box_new(), after = box_new();
	struct err e;
	int fd;

	(void)state;
	run(&gone, "exit", "0");
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	runtime_close(w.rt);
	assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
	assert_int_equal(sandbox_adopt(w.rt, &gone.rec, &fd), -ESRCH);
	close(b.pidfd);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &b.pidfd), 0);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &fd), -EINVAL); /* once only */
	runtime_sweep(w.rt);
	enter_with(&b, &in, PROBE("ids"));
	box_end(&in);
	assert_end(&in, EXIT_REASON_EXITED, 0);
	run(&after, "ids"); /* a new one of the same app beside it */
	assert_end(&after, EXIT_REASON_EXITED, 0);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 7);
}

static void output_goes_to_the_log_pipe(void **state)
{
	struct sandbox_io io = {.stdio = {-1, -1, -1}};
	struct box b = box_new();
	char path[160], text[32] = "";
	int spec autoclose = spec_pack(PROBE("put", "/dev/stdout", "via the fifo"), b.env, "/");

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", w.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	io.fifo_fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	b.exit_fd = io.exit_fd = open_exit_file(b.start.id);
	io.spec_fd = spec;
	assert_int_equal(sandbox_start(w.rt, &b.start, &io, &b.rec, &b.pidfd, &b.master, &b.e), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 0);
	assert_true(read(io.fifo_fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "via the fifo");
	close(io.fifo_fd);
}

static void host_settings_are_there_when_asked(void **state)
{
	struct box b = box_new(), without = box_new();

	(void)state;
	b.start.flags = START_HOST_APT;
	run(&b, "env", "APT_CONFIG");
	assert_string_equal(b.text, "/berth/host/apt.conf\n");
	run(&without, "env", "APT_CONFIG");
	assert_string_equal(without.text, "(none)\n");
}

/* ---- failures leave nothing ---- */

static unsigned int count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void a_failed_start_is_undone(void **state)
{
	struct box b = box_new(), bad = box_new(), tiny = box_new();
	char path[160];
	unsigned int fds, scratch;

	(void)state;
	snprintf(path, sizeof(path), "%s/scratch", w.state);
	usleep(300000); /* the pool fills up, jobs end */
	fds = count_entries("/proc/self/fd");
	scratch = count_entries(path);
	b.start.layers[0] = 0x999;
	assert_int_equal(box_start(&b, PROBE("exit", "0")), -ENOENT);
	assert_non_null(strstr(b.e.text, "layer"));
	close(b.exit_fd);
	close(b.output[0]);
	bad.start.n_mounts = 1;
	bad.start.mounts[0] = (struct msg_mount){.id = 1, .kind = MOUNT_VOLUME, .path = "/proc/x"};
	assert_int_equal(box_start(&bad, PROBE("exit", "0")), -EINVAL);
	close(bad.exit_fd);
	close(bad.output[0]);
	tiny.start.limits.memory_bytes = 1;
	assert_int_equal(box_start(&tiny, PROBE("exit", "0")), -EINVAL);
	close(tiny.exit_fd);
	close(tiny.output[0]);
	usleep(300000);
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_entries(path), scratch);
}

/* ---- the world ---- */

static int make_root_layer(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/layers/%016x.tmp", w.state, ROOT_LAYER);
	if (layer_make_upper(w.rt, ROOT_LAYER) < 0)
		return -1;
	char cmd[256];
	snprintf(cmd, sizeof(cmd), "%s/fs/probe", path);
	pid_t pid = fork();
	if (pid == 0) {
		execlp("cc", "cc", "-O1", "-static", "-o", cmd, PROBE_SOURCE, (char *)NULL);
		_exit(127);
	}
	int status = 1;
	if (waitpid(pid, &status, 0) < 0 || status != 0 ||
		chown(cmd, RUNTIME_DISK_UID_BASE, RUNTIME_DISK_UID_BASE) < 0)
		return -1;
	snprintf(cmd, sizeof(cmd), "%s/fs/app", path);
	if (mkdir(cmd, 0755) < 0 || chown(cmd, RUNTIME_DISK_UID_BASE + 1000, RUNTIME_DISK_UID_BASE + 1000) < 0)
		return -1;
	snprintf(cmd, sizeof(cmd), "%s/layers/%016x", w.state, ROOT_LAYER);
	return rename(path, cmd);
}

static int set_up(void **state)
{
	struct runtime_config c = {.run = w.dir, .lib = "build/bin"};
	struct err e;

	(void)state;
	snprintf(w.dir, sizeof(w.dir), "/tmp/berth-sandbox-XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.state, sizeof(w.state), "%s/state", w.dir);
	if (mkdir(w.state, 0755) < 0)
		return -1;
	c.state = w.state;
	if (runtime_open(&c, &w.rt, &e) < 0) {
		print_message("runtime_open: %s\n", e.text);
		return -1;
	}
	return make_root_layer();
}

static void nothing_is_left_after_removal(void **state)
{
	char id[9], command[160];
	struct err e = {0};
	int r = runtime_remove(w.rt, &e);

	(void)state;
	snprintf(id, sizeof(id), "%s", runtime_id(w.rt));
	if (r < 0)
		print_message("remove: %s\n", e.text);
	assert_int_equal(r, 0);
	runtime_close(w.rt);
	w.rt = NULL;
	/* namespaces end on the kernel's own time */
	snprintf(command, sizeof(command), "/sys/fs/cgroup/memory/berth-%s", id);
	assert_int_equal(access(command, F_OK), -1);
	snprintf(command, sizeof(command), "b%s-", id);
	for (int i = 0; i < 100; i++) {
		autobuf dev = {.max = 1 << 20};
		assert_int_equal(io_read_file(AT_FDCWD, "/proc/net/dev", &dev), 0);
		if (!strstr(dev.data, command))
			return;
		usleep(50000);
	}
	fail_msg("interfaces %s* are still there", command);
}

static int tear_down(void **state)
{
	(void)state;
	runtime_close(w.rt);
	return io_remove_tree(AT_FDCWD, w.dir) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_comes_back),
		cmocka_unit_test(a_signal_is_told_as_one),
		cmocka_unit_test(a_command_that_is_missing_has_its_errno),
		cmocka_unit_test(too_much_memory_is_told_as_that),
		cmocka_unit_test(a_kill_from_outside_without_a_record_is_lost),
		cmocka_unit_test(signals_reach_the_command),
		cmocka_unit_test(the_number_of_processes_is_limited),
		cmocka_unit_test(processor_time_is_limited),
		cmocka_unit_test(open_files_are_limited),
		cmocka_unit_test(limits_change_while_it_runs),
		cmocka_unit_test(only_its_own_processes_are_there),
		cmocka_unit_test(no_host_path_is_in_its_mounts),
		cmocka_unit_test(the_host_name_is_the_instance),
		cmocka_unit_test(its_cgroup_looks_like_the_root),
		cmocka_unit_test(every_forbidden_call_is_refused),
		cmocka_unit_test(every_permitted_call_works),
		cmocka_unit_test(root_in_a_build_has_only_what_packages_need),
		cmocka_unit_test(files_belong_to_ids_inside),
		cmocka_unit_test(scratch_is_gone_with_the_sandbox),
		cmocka_unit_test(a_build_makes_a_layer_that_others_see),
		cmocka_unit_test(a_volume_keeps_what_was_written),
		cmocka_unit_test(a_link_in_a_layer_cannot_lead_a_mount_outside),
		cmocka_unit_test(host_ports_cannot_be_reached),
		cmocka_unit_test(other_apps_cannot_be_reached),
		cmocka_unit_test(sockets_made_inside_reach_its_loopback),
		cmocka_unit_test(without_network_only_loopback_is_there),
		cmocka_unit_test(a_terminal_is_its_stdin),
		cmocka_unit_test(entering_joins_everything),
		cmocka_unit_test(a_new_runtime_adopts_what_runs),
		cmocka_unit_test(output_goes_to_the_log_pipe),
		cmocka_unit_test(host_settings_are_there_when_asked),
		cmocka_unit_test(a_failed_start_is_undone),
		cmocka_unit_test(nothing_is_left_after_removal),
	};

	if (geteuid() != 0) {
		print_message("skipped: sandboxes need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
