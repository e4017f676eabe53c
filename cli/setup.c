/* berth setup: from an installed package to a host that takes pushes. Every step looks first whether it is done already. */
#include "cli/cli.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define START_WAIT_MS 15000

/* One answer, "" for none; without a terminal nobody is asked. */
static const char *ask(const char *question, char *line, int size)
{
	line[0] = '\0';
	if (!isatty(0) || !isatty(2))
		return line;
	fprintf(stderr, "       %s ", question);
	if (!fgets(line, size, stdin))
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static const char *option_or_ask(
	const struct cli *c, enum option o, const char *question, char *line, int size)
{
	return c->options[o] ? c->options[o] : ask(question, line, size);
}

static bool answers(struct cli *c)
{
	json_t *status = NULL;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(2);
	bool ok;

	dup2(null, 2);
	ok = api_json(c, "GET", NULL, &status, "/v1/version") == 0;
	dup2(err, 2);
	close(null);
	close(err);
	json_decref(status);
	return ok;
}

static int start_unit(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("systemctl", "systemctl", "--quiet", "enable", "--now",
			"berth-apps.service", "berthd.service", (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status == 0 ? 0 : -EIO;
}

static int step_start(struct cli *c)
{
	if (answers(c))
		return 0;
	puts("-----> Starting berthd");
	if (access("/run/systemd/system", F_OK) < 0 || start_unit() < 0) {
		say("berthd does not run, and systemd does not start it; start it "
		    "yourself (berthd >/var/log/berthd.log 2>&1 &), "
		    "or see: journalctl -u berthd");
		return STATUS_FAILED;
	}
	for (int ms = 0; ms < START_WAIT_MS; ms += 100) {
		if (answers(c))
			return 0;
		usleep(100000);
	}
	say("berthd was started, but does not answer; see: journalctl -u berthd, and "
	    "berth doctor");
	return STATUS_FAILED;
}

static int step_stack(struct cli *c)
{
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/stacks");
	size_t n = json_array_size(list);

	if (r)
		return r;
	json_decref(list);
	if (n)
		return 0;
	puts("-----> Making the base image from this host's apt sources: half a minute, "
	     "once");
	fflush(stdout);
	return api_stream(
		c, "POST", json_pack("{s:s}", "name", "debian-12"), "/v1/stacks");
}

static int step_domain(struct cli *c)
{
	char line[300];
	const char *domain = option_or_ask(c, OPT_DOMAIN,
		"Domain whose subdomains are the apps (example.com; empty: "
		"APP.localhost):",
		line, sizeof(line));
	int r;

	if (!*domain)
		return 0;
	r = api_json(
		c, "PATCH", json_pack("{s:[s]}", "set", domain), NULL, "/v1/domains");
	if (!r)
		printf("-----> Apps are APP.%s; point *.%s at this host\n", domain,
			domain);
	return r;
}

/* The key's comment up to the @, as far as it is a name. */
static void name_of_key(const char *key, char name[64])
{
	const char *comment = strchr(key, ' ');
	size_t n;

	comment = comment ? strchr(comment + 1, ' ') : NULL;
	n = comment ? strspn(comment + 1, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
	if (n == 0 || n > 63 || comment[1] == '-')
		snprintf(name, 64, "admin");
	else
		snprintf(name, 64, "%.*s", (int)n, comment + 1);
}

static int add_key(struct cli *c, const char *text)
{
	char name[64];
	int r;

	name_of_key(text, name);
	r = api_json(c, "POST", json_pack("{s:s, s:s}", "name", name, "key", text), NULL,
		"/v1/ssh-keys");
	if (!r)
		printf("-----> Key %s may push\n", name);
	return r;
}

static bool has_keys(struct cli *c)
{
	json_t *list = NULL;
	bool some = api_json(c, "GET", NULL, &list, "/v1/ssh-keys") == 0 &&
		    json_array_size(list) > 0;

	json_decref(list);
	return some;
}

static int step_key(struct cli *c)
{
	char line[8192];
	autobuf text = {.max = 16384};
	const char *path = c->options[OPT_KEY];
	int r;

	if (!path && has_keys(c))
		return 0;
	if (!path) {
		ask("Public key of whoever pushes first (a line of id_ed25519.pub; "
		    "empty: later):",
			line, sizeof(line));
		return line[0] ? add_key(c, line) : 0;
	}
	r = strcmp(path, "-") == 0 ? io_read_all(0, &text)
				   : io_read_file(AT_FDCWD, path, &text);
	if (r < 0 || !text.len) {
		say("cannot read the key in %s: %s", path,
			r < 0 ? strerror(-r) : "it is empty");
		return STATUS_FAILED;
	}
	text.data[strcspn(text.data, "\r\n")] = '\0';
	return add_key(c, text.data);
}

static int step_email(struct cli *c)
{
	char line[300];
	const char *email = option_or_ask(c, OPT_EMAIL,
		"E-mail that the certificate authority may write to (empty: none):", line,
		sizeof(line));
	int r;

	if (!*email)
		return 0;
	r = api_json(
		c, "PUT", json_pack("{s:s}", "email", email), NULL, "/v1/settings/tls");
	if (!r)
		printf("-----> Certificates: berth tls:enable APP, in the name of %s\n",
			email);
	return r;
}

int cmd_setup(struct cli *c)
{
	static int (*const steps[])(struct cli * c) = {
		step_start, step_stack, step_domain, step_key, step_email};

	if (c->over_ssh || geteuid() != 0)
		return say_usage(c, "berth setup is for root on the host itself");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int r = steps[i](c);

		if (r)
			return r;
		fflush(stdout);
	}
	puts("-----> This host takes pushes:\n       git remote add berth berth@HOST:APP "
	     "&& git push berth main\n"
	     "       berth doctor looks whether all is in order");
	return 0;
}
