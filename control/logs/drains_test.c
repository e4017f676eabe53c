/* What berth-drain is told: it is played, by a process that only ends when control closes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/child.h"
#include "control/logs/drains.h"
#include "control/logs/webhooks.h"
#include "db/fixture.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WAIT_S 20

static int heard[2]; /* the first is read by the test: berth-drain's end of each start */

int child_start(const char *path UNUSED, const char *const *argv UNUSED, const int *fds,
	size_t n UNUSED, bool proxies UNUSED, pid_t *ret_pid)
{
	struct pollfd end = {.fd = 0};
	int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);

	*ret_pid = fork();
	if (*ret_pid == 0) {
		dup2(fds[0], 0);
		close_range(1, ~0u, 0);
		poll(&end, 1, -1);
		_exit(0);
	}
	assert_int_equal(write(heard[1], &copy, sizeof(copy)), sizeof(copy));
	return 0;
}

/* The next message; NULL: control has closed. */
static json_t *hear(int sock)
{
	static char text[DRAIN_MESSAGE_MAX];
	ssize_t n = recv(sock, text, sizeof(text), 0);

	assert_true(n >= 0);
	return n ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
}

static void expect(int sock, const char *key, uint64_t value)
{
	json_t *o = hear(sock);

	assert_non_null(o);
	assert_int_equal(json_integer_value(json_object_get(o, key)), value);
	json_decref(o);
}

static uint64_t add(struct fixture *f, const char *url, const char *ca)
{
	struct db_drain d = {.app = 0};
	uint64_t id;

	snprintf(d.url, sizeof(d.url), "%s", url);
	assert_int_equal(db_drain_add(f->db, &d, ca, &id), 0);
	return id;
}

static void one_that_cannot_be_told_keeps_nobody_from_the_others(void **state)
{
	static struct control c; /* the thread stays */
	static char folder[sizeof(((struct fixture *)0)->folder)];
	struct fixture *f = *state;
	const struct timeval most = {.tv_sec = WAIT_S};
	struct db_webhook h = {.events = HOOK_ALL, .url = "https://hooks.example.com/"};
	char ca[16 << 10]; /* each of its characters takes 6 */
	struct err e = {0};
	uint64_t first, bad, last, delivery;
	int sock;

	memset(ca, '\a', sizeof(ca));
	ca[sizeof(ca) - 1] = '\0';
	first = add(f, "https://a.example.com/", "");
	bad = add(f, "https://b.example.com/", ca);
	last = add(f, "https://c.example.com/", "");
	snprintf(folder, sizeof(folder), "%s", f->folder);
	c = (struct control){.db = f->db, .state = folder};
	assert_int_equal(db_webhook_add(f->db, &h), 0);
	assert_int_equal(webhooks_ping(&c, &h, &delivery), 0);
	assert_int_equal(pipe2(heard, O_CLOEXEC), 0);
	snprintf(f->path, sizeof(f->path), "%s/control/drains", f->folder);
	assert_int_equal(io_mkdirs(f->path, 0700), 0);
	assert_int_equal(drains_open(&c, &c.drains, &e), 0);
	assert_int_equal(drains_run(&c), 0);

	assert_int_equal(read(heard[0], &sock, sizeof(sock)), sizeof(sock));
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	expect(sock, "drain", first);
	expect(sock, "drain", last);
	expect(sock, "all", 3);
	expect(sock, "hook", delivery);
	assert_int_equal(db_drain_remove(f->db, bad), 0);
	drains_changed(&c); /* the same berth-drain: nobody ended it */
	expect(sock, "drain", first);
	expect(sock, "drain", last);
	expect(sock, "all", 2);

	assert_int_equal(db_drain_remove(f->db, first), 0);
	assert_int_equal(db_drain_remove(f->db, last), 0);
	assert_int_equal(db_webhook_remove(f->db, h.id), 0);
	drains_changed(&c);
	assert_null(hear(sock));
	close(sock);
	for (int ms = 0; drains_alive(&c) && ms < WAIT_S * 1000; ms++)
		usleep(1000);
	assert_false(drains_alive(&c)); /* from here on it asks no database */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_that_cannot_be_told_keeps_nobody_from_the_others, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
