/* Volumes at berthd, and who has them. */
#include "control/data/volumes.h"
#include "control/data/space.h"
#include "control/engine.h"
#include "lib/log.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORD "volume "
#define VOLUME_WAIT_MS 5000 /* for an instance's end */
#define VOLUME_LOOK_MS 100

static int ask(struct control *c, uint32_t type, const void *body, size_t size,
	struct msg_volume_info *ret, struct err *e)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));

	*ret = (struct msg_volume_info){0};
	if (!reply)
		return err_set(e, ENOMEM, "out of memory");
	int r = engine_call(c->engine, type, body, size, NULL, 0, reply);
	if (reply->head.size == sizeof(*ret))
		memcpy(ret, reply->body, sizeof(*ret));
	msg_close_fds(reply);
	if (r == 0)
		return 0;
	ret->error[sizeof(ret->error) - 1] = '\0';
	return ret->error[0] ? err_set(e, -r, "%s", ret->error)
			     : err_sys(e, -r, "berthd cannot do that");
}

int volume_grow(struct control *c, uint64_t id, uint64_t size_bytes,
	struct msg_volume_info *ret, struct err *e)
{
	const struct msg_volume_size m = {.id = id, .size_bytes = size_bytes};
	int r = ask(c, MSG_VOLUME_SIZE, &m, sizeof(m), ret, e);

	if (r < 0)
		volume_explain(c, e);
	return r;
}

/* Made or removed twice is no different from once: a berthd that died in the middle is asked again. */
static int ask_volume(struct control *c, unsigned int type, uint64_t id)
{
	struct msg_volume v = {id};
	int r = engine_call(c->engine, type, &v, sizeof(v), NULL, 0, NULL);

	return r == -ECONNRESET
		       ? engine_call(c->engine, type, &v, sizeof(v), NULL, 0, NULL)
		       : r;
}

/* Made twice is no different from once, either. */
static int make_sized(struct control *c, uint64_t id, uint64_t size_bytes, struct err *e)
{
	const struct msg_volume_size m = {
		.id = id, .size_bytes = size_bytes, .flags = VOLUME_NEW};
	struct msg_volume_info info;
	int r = ask(c, MSG_VOLUME_SIZE, &m, sizeof(m), &info, e);

	if (r != -ECONNRESET)
		return r;
	r = ask(c, MSG_VOLUME_SIZE, &m, sizeof(m), &info, e);
	if (r != -EEXIST)
		return r;
	*e = (struct err){0};
	return 0;
}

int volume_make(struct control *c, uint64_t id, uint64_t size_bytes, struct err *e)
{
	int r;

	if (size_bytes)
		return make_sized(c, id, size_bytes, e);
	r = ask_volume(c, MSG_VOLUME_CREATE, id);
	return r < 0 ? err_sys(e, -r, "make the volume's folder") : 0;
}

/* -EBUSY lasts for as long as an instance that had it takes to end. */
static int remove_folder(struct control *c, uint64_t id)
{
	int r = ask_volume(c, MSG_VOLUME_REMOVE, id);

	for (int ms = 0; r == -EBUSY && ms < VOLUME_WAIT_MS; ms += VOLUME_LOOK_MS) {
		usleep(VOLUME_LOOK_MS * 1000);
		r = ask_volume(c, MSG_VOLUME_REMOVE, id);
	}
	return r;
}

/*
 * No transaction is open while berthd is asked: whoever reads its answers also writes to the database. The mark says
 * after a crash what was going on.
 */
int volume_destroy(struct control *c, uint64_t id, struct err *e)
{
	struct db_volume was;
	int r = db_volume_by_id(c->db, id, &was);

	if (r == 0)
		r = db_volume_set_whole(c->db, id, false);
	if (r < 0)
		return r == -EBUSY ? r : err_sys(e, -r, "record it");
	r = remove_folder(c, id);
	if (r == 0) {
		r = db_volume_delete(c->db, id);
		return r < 0 ? err_sys(e, -r, "record it") : 0;
	}
	err_sys(e, -r, "remove the volume");
	if (r != -EBUSY)
		return r; /* it may be half gone: the next try, or start, goes on */
	if (was.whole)
		db_volume_set_whole(c->db, id, true);
	return -EAGAIN;
}

