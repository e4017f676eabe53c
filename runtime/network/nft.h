/*
 * The packet filter of one berth as text for the program nft: one table, berth_<id>. Its
 * fixed part names all interfaces of the berth by prefix and all addresses by range; an app
 * with rules of its own has a chain app_<number> (nft_add_chain), its builds build_<number>,
 * and the map `apps` sends what comes from its interfaces through that first. The maps names4 and names6 hold the
 * instances behind each address of a name (lib/addr.h), NET_NAME_INSTANCES places each.
 */
#ifndef RUNTIME_NFT_H
#define RUNTIME_NFT_H

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/proto.h"

#define NFT_NAME_MAX 32 /* of a table or chain */

void nft_table_name(const char *id, char out[NFT_NAME_MAX]);
/* whose: an app's instances, or with NFT_BUILDS its builds. */
#define NFT_BUILDS 0x80000000u
void nft_chain_name(uint32_t whose, char out[NFT_NAME_MAX]);

/* Each adds to a script for nft_run; a script is one transaction. */
void nft_add_table(struct buf *b, const char *id, uint32_t addr_base); /* in place of an
									   earlier one */
void nft_add_chain(struct buf *b, const char *id, uint32_t whose,
	const struct net_rule *rules, uint32_t n); /* in place of its earlier rules */
void nft_add_chain_end(struct buf *b, const char *id, uint32_t whose);
/* Ends with a list of all base chains of the host in the output, for firewall_drops. */
void nft_add_list(struct buf *b);

/* Runs nft, some milliseconds. out (NULL: none) gets what it prints. 0, -ENOENT without the
 * program, -EIO with its words in e. */
int nft_run(const struct buf *script, struct buf *out, struct err *e);
/* The host's proxies and indexes join the table once their names are resolved, in a process
 * of its own that ends after at most 8 s: with 0 when all were. Its pidfd, or -1. */
int nft_allow_named_later(const char *id);
/* 0, or -ENOENT. */
int nft_remove(const char *id);

#endif
