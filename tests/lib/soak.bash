# What a soak script of steps shares: a private berth of its own, one result a step, a Markdown table at the end.
#   . tests/lib/soak.bash; BERTH_TEST_QUIET=1 berth_up debian-12 || exit 1; step NAME COMMAND…; table TITLE; exit $bad

# shellcheck source=tests/lib/berth.bash
. tests/lib/berth.bash
BATS_TEST_TMPDIR=$(mktemp -d /tmp/berth-soak.XXXXXX)
exec 3>&2
# shellcheck source=tests/lib/e2e.bash
. tests/lib/e2e.bash

rows=() bad=0
finish() {
	local status=$?
	trap - EXIT INT TERM
	cd /
	berth_down || status=1
	rm -rf "$BATS_TEST_TMPDIR"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
# bats' run, which the shared functions use.
run() {
	status=0
	output=$("$@" 2>&1) || status=$?
}
# step NAME COMMAND…: note is a cell that the command may fill from what it found.
step() {
	local name=$1 result=ok
	shift
	note=
	"$@" >"$BATS_TEST_TMPDIR/step" 2>&1 || { result='**bad**' bad=1 && say "$name:" "$(cat "$BATS_TEST_TMPDIR/step")"; }
	rows+=("| $name | $result | $note |")
	say "# $name: $result $note"
}
table() {
	printf '\n### %s, %d processors, Linux %s\n\n| %s | | |\n|---|---|---|\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)" "$1"
	printf '%s\n' "${rows[@]}"
}
