/*
 * Keys of a backup. A random master key is made with the backup and lies in its header, sealed with what the operator has: a passphrase
 * (scrypt, RFC 7914) or a key file. All others come of it by HMAC-SHA256. Nothing secret is an argument, in the environment or logged.
 */
#ifndef BACKUP_KEY_H
#define BACKUP_KEY_H

#include "lib/err.h"

#define KEY_SIZE 32u
#define ID_SIZE 32u
#define PASSPHRASE_MAX 4096u
#define KEY_FILE_MIN 32u /* bytes; of random ones, 256 bits */
#define KEY_FILE_MAX ((size_t)1 << 20)

enum key_kind { KEY_NONE, KEY_PASSPHRASE, KEY_FILE };

/* The header: fixed, little endian, at the beginning of a stream and as a file of a folder. */
#define HEADER_MAGIC "BERTHBK1"
struct header {
	char magic[8];
	uint32_t kind;		/* enum key_kind */
	uint32_t log2_n, r, p;	/* scrypt's; 0 for others */
	unsigned char salt[32]; /* of scrypt, or of HMAC over the key file */
	unsigned char nonce
		[12]; /* AES-256-GCM over the master key, all before it being authenticated */
	unsigned char master[32]; /* KEY_NONE: in clear */
	unsigned char tag[16];
	unsigned char check
		[32]; /* SHA-256 of all before: a damaged header is no wrong passphrase */
};

/* Where the operator's secret comes from. */
struct secret {
	enum key_kind kind;
	const char *
		path; /* of the passphrase or the key; "-": the first line of stdin; NULL: asked on the terminal */
};

struct keys {
	unsigned char seal[KEY_SIZE], name[KEY_SIZE], cut[KEY_SIZE];
};

/* Makes a header and its keys. Asks twice on a terminal. 0 or -errno with e. */
int key_make(const struct secret *s, struct header *h, struct keys *ret, struct err *e);
/* -EACCES: another passphrase or key; -EBADMSG: the header is damaged; -ENOKEY: another kind of secret is needed. */
int key_open(
	const struct secret *s, const struct header *h, struct keys *ret, struct err *e);
void keys_clear(struct keys *k);

/* HMAC-SHA256 of the parts one after the other. */
void key_hmac(const unsigned char key[KEY_SIZE], const void *data, size_t size,
	unsigned char out[KEY_SIZE]);

#endif
