/*
 * Runs the attacks of rows.h in real sandboxes, as an app's user and as a build's root, and prints TAP.
 *
 * Built as berth is, it checks what each attack gives. Built with BERTH_TEST_GUARDS (make B=build-guards), it runs
 * each with only one of its guards on, which must refuse it, and with none of them, when it must succeed.
 *
 * usage: attack BIN PROBE [OPEN_INIT]       BIN: folder of berth's programs; PROBE: the static program;
 *                                           OPEN_INIT: berth-init without its guard, for the second build
 * ATTACK_RESULTS=FILE: appends "profile, row, column, result" to it, for the table in docs/ATTACKS.md.
 * ATTACK_ROWS="NAME …": only these.
 */
#include "lib/io.h"
#include "runtime/guards.h"
#include "tests/attack/ground.h"
#include "tests/attack/peers.h"
#include "tests/attack/probe.h"
#include "tests/attack/special.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* on an emulated machine, too */
#define ALL_SECONDS 900
#define RUN_SECONDS 150

/* clang-format off */
enum {
	FILTER = GUARD_FILTER, CAPS = GUARD_CAPS, USERNS = GUARD_USERNS, USER = GUARD_USER, NNP = GUARD_NNP,
	MASKS = GUARD_MASKS, FLAGS = GUARD_FLAGS, ROOT = GUARD_ROOT, PIDNS = GUARD_PIDNS, NETNS = GUARD_NETNS,
	IPCNS = GUARD_IPCNS, CGNS = GUARD_CGNS, DUMP = GUARD_DUMP, UNREAD = GUARD_UNREAD, OWNER = GUARD_OWNER, FDS = GUARD_FDS,
	SIZES = GUARD_SIZES, KILL = GUARD_KILL, START = GUARD_START, NET = GUARD_NET, LIMITS = GUARD_LIMITS,
	KEYRING = GUARD_KEYRING, RIGHTS = GUARD_RIGHTS,
};
static const char *const guard_names[GUARD_BITS] = {"filter", "capabilities", "user namespace", "user", "no_new_privs",
	"masks", "mount flags", "pivot_root", "pid namespace", "network namespace", "ipc namespace",
	"cgroup namespace", "not dumpable", "closed descriptors", "sizes", "group kill", "start time",
	"packet filter", "limits", "unreadable", "owner", "own keyring", "descriptors refused"};

enum { APP, BUILDER, ENTERED, PROFILES };
static const uint32_t profiles[PROFILES] = {PROFILE_APP, PROFILE_BUILD_ROOT, PROFILE_APP};
static const char *const profile_names[PROFILES] = {"app", "root", "entered"};

