/* Buffers, files, messages, specs and the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/loop.h"
#include "lib/msg.h"
#include "lib/spec.h"
#include "lib/tar.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void a_buffer_stops_at_its_maximum(void **state)
{
	autobuf b = {.max = 10};

	(void)state;
	assert_int_equal(buf_adds(&b, "0123456789"), 0);
	assert_int_equal(buf_adds(&b, "x"), -EMSGSIZE);
	assert_true(b.failed);
	assert_string_equal(b.data, "0123456789");
	buf_reset(&b);
	assert_int_equal(buf_addf(&b, "%d-%s", 7, "ab"), 0);
	buf_consume(&b, 2);
	assert_string_equal(b.data, "ab");
}

static void an_error_gains_context(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ENOENT, "no app %s", "x"), -ENOENT);
	assert_int_equal(err_add(&e, "deploy"), -ENOENT);
	assert_string_equal(e.text, "deploy: no app x");
}

static size_t tar_of(bool whole, const char *data, size_t size, char out[16384])
{
	int fd autoclose = memfd_create("tar", MFD_CLOEXEC);
	struct tar t;

	assert_int_equal(tar_open(&t, fd, 0), 0);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "second" : "first";

		if (whole) {
			assert_int_equal(tar_file(&t, name, false, data, size), 0);
			continue;
		}
		assert_int_equal(tar_file_begin(&t, name, size), 0);
		assert_int_equal(io_write_all(fd, data, size), 0);
		assert_int_equal(tar_file_end(&t, size), 0);
	}
	assert_int_equal(tar_end(&t), 0);
	tar_free(&t);
	return (size_t)pread(fd, out, 16384, 0);
}

static void a_file_of_a_tar_may_be_written_in_parts(void **state)
{
	static const size_t sizes[] = {0, 1, 511, 512, 513, 4096};
	static char data[4096], one[16384], other[16384];

	(void)state;
	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = tar_of(true, data, sizes[i], one);

		assert_int_equal(tar_of(false, data, sizes[i], other), n);
		assert_memory_equal(one, other, n);
	}
}

static void a_tree_is_removed_without_following_links(void **state)
{
	char dir[] = "/tmp/berth-io-XXXXXX", path[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	mkdirat(fd, "keep", 0755);
	assert_int_equal(io_replace_file(fd, "keep/file", "x", 1, 0644), -ENOENT);
	int sub = openat(fd, "keep", O_RDONLY | O_DIRECTORY);
	assert_int_equal(io_replace_file(sub, "file", "data", 4, 0640), 0);
	snprintf(path, sizeof(path), "%s/tree/a/b", dir);
	assert_int_equal(io_mkdirs(path, 0755), 0);
	assert_int_equal(symlinkat("../../keep", fd, "tree/a/link"), 0);
	assert_int_equal(io_remove_tree(fd, "tree"), 0);
	assert_int_equal(faccessat(fd, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, "keep/file", F_OK, 0), 0);
	assert_int_equal(io_remove_tree(fd, "absent"), 0);
	assert_int_equal(io_remove_tree(fd, "keep"), 0);
	close(sub);
	close(fd);
	rmdir(dir);
}

static void a_tree_of_any_depth_is_removed(void **state)
{
	char dir[] = "/tmp/berth-io-XXXXXX";
	int root, fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY);
	fd = dup(root);
	for (int i = 0; i < 1100; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		if (i % 50 == 0) /* with a name that the removal would use */
			assert_int_equal(mkdirat(fd, ".deep-0", 0755), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(io_remove_tree(root, "d"), 0);
	assert_int_equal(faccessat(root, "d", F_OK, 0), -1);
	close(root);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

static void a_tree_is_removed_in_parts(void **state)
{
	char dir[] = "/tmp/berth-io-XXXXXX", name[32];
	int root, calls = 1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(root, "tree", 0755), 0);
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "tree/%d", i);
		assert_int_equal(mkdirat(root, name, 0755), 0);
	}
	while (io_remove_part(root, "tree", 100) == -EINPROGRESS) {
		assert_int_equal(faccessat(root, "tree", F_OK, 0), 0);
		calls++;
	}
	assert_int_equal(calls, 3);
	assert_int_equal(faccessat(root, "tree", F_OK, 0), -1);
	assert_int_equal(io_remove_part(root, "tree", 100), 0);
	close(root);
	rmdir(dir);
}

/* A message without a byte, but with a descriptor. */
static void send_empty(int sock, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr mh = {.msg_control = &control, .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &mh, 0), 0);
}

