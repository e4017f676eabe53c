/* Every field of every message to berthd, and the values at which a range could end. */
#ifndef TESTS_FUZZ_FIELDS_H
#define TESTS_FUZZ_FIELDS_H

#include "lib/io.h"
#include "lib/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct field {
	const char *name;
	size_t at, size;
};
#define F(type, field)                                                                   \
	{                                                                                \
#field, offsetof(struct type, field), sizeof(((struct type *)0)->field)  \
	}

static const struct field hello_fields[] = {
	F(msg_hello, epoch), F(msg_hello, pid), F(msg_hello, pad)};
#define LIMITS_FIELDS(type)                                                              \
	F(type, limits.memory_bytes), F(type, limits.scratch_bytes),                     \
		F(type, limits.io_read_bytes), F(type, limits.io_write_bytes),           \
		F(type, limits.cpu_millis), F(type, limits.pids),                        \
		F(type, limits.nofile), F(type, limits.pad)
#define MOUNT_FIELDS(i)                                                                  \
	F(msg_start, mounts[i].id), F(msg_start, mounts[i].kind),                        \
		F(msg_start, mounts[i].flags), F(msg_start, mounts[i].path)
static const struct field start_fields[] = {F(msg_start, id), F(msg_start, app),
	F(msg_start, profile), F(msg_start, flags), F(msg_start, n_layers),
	LIMITS_FIELDS(msg_start), F(msg_start, layers), F(msg_start, upper),
	F(msg_start, n_mounts), F(msg_start, stop_timeout_ms), MOUNT_FIELDS(0),
	MOUNT_FIELDS(1), MOUNT_FIELDS(2), MOUNT_FIELDS(3), MOUNT_FIELDS(4),
	MOUNT_FIELDS(5), MOUNT_FIELDS(6), MOUNT_FIELDS(7), MOUNT_FIELDS(8),
	MOUNT_FIELDS(9), MOUNT_FIELDS(10), MOUNT_FIELDS(11), MOUNT_FIELDS(12),
	MOUNT_FIELDS(13), MOUNT_FIELDS(14), MOUNT_FIELDS(15), F(msg_start, name),
	F(msg_start, uid), F(msg_start, gid), F(msg_start, n_others),
	F(msg_start, stop_signal), F(msg_start, release), F(msg_start, pad)};
static const struct field stop_fields[] = {
	F(msg_stop, id), F(msg_stop, timeout_ms), F(msg_stop, pad)};
static const struct field signal_fields[] = {
	F(msg_signal, id), F(msg_signal, signo), F(msg_signal, pad)};
static const struct field limits_fields[] = {F(msg_limits, id), LIMITS_FIELDS(msg_limits),
	F(msg_limits, which), F(msg_limits, pad)};
static const struct field enter_fields[] = {
	F(msg_enter, id), F(msg_enter, target), F(msg_enter, flags), F(msg_enter, pad)};
static const struct field sockets_fields[] = {
	F(msg_sockets, id), F(msg_sockets, n), F(msg_sockets, family)};
static const struct field instance_fields[] = {F(msg_instance, id)};
static const struct field layer_fields[] = {F(msg_layer, id), F(msg_layer, size_bytes)};
static const struct field page_fields[] = {F(msg_layer_page, after), F(msg_layer_page, n),
	F(msg_layer_page, pad), F(msg_layer_page, ids)};
static const struct field volume_fields[] = {F(msg_volume, id)};
static const struct field size_fields[] = {F(msg_volume_size, id),
	F(msg_volume_size, size_bytes), F(msg_volume_size, flags),
	F(msg_volume_size, pad)};
static const struct field app_fields[] = {
	F(msg_app, id), F(msg_app, pad), F(msg_app, name)};
static const struct field rename_fields[] = {F(msg_rename, from), F(msg_rename, to)};
/* but a suite that exists: it would be built */
static const struct field stack_fields[] = {
	F(msg_stack, id), F(msg_stack, suite), F(msg_stack, pad)};
static const struct field freeze_fields[] = {
	F(msg_freeze, id), F(msg_freeze, flags), F(msg_freeze, pad)};
static const struct field usage_fields[] = {F(msg_usage, kinds), F(msg_usage, pad)};
static const struct field cache_fields[] = {
	F(msg_cache, part), F(msg_cache, app), F(msg_cache, pad)};
static const struct field log_fields[] = {F(msg_log_limits, budget_bytes),
	F(msg_log_limits, rate_lines), F(msg_log_limits, rate_bytes),
	F(msg_log_limits, app), F(msg_log_limits, pad)};
