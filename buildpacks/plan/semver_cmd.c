/* `berth-build semver`: the best version of a list, for the packs' shell scripts. */
#include "buildpacks/command.h"
#include "buildpacks/plan/semver.h"
#include "lib/name.h"
#include <stdio.h>
#include <string.h>

/* `semver --covers RANGE MAJOR`: 0 every version of that major lies in the range, 1 not,
 * 2 malformed. */
static int covers(const char *range, const char *major)
{
	uint64_t n;

	if (num_parse_u64(major, 0, 1000, &n) < 0)
		return 2;
	int r = semver_covers(range, (unsigned int)n);
	return r < 0 ? 2 : r == 0;
}

/* Reads versions, one a line. Prints the newest that satisfies RANGE, one of PREFERRED
 * when there is such; 1: none. */
int command_semver(int argc, char **argv)
{
	char line[128], best[128] = "";
	uint64_t v, best_v = 0;
	bool best_preferred = false;

	if (argc == 4)
		return strcmp(argv[1], "--covers") == 0 ? covers(argv[2], argv[3]) : 2;
	if (semver_match(argv[1], 0) < 0 || (argc > 2 && semver_match(argv[2], 0) < 0)) {
		fprintf(stderr, " !     %s is not a version range\n", argv[1]);
		return 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (semver_parse(line, &v) < 0 || semver_match(argv[1], v) != 1)
			continue;
		bool preferred = argc > 2 && semver_match(argv[2], v) == 1;
		if (best[0] && (best_preferred > preferred ||
				       (best_preferred == preferred && v <= best_v)))
			continue;
		memcpy(best, line, sizeof(best));
		best_v = v;
		best_preferred = preferred;
	}
	if (best[0])
		puts(best);
	return best[0] ? 0 : 1;
}
