# Random kill -9 of everything that berth runs, while records are written, logs flood, and pushes, config changes and volume
# commands go on. tests/soak/crash runs hundreds of rounds.

@test "20 rounds of kill -9 at random: no acknowledged record, no log line, no command's promise is lost, nothing is left" {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	/usr/bin/python3 "$BERTH_SOURCE/tests/soak/crash.py" --rounds 20 --every 10 >"$BATS_TEST_TMPDIR/rows" 2>"$BATS_TEST_TMPDIR/told" ||
		fail "$(cat "$BATS_TEST_TMPDIR/told" && tail -n 30 "$BERTH_TEST/berthd.log")"
	sed 's/^/# /' "$BATS_TEST_TMPDIR/told" "$BATS_TEST_TMPDIR/rows" >&3
}
