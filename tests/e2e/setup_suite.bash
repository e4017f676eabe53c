# One private berth for the whole run: the stack and the toolchains are made once. TESTS_KEEP=1 leaves it running and
# names a file; with that file's variables exported, the next run uses the same berth.

setup_suite() {
	# shellcheck source=tests/lib/berth.bash
	. "$(dirname "${BASH_SOURCE[0]}")/../lib/berth.bash"
	[ -z "${BERTH_TEST:-}" ] || return 0
	export BERTH_KEEP_LOG=${BERTH_KEEP_LOG:-$BERTH_SOURCE/build/e2e-berthd.log}
	# bats doesn't call teardown_suite when this is interrupted.
	trap 'berth_down; exit 130' INT TERM
	if ! berth_up debian-12 > >(sed -u 's/^/# /' >&3) 2>&1; then
		berth_down || :
		return 1
	fi
	trap - INT TERM
}

teardown_suite() {
	SAY_FD=3
	if [ -n "${TESTS_KEEP:-}" ]; then
		berth_environment >"$BERTH_TEST/environment"
		say "# kept: . $BERTH_TEST/environment"
		return 0
	fi
	berth_down
}
