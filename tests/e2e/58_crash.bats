# Random kill -9 of everything that berth runs, in a berth of its own: what other apps of a shared one do would be in the way.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

own_berth() {
	BERTH_PREFIX_GIVEN=$BERTH_PREFIX
	trap 'berth_down' EXIT
	berth_up debian-12 >"$BATS_TEST_TMPDIR/up" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/up")"
	/usr/bin/python3 "$BERTH_SOURCE/tests/soak/crash.py" --rounds 20 >"$BATS_TEST_TMPDIR/told" 2>&1 ||
		fail "$(cat "$BATS_TEST_TMPDIR/told" && tail -n 30 "$BERTH_TEST/berthd.log")"
	grep -E '^# seed|^\|' "$BATS_TEST_TMPDIR/told" | sed 's/^#* */# /' >&3
	trap - EXIT
	berth_down
}

@test "20 rounds of kill -9 at random: no acknowledged record, no log line, no command's promise is lost, nothing is left" {
	(set -e; own_berth)
}
