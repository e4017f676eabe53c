/* A small HTTP/1.1 server: one thread a connection, two pages, one request a connection. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_MAX 8192

static void answer(int fd, const char *status, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %s\r\nContent-Type: text/plain; "
		"charset=utf-8\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s",
		status, strlen(body), body);

	send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char head[HEAD_MAX + 1];
	size_t len = 0;

	while (len < HEAD_MAX) {
		ssize_t n = recv(fd, head + len, HEAD_MAX - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		head[len] = '\0';
		if (!strstr(head, "\r\n\r\n"))
			continue;
		if (strncmp(head, "GET / ", 6) == 0)
			answer(fd, "200 OK", "Hello from c-cmake\n");
		else if (strncmp(head, "GET /health ", 12) == 0)
			answer(fd, "200 OK", "ok\n");
		else
			answer(fd, "404 Not Found", "not found\n");
		break;
	}
	close(fd);
	return NULL;
}

static void stop(int signo)
{
	static const char text[] = "c-cmake stops\n";

	(void)signo;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(0);
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 512) == 0)
		return fd;
	fprintf(stderr, "cannot listen on %d: %s\n", port, strerror(errno));
	exit(1);
}

int main(void)
{
	const char *port = getenv("PORT");
	int listener = listen_on((uint16_t)strtoul(port ? port : "5000", NULL, 10));
	struct timeval patience = {.tv_sec = 10};

	signal(SIGTERM, stop);
	printf("c-cmake listens\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
		else
			close(fd);
	}
}
