/* Keys of a backup. */
#include "backup/key.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

/* 128 MB and about half a second on one processor: what a guess costs. */
#define SCRYPT_LOG2_N 17u
#define SCRYPT_R 8u
#define SCRYPT_P 1u
#define SCRYPT_LOG2_N_MAX 22u /* a header may ask for at most 4 GB */
#define SCRYPT_MEMORY ((uint64_t)5 << 30)

_Static_assert(sizeof(struct header) == 148, "the header has no gaps");

void key_hmac(const unsigned char key[KEY_SIZE], const void *data, size_t size,
	unsigned char out[KEY_SIZE])
{
	unsigned int n = KEY_SIZE;

	HMAC(EVP_sha256(), key, KEY_SIZE, data, size, out, &n);
}

/* ---- what the operator has ---- */

static int read_terminal(const char *question, char *out, size_t size, struct err *e)
{
	struct termios was, quiet;
	FILE *tty = fopen("/dev/tty", "r+e");

	if (!tty || tcgetattr(fileno(tty), &was) < 0) {
		if (tty)
			fclose(tty);
		return err_set(e, ENOTTY,
			"there is no terminal to ask for the passphrase: "
			"--passphrase-file FILE, or "
			"--key FILE");
	}
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	fprintf(tty, "%s: ", question);
	fflush(tty);
	bool ok = fgets(out, (int)size, tty) != NULL;
	tcsetattr(fileno(tty), TCSAFLUSH, &was);
	fputc('\n', tty);
	fclose(tty);
	return ok ? 0 : err_set(e, ECANCELED, "no passphrase was given");
}

/* One byte at a time: what follows on stdin is not ours. */
static int read_line(int fd, char *out, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		ssize_t got = read(fd, out + n, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0 || out[n] == '\n')
			break;
		n++;
	}
	out[n] = '\0';
	return 0;
}

static int ask_twice(bool again, char *out, size_t size, struct err *e)
{
	char other[PASSPHRASE_MAX + 2] = "";
	int r = read_terminal("Passphrase of the backup", out, size, e);

	if (r == 0 && again) {
		r = read_terminal("Once more", other, sizeof(other), e);
		if (r == 0 && strcmp(out, other) != 0)
			r = err_set(e, EINVAL,
				"the two passphrases differ: nothing was done");
		explicit_bzero(other, sizeof(other));
	}
	return r;
}

static int read_passphrase(
	const char *path, bool again, char *out, size_t size, struct err *e)
{
	int r;

	if (!path) {
		r = ask_twice(again, out, size, e);
	} else if (strcmp(path, "-") == 0) {
		if ((r = read_line(STDIN_FILENO, out, size)) < 0)
			err_sys(e, -r, "read the passphrase");
	} else {
		int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

		r = fd < 0 ? -errno : read_line(fd, out, size);
		if (r < 0)
			err_sys(e, -r, "read the passphrase from %s", path);
	}
	if (r < 0)
		return r;
	out[strcspn(out, "\r\n")] = '\0';
	return *out ? 0 : err_set(e, EINVAL, "the passphrase is empty");
}

static int read_key(const char *path, struct buf *key, struct err *e)
{
	int r;

	*key = (struct buf){.max = KEY_FILE_MAX};
	if (!path)
		return err_set(
			e, ENOKEY, "this backup is sealed with a key file: --key FILE");
	if (strcmp(path, "-") == 0)
		r = io_read_all(STDIN_FILENO, key);
	else
		r = io_read_file(AT_FDCWD, path, key);
	if (r < 0)
		return err_sys(e, -r, "read the key %s", path);
	return key->len < KEY_FILE_MIN ? err_set(e, EINVAL,
						 "%s has %zu bytes, a key has at least "
						 "%u random ones: head -c 32 "
						 "/dev/urandom > FILE",
						 path, key->len, KEY_FILE_MIN)
				       : 0;
}

/* ---- the key that the master key is sealed with ---- */

static int of_passphrase(const char *path, bool again, const struct header *h,
	unsigned char out[KEY_SIZE], struct err *e)
{
	char text[PASSPHRASE_MAX + 2] = "";
	int r;

	if (h->log2_n > SCRYPT_LOG2_N_MAX || h->log2_n < 10 || h->r < 1 || h->r > 32 ||
		h->p < 1 || h->p > 16)
		return err_set(
			e, EBADMSG, "the header asks for what no passphrase needs");
	r = read_passphrase(path, again, text, sizeof(text), e);
	if (r == 0 && EVP_PBE_scrypt(text, strlen(text), h->salt, sizeof(h->salt),
			      UINT64_C(1) << h->log2_n, h->r, h->p, SCRYPT_MEMORY, out,
			      KEY_SIZE) != 1)
		r = err_set(e, ENOMEM,
			"the passphrase needs %llu MB of memory to be checked",
			(unsigned long long)((UINT64_C(128) << h->log2_n) * h->r >> 20));
	explicit_bzero(text, sizeof(text));
	return r;
}

