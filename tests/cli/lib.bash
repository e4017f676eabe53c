# Shared by the scripts here: TAP lines, a folder of our own, the stand-in for control.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${BERTH_BIN:-$here/../../build/bin}
bin=$(cd "$bin" && pwd)
tmp=$(mktemp -d /tmp/berth-cli.XXXXXX)
n=0 bad=0 fake=

start_fake() {
	/usr/bin/python3 "$here/fake.py" "$tmp/run/api.sock" "$tmp/log" 2>"$tmp/fake.err" &
	fake=$!
	for _ in $(seq 100); do
		[ -S "$tmp/run/api.sock" ] && return
		sleep 0.05
	done
	echo "Bail out! the stand-in did not start: $(cat "$tmp/fake.err")"
	exit 1
}
finish() {
	[ -n "$fake" ] && kill "$fake" 2>/dev/null
	[ -n "${KEEP:-}" ] && cp "$tmp/log" "$KEEP"
	rm -rf "$tmp"
		if [ "$bad" != 0 ]; then echo "# $bad of $n failed"; exit 1; fi
}
trap finish EXIT
mkdir -p "$tmp/run" "$tmp/state/repos"

# t "sentence" command...: passes when the command does.
t() {
	local what=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $what"
	else
		bad=$((bad + 1))
		echo "not ok $n - $what"
		sed 's/^/#   /' "$tmp/out" "$tmp/err" 2>/dev/null
	fi
}
# r STATUS command...: runs it, output in $tmp/out and $tmp/err; true when it ends with that status.
r() {
	local want=$1 got=0
	shift
	"$@" >"$tmp/out" 2>"$tmp/err" </dev/null || got=$?
	[ "$got" = "$want" ] && return
	echo "# status $got, not $want"
	return 1
}
out() { grep -qF -- "$1" "$tmp/out"; }
err() { grep -qF -- "$1" "$tmp/err"; }
# logged JSON-FILTER: some request matches the jq expression.
logged() { jq -es "any(.[]; $1)" "$tmp/log" >/dev/null; }
