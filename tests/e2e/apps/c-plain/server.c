/* A C app that says "page 1": the test breaks it. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

static const char reply[] =
	"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npage 1\n";

int main(void)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	const char *port = getenv("PORT");
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 5000)};
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 64))
		return 1;
	for (;;) {
		char head[4096];
		int c = accept(s, NULL, NULL);
		if (c < 0)
			continue;
		if (read(c, head, sizeof(head)) > 0 &&
			write(c, reply, sizeof(reply) - 1) < 0)
			return 1;
		close(c);
	}
}
