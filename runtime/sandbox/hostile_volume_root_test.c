/* Real sandboxes on this kernel, as root: one app exchanges names on a volume while another
 * starts that has its own below one of them. HOSTILE_ROUNDS starts, or 2,000. */
#include "runtime/sandbox/hostile_test.h"

#define SHARED 0x51u  /* the volume that two apps have */
#define PRIVATE 0x52u /* the victim's */
#define OTHERS 0x77u  /* a volume of neither */

/* ---- the exchange race on a shared volume (CVE-2021-30465) ---- */

static unsigned int all_rounds(void)
{
	const char *text = getenv("HOSTILE_ROUNDS");
	unsigned long n = text ? strtoul(text, NULL, 10) : 2000;

	assert_in_range(n, 100, 1000000);
	return (unsigned int)n;
}

struct race {
	const char *to; /* where the exchanged link leads */
	unsigned int rounds, started, refused, links;
};

/* The victim has the shared volume, and its own below a name that is exchanged now. */
static void race_once(struct race *r, const char *shared)
{
	static const char *const look[] = {"/hostile", "touch", "/v/dir/sub/mine",
		"/v/dir/sub/canary", "/v/dir/canary", "/v/dir/sub/../canary", NULL};
	struct box b = box_new();
	char path[200];
	struct stat st;

	b.start.flags = START_NO_NET;
	mount_at(&b, SHARED, "/v");
	mount_at(&b, PRIVATE, "/v/dir/sub");
	snprintf(path, sizeof(path), "%s/dir", shared);
	assert_int_equal(lstat(path, &st), 0);
	r->links += S_ISLNK(st.st_mode) != 0;
	r->rounds++;
	if (box_start(&b, look) < 0) {
		r->refused++;
		close(b.exit_fd);
		close(b.output[0]);
		return;
	}
	r->started++;
	box_end(&b);
	assert_non_null(strstr(b.text, "/v/dir/sub/mine: "));
	for (char *at = b.text; (at = strstr(at, "canary: read ")); at++)
		assert_true(strncmp(at, "canary: read -1, write ", 23) == 0 &&
			    strncmp(at + 23, "DONE", 4) != 0);
}

static void race_for(struct race *r, unsigned int wanted)
{
	struct box exchanger = box_new();
	char shared[160], path[200];

	volume_path(SHARED, shared);
	snprintf(path, sizeof(path), "%s/link", shared);
	unlink(path);
	snprintf(path, sizeof(path), "%s/dir", shared);
	if (unlink(path) < 0 && errno == EISDIR)
		assert_int_equal(io_remove_tree(AT_FDCWD, path), 0);
	snprintf(path, sizeof(path), "%s/link", shared);
	io_remove_tree(AT_FDCWD, path);
	assert_int_equal(symlink(r->to, path), 0);
	snprintf(path, sizeof(path), "%s/dir", shared);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(path, 0777), 0);
	exchanger.start.app = 8;
	mount_at(&exchanger, SHARED, "/s");
	box_must_start(&exchanger, HOSTILE("exchange", "/s", "dir", "link"));
	wait_for_line(&exchanger);
	while (r->rounds < wanted)
		race_once(r, shared);
	sandbox_kill(w.rt, &exchanger.rec);
	box_end(&exchanger);
	assert_string_equal(exchanger.text, ""); /* it never stopped by itself */
}

static void an_exchanged_link_leads_no_mount_outside(void **state)
{
	char canary[200], others[160], mine[160], to[200], up[200];
	struct race races[] = {{.to = to}, {.to = up}, {.to = "/app"},
		{.to = "../../../../../../volumes/0000000000000077"},
		{.to = "/proc/self/root/proc"}};
	unsigned int started = 0, links = 0, rounds = 0, all = all_rounds();

	(void)state;
	volume_path(OTHERS, others);
	snprintf(canary, sizeof(canary), "%s/canary", others);
	write_file(canary, CANARY);
	volume_path(PRIVATE, mine);
	snprintf(canary, sizeof(canary), "%s/mine", mine);
	write_file(canary, "mine\n");
	snprintf(to, sizeof(to), "%s", outside);
	snprintf(up, sizeof(up), "../../../../../../../../../..%s", outside);
	for (size_t i = 0; i < ARRAY_LEN(races); i++) {
		race_for(&races[i], all / ARRAY_LEN(races));
		print_message("# to %s: %u started, %u refused, a link %u times\n",
			races[i].to, races[i].started, races[i].refused, races[i].links);
		started += races[i].started;
		links += races[i].links;
		rounds += races[i].rounds;
	}
	/* it was a race: both were seen between the starts, and starts came through */
	assert_int_equal(rounds, all);
	assert_in_range(links, all / 20, all - all / 20);
	assert_in_range(started, all / 20, all);
	assert_untouched();
	snprintf(canary, sizeof(canary), "%s/canary", others);
	assert_file(canary, CANARY);
	assert_int_equal(entries(others), 3);
}

/* The control: who follows that name on the host comes to the canary. */
static void an_exchanged_link_leads_outside_for_others(void **state)
{
	char shared[160], path[300];
	int fd = -1;

	(void)state;
	volume_path(SHARED, shared);
	snprintf(path, sizeof(path), "%s/naive", shared);
	assert_int_equal(symlink(outside, path), 0);
	snprintf(path, sizeof(path), "%s/naive/canary", shared);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exchanged_link_leads_no_mount_outside),
		cmocka_unit_test(an_exchanged_link_leads_outside_for_others),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}
