/* Objects of one size kept for reuse, and bytes that wait for a socket. */
#include "router/worker.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/*
 * The link lies at the end: the first member (ev.fn) of a dead object must stay
 * callable.
 */
static void **link_of(const struct slab *s, void *p)
{
	return (void *)((char *)p + s->size - sizeof(void *));
}

void *slab_get(struct slab *s)
{
	void *p = s->free;

	if (!p)
		return malloc(s->size);
	s->free = *link_of(s, p);
	return p;
}

void slab_put(struct slab *s, void *p)
{
	*link_of(s, p) = s->dead;
	s->dead = p;
}

void slab_reap(struct slab *s)
{
	while (s->dead) {
		void *p = s->dead;

		s->dead = *link_of(s, p);
#ifdef __SANITIZE_ADDRESS__
		free(p);
#else
		*link_of(s, p) = s->free;
		s->free = p;
#endif
	}
}

void slab_free(struct slab *s)
{
	slab_reap(s);
	while (s->free) {
		void *p = s->free;

		s->free = *link_of(s, p);
		free(p);
	}
}

int pending_set(struct pending *p, const char *data, size_t n)
{
	if (!n)
		return 0;
	p->data = malloc(n);
	if (!p->data)
		return -ENOMEM;
	memcpy(p->data, data, n);
	p->off = 0;
	p->len = (uint32_t)n;
	return 0;
}

int pending_send(struct pending *keep, int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? pending_set(keep, p, n) : -errno;
		p += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int pending_append(struct pending *p, const char *data, size_t n)
{
	char *grown = realloc(p->data, p->len + n);

	if (!grown)
		return -ENOMEM;
	memcpy(grown + p->len, data, n);
	p->data = grown;
	p->len += (uint32_t)n;
	return 0;
}

void pending_free(struct pending *p)
{
	free(p->data);
	*p = (struct pending){0};
}

int pending_flush(struct pending *p, int fd)
{
	while (p->off < p->len) {
		ssize_t n = send(fd, p->data + p->off, p->len - p->off, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p->off += (uint32_t)n;
	}
	pending_free(p);
	return 0;
}
