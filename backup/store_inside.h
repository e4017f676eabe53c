/* Inside the store: what its two forms share. */
#ifndef BACKUP_STORE_INSIDE_H
#define BACKUP_STORE_INSIDE_H

#include "backup/store.h"

struct spot { /* of a chunk in a stream */
	unsigned char id[ID_SIZE];
	uint64_t offset, number;
	uint32_t size; /* 0: a free place of the table */
};

struct store {
	bool folder, only_names;
	int fd;	  /* the folder, or the stream */
	int lock; /* of the folder's header; -1 */
	bool careful; /* the last backup was cut off: what is there is looked at before it counts */
	struct header header;
	struct keys keys;
	struct sealer *sealer;
	struct buf sealed;
	struct store_sums sums;
	/* of a stream */
	uint64_t number, at; /* the next record */
	struct spot *spots;
	size_t n_spots, room; /* room: a power of two */
	struct spot list, end;
	char fault[200];
};

int folder_make(
	struct store *s, const char *path, const struct secret *secret, struct err *e);
int folder_open(
	struct store *s, const char *path, const struct secret *secret, struct err *e);
int folder_put(struct store *s, const unsigned char id[ID_SIZE], const void *data,
	size_t size, struct err *e);
int folder_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e);
bool folder_has(struct store *s, const unsigned char id[ID_SIZE]);
int folder_finish(struct store *s, const char *id, const json_t *list, struct err *e);
int folder_list(struct store *s, char (**ret)[STORE_ID_MAX], struct err *e);
int folder_read(struct store *s, const char *id, json_t **ret, struct err *e);

int stream_make(
	struct store *s, const char *path, const struct secret *secret, struct err *e);
int stream_open(
	struct store *s, const char *path, const struct secret *secret, struct err *e);
int stream_put(struct store *s, const unsigned char id[ID_SIZE], const void *data,
	size_t size, struct err *e);
int stream_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e);
const struct spot *stream_find(const struct store *s, const unsigned char id[ID_SIZE]);
int stream_finish(struct store *s, const char *id, const json_t *list, struct err *e);
int stream_read(struct store *s, json_t **ret, struct err *e);
/* Whether its end is what was sealed; else it is a fault. */
void stream_check_end(struct store *s);

/* The list as it is sealed: its text. The name of a list is that of its id. */
void list_name(const struct store *s, const char *id, unsigned char out[ID_SIZE]);

#endif
