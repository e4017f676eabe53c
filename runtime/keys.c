/* authorized_keys of the ssh user, composed from the keys control sends. */
#include "runtime/keys.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const key_types[] = {
	"ssh-ed25519",
	"ssh-rsa",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

static bool type_known(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (strcmp(type, key_types[i]) == 0)
			return true;
	return false;
}

static bool blob_valid(const char *blob)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strspn(blob, alphabet), pad = strspn(blob + n, "=");

	return n >= 16 && pad <= 2 && blob[n + pad] == '\0' && (n + pad) % 4 == 0;
}

/* The paths stand inside the quotes of an option. */
static bool path_plain(const char *path)
{
	return path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012"
				 "3456789/._-")] == '\0';
}

static bool terminated(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

int keys_compose(const struct msg_key *keys, size_t n, const char *run, const char *state,
	struct buf *out, struct err *e)
{
	if (!path_plain(run) || !path_plain(state))
		return err_set(e, EINVAL,
			"the state and run folders must have plain names for ssh");
	buf_adds(out, "# written by berthd; use: berth ssh-keys:add\n");
	for (size_t i = 0; i < n; i++) {
		const struct msg_key *k = &keys[i];

		if (!terminated(k->type, sizeof(k->type)) ||
			!terminated(k->blob, sizeof(k->blob)) || !type_known(k->type) ||
			!blob_valid(k->blob))
			return err_set(e, EINVAL,
				"key %u is not a public key of a known type", k->id);
		buf_addf(out,
			"restrict,pty,command=\"berth-shell --run %s --state %s --key "
			"%u\" %s %s\n",
			run, state, k->id, k->type, k->blob);
	}
	return out->failed ? err_sys(e, ENOMEM, "authorized_keys") : 0;
}

static int read_keys(int memfd, struct msg_key **ret, size_t *ret_n, struct err *e)
{
	struct stat st;
	struct msg_key *keys autofree = NULL;
	size_t size, done = 0;

	/* Only memory has seals: reading a file of a file system that the sender serves
	 * could take for ever. */
	if (fcntl(memfd, F_GET_SEALS) < 0 || fstat(memfd, &st) < 0 ||
		!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "the keys are not a memory file");
	if (st.st_size % (off_t)sizeof(*keys) != 0 ||
		st.st_size > (off_t)(KEYS_MAX * sizeof(*keys)))
		return err_set(e, EINVAL,
			"the keys have a wrong size, or are more than %d", KEYS_MAX);
	size = (size_t)st.st_size;
	keys = calloc(1, size + 1);
	if (!keys)
		return err_sys(e, ENOMEM, "keys");
	/* Copied before it is checked: the sender may still change the file. */
	while (done < size) {
		ssize_t got = pread(memfd, (char *)keys + done, size - done, (off_t)done);

		if (got <= 0)
			return err_sys(e, got < 0 ? errno : EPIPE, "reading the keys");
		done += (size_t)got;
	}
	*ret_n = size / sizeof(*keys);
	*ret = TAKE_PTR(keys);
	return 0;
}

static int replace(int dirfd, gid_t gid, const struct buf *b)
{
	int fd autoclose = openat(dirfd, "authorized_keys.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_all(fd, b->data, b->len);
	if (r < 0)
		return r;
	if (fchown(fd, 0, gid) < 0 || fchmod(fd, 0640) < 0 || fsync(fd) < 0)
		return -errno;
	if (renameat(dirfd, "authorized_keys.new", dirfd, "authorized_keys") < 0)
		return -errno;
	return 0;
}

int keys_write(int memfd, int ssh_dirfd, gid_t gid, const char *run, const char *state,
	struct err *e)
{
	struct msg_key *keys autofree = NULL;
	autobuf text = BUF_INIT;
	size_t n = 0;
	int r = read_keys(memfd, &keys, &n, e);

	if (r < 0 || (r = keys_compose(keys, n, run, state, &text, e)) < 0)
		return r;
	r = replace(ssh_dirfd, gid, &text);
	if (r < 0)
		return err_sys(e, -r, "cannot write authorized_keys");
	/* Where sshd looks by its own defaults: ~/.ssh/authorized_keys of a user whose
	 * home is this folder. */
	if (symlinkat(".", ssh_dirfd, ".ssh") < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make .ssh");
	return 0;
}
