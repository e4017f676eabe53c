/* Layer keys. */
#include "control/builds/key.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/name.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PACK_DEPTH_MAX 8
#define PACKS_MAX 64

void key_begin(struct key *k, const char *kind)
{
	SHA256Init(&k->ctx);
	key_adds(k, kind);
}

void key_add(struct key *k, const void *data, size_t len)
{
	uint64_t n = len;

	SHA256Update(&k->ctx, (const uint8_t *)&n, sizeof(n));
	SHA256Update(&k->ctx, data, len);
}

void key_adds(struct key *k, const char *s)
{
	key_add(k, s ? s : "", s ? strlen(s) : 0);
}

void key_addu(struct key *k, uint64_t n)
{
	key_add(k, &n, sizeof(n));
}

void key_end(struct key *k, char out[65])
{
	SHA256End(&k->ctx, out);
}

static void add_tree(struct key *k, int at, const char *name, int depth)
{
	struct dirent **list = NULL;
	struct stat st;
	autobuf b = BUF_INIT;

	int fd autoclose = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && depth == 0)
		return;
	key_adds(k, name);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	key_addu(k, st.st_mode & 0111 ? 1 : 0);
	if (!S_ISDIR(st.st_mode)) {
		if (io_read_all(fd, &b) == 0)
			key_add(k, b.data, b.len);
		return;
	}
	int n = depth > PACK_DEPTH_MAX ? 0 : scandirat(fd, ".", &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			add_tree(k, fd, list[i]->d_name, depth + 1);
		free(list[i]);
	}
	free(list);
}

static void digest_tree(const char *folder, const char *name, char out[65])
{
	struct key k;

	key_begin(&k, "pack");
	int fd autoclose = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		add_tree(&k, fd, name, 0);
	key_end(&k, out);
}

static void digest_pack(const char *pack, char out[65])
{
	char exe[PATH_MAX], path[PATH_MAX + 8];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/packs", exe);
	digest_tree(path, pack, out);
}

/* berthd copied them when it started, as this program did. */
void key_add_host_packs(struct key *k, const char *state)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char digest[65];

	pthread_mutex_lock(&lock);
	if (!digest[0])
		digest_tree(state, "buildpacks", digest);
	pthread_mutex_unlock(&lock);
	key_adds(k, digest);
}

/* Buildpacks change only with the program itself: each is read once. */
void key_add_pack(struct key *k, const char *pack)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		char name[NAME_MAX_LEN + 1], digest[65];
	} known[PACKS_MAX];
	static size_t n;
	char digest[65];
	size_t i = 0;

	pthread_mutex_lock(&lock);
	while (i < n && strcmp(known[i].name, pack) != 0)
		i++;
	if (i < n)
		memcpy(digest, known[i].digest, sizeof(digest));
	else
		digest_pack(pack, digest);
	if (i == n && n < PACKS_MAX) {
		snprintf(known[n].name, sizeof(known[n].name), "%s", pack);
		memcpy(known[n++].digest, digest, sizeof(digest));
	}
	pthread_mutex_unlock(&lock);
	key_adds(k, digest);
}