void volumes_recover(struct control *c)
{
	struct db_volume *volumes autofree = NULL;
	int n = db_volume_list(c->db, &volumes);
	struct err e;

	for (int i = 0; i < n; i++)
		if (!volumes[i].whole && volume_destroy(c, volumes[i].id, &e) < 0)
			log_warn("volume %s: %s", volumes[i].name, e.text);
}

int volume_look(
	struct control *c, uint64_t id, struct msg_volume_info *ret, struct err *e)
{
	const struct msg_volume m = {id};

	return ask(c, MSG_VOLUME_INFO, &m, sizeof(m), ret, e);
}

int volume_check_room(struct control *c, uint64_t bytes, struct err *e)
{
	uint64_t free, total, reserve;
	char want[24], there[24], kept[24];

	if (disk_free(c, &free, &total) < 0)
		return 0; /* berthd looks, too */
	reserve = space_reserve(c, total);
	if (free > reserve && bytes <= free - reserve)
		return 0;
	num_format_size(bytes, want);
	num_format_size(free, there);
	num_format_size(reserve, kept);
	return err_set(e, ENOSPC,
		"%s do not fit on the disk: %s are free, of which %s are kept in reserve",
		want, there, kept);
}

/* The number behind WORD, and where it ends; 0: there is none. */
static uint64_t number_in(const char *text, char **ret_end)
{
	const char *at = strstr(text, WORD);
	uint64_t id = at ? strtoull(at + strlen(WORD), ret_end, 16) : 0;

	return at && (**ret_end == ':' || **ret_end == ' ') ? id : 0;
}

void volume_explain(struct control *c, struct err *e)
{
	const struct err was = *e;
	struct db_volume v;
	char *end;
	uint64_t id = number_in(was.text, &end);

	if (!id || db_volume_by_id(c->db, id, &v) < 0)
		return;
	if (e->code == ENOENT)
		err_set(e, ENOENT,
			"volume %s is gone from the disk: restore it, or take it away: "
			"berth "
			"volumes:unmount APP %s",
			v.name, v.name);
	else
		err_set(e, was.code, "%.*s%s%s",
			(int)(strstr(was.text, WORD) + strlen(WORD) - was.text), was.text,
			v.name, end);
}

/* ---- shut ---- */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static struct volume_shut *shut;

void volume_shut(struct volume_shut *v, uint64_t volume)
{
	v->volume = volume;
	pthread_mutex_lock(&guard);
	v->next = shut;
	shut = v;
	pthread_mutex_unlock(&guard);
}

void volume_open(struct volume_shut *v)
{
	struct volume_shut **at = &shut;

	pthread_mutex_lock(&guard);
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&guard);
}

static bool is_shut(uint64_t volume)
{
	const struct volume_shut *v = shut;

	while (v && v->volume != volume)
		v = v->next;
	return v != NULL;
}

int volume_check_open(uint64_t volume, const char *name, struct err *e)
{
	pthread_mutex_lock(&guard);
	bool no = is_shut(volume);
	pthread_mutex_unlock(&guard);
	return no ? err_set(e, ETXTBSY,
			    "what %s holds is being replaced: try again when that is "
			    "done",
			    name)
		  : 0;
}

void volume_await(struct control *c, uint32_t app)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, app, &mounts);

	pthread_mutex_lock(&guard);
	for (int i = 0; i < n; i++)
		while (is_shut(mounts[i].volume))
			pthread_cond_wait(&opened, &guard);
	pthread_mutex_unlock(&guard);
}

bool mount_is_of(const struct db_mount *m, const char *type)
{
	return !m->type[0] || strcmp(m->type, type) == 0;
}
