/* The handlers that the table names, by noun; what each does stands in docs/API.md. */
#ifndef CONTROL_API_HANDLERS_H
#define CONTROL_API_HANDLERS_H

#include "control/api/request.h"

#define HANDLE(name) int name(struct request *r)
#define RUN(name) int name(struct request *r, struct sink *s, struct err *e)

/* host.c */
HANDLE(host_version);
HANDLE(host_openapi);
HANDLE(host_status);
HANDLE(stacks_list);
HANDLE(stacks_report);
HANDLE(stacks_check);
RUN(stacks_create);
/* disk.c */
HANDLE(disk_report);
HANDLE(disk_report_app);
/* events.c */
HANDLE(events_show);
/* apps.c */
HANDLE(apps_list);
HANDLE(apps_create);
HANDLE(apps_report);
HANDLE(apps_check_destroy);
RUN(apps_destroy);
HANDLE(apps_lock);
HANDLE(apps_unlock);
/* state.c */
HANDLE(state_show);
HANDLE(state_show_app);
/* names.c */
HANDLE(apps_check_rename);
RUN(apps_rename);
HANDLE(apps_check_clone);
RUN(apps_clone);
HANDLE(previews_list);
/* config.c */
HANDLE(config_show);
HANDLE(config_check);
RUN(config_change);
/* config_history.c */
HANDLE(config_history);
HANDLE(config_check_rollback);
RUN(config_rollback);
/* domains.c */
HANDLE(domains_show);
HANDLE(buildpacks_show);
HANDLE(buildpacks_change);
HANDLE(buildpacks_detect_check);
RUN(buildpacks_detect);
HANDLE(domains_change);
HANDLE(domains_show_global);
HANDLE(domains_change_global);
/* certs.c */
HANDLE(certs_list);
HANDLE(certs_show);
HANDLE(certs_add);
HANDLE(certs_chain);
HANDLE(certs_delete);
/* "valid", "expires soon" (an automatic one: its renewal is late), "expired", "not valid yet" */
const char *certs_state(const struct db_cert *c, uint64_t now_us);
/* tls.c */
HANDLE(tls_list);
HANDLE(tls_show);
HANDLE(tls_check_enable);
RUN(tls_enable);
HANDLE(tls_disable);
HANDLE(tls_check_renew);
RUN(tls_renew);
/* metrics.c */
HANDLE(metrics_top);
HANDLE(metrics_page);
struct metrics_row;
/* A row for people. */
json_t *metrics_json(const struct metrics_row *row);
/* network.c */
HANDLE(network_show);
HANDLE(network_list);
HANDLE(network_allow);
HANDLE(network_deny);
HANDLE(network_clear);
/* ps.c */
HANDLE(ps_show);
HANDLE(ps_summary);
HANDLE(scale_check);
RUN(scale_run);
HANDLE(restart_check);
RUN(restart_run);
HANDLE(whole_check);
HANDLE(whole_released_check);
RUN(stop_run);
RUN(start_run);
RUN(sleep_run);
RUN(wake_run);
RUN(rebuild_run);
RUN(rebase_run);
/* releases.c */
HANDLE(releases_list);
HANDLE(releases_info);
HANDLE(rollback_check);
RUN(rollback_run);
HANDLE(builds_list);
HANDLE(builds_info);
HANDLE(builds_check_cancel);
RUN(builds_cancel);
/* images.c */
HANDLE(images_list);
HANDLE(images_history);
HANDLE(images_tag);
HANDLE(images_untag);
HANDLE(images_prune);
HANDLE(images_export);
HANDLE(images_import);
HANDLE(images_diff);
HANDLE(releases_diff);
/* registry.c */
HANDLE(images_check_pull);
RUN(images_pull);
HANDLE(images_check_push);
RUN(images_push);
HANDLE(registry_list);
HANDLE(registry_check_login);
RUN(registry_run_login);
HANDLE(registry_logout);
/* canary.c */
HANDLE(canary_show);
HANDLE(canary_check);
RUN(canary_run);
HANDLE(canary_check_end);
RUN(canary_run_end);
/* That release of the app, db_release_clear it; -1 with what there is. */
int release_find(struct request *r, uint32_t version, struct db_release *ret);
/* 0 when that release served once and is not the live one: it could again. */
int release_check_other(struct request *r, uint32_t version);
/* logs.c */
HANDLE(logs_show);
/* drains.c */
HANDLE(drains_show);
HANDLE(drains_list);
HANDLE(drains_add);
HANDLE(drains_add_global);
HANDLE(drains_remove);
HANDLE(drains_remove_global);
struct drain_url;
/* An address that is written as one is refused at once, a name's when it is looked up. 0 or -1. */
int drain_check_address(struct request *r, const struct drain_url *u);
/* webhooks.c */
HANDLE(webhooks_show);
HANDLE(webhooks_list);
HANDLE(webhooks_add);
HANDLE(webhooks_add_global);
HANDLE(webhooks_remove);
HANDLE(webhooks_remove_global);
HANDLE(webhooks_check_test);
HANDLE(webhooks_check_test_global);
RUN(webhooks_test);
/* logs_failed.c */
HANDLE(logs_failed);
HANDLE(logs_failed_all);
/* volumes.c */
HANDLE(volumes_list);
HANDLE(volumes_create);
HANDLE(volumes_resize);
HANDLE(volumes_destroy);
HANDLE(mount_check);
RUN(mount_run);
HANDLE(unmount_check);
RUN(unmount_run);
/* The volume that the path names, or -1 after request_fail. */
int volume_find(struct request *r, struct db_volume *ret);
/* snapshots.c */
HANDLE(snapshots_list);
HANDLE(snapshot_check);
RUN(snapshot_run);
HANDLE(volume_restore_check);
RUN(volume_restore_run);
HANDLE(volume_export_start);
HANDLE(volume_import_start);
HANDLE(volumes_set);
/* resources.c */
HANDLE(resources_show);
HANDLE(resources_check);
RUN(resources_set);
HANDLE(resources_check_clear);
RUN(resources_clear);
/* settings.c */
/* What is set of an app, 0: for all apps: topic -> key -> text, of auth only the name. 0 or -errno. */
int settings_state(struct request *r, uint32_t app, json_t **ret);
HANDLE(settings_show);
HANDLE(settings_set);
HANDLE(settings_show_global);
HANDLE(settings_set_global);
/* keys.c */
HANDLE(keys_list);
HANDLE(keys_add);
HANDLE(keys_remove);
/* data/backup.c */
HANDLE(backup_start);
/* Adds the public key in text to those of the member (a new one may do everything) and writes sshd's list. 0; 1: it was there
 * as the member's already; -1. */
