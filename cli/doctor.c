/* berth doctor: the list of checks, those that ask berth, and what is printed. */
#include "cli/doctor.h"
#include "lib/conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {"ok", "warning", "failed", "skipped"};

/* All that is found, as JSON; shown at the end, or at once. */
struct findings {
	struct cli *c;
	json_t *list;
	unsigned int failed, warnings;
};

static void add(struct findings *f, const char *check, const struct doctor *d)
{
	f->failed += d->state == DOCTOR_FAILED;
	f->warnings += d->state == DOCTOR_WARNING;
	json_array_append_new(f->list,
		json_pack("{s:s, s:s, s:s, s:s}", "check", check, "state",
			state_names[d->state], "text", d->text, "hint", d->hint));
	if (f->c->json ||
		(f->c->quiet && (d->state == DOCTOR_OK || d->state == DOCTOR_SKIPPED)))
		return;
	printf("%-8s %-12s %s\n", state_names[d->state], check, d->text);
	if (d->hint[0])
		printf("%22s%s\n", "", d->hint);
	fflush(stdout);
}

static json_t *ask(struct cli *c, const char *path)
{
	json_t *answer = NULL;

	return api_json(c, "GET", NULL, &answer, "%s", path) == 0 ? answer : NULL;
}

static bool check_berthd(struct findings *f)
{
	struct doctor d = {0};
	struct err e = {0};
	json_t *status;

	if (conf_load(&e) < 0) {
		doctor_says(&d, DOCTOR_FAILED, "%s", e.text);
		add(f, "berth.conf", &d);
		return false;
	}
	status = ask(f->c, "/v1/status");
	if (!status) {
		doctor_says(&d, DOCTOR_FAILED, "it does not answer");
		doctor_hint(&d, "systemctl start berthd; journalctl -u berthd says why "
				"it does not run");
	} else {
		doctor_says(&d, DOCTOR_OK, "%s, up %s s, %s apps",
			out_member(status, "version"), out_member(status, "uptime_s"),
			out_member(status, "apps"));
	}
	add(f, "berthd", &d);
	json_decref(status);
	return status != NULL;
}

static void check_ports(struct findings *f, const char *check, const char *variable,
	const char *fallback, bool running)
{
	const char *addresses = getenv(variable);
	char *copy autofree = strdup(addresses && *addresses ? addresses : fallback),
		   *rest = copy, *one;

	while (copy && (one = strsep(&rest, ","))) {
		struct doctor d = {0};

		if (strcmp(one, "none") == 0)
			continue;
		doctor_port(&d, one, running);
		add(f, check, &d);
	}
}

static void check_count(
	struct findings *f, const char *check, const char *path, const char *hint)
{
	struct doctor d = {0};
	json_t *list = ask(f->c, path);

	if (!list) {
		doctor_says(&d, DOCTOR_SKIPPED, "berth does not answer");
	} else if (json_array_size(list) == 0) {
		doctor_says(&d, DOCTOR_WARNING, "there is none");
		doctor_hint(&d, "%s", hint);
	} else {
		doctor_says(&d, DOCTOR_OK, "there %s %zu",
			json_array_size(list) == 1 ? "is" : "are", json_array_size(list));
	}
	add(f, check, &d);
	json_decref(list);
}

static void check_domains(struct findings *f)
{
	struct doctor d = {0};
	json_t *answer = ask(f->c, "/v1/domains"), *domain;
	const json_t *list = json_object_get(answer, "global");
	size_t i;

	if (!answer) {
		doctor_says(&d, DOCTOR_SKIPPED, "berth does not answer");
		add(f, "domain", &d);
	} else if (json_array_size(list) == 0) {
		doctor_says(&d, DOCTOR_WARNING,
			"none is set: apps are APP.localhost, for this host alone");
		doctor_hint(&d, "berth domains:set-global example.com, and a DNS record "
				"*.example.com that points here");
		add(f, "domain", &d);
	}
	json_array_foreach (list, i, domain) {
		struct doctor one = {0};

		doctor_domain(&one, json_string_value(domain));
		add(f, "domain", &one);
	}
	json_decref(answer);
}

