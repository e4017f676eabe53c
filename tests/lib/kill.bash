# Finding and killing the programs of the berth under test, and what must hold afterwards.

# Process ids of a program of this berth, by its file and its environment. Quick: times are measured with it.
program_pids() {
	local f
	# shellcheck disable=SC2044 # names in /proc hold no spaces
	for f in $(find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$BERTH_PREFIX/lib/berth/$1*" 2>/dev/null); do
		f=${f%/exe}
		! grep -qszxF "BERTH_RUN=$BERTH_RUN" "$f/environ" || is_ready "$f" || echo "${f#/proc/}"
	done
}
# A process that waits for the next sandbox comes and goes.
is_ready() { grep -qsxF berth-ready "$1/comm"; }
# berth-control, as berthd wrote it down: a child of it that has not become its own program yet has the same file.
control_pid() { awk '$1 == "control" { print $2 }' "$BERTH_RUN/daemons"; }
# berthd's monitor is the pid in the run folder; its worker is a child with the same file.
monitor_pid() { cat "$BERTH_RUN/berthd.pid"; }
worker_pid() {
	local p monitor
	monitor=$(monitor_pid)
	for p in $(program_pids berthd); do
		if [ "$(ps -o ppid= -p "$p" | tr -d ' ')" = "$monitor" ]; then
			echo "$p"
			return
		fi
	done
}

database_sound() {
	equal ok "$(sqlite3 "$BERTH_STATE/control/berth.db" 'pragma integrity_check' | head -n 1)"
	equal '' "$(sqlite3 "$BERTH_STATE/control/berth.db" 'pragma foreign_key_check')"
	for copy in "$BERTH_STATE"/control/copies/20??-??-??.db; do
		equal ok "$(sqlite3 "$copy" 'pragma integrity_check' | head -n 1)"
	done
}

# ticks_whole APP: the numbers that the app printed are all in the log, in order, from 1 to the last.
ticks_whole() {
	berth logs "$1" -n 100000 -p web | sed -n 's/.*\]: tick \([0-9]*\)$/\1/p' |
		awk 'BEGIN { want = 1 } $1 > want { print "lost " want " to " $1 - 1; bad = 1 } $1 >= want { want = $1 + 1 }
			END { if (NR < 10) { print "only " NR " lines"; bad = 1 } exit bad }'
}
tick_reached() {
	[ "$(berth logs "$1" -n 200 -p web | sed -n 's/.*\]: tick \([0-9]*\)$/\1/p' | tail -n 1)" -ge "$2" ]
}

# power_cut: everything of this berth ends at once, apps included, and /run is empty, as after a reboot.
power_cut() {
	local pids p
	while pids=$(program_pids berth; grep -ls "berth-$BERTH_ID" /proc/[0-9]*/cgroup | cut -d/ -f3) && [ -n "$pids" ]; do # some were forked meanwhile
		# shellcheck disable=SC2086 # words
		kill -9 $pids 2>/dev/null || :
		for p in $pids; do wait_for 10 not_running "$p" || return 1; done
	done
	awk -v run="$BERTH_RUN/" 'index($2, run) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount || return 1
	rm -rf --one-file-system "$BERTH_RUN"
}

# processes PREFIX: of all apps whose name begins so: process id, and when it started.
processes() {
	local p
	for p in $(grep -lsz "^BERTH_APP=$1" /proc/[0-9]*/environ | cut -d/ -f3); do
		! grep -qs "berth-$BERTH_ID" "/proc/$p/cgroup" || echo "$p $(cut -d' ' -f22 "/proc/$p/stat")"
	done | sort -n
}