int key_put(struct request *r, const char *member, const char *text, struct db_key *ret);
/* members.c */
HANDLE(members_list);
HANDLE(members_add);
HANDLE(members_remove);
HANDLE(access_list);
HANDLE(access_add);
HANDLE(access_remove);
/* Finds one by name. 0 or -1. */
int member_find(struct request *r, const char *name, struct db_member *ret);
/* The role that the field names; absent: fallback. 0 or -1. */
int member_role(struct request *r, enum role fallback, enum role *ret);
/* tokens.c */
HANDLE(tokens_list);
HANDLE(tokens_create);
HANDLE(tokens_revoke);
/* cron.c */
HANDLE(cron_list);
HANDLE(cron_history);
HANDLE(cron_suspend);
HANDLE(cron_resume);
HANDLE(cron_check_run);
RUN(cron_run_now);
/* run_list.c */
HANDLE(run_list);
HANDLE(run_check_stop);
RUN(run_stop);
/* run.c */
HANDLE(run_start);
HANDLE(enter_start);
/* git.c */
HANDLE(git_access);
HANDLE(git_check_update);
RUN(git_update);
HANDLE(git_check_image);
RUN(git_from_image);
HANDLE(git_from_archive);
/* A setting that is on or off: the app's own (0: none), else the global one, else
 * fallback. */
bool settings_is_on(struct control *c, uint32_t app, const char *topic, const char *key,
	bool fallback);

#undef HANDLE
#undef RUN

#endif
