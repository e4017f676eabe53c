# One private berth for the whole run: the stack and the toolchains are made once. TESTS_KEEP=1 leaves it running.

setup_suite() {
	# shellcheck source=tests/lib/berth.bash
	. "$(dirname "${BASH_SOURCE[0]}")/../lib/berth.bash"
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
		say "# kept: BERTH_RUN=$BERTH_RUN BERTH_STATE=$BERTH_STATE ssh -F $SSH_CONFIG berth"
		return 0
	fi
	berth_down
}