#define RULE_FIELDS(i)                                                                   \
	F(msg_network, rules[i].kind), F(msg_network, rules[i].verdict),                 \
		F(msg_network, rules[i].protocol), F(msg_network, rules[i].prefix),      \
		F(msg_network, rules[i].first), F(msg_network, rules[i].last),           \
		F(msg_network, rules[i].number), F(msg_network, rules[i].addr)
static const struct field network_fields[] = {F(msg_network, app),
	F(msg_network, n_rules), F(msg_network, hosts_size), F(msg_network, whose),
	RULE_FIELDS(0), RULE_FIELDS(1), RULE_FIELDS(2), RULE_FIELDS(3),
	{"rules[4..]", offsetof(struct msg_network, rules[4]),
		sizeof(struct net_rule) * (NET_RULES_MAX - 4)},
	F(msg_network, hosts)};
static const struct field name_fields[] = {
	F(msg_name, number), F(msg_name, n), F(msg_name, ids)};
static const struct field git_fields[] = {F(msg_git, name), F(msg_git, push),
	F(msg_git, step), F(msg_git, protocol), F(msg_git, flags)};

static const struct layout {
	uint32_t type;
	const struct field *fields;
	unsigned int n;
} layouts[] = {
#define L(type, fields)                                                                  \
	{                                                                                \
		type, fields, (unsigned int)ARRAY_LEN(fields)                            \
	}
	L(MSG_HELLO, hello_fields), L(MSG_START, start_fields), L(MSG_STOP, stop_fields),
	L(MSG_SIGNAL, signal_fields), L(MSG_LIMITS, limits_fields),
	L(MSG_ENTER, enter_fields), L(MSG_SOCKETS, sockets_fields),
	L(MSG_PORTS, instance_fields), L(MSG_LIST, instance_fields),
	L(MSG_LAYER_COMMIT, layer_fields), L(MSG_LAYER_REMOVE, layer_fields),
	L(MSG_LAYER_LIST, page_fields), L(MSG_VOLUME_CREATE, volume_fields),
	L(MSG_VOLUME_REMOVE, volume_fields), L(MSG_APP_REMOVE, app_fields),
	L(MSG_STACK_BUILD, stack_fields), L(MSG_FREEZE, freeze_fields),
	L(MSG_THAW, instance_fields), L(MSG_NETWORK, network_fields),
	L(MSG_NAME, name_fields), L(MSG_CACHE_REMOVE, cache_fields),
	L(MSG_LOG_LIMITS, log_fields), L(MSG_VOLUME_SIZE, size_fields),
	L(MSG_GIT, git_fields), L(MSG_VOLUME_INFO, volume_fields),
	L(MSG_USAGE, usage_fields), L(MSG_REPO_RENAME, rename_fields),
	L(MSG_EXITED_ACK, instance_fields), L(MSG_ROUTER_SOCKETS, sockets_fields),
	L(MSG_ROUTER_WAKE, instance_fields)};

static const struct layout *layout_of(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

static const uint64_t numbers[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64,
	65, 128, 255, 256, 999, 1024, 4095, 4096, 65535, 65536, 3600000, 3600001, 4194304,
	4194305, (16 << 20) - 1, 16 << 20, 1073741816, 1073741817, 0x7fffffff, 0x80000000,
	0xfffffffe, 0xffffffff, 0x100000000, (uint64_t)1 << 40, ((uint64_t)1 << 40) + 1,
	(uint64_t)1 << 44, ((uint64_t)1 << 44) + 1, 0x7fffffffffffffff,
	0x8000000000000000, 0xfffffffffffffffe, 0xffffffffffffffff};
static const char *const texts[] = {"", "/", "/..", "/a/../b", "../../etc", "/proc",
	"/dev/null", "/a//b", "/a/", "a b", "a\nb", ".", "-x", "%s%n", "\xff\xfe",
	"/berth", "web.1"};

/* The field of a message takes the value number i; false when there is none. */
static bool set_value(char *body, const struct field *f, size_t i)
{
	char *at = body + f->at;
	size_t width = f->size < 8 ? f->size : 8;

	if (i < ARRAY_LEN(numbers)) {
		if (width < 8 && numbers[i] >> (8 * width) != 0)
			memset(at, 0xa5,
				width); /* what would be cut off is another one */
		else
			memcpy(at, &numbers[i], width);
		return true;
	}
	i -= ARRAY_LEN(numbers);
	if (f->size <= 8)
		return false;
	if (i < ARRAY_LEN(texts)) {
		memset(at, 0, f->size);
		memcpy(at, texts[i], strnlen(texts[i], f->size - 1));
		return true;
	}
	i -= ARRAY_LEN(texts);
	if (i < 3)
		memset(at, i == 0 ? 'A' : i == 1 ? 0xff : '/', f->size);
	else if (i == 3) /* only its end */
		memset(at + f->size - 8, 0xff, 8);
	return i < 4;
}

#endif
