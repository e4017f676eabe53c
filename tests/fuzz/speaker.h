/*
 * Says one message to berthd, in the name of berth-control or of the router, waits for what it
 * answers, and takes back what it made: the one that is said is m.
 */
#ifndef TESTS_FUZZ_SPEAKER_H
#define TESTS_FUZZ_SPEAKER_H

#include "runtime/berthd_stage_test.h"

#include "tests/fuzz/messages.h"

#define SEQ 7 /* of what is tried; others have higher ones */
#define UPPERS_MAX 4096
#define APPS_MAX 64

static int router = -1; /* the router worker's end of its pair */
static int kinds[KINDS];
static uint64_t uppers[UPPERS_MAX]; /* made by starts, not yet removed */
static unsigned int n_uppers, tried, refused;
static bool stop_at_once; /* what is started */
static uint32_t apps[APPS_MAX];
static unsigned int n_apps;

static struct {
	struct msg_head head;
	_Alignas(8) char body[MSG_BODY_MAX + 64];
} m;

static bool is_unanswered(uint32_t type)
{
	return type == MSG_HELLO || type == MSG_EXITED_ACK || type == MSG_ROUTER_LEAVES;
}

/* A question that always has an answer: whatever was asked before it was dealt with. */
static unsigned int answers_until(int fd, uint32_t type, int *ret_status)
{
	const struct msg_instance nobody = {.id = UINT64_MAX};
	uint32_t last = fd == router ? MSG_ROUTER_WAKE : MSG_DISK, seq = next_seq++;
	unsigned int n = 0;

	assert_int_equal(msg_send(fd, last, seq, 0, fd == router ? &nobody : NULL,
				 fd == router ? sizeof(nobody) : 0, NULL, 0),
		0);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, DEADLINE_MS) <= 0 || msg_recv(fd, &reply) != 1)
			fail_msg("no answer after message %u", type);
		if (reply.head.type == last && reply.head.seq == seq) {
			msg_close_fds(&reply);
			return n;
		}
		if (reply.head.type == type && reply.head.seq == SEQ) {
			n++;
			*ret_status = reply.head.status;
			if (reply.head.status < 0)
				assert_int_equal(reply.nfds, 0);
		}
		if (reply.head.type == MSG_EXITED)
			(void)msg_send(control, MSG_EXITED_ACK, 0, 0, reply.body,
				sizeof(struct msg_instance), NULL, 0);
		msg_close_fds(&reply);
	}
}

static void note_app(uint32_t app)
{
	for (unsigned int i = 0; i < n_apps; i++)
		if (apps[i] == app)
			return;
	assert_true(n_apps < APPS_MAX);
	apps[n_apps++] = app;
}

/* What was made and would stay. */
static void undo(uint32_t type)
{
	const struct msg_start *start = (const void *)m.body;
	struct msg_network network = {.app = *(const uint32_t *)(const void *)m.body};
	struct msg_name name = {.number = network.app};
	struct msg_layer layer = {.id = *(const uint64_t *)(const void *)m.body};

	struct msg_stop stop = {.id = layer.id};

	if (type == MSG_START)
		note_app(start->app);
	if (type == MSG_START && stop_at_once)
		(void)msg_send(control, MSG_STOP, 0, 0, &stop, sizeof(stop), NULL, 0);
	if (type == MSG_START && start->upper && n_uppers < UPPERS_MAX)
		uppers[n_uppers++] = start->upper;
	else if (type == MSG_NETWORK)
		assert_int_equal(
			request(MSG_NETWORK, &network, sizeof(network), NULL, 0), 0);
	else if (type == MSG_NAME)
		assert_int_equal(request(MSG_NAME, &name, sizeof(name), NULL, 0), 0);
	else if (type == MSG_VOLUME_CREATE && layer.id != 1)
		(void)request(
			MSG_VOLUME_REMOVE, &layer, sizeof(struct msg_volume), NULL, 0);
	else if (type == MSG_LAYER_COMMIT && layer.id != LAYER)
		(void)request(MSG_LAYER_REMOVE, &layer, sizeof(layer), NULL, 0);
}

static const struct sound *sound_of(uint32_t type)
{
	const struct sound *s = sounds;

	while (s->type != type)
		s++;
	return s;
}

static void try_message(
	const struct sound *s, size_t size, const int *fds, unsigned int n)
{
	int fd = is_from_router(s->type) ? router : control, status = 0;
	bool whole = m.head.size == size, known = m.head.type == s->type;

	if (m.head.type == MSG_STACK_BUILD &&
		((struct msg_stack *)(void *)m.body)->suite == 1)
		return;
	assert_true(send_raw(fd, &m, sizeof(m.head) + size, fds, n));
	unsigned int answers = answers_until(fd, m.head.type, &status);
	tried++;
	refused += status < 0;
	if (!known || m.head.seq != SEQ)
		return;
	if (!whole || is_unanswered(s->type))
		assert_int_equal(answers, 0);
	else if (s->type != MSG_APP_REMOVE) /* waits for the logger */
		assert_int_equal(answers, 1);
	assert_in_range(-status, 0, 4095);
	if (answers && status == 0)
		undo(s->type);
}

static void compose(const struct sound *s, struct input *in)
{
	memset(&m, 0, sizeof(m));
	m.head =
		(struct msg_head){.type = s->type, .seq = SEQ, .size = (uint32_t)s->size};
	if (s->fill)
		s->fill(in, m.body);
}

static void try_sound(const struct sound *s)
{
	try_message(s, s->size, &kinds[s->first_kind], s->n_fds);
}

#endif
