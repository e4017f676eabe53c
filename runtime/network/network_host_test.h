/*
 * A host to try networks on: this process in a network namespace of its own, with one link
 * to another that plays the rest of the world. Addresses of the world: 203.0.113.1 and
 * 2001:db8:1::1 (the internet), 192.168.77.1 and fd77::1 (private), 169.254.169.254
 * (metadata). The host has .2 of each. Every port there says "hello ADDRESS" to whoever
 * connects, then echoes.
 */
#ifndef RUNTIME_NETWORK_HOST_TEST_H
#define RUNTIME_NETWORK_HOST_TEST_H

#include "lib/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static pid_t outside_pid;
static int heard; /* what datagrams bring to the world */

/* Runs a shell line; 0 when it went well. */
static UNUSED int shell(const char *fmt, ...)
{
	char line[1024];
	int status = 1;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-ec", line, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int listen_on(int type, uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 16) < 0))
		_exit(9);
	return fd;
}

static void say_hello(int c, const struct sockaddr_in6 *peer)
{
	char text[INET6_ADDRSTRLEN], *at = text;

	inet_ntop(AF_INET6, &peer->sin6_addr, text, sizeof(text));
	if (strncmp(text, "::ffff:", 7) == 0)
		at += 7;
	dprintf(c, "hello %s", at);
}

static _Noreturn void echo(int c, const struct sockaddr_in6 *peer)
{
	char bytes[256];
	ssize_t n;

	say_hello(c, peer);
	while ((n = recv(c, bytes, sizeof(bytes), 0)) > 0)
		if (send(c, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	_exit(0);
}

static _Noreturn void serve_port(uint16_t port)
{
	int fd = listen_on(SOCK_STREAM, port);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t len = sizeof(peer);
		int c = accept(fd, (struct sockaddr *)&peer, &len);

		if (c >= 0 && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			echo(c, &peer);
		}
		close(c);
	}
}

static _Noreturn void hear_datagrams(int to)
{
	int fd = listen_on(SOCK_DGRAM, 9999);

	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t len = sizeof(peer);
		char bytes[256];
		ssize_t n = recvfrom(
			fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer, &len);

		if (n <= 0)
			continue;
		if (write(to, bytes, (size_t)n) != n)
			_exit(1);
		sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

/* In the world's namespace: says when it is up. */
static _Noreturn void outside(int ready, int to)
{
	static const uint16_t ports[] = {80, 443, 5432};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	if (unshare(CLONE_NEWNET) < 0 || write(ready, "n", 1) != 1)
		_exit(1);
	char go;
	if (read(ready, &go, 1) != 1) /* the link is here */
		_exit(2);
	signal(SIGCHLD, SIG_DFL);
	if (shell("ip link set lo up; ip link set world up;"
		  "for a in 203.0.113.1/24 192.168.77.1/24 169.254.169.254/16; do ip "
		  "address add $a dev world; done;"
		  "for a in 2001:db8:1::1/64 fd77::1/64; do ip address add $a dev world "
		  "nodad; done") != 0)
		_exit(3);
	signal(SIGCHLD, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		if (fork() == 0)
			serve_port(ports[i]);
	if (write(ready, "u", 1) != 1)
		_exit(4);
	hear_datagrams(to);
}

/* 0, with this process in a namespace of its own. No IPv6 route yet. */
static UNUSED int make_host(void)
{
	int ends[2], pipes[2];
	char byte;

	if (unshare(CLONE_NEWNET) < 0 || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	heard = pipes[0];
	outside_pid = fork();
	if (outside_pid == 0)
		outside(ends[1], pipes[1]);
	close(pipes[1]);
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1 ||
		shell("ip link set lo up; ip link add up0 type veth peer name world "
		      "netns %d; ip link set up0 up;"
		      "for a in 203.0.113.2/24 192.168.77.2/24 169.254.1.2/16; do ip "
		      "address add $a dev up0; done;"
		      "for a in 2001:db8:1::2/64 fd77::2/64; do ip address add $a dev "
		      "up0 nodad; done;"
		      "ip route add default via 203.0.113.1",
			outside_pid) != 0)
		return -1;
	if (write(ends[0], "g", 1) != 1 || read(ends[0], &byte, 1) != 1)
		return -1;
	close(ends[0]);
	/* a new namespace begins with the machine's */
	return shell("echo 0 >/proc/sys/net/ipv4/ip_forward");
}

static UNUSED void end_host(void)
{
	kill(outside_pid, SIGKILL);
	waitpid(outside_pid, NULL, 0);
}

#endif