static int of_file(const char *path, const struct header *h, unsigned char out[KEY_SIZE],
	struct err *e)
{
	struct buf key;
	int r = read_key(path, &key, e);

	if (r == 0)
		key_hmac(h->salt, key.data, key.len, out);
	if (key.data)
		explicit_bzero(key.data, key.cap);
	buf_free(&key);
	return r;
}

static int outer_key(const struct secret *s, bool again, const struct header *h,
	unsigned char out[KEY_SIZE], struct err *e)
{
	if (h->kind == KEY_PASSPHRASE)
		return of_passphrase(s->path, again, h, out, e);
	return of_file(s->path, h, out, e);
}

/* ---- the master key ---- */

static bool crypt_master(const unsigned char key[KEY_SIZE], struct header *h, bool seal,
	unsigned char master[KEY_SIZE])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const unsigned char *from = seal ? master : h->master;
	unsigned char *to = seal ? h->master : master;
	int n = 0;
	bool ok =
		c &&
		EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, h->nonce, seal) == 1 &&
		EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)h,
			offsetof(struct header, nonce)) == 1 &&
		EVP_CipherUpdate(c, to, &n, from, KEY_SIZE) == 1;

	if (ok && !seal)
		ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, h->tag) == 1;
	ok = ok && EVP_CipherFinal_ex(c, to, &n) == 1;
	if (ok && seal)
		ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, h->tag) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok;
}

static void derive(const unsigned char master[KEY_SIZE], struct keys *ret)
{
	key_hmac(master, "berth backup seal", 17, ret->seal);
	key_hmac(master, "berth backup name", 17, ret->name);
	key_hmac(master, "berth backup cut", 16, ret->cut);
}

static void make_check(const struct header *h, unsigned char out[32])
{
	SHA256((const unsigned char *)h, offsetof(struct header, check), out);
}

int key_make(const struct secret *s, struct header *h, struct keys *ret, struct err *e)
{
	unsigned char master[KEY_SIZE], key[KEY_SIZE];
	int r = 0;

	*h = (struct header){.kind = s->kind};
	memcpy(h->magic, HEADER_MAGIC, sizeof(h->magic));
	if (s->kind == KEY_PASSPHRASE) {
		h->log2_n = SCRYPT_LOG2_N;
		h->r = SCRYPT_R;
		h->p = SCRYPT_P;
	}
	if (RAND_bytes(master, sizeof(master)) != 1 ||
		RAND_bytes(h->salt, sizeof(h->salt)) != 1 ||
		RAND_bytes(h->nonce, sizeof(h->nonce)) != 1)
		return err_set(e, EIO, "there are no random numbers");
	if (s->kind == KEY_NONE) {
		memcpy(h->master, master, KEY_SIZE);
	} else {
		r = outer_key(s, true, h, key, e);
		if (r == 0 && !crypt_master(key, h, true, master))
			r = err_set(e, EIO, "cannot seal the key");
		explicit_bzero(key, sizeof(key));
	}
	make_check(h, h->check);
	derive(master, ret);
	explicit_bzero(master, sizeof(master));
	return r;
}

static int check_header(const struct secret *s, const struct header *h, struct err *e)
{
	unsigned char check[32];

	make_check(h, check);
	if (memcmp(h->magic, HEADER_MAGIC, sizeof(h->magic)) != 0)
		return err_set(
			e, EBADMSG, "this is no backup of berth: its header is another");
	if (memcmp(check, h->check, sizeof(check)) != 0)
		return err_set(e, EBADMSG,
			"the header is damaged: nothing can be read without it; a copy "
			"of it from "
			"another disk serves");
	if (h->kind > KEY_FILE)
		return err_set(e, EPROTO,
			"the backup is sealed in a way that this berth does "
			"not know: a newer one made it");
	if (h->kind == KEY_FILE && (s->kind != KEY_FILE || !s->path))
		return err_set(
			e, ENOKEY, "this backup is sealed with a key file: --key FILE");
	if (h->kind == KEY_PASSPHRASE && s->kind == KEY_FILE)
		return err_set(e, ENOKEY,
			"this backup is sealed with a passphrase, not with a key file");
	return 0;
}

int key_open(
	const struct secret *s, const struct header *h, struct keys *ret, struct err *e)
{
	unsigned char master[KEY_SIZE], key[KEY_SIZE];
	struct header copy = *h;
	int r = check_header(s, h, e);

	if (r < 0)
		return r;
	if (h->kind == KEY_NONE) {
		derive(h->master, ret);
		return 0;
	}
	r = outer_key(s, false, h, key, e);
	if (r == 0 && !crypt_master(key, &copy, false, master))
		r = err_set(e, EACCES, "this is not the %s of the backup",
			h->kind == KEY_FILE ? "key" : "passphrase");
	if (r == 0)
		derive(master, ret);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(master, sizeof(master));
	return r;
}

void keys_clear(struct keys *k)
{
	explicit_bzero(k, sizeof(*k));
}
