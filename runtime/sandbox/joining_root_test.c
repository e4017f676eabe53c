/* Real sandboxes on this kernel, as root: their network, terminals, entering, adopting,
 * and that nothing is left. */
#include "runtime/sandbox/box_test.h"

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

	a.sin_addr.s_addr = htonl(
		0xc0000201); /* nothing is sent: connect only picks the source address */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return NULL;
	return inet_ntop(AF_INET, &a.sin_addr, out, INET_ADDRSTRLEN);
}

static void host_ports_cannot_be_reached(void **state)
{
	struct box b = box_new(), loop = box_new();
	char addr[INET_ADDRSTRLEN], port[8];
	struct sockaddr_in a = {.sin_family = AF_INET};
	uint16_t n;
	int listener autoclose = listen_on_host(&n),
		     control autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (!host_address(addr))
		skip();
	/* the same connection from the host works, so what is refused below is refused by
	 * the filter */
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
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(5000),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct box b = box_new();
	struct pollfd p = {.events = POLLIN};
	char text[8] = "";
	int fds[4], tables[SANDBOX_PORTS], r = -1, outside;

	(void)state;
	box_must_start(&b, PROBE("serve", "127.0.0.1", "5000"));
	for (int i = 0; r != 5 && i < 200; i++) { /* until it listens */
		assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_INET, 4, fds), 4);
		connect(fds[0], (struct sockaddr *)&a, sizeof(a));
		p.fd = fds[0];
		poll(&p, 1, 1000);
		r = (int)recv(fds[0], text, sizeof(text) - 1, 0);
		for (int k = 0; k < 4; k++)
			close(fds[k]);
		usleep(5000);
	}
	assert_string_equal(text, "hello");
	outside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(outside, (struct sockaddr *)&a, sizeof(a)),
		-1); /* nothing of it is on the host */
	close(outside);
	assert_int_equal(sandbox_ports(w.rt, &b.rec, tables), 0);
	autobuf tcp = BUF_INIT;
	assert_int_equal(io_read_all(tables[0], &tcp), 0);
	assert_non_null(strstr(tcp.data, "0100007F:1388"));
	for (int i = 0; i < SANDBOX_PORTS; i++)
		close(tables[i]);
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

	(void)state;
	b.start.flags = START_TTY;
	box_must_start(&b, PROBE("tty"));
	assert_true(b.master >= 0);
	read_terminal_line(&b, text, sizeof(text));
	assert_string_equal(text, "/dev/pts/0\r\n");
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 0);
}

static void entering_joins_everything(void **state)
{
	struct box b = box_new(), in = box_new(), tree = box_new(), eater = box_new();

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	box_must_enter(&b, &in, PROBE("ids"));
	box_end(&in);
	assert_end(&in, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(in.text, "1000 1000 "));
	box_must_enter(&b, &tree, PROBE("cat", "/proc/1/comm"));
	box_end(&tree);
	assert_non_null(strstr(tree.text, "berth-init"));
	box_must_enter(&b, &eater, PROBE("eat", "256")); /* its memory is the sandbox's */
	box_end(&eater);
	assert_end(&eater, EXIT_REASON_OOM, SIGKILL);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

static void a_new_runtime_adopts_what_runs(void **state)
{
	struct box b = box_new(), gone = box_new(), in = box_new(), after = box_new();
	struct err e;
	int fd;

	(void)state;
	run(&gone, "exit", "0");
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	runtime_close(w.rt);
	assert_int_equal(open_world(&e), 0);
	assert_int_equal(sandbox_adopt(w.rt, &gone.rec, &fd), -ESRCH);
	close(b.pidfd);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &b.pidfd), 0);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &fd), -EINVAL); /* once only */
	assert_int_equal(runtime_network(w.rt, &e), 0);
	runtime_sweep(w.rt);
	box_must_enter(&b, &in, PROBE("ids"));
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
	int spec autoclose =
		spec_pack(PROBE("put", "/dev/stdout", "via the fifo"), b.env, "/");

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", w.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	io.fifo_fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	b.exit_fd = io.exit_fd = open_exit_file(b.start.id);
	io.spec_fd = spec;
	assert_int_equal(
		sandbox_start(w.rt, &b.start, &io, &b.rec, &b.pidfd, &b.master, &b.e), 0);
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

/* Networks and processes that wait for the next start are made in the background: the count once it stays. */
static unsigned int settled(const char *path)
{
	unsigned int n = 0, same = 0;

	for (int ms = 0; ms < END_MS && same < 20; ms += 50) {
		unsigned int now = count_entries(path);

		same = now == n ? same + 1 : 0;
		n = now;
		usleep(50000);
	}
	return n;
}

static void a_failed_start_is_undone(void **state)
{
	struct box b = box_new(), bad = box_new(), tiny = box_new();
	char path[160];
	unsigned int fds, scratch;

	(void)state;
	snprintf(path, sizeof(path), "%s/scratch", w.state);
	fds = settled("/proc/self/fd");
	scratch = settled(path);
	b.start.layers[0] = 0x999;
	assert_int_equal(box_start(&b, PROBE("exit", "0")), -ENOENT);
	assert_non_null(strstr(b.e.text, "layer"));
	close(b.exit_fd);
	close(b.output[0]);
	bad.start.n_mounts = 1;
	bad.start.mounts[0] =
		(struct msg_mount){.id = 1, .kind = MOUNT_VOLUME, .path = "/proc/x"};
	assert_int_equal(box_start(&bad, PROBE("exit", "0")), -EINVAL);
	close(bad.exit_fd);
	close(bad.output[0]);
	tiny.start.limits.memory_bytes = 1;
	assert_int_equal(box_start(&tiny, PROBE("exit", "0")), -EINVAL);
	close(tiny.exit_fd);
	close(tiny.output[0]);
	assert_int_equal(settled("/proc/self/fd"), fds);
	assert_int_equal(settled(path), scratch);
}

static int control_groups(const char *id)
{
	static const char *const roots[] = {"", "/memory", "/cpu", "/pids", "/freezer"};
	char path[96];
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/berth-%s", roots[i], id);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void nothing_is_left_after_removal(void **state)
{
	char id[9], command[160];
	struct err e = {0};
	int r;

	(void)state;
	snprintf(id, sizeof(id), "%s", runtime_id(w.rt));
	assert_in_range(control_groups(id), 1, 5);
	r = runtime_remove(w.rt, &e);
	if (r < 0)
		print_message("remove: %s\n", e.text);
	assert_int_equal(r, 0);
	runtime_close(w.rt);
	w.rt = NULL;
	assert_int_equal(control_groups(id), 0);
	/* namespaces end on the kernel's own time */
	snprintf(command, sizeof(command), "b%s-", id);
	for (int i = 0; i < 600; i++) {
		autobuf dev = {.max = 1 << 20};
		assert_int_equal(io_read_file(AT_FDCWD, "/proc/net/dev", &dev), 0);
		if (!strstr(dev.data, command))
			return;
		usleep(50000);
	}
	fail_msg("interfaces %s* are still there", command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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

	return run_as_root(tests, set_up, tear_down);
}
