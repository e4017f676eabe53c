/* An archive as it comes, hashed, with its checksum held back. */
#include "buildpacks/volume/vault_stream.h"
#include "buildpacks/volume/vault_inside.h"
#include <errno.h>
#include <string.h>

static bool is_trailer(const struct vault_stream *s)
{
	static const uint8_t magic[] = {
		0x5E, 0x2A, 0x4D, 0x18, VAULT_TRAILER - 8, 0, 0, 0};

	return s->held == VAULT_TRAILER && memcmp(s->hold, magic, sizeof(magic)) == 0 &&
	       memcmp(s->hold + 8, VAULT_TRAILER_WORDS, strlen(VAULT_TRAILER_WORDS)) == 0;
}

static bool trailer_fits(struct vault_stream *s)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], said[VAULT_ID];
	char hex[65];

	SHA256Final(digest, &s->hash);
	memcpy(hex, s->hold + 8 + strlen(VAULT_TRAILER_WORDS), 64);
	hex[64] = '\0';
	return vault_unhex(hex, said) && memcmp(said, digest, sizeof(digest)) == 0;
}

static la_ssize_t refuse(const struct vault_stream *s, struct archive *a)
{
	archive_set_error(a, EBADMSG, "refused: %s", s->refusal);
	return -1;
}

/* What was held back: the checksum, or the last bytes of an archive without one. */
static la_ssize_t end_stream(struct vault_stream *s, struct archive *a, const void **ret)
{
	s->ended = true;
	if (is_trailer(s)) {
		if (trailer_fits(s))
			return 0;
		s->refusal = "its checksum is another one: it was damaged or changed on "
			     "its way";
		return refuse(s, a);
	}
	if (!s->unverified) {
		s->refusal =
			"it has no checksum at its end: it is not whole, or was not made "
			"by volumes:export (--unverified takes it all the same)";
		return refuse(s, a);
	}
	*ret = s->hold;
	return (la_ssize_t)s->held;
}

static la_ssize_t read_part(struct archive *a, void *arg, const void **ret)
{
	struct vault_stream *s = arg;
	ssize_t n;
	size_t all;

	if (s->ended)
		return s->refusal ? refuse(s, a) : 0;
	do {
		memcpy(s->part, s->hold, s->held);
		do
			n = read(s->fd, s->part + s->held, VAULT_STREAM_PART);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			archive_set_error(a, errno, "the archive cannot be read");
			return -1;
		}
		if (n == 0)
			return end_stream(s, a, ret);
		all = s->held + (size_t)n;
		s->held = all < VAULT_TRAILER ? all : VAULT_TRAILER;
		memcpy(s->hold, s->part + all - s->held, s->held);
	} while (all == s->held);
	SHA256Update(&s->hash, s->part, all - s->held);
	*ret = s->part;
	return (la_ssize_t)(all - s->held);
}

struct archive *vault_stream_open(struct vault_stream *s, struct err *e)
{
	struct archive *a = archive_read_new();

	if (!a) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	SHA256Init(&s->hash);
	tar_in_filters(a);
	archive_read_support_format_tar(a);
	if (archive_read_open(a, s, NULL, read_part, NULL) == ARCHIVE_OK)
		return a;
	tar_in_error(a, "the archive", e);
	archive_read_free(a);
	return NULL;
}

int vault_stream_end(struct vault_stream *s, struct archive *a, struct err *e)
{
	const void *part;
	la_ssize_t n;

	while ((n = read_part(a, s, &part)) > 0)
		;
	return n < 0 ? tar_in_error(a, "the archive", e) : 0;
}