static void a_message_carries_its_descriptors(void **state)
{
	int pair[2], pipes[2];
	struct msg *m = calloc(1, sizeof(*m));

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(msg_send(pair[0], 7, 3, -5, "hello", 5, pipes, 2), 0);
	assert_int_equal(msg_recv(pair[1], m), 1);
	assert_int_equal(m->head.type, 7);
	assert_int_equal(m->head.seq, 3);
	assert_int_equal(m->head.status, -5);
	assert_memory_equal(m->body, "hello", 5);
	assert_int_equal(m->nfds, 2);
	assert_int_equal(fcntl(m->fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	msg_close_fds(m);
	assert_int_equal(send(pair[0], "short", 5, 0), 5);
	assert_int_equal(msg_recv(pair[1], m), -EPROTO);
	send_empty(pair[0], pipes[0]);
	assert_int_equal(msg_recv(pair[1], m), -EPROTO);
	assert_int_equal(dup(0), pipes[1] + 1); /* nothing of it stays open */
	close(pipes[1] + 1);
	close(pair[0]);
	assert_int_equal(msg_recv(pair[1], m), 0);
	close(pair[1]);
	close(pipes[0]);
	close(pipes[1]);
	free(m);
}

/* The lowest free number becomes the limit: nothing more fits into this process. */
static void descriptors_that_do_not_fit_are_told(void **state)
{
	autofree struct msg *m = calloc(1, sizeof(*m));
	struct rlimit before, tight;
	int pair[2], fd = memfd_create("x", 0), next;
	uint64_t body = 7;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(msg_send(pair[0], 8, 9, 0, &body, sizeof(body), &fd, 1), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	next = dup(fd);
	close(next);
	tight = (struct rlimit){(rlim_t)next, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(msg_recv(pair[1], m), -EPROTO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(m->cut);
	assert_int_equal(m->nfds, 0);
	assert_int_equal(m->head.seq, 9);
	assert_memory_equal(m->body, &body, sizeof(body));
	assert_int_equal(msg_send(pair[0], 8, 9, 0, &body, sizeof(body), &fd, 1), 0);
	assert_int_equal(msg_recv(pair[1], m), 1);
	assert_false(m->cut);
	assert_int_equal(m->nfds, 1);
	msg_close_fds(m);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static void a_spec_survives_the_trip_and_refuses_damage(void **state)
{
	const char *argv[] = {"prog", "an arg", "", NULL},
		   *env[] = {"A=1", "B=two\nlines", NULL};
	char **got_argv, **got_env, cwd[256];
	void *mem;

	(void)state;
	int fd = spec_pack(argv, env, "/app");
	assert_true(fd >= 0);
	assert_int_equal(spec_unpack(fd, &got_argv, &got_env, cwd, &mem), 0);
	assert_string_equal(got_argv[1], "an arg");
	assert_string_equal(got_argv[2], "");
	assert_null(got_argv[3]);
	assert_string_equal(got_env[1], "B=two\nlines");
	assert_string_equal(cwd, "/app");
	free(mem);
	struct spec_head h;
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	h.argc = 9;
	fd = io_memfd_sealed("bad", &h, sizeof(h));
	assert_int_equal(spec_unpack(fd, &got_argv, &got_env, cwd, &mem), -EBADMSG);
	close(fd);
	fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(spec_unpack(fd, &got_argv, &got_env, cwd, &mem), -EPERM);
	close(fd);
}

static int fired;

static void on_timer(void *arg)
{
	fired = fired * 10 + (int)(intptr_t)arg;
}

static void on_readable(void *arg, uint32_t events)
{
	(void)events;
	loop_del(*(struct loop_io **)arg);
	fired = fired * 10 + 9;
}

static void a_loop_fires_timers_in_order_and_deletes_within_callbacks(void **state)
{
	struct loop *l = loop_new();
	struct loop_io *w;
	int pipes[2];

	(void)state;
	fired = 0;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	w = loop_add(l, pipes[0], EPOLLIN, on_readable, &w);
	loop_after(l, 2, on_timer, (void *)2);
	loop_after(l, 1, on_timer, (void *)1);
	struct loop_timer *never = loop_after(l, 1, on_timer, (void *)5);
	loop_cancel(never);
	for (int i = 0; i < 20 && fired < 900; i++)
		assert_int_equal(loop_once(l, 5), 0);
	assert_int_equal(fired, 912);
	loop_free(l);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_stops_at_its_maximum),
		cmocka_unit_test(an_error_gains_context),
		cmocka_unit_test(a_file_of_a_tar_may_be_written_in_parts),
		cmocka_unit_test(a_tree_is_removed_without_following_links),
		cmocka_unit_test(a_tree_of_any_depth_is_removed),
		cmocka_unit_test(a_tree_is_removed_in_parts),
		cmocka_unit_test(a_message_carries_its_descriptors),
		cmocka_unit_test(descriptors_that_do_not_fit_are_told),
		cmocka_unit_test(a_spec_survives_the_trip_and_refuses_damage),
		cmocka_unit_test(
			a_loop_fires_timers_in_order_and_deletes_within_callbacks),
	};
	return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
