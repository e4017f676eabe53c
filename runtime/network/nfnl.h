/*
 * Elements of nftables maps by netlink, in tens of microseconds: starting the program nft
 * takes some milliseconds, too long for the start of a sandbox. One batch is one
 * transaction. Source: linux/netfilter/nfnetlink.h, nf_tables.h.
 */
#ifndef RUNTIME_NFNL_H
#define RUNTIME_NFNL_H

#include "lib/base.h"

#define NFNL_BATCH_MAX 16384

struct nlmsghdr;

struct nfnl_batch {
	const char *table; /* of family inet; the caller's */
	size_t len;
	unsigned int n; /* elements */
	_Alignas(8) char data[NFNL_BATCH_MAX];
};

/* A netfilter socket in the calling thread's network namespace. fd (CLOEXEC) or -errno. */
int nfnl_open(void);
/* The message at *at of the got bytes that came, and on to the next; NULL after the last. */
const struct nlmsghdr *nfnl_next(const char *in, size_t got, size_t *at);
/* One that hears of every change of nftables there (nonblocking); nfnl_heard reads what
 * came, and says whether a table of this name and family inet was removed, or news were
 * lost. */
int nfnl_listen(void);
bool nfnl_heard(int fd, const char *table);
/* Its number, which another table of the same name would not have. 0, -ENOENT, -errno. */
int nfnl_table_handle(int fd, const char *table, uint64_t *ret);
void nfnl_begin(struct nfnl_batch *b, const char *table);
/* Key of a verdict map: jump to the chain, or with NULL the element goes. */
void nfnl_jump(struct nfnl_batch *b, const char *map, const void *key, size_t key_len,
	const char *chain);
/* Key of a map of values; data NULL: the element goes. */
void nfnl_value(struct nfnl_batch *b, const char *map, const void *key, size_t key_len,
	const void *data, size_t data_len);
/* All or nothing. 0 (also for none), -ENOENT: the table, map, chain or an element to be
 * removed is not there, -EEXIST, -E2BIG: more than NFNL_BATCH_MAX bytes, -errno. */
int nfnl_commit(int fd, struct nfnl_batch *b);

#endif