static bool is_served(const json_t *certs, const char *host)
{
	json_t *cert, *name, *all = json_object_get(certs, "certificates");
	const char *key;
	size_t i;

	json_object_foreach (all, key, cert)
		json_array_foreach (json_object_get(cert, "serves"), i, name)
			if (strcmp(json_string_value(name), host) == 0)
				return true;
	return false;
}

/* Tokens in the clear. Without a hostname there is nothing to say. */
static void check_api(struct findings *f)
{
	struct doctor d = {0};
	json_t *settings = ask(f->c, "/v1/settings/apps"), *certs = NULL;
	const char *host = json_string_value(json_object_get(
			   json_object_get(settings, "api-host"), "computed")),
		   *app = json_string_value(json_object_get(
			   json_object_get(settings, "api-certs"), "computed"));
	char path[128];

	if (host && app) {
		snprintf(path, sizeof(path), "/v1/apps/%s/certs", app);
		certs = ask(f->c, path);
	}
	if (host && is_served(certs, host)) {
		doctor_says(&d, DOCTOR_OK, "https://%s", host);
	} else if (host) {
		doctor_says(&d, DOCTOR_WARNING,
			"%s has no certificate: tokens pass in the clear", host);
		doctor_hint(&d,
			app ? "berth tls:enable %s, or berth certs:add %s"
			    : "berth apps:set --global api-certs APP, the app whose "
			      "certificates serve it",
			app, app);
	}
	if (host)
		add(f, "API", &d);
	json_decref(certs);
	json_decref(settings);
}

static void check_host(struct findings *f)
{
	static const struct {
		const char *name;
		void (*run)(struct doctor *d);
	} checks[] = {
		{"kernel", doctor_kernel},
		{"namespaces", doctor_namespaces},
		{"cgroups", doctor_cgroups},
		{"filesystems", doctor_filesystems},
		{"clock", doctor_clock},
		{"firewall", doctor_firewall},
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct doctor d = {0};

		checks[i].run(&d);
		add(f, checks[i].name, &d);
	}
}

static const char *setting(const char *variable, const char *fallback)
{
	const char *v = getenv(variable);

	return v && *v ? v : fallback;
}

static void check_folder_and_ssh(struct findings *f)
{
	struct doctor disk = {0}, sshd = {0};

	doctor_disk(&disk, setting("BERTH_STATE", "/var/lib/berth"));
	add(f, "disk", &disk);
	doctor_sshd(&sshd, setting("BERTH_SSH_USER", "berth"));
	add(f, "sshd", &sshd);
}

int cmd_doctor(struct cli *c)
{
	struct findings f = {.c = c, .list = json_array()};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	bool running;

	dup2(null, STDERR_FILENO); /* what goes wrong is a finding */
	if (!c->quiet && !c->json)
		puts("=====> berth doctor");
	check_host(&f);
	running = check_berthd(&f);
	check_folder_and_ssh(&f);
	check_ports(&f, "http", "BERTH_HTTP", "0.0.0.0:80,[::]:80", running);
	check_ports(&f, "https", "BERTH_HTTPS", "0.0.0.0:443,[::]:443", running);
	if (running) {
		check_count(
			&f, "base image", "/v1/stacks", "berth stacks:create debian-12");
		check_count(
			&f, "keys", "/v1/ssh-keys", "berth ssh-keys:add NAME < key.pub");
		check_domains(&f);
		check_api(&f);
	}
	if (c->json)
		out_json(f.list);
	else if (!c->quiet)
		printf("-----> %u failed, %u to look at\n", f.failed, f.warnings);
	dup2(err, STDERR_FILENO);
	return f.failed ? STATUS_FAILED : STATUS_OK;
}