struct row {
	const char *name, *what;
	int passed, lacks;
	struct { int want; uint32_t guards; } as[PROFILES];
	bool alone, allowed;
};
#define EACH(n, w, p, l, want1, guards1, want2, guards2) \
	{.name = #n, .what = w, .passed = p, .lacks = l, .as = {{want1, guards1}, {want2, guards2}, {want1, guards1}}},
#define BOTH(n, w, p, l, want, guards) EACH(n, w, p, l, want, guards, want, guards)
#define ALONE_BOTH(n, w, p, l, want, guards) \
	{.name = #n, .what = w, .passed = p, .lacks = l, .as = {{want, guards}, {want, guards}}, .alone = true},
#define ALLOWED(n, w) {.name = #n, .what = w, .allowed = true},
static const struct row rows[] = {
#include "tests/attack/rows.h"
};
/* clang-format on */
#define ROWS ARRAY_LEN(rows)

#ifdef BERTH_TEST_GUARDS
uint32_t guards_off;
static const bool testing_guards = true;

/* Inheritable and ambient, so that they outlive both a change of the user and an exec (capabilities(7)). */
int guards_keep_capabilities(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) <
			0 ||
		syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return -errno;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (data[cap / 32].permitted & 1u << cap % 32 &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}
#else
static const bool testing_guards = false;
#endif

struct attack {
	char **argv;
	FILE *results;
	unsigned int tests, failed;
	bool refuses[PROFILES][ROWS]; /* berth, as it is built */
};

/* ---- running rows ---- */

static bool chosen(const struct row *r)
{
	const char *list = getenv("ATTACK_ROWS"), *at = list;
	size_t len = strlen(r->name);

	if (!list)
		return true;
	for (; (at = strstr(at, r->name)); at++)
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

static void take_answers(char *text, const size_t *which, size_t n, int *ret)
{
	char name[32], *save = NULL;
	int r;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (sscanf(l, "%31s %d", name, &r) == 2)
			for (size_t i = 0; i < n; i++)
				if (strcmp(rows[which[i]].name, name) == 0)
					ret[i] = r;
}

/* A sandbox of its own, or entered into one that waits. */
static int start(struct ground *g, int profile, struct guest *target, struct guest *b,
	const char *const *argv)
{
	if (profile != ENTERED)
		return guest_start(g, b, argv, -1);
	*target = guest_new(g, profiles[profile], 0);
	if (guest_start(g, target, (const char *const[]){"wait", NULL}, -1) < 0)
		return err_set(&b->e, target->e.code, "%s", target->e.text);
	return guest_enter(g, target, b, argv);
}

/* Some rows in one sandbox with these guards left out; their results in ret. */
static void run_together(struct ground *g, int profile, uint32_t off, const size_t *which,
	size_t n, int *ret)
{
	struct guest b = guest_new(g, profiles[profile], off), target = {.pidfd = -1};
	const char *argv[ROWS + 1] = {NULL};
	autobuf text = {.max = 64 << 10};

	for (size_t i = 0; i < n; i++) {
		argv[i] = rows[which[i]].name;
		ret[i] = DIED;
	}
	special_forget(g);
	ground_guards(g, off);
	if (start(g, profile, &target, &b, argv) < 0) {
		printf("# %s\n", b.e.text);
		ground_guards(g, 0);
		return;
	}
	if (!guest_wait(g, &b, RUN_SECONDS))
		printf("# %s did not end\n", argv[0]);
	if (io_read_all(b.out, &text) == 0 && text.data)
		take_answers(text.data, which, n, ret);
	ground_guards(g, 0);
	guest_done(g, &b);
	if (target.pidfd >= 0) {
		guest_wait(g, &target, 0);
		guest_done(g, &target);
	}
	for (size_t i = 0; i < n; i++)
		ret[i] = special_judge(g, rows[which[i]].name, ret[i]);
}

static int run_alone(struct ground *g, int profile, uint32_t off, size_t which)
{
	int r;

	ground_guards(g, off);
	if (!special_run(g, rows[which].name, profiles[profile], off, &r))
		run_together(g, profile, off, &which, 1, &r);
	ground_guards(g, 0);
	return r;
}

/* Which guards the row is to be run without: all of them (bit GUARD_BITS), or all but one. */
static uint32_t left_out(const struct row *r, int profile, unsigned int bit)
{
	uint32_t guards = r->as[profile].guards;

	if (bit == GUARD_BITS)
		return r->passed == SKIP ? UINT32_MAX : guards;
	return guards & 1u << bit ? guards & ~(1u << bit) : UINT32_MAX;
}

/* ---- results ---- */

static const char *say(int r, char out[64])
{
	if (r == 0)
		return "succeeds";
	if (r == NOTHING)
		return "no effect";
	if (r == TIMEOUT)
		return "TIMEOUT";
	if (r == DIED)
		return "NO ANSWER";
	if (r >= KILLED)
		snprintf(out, 64, "SIG%s", sigabbrev_np(r - KILLED));
	else
		snprintf(out, 64, "%s", strerrorname_np(r) ? strerrorname_np(r) : "?");
	return out;
}

static void tell(struct attack *a, const struct row *r, int profile, const char *column,
	int got, bool ok, bool lacking)
{
	char word[64];

	a->failed += !ok;
	printf("%sok %u - %s: %s, %s: %s%s\n", ok ? "" : "not ", ++a->tests,
		profile_names[profile], r->what, column, say(got, word),
		lacking ? " # skip not in this kernel" : "");
	if (a->results)
		fprintf(a->results, "%s\t%s\t%s\t%s\n", profile_names[profile], r->name,
			column, lacking ? "absent" : say(got, word));
}

static bool absent(const struct row *r, int got)
{
	return r->lacks && got == r->lacks && got != r->passed;
}

static bool refused(const struct row *r, int got)
{
	return got != r->passed && got != 0 && got != TIMEOUT && got != DIED;
}

/* ---- as berth is built ---- */

/* Those that say something there: first the ones that share a sandbox. */
static size_t choose(int profile, bool alone, size_t which[ROWS])
{
	size_t n = 0;

	for (size_t i = 0; i < ROWS; i++)
		if (chosen(&rows[i]) && rows[i].alone == alone &&
			(rows[i].as[profile].guards || rows[i].allowed))
			which[n++] = i;
	return n;
}

static void tell_guards(struct attack *a, const struct row *r, int profile)
{
	for (unsigned int bit = 0; a->results && bit < GUARD_BITS; bit++)
		if (r->as[profile].guards & 1u << bit)
			fprintf(a->results, "%s\t%s\tguard\t%s\n", profile_names[profile],
				r->name, guard_names[bit]);
}

static void check_rows(struct attack *a, struct ground *g, int profile)
{
	size_t which[ROWS], n = choose(profile, false, which);
	size_t all = n + choose(profile, true, which + n);
	int got[ROWS];

	if (n)
		run_together(g, profile, 0, which, n, got);
	for (size_t i = n; i < all; i++)
		got[i] = run_alone(g, profile, 0, which[i]);
	for (size_t i = 0; i < all; i++) {
		const struct row *r = &rows[which[i]];
		bool ok = got[i] == r->as[profile].want || absent(r, got[i]);
		tell_guards(a, r, profile);
		a->refuses[profile][which[i]] = !r->allowed && refused(r, got[i]);
		tell(a, r, profile, "berth", got[i], ok, false);
	}
}

/* ---- other sandboxes ---- */

static void run_peer(struct ground *g, enum peer p, int profile, const size_t *which,
	size_t n, int *got)
{
	const char *argv[ROWS + 1] = {NULL};
	autobuf text = {.max = 64 << 10};

	for (size_t i = 0; i < n; i++) {
		argv[i] = rows[which[i]].name;
		got[i] = DIED;
	}
	special_forget(g);
	peer_run(g, p, profile == BUILDER, argv, &text);
	if (text.data)
		take_answers(text.data, which, n, got);
	for (size_t i = 0; i < n; i++)
		got[i] = special_judge(g, rows[which[i]].name, got[i]);
}

/* Whatever they refuse berth refuses too, except what is allowed on purpose. */
static void check_peer(struct attack *a, struct ground *g, enum peer p, int profile)
{
	size_t which[ROWS], n = choose(profile, false, which);
	size_t all = n + choose(profile, true, which + n);
	int got[ROWS];

	if (n)
		run_peer(g, p, profile, which, n, got);
	for (size_t i = n; i < all; i++)
		if (!special_own(rows[which[i]].name))
			run_peer(g, p, profile, &which[i], 1, &got[i]);
	for (size_t i = 0; i < all; i++) {
		const struct row *r = &rows[which[i]];
		if (i >= n && special_own(r->name))
			continue;
		tell(a, r, profile, peer_names[p], got[i],
			got[i] != DIED && (r->allowed || !refused(r, got[i]) ||
						  a->refuses[profile][which[i]]),
			false);
	}
}

static int check_peers(struct attack *a, struct ground *g)
{
	if (peers_plant(g, a->argv[2]) < 0)
		return -1;
	for (enum peer p = 0; p < PEERS; p++)
		if (!peer_there(p))
			printf("ok %u - %s # skip not installed\n", ++a->tests,
				peer_names[p]);
		else
			for (int profile = 0; profile < ENTERED; profile++)
				check_peer(a, g, p, profile);
	return 0;
}

/* ---- each guard ---- */

/* Rows from the first on that leave out the same guards: they share a sandbox. */
static size_t choose_same(int profile, size_t first, uint32_t off,
	bool done[ROWS][GUARD_BITS + 1], size_t which[ROWS], unsigned int bits[ROWS])
{
	size_t n = 0;

	for (size_t i = first; i < ROWS; i++)
		for (unsigned int b = 0; b <= GUARD_BITS; b++)
			if (chosen(&rows[i]) && rows[i].alone == rows[first].alone &&
				!done[i][b] && left_out(&rows[i], profile, b) == off) {
				done[i][b] = true;
				which[n] = i;
				bits[n++] = b;
				if (rows[first].alone)
					return n;
			}
	return n;
}

/* got[row][bit] */
static void run_all(struct ground *g, int profile, int got[ROWS][GUARD_BITS + 1])
{
	bool done[ROWS][GUARD_BITS + 1] = {0};
	size_t which[ROWS];
	unsigned int bits[ROWS];
	int answers[ROWS];

	for (size_t i = 0; i < ROWS; i++)
		for (unsigned int bit = 0; bit <= GUARD_BITS; bit++) {
			uint32_t off = left_out(&rows[i], profile, bit);
			if (done[i][bit] || !off || off == UINT32_MAX ||
				!chosen(&rows[i]))
				continue;
			size_t n = choose_same(profile, i, off, done, which, bits);
			if (rows[i].alone)
				answers[0] = run_alone(g, profile, off, i);
			else
				run_together(g, profile, off, which, n, answers);
			for (size_t k = 0; k < n; k++)
				got[which[k]][bits[k]] = answers[k];
		}
}

static void check_row_guards(
	struct attack *a, const struct row *r, int profile, const int got[GUARD_BITS + 1])
{
	uint32_t guards = r->as[profile].guards;
	bool lacking = absent(r, got[GUARD_BITS]);
	char column[64];

	if (r->passed != SKIP)
		tell(a, r, profile, "without its guards", got[GUARD_BITS],
			got[GUARD_BITS] == r->passed || lacking, lacking);
	for (unsigned int bit = 0; bit < GUARD_BITS; bit++)
		/* the only guard there is: what is checked is the product's row */
		if (guards & 1u << bit && guards != 1u << bit) {
			snprintf(column, sizeof(column), "only %s", guard_names[bit]);
			if (!lacking || !absent(r, got[bit]))
				tell(a, r, profile, column, got[bit],
					refused(r, got[bit]), false);
		}
}

static void check_guards(struct attack *a, struct ground *g, int profile)
{
	static int got[ROWS][GUARD_BITS + 1];

	run_all(g, profile, got);
	for (size_t i = 0; i < ROWS; i++)
		if (chosen(&rows[i]) && rows[i].as[profile].guards)
			check_row_guards(a, &rows[i], profile, got[i]);
}

static int attack(struct ground *g, void *arg)
{
	struct attack *a = arg;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (ground_open(g, a->argv[1], a->argv[2], a->argv[3]) < 0)
		return 1;
	for (int profile = 0; profile < (testing_guards ? ENTERED : PROFILES); profile++)
		(testing_guards ? check_guards : check_rows)(a, g, profile);
	if (!testing_guards && check_peers(a, g) < 0)
		a->failed++;
	if (!ground_close(g))
		a->failed++;
	printf("1..%u\n", a->tests);
	if (a->results)
		fclose(a->results);
	return a->failed > 0 || a->tests == 0;
}

int main(int argc, char **argv)
{
	const char *results = getenv("ATTACK_RESULTS");
	struct attack a = {.argv = argv};

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: attack BIN PROBE [OPEN_INIT]\n");
		return 2;
	}
	if (geteuid() != 0) {
		puts("ok 1 - # skip sandboxes need root\n1..1");
		return 0;
	}
	if (results && !(a.results = fopen(results, "ae")))
		return 1;
	return ground_run(attack, &a, ALL_SECONDS);
}
