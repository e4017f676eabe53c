/*
 * berth doctor: looks at this host, changes nothing. A check fills in how it is and, where it is not well, what to do; checks of the
 * host are in doctor_host.c, those that ask berth in doctor.c.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/cli.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_WARNING,
	DOCTOR_FAILED,
	DOCTOR_SKIPPED /* cannot be told, with the reason */
};
struct doctor {
	enum doctor_state state;
	char text[512]; /* how it is */
	char hint[512]; /* what to do; "" where nothing is */
};

/* Set the state and the texts. */
void doctor_says(struct doctor *d, enum doctor_state state, const char *fmt, ...)
	PRINTF(3, 4);
void doctor_hint(struct doctor *d, const char *fmt, ...) PRINTF(2, 3);

void doctor_kernel(struct doctor *d);
void doctor_namespaces(struct doctor *d);
void doctor_cgroups(struct doctor *d);
void doctor_filesystems(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_disk(struct doctor *d, const char *folder);
void doctor_sshd(struct doctor *d, const char *user);
void doctor_firewall(struct doctor *d);
/* What the two make of the text of `sshd -T`, and of `nft list chains`. */
void doctor_sshd_says(struct doctor *d, const char *user, const char *config);
void doctor_firewall_says(struct doctor *d, const char *rules);
/* word is one of the words of the text. */
bool doctor_has_word(const char *text, const char *word);
/* address: "HOST:PORT" of berth.conf; running: berthd answers, so it is the one that listens. */
void doctor_port(struct doctor *d, const char *address, bool running);
void doctor_domain(struct doctor *d, const char *domain);

#endif
