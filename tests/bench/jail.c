/*
 * Runs a command as git runs while it serves a push: confined to one repository; or, to compare, without.
 *
 * usage: jail on|off REPOSITORY COMMAND [ARGUMENT ...]        REPOSITORY is absolute
 */
#include "receiver/jail.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct err e = {0};

	if (argc < 4 || argv[2][0] != '/')
		return 2;
	if (strcmp(argv[1], "on") == 0 && jail_enter(argv[2], true, "/usr/bin", &e) < 0) {
		fprintf(stderr, "jail: %s\n",
			e.text[0] ? e.text : "no Landlock in this kernel");
		return 1;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 1;
}
