# A private berth for black-box tests: its own state, users, sshd and git client, and nothing left afterwards.
#
#   berth_up [debian-12|-]      starts everything; "-" leaves the stack out. Exports the variables below.
#   berth_down                  stops and removes it all; fails and lists what is left.
#
# BERTH_TEST      /var/lib/berth-test.XXXXXX: all of it lies below (sshd wants parents that only root can write)
# BERTH_STATE     its state folder           BERTH_RUN      its run folder, /run/berth-test.XXXXXX
# BERTH_PREFIX    the installed programs     BERTH_PORT     port of the router on 127.0.0.1
# BERTH_SSH_USER  the ssh login              BERTH_SSH_PORT port of the private sshd
# SSH_CONFIG      for ssh -F: host "berth" is the private berth, "stranger" the same with a key berth doesn't know
# WORK            the client's folder
#
# Taken from the environment: SSHD_USERS and SSHD_EXTRA more logins and lines for the private sshd; BERTH_PREFIX_GIVEN programs that are installed already; BERTH_DISK_MB a disk of that size,
# a loop-mounted file, for the state; BERTH_DISK_BY a command that is given that file and prints the one to mount (tests/lib/disk.py).
# BERTH_RUN_KB: the run folder is a file system of its own, of that size.

BERTH_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*" >&"${SAY_FD:-2}"; }
now_ms() { date +%s%3N; }

# wait_for SECONDS COMMAND…: polls until it succeeds; 1 when the time is over. SECONDS are what a quiet machine takes at most; a busy
# one gets four times as long.
wait_for() {
	local end=$(($(now_ms) + $1 * 4000))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

make_users() {
	"$BERTH_SOURCE/packaging/berth-users" --ssh-user "$BERTH_SSH_USER" --home "$BERTH_STATE/ssh" \
		--shell "$BERTH_PREFIX/lib/berth/berth-shell"
}

berthd_start() {
	# A session of its own: an interrupt of the tests must not reach it before berth_down does.
	# shellcheck disable=SC2086 # BERTHD_UNDER: words of a command that starts it
	setsid ${BERTHD_UNDER:-} "$BERTH_PREFIX/sbin/berthd" --state "$BERTH_STATE" --run "$BERTH_RUN" \
		--http "127.0.0.1:$BERTH_PORT" --https "127.0.0.1:$BERTH_TLS_PORT" --ssh-user "$BERTH_SSH_USER" \
		>>"$BERTH_TEST/berthd.log" 2>&1 </dev/null 3>&- 4>&- &
	BERTHD_PID=$!
	echo "$BERTHD_PID" >"$BERTH_TEST/berthd.pid"
	disown "$BERTHD_PID"
	if ! wait_for 20 berth_answers; then
		say "berthd does not answer; its output:"
		tail -n 40 "$BERTH_TEST/berthd.log" >&2
		return 1
	fi
}

berth_answers() { timeout 5 "$BERTH_PREFIX/bin/berth" status >/dev/null 2>&1; }

sshd_start() {
	local d=$BERTH_TEST/sshd
	mkdir -p "$d"
	[ -e "$d/host" ] || ssh-keygen -q -t ed25519 -N '' -f "$d/host"
	BERTH_SSH_PORT=$(free_port)
	cat >"$d/config" <<-END
		Port $BERTH_SSH_PORT
		ListenAddress 127.0.0.1
		HostKey $d/host
		PidFile $d/pid
		AuthorizedKeysFile $BERTH_STATE/ssh/authorized_keys
		AllowUsers $BERTH_SSH_USER ${SSHD_USERS:-}
		AuthenticationMethods publickey
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		AcceptEnv GIT_PROTOCOL
		PrintMotd no
		MaxStartups 50
		LogLevel ERROR
	END
	[ -z "${SSHD_EXTRA:-}" ] || printf '%s\n' "$SSHD_EXTRA" >>"$d/config"
	mkdir -p /run/sshd
	/usr/sbin/sshd -f "$d/config" -E "$d/log" 3>&-
	wait_for 10 test -s "$d/pid"
}

ssh_client() {
	local d=$BERTH_TEST/client
	mkdir -p "$d"
	[ -e "$d/key" ] || ssh-keygen -q -t ed25519 -N '' -C tester -f "$d/key"
	[ -e "$d/unknown" ] || ssh-keygen -q -t ed25519 -N '' -C stranger -f "$d/unknown"
	SSH_CONFIG=$d/config
	cat >"$SSH_CONFIG" <<-END
		Host stranger
		    IdentityFile $d/unknown
		Host * !stranger
		    IdentityFile $d/key
		Host shared
		    ControlMaster auto
		    ControlPath $d/%C
		    ControlPersist 60
		Host *
		    HostName 127.0.0.1
		    Port $BERTH_SSH_PORT
		    User $BERTH_SSH_USER
		    IdentitiesOnly yes
		    IdentityAgent none
		    StrictHostKeyChecking no
		    UserKnownHostsFile $d/known_hosts
		    LogLevel ERROR
		    BatchMode yes
	END
	WORK=$d/work
	mkdir -p "$WORK" "$d/home"
	cat >"$d/home/.gitconfig" <<-END
		[user]
		    name = Tester
		    email = tester@example.com
		[init]
		    defaultBranch = main
		[advice]
		    detachedHead = false
		[gc]
		    auto = 0
	END
	export GIT_SSH_COMMAND="ssh -F $SSH_CONFIG" GIT_CONFIG_GLOBAL=$d/home/.gitconfig GIT_CONFIG_NOSYSTEM=1
	export GIT_TERMINAL_PROMPT=0 LC_ALL=C.UTF-8
}

berth_up() {
	[ "$(id -u)" = 0 ] || { say "tests need root (user namespaces, networks and users are made)"; return 1; }
	local stack=${1:-debian-12} id
	BERTH_TEST=$(mktemp -d /var/lib/berth-test.XXXXXX)
	id=${BERTH_TEST##*.}
	chmod 755 "$BERTH_TEST"
	BERTH_STATE=$BERTH_TEST/state
	BERTH_RUN=/run/berth-test.$id
	BERTH_PREFIX=${BERTH_PREFIX_GIVEN:-$BERTH_TEST/usr}
	BERTH_SSH_USER=berth-t$(printf %s "$id" | tr '[:upper:]' '[:lower:]')
	BERTH_PORT=$(free_port)
	BERTH_HTTP=127.0.0.1:$BERTH_PORT
	BERTH_TLS_PORT=$(free_port)
	BERTH_HTTPS=127.0.0.1:$BERTH_TLS_PORT
	PATH=$BERTH_PREFIX/bin:$BERTH_PREFIX/sbin:$PATH
	mkdir -p "$BERTH_STATE"
	if [ -n "${BERTH_DISK_MB:-}" ]; then
		local disk=$BERTH_TEST/disk
		truncate -s "${BERTH_DISK_MB}M" "$disk"
		[ -z "${BERTH_DISK_BY:-}" ] || disk=$("$BERTH_DISK_BY" "$disk") || return 1
		# shellcheck disable=SC2086 # BERTH_DISK_MKFS: options
		mkfs.ext4 -q -m 0 ${BERTH_DISK_MKFS:-} "$disk" && mount -o loop "$disk" "$BERTH_STATE" || return 1
	fi
	if [ -n "${BERTH_RUN_KB:-}" ]; then
		mkdir "$BERTH_RUN" && mount -t tmpfs -o "mode=755,size=${BERTH_RUN_KB}k" berth-run "$BERTH_RUN" || return 1
	fi
	chmod 755 "$BERTH_STATE"
	export BERTH_SOURCE BERTH_TEST BERTH_STATE BERTH_RUN BERTH_PREFIX BERTH_SSH_USER BERTH_PORT BERTH_HTTP \
		BERTH_TLS_PORT BERTH_HTTPS PATH
	if [ -z "${BERTH_PREFIX_GIVEN:-}" ]; then
		make -s -C "$BERTH_SOURCE" install PREFIX="$BERTH_PREFIX" DESTDIR= >"$BERTH_TEST/install.log" 2>&1 ||
			{ tail -n 20 "$BERTH_TEST/install.log" >&2; return 1; }
	fi
	users_snapshot >"$BERTH_TEST/users"
	# With another berth on the host the switch is that one's to put back.
	ls /var/lib/berth-ranges/block-* >/dev/null 2>&1 || forwarding >"$BERTH_TEST/forward"
	make_users >"$BERTH_TEST/users.log" 2>&1 || { cat "$BERTH_TEST/users.log" >&2; return 1; }
	berthd_start || return 1
	BERTH_ID=$(berth_id)
	[ -n "$BERTH_ID" ] || { say "berthd's registry has no entry for $BERTH_STATE"; return 1; }
	sshd_start || return 1
	ssh_client
	export BERTH_ID BERTH_SSH_PORT SSH_CONFIG WORK
	berth ssh-keys:add tester "$BERTH_TEST/client/key.pub" >/dev/null || return 1
	if [ "$stack" != - ]; then
		if [ -n "${BERTH_TEST_QUIET:-}" ]; then
			berth stacks:create "$stack" >"$BERTH_TEST/stack.log" 2>&1 ||
				{ tail -n 30 "$BERTH_TEST/stack.log" >&2; return 1; }
		else
			berth stacks:create "$stack" || return 1
		fi
	fi
}

# The variables of this berth, for another shell to read.
berth_environment() {
	local v
	for v in BERTH_ID BERTH_SOURCE BERTH_TEST BERTH_STATE BERTH_RUN BERTH_PREFIX BERTH_SSH_USER BERTH_PORT BERTH_HTTP \
		BERTH_TLS_PORT BERTH_HTTPS BERTH_SSH_PORT SSH_CONFIG WORK PATH GIT_SSH_COMMAND GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM TESTS_KEEP; do
		printf 'export %s=%q\n' $v "${!v:-}"
	done
}

# The host's switches that berth may change, and must put back.
forwarding() {
	cat /proc/sys/net/ipv4/ip_forward
	[ ! -d /proc/sys/net/ipv6 ] || grep . /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/default/accept_ra
}

users_snapshot() { getent passwd | cut -d: -f1 | grep -E '^_?berth' | sort || :; }

# What this berth made and that still exists, one a line; nothing when clean.
berth_leftovers() {
	local id=${BERTH_TEST##*.} p exe cmd
	for p in /proc/[0-9]*; do
		[ "${p#/proc/}" != $$ ] || continue
		exe=$(readlink "$p/exe" 2>/dev/null) || continue
		cmd=$({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null) || continue
		case "$exe $cmd" in
		*"berth-test.$id/"*usr/* | *"--run $BERTH_RUN"* | *"$BERTH_TEST/sshd/config"*) echo "process ${p#/proc/}: $cmd" ;;
		esac
		if [ -r "$p/environ" ] && tr '\0' '\n' 2>/dev/null <"$p/environ" | grep -qx "BERTH_RUN=$BERTH_RUN"; then
			# The tests' own shells carry the variable too; they descend from bats, not from berthd.
			case $exe in *berth*) echo "process ${p#/proc/}: $cmd" ;; esac
		fi
	done | sort -u
	grep -E "berth-test\.$id|$BERTH_RUN" /proc/self/mountinfo | sed 's/^/mount: /' || :
	losetup -a 2>/dev/null | grep -F "$BERTH_TEST/" | sed 's/^/loop device: /' || :
	[ -z "$(berth_id)" ] || echo "registry: $(grep -lF "$BERTH_STATE" /var/lib/berth-ranges/block-*)"
	[ -n "${BERTH_ID:-}" ] || return 0
	find /sys/fs/cgroup -type d -name "*berth*$BERTH_ID*" 2>/dev/null | sed 's/^/cgroup: /'
	ip -o link 2>/dev/null | grep -F "b$BERTH_ID" | sed 's/^/interface: /' || :
	nft list tables 2>/dev/null | grep -F "$BERTH_ID" | sed 's/^/nft: /' || :
	ip netns 2>/dev/null | grep -F "$BERTH_ID" | sed 's/^/netns: /' || :
	find /dev/shm /tmp -maxdepth 1 -name "*berth*$BERTH_ID*" 2>/dev/null | sed 's/^/file: /'
}

# The id that names cgroups, interfaces and tables: berthd's registry of the host has it beside the state path.
berth_id() {
	awk -v path="$BERTH_STATE" '$2 == path { print $1 }' /var/lib/berth-ranges/block-* 2>/dev/null || :
}

berthd_stop() {
	"$BERTH_PREFIX/sbin/berthd" --stop-all --state "$BERTH_STATE" --run "$BERTH_RUN" \
		>>"$BERTH_TEST/berthd.log" 2>&1 </dev/null
}

berth_down() {
	local left status=0 pid
	[ -n "${BERTH_TEST:-}" ] && [ -d "$BERTH_TEST" ] || return 0
	BERTH_ID=${BERTH_ID:-$(berth_id)}
	[ -z "${SSH_CONFIG:-}" ] || ssh -F "$SSH_CONFIG" -O exit shared >/dev/null 2>&1 || :
	if [ -s "$BERTH_TEST/sshd/pid" ]; then
		pid=$(cat "$BERTH_TEST/sshd/pid")
		kill "$pid" 2>/dev/null || :
		wait_for 5 not_running "$pid" || status=1
	fi
	berthd_stop || { say "berthd --stop-all failed"; tail -n 20 "$BERTH_TEST/berthd.log" >&2; status=1; }
	"$BERTH_PREFIX/sbin/berthd" --remove --state "$BERTH_STATE" --run "$BERTH_RUN" \
		>>"$BERTH_TEST/berthd.log" 2>&1 </dev/null || { say "berthd --remove failed"; status=1; }
	if [ -n "${BERTH_DISK_MB:-}" ] && mountpoint -q "$BERTH_STATE"; then
		wait_for 10 umount "$BERTH_STATE" 2>/dev/null || { say "cannot unmount $BERTH_STATE"; status=1; }
		# Another mount namespace may hold it for longer.
		[ ! -e "$BERTH_TEST/disk.disk" ] || umount -l "$BERTH_TEST/disk.disk" || status=1
	fi
	if [ -n "${BERTH_RUN_KB:-}" ] && mountpoint -q "$BERTH_RUN"; then
		wait_for 10 umount "$BERTH_RUN" 2>/dev/null || { say "cannot unmount $BERTH_RUN"; status=1; }
	fi
	wait_for 10 no_leftovers || :
	left=$(berth_leftovers)
	if [ -s "$BERTH_TEST/forward" ] && ! ls /var/lib/berth-ranges/block-* >/dev/null 2>&1 &&
		[ "$(forwarding)" != "$(cat "$BERTH_TEST/forward")" ]; then
		left="$left"$'\n'"forwarding is now: $(forwarding | tr '\n' ' '), was: $(tr '\n' ' ' <"$BERTH_TEST/forward")"
	fi
	if [ -n "$left" ]; then
		say "left behind:"
		say "$left"
		status=1
	fi
	users_remove || status=1
	if [ -n "${BERTH_KEEP_LOG:-}" ]; then
		cp "$BERTH_TEST/berthd.log" "$BERTH_KEEP_LOG" 2>/dev/null || :
	fi
	# Never across a mount: a leaked bind mount must not be emptied.
	if ! grep -q "berth-test\.${BERTH_TEST##*.}" /proc/self/mountinfo; then
		rm -rf --one-file-system "$BERTH_TEST" "$BERTH_RUN"
	fi
	if [ -e "$BERTH_TEST" ] || [ -e "$BERTH_RUN" ]; then
		say "left behind: $BERTH_TEST $BERTH_RUN"
		status=1
	fi
	return $status
}

not_running() { ! kill -0 "$1" 2>/dev/null; }
no_leftovers() { [ -z "$(berth_leftovers)" ]; }

# The private ssh user goes always; the system users only when this berth made them and no other one runs.
users_remove() {
	local u
	userdel "$BERTH_SSH_USER" >/dev/null 2>&1 || { say "cannot remove user $BERTH_SSH_USER"; return 1; }
	groupdel "$BERTH_SSH_USER" >/dev/null 2>&1 || :
	[ ! -e /var/lib/berth ] || return 0
	set -- /var/lib/berth-test.*
	[ $# -eq 1 ] && [ "$1" = "$BERTH_TEST" ] || return 0
	for u in $(users_snapshot); do
		grep -qx "$u" "$BERTH_TEST/users" || userdel "$u" >/dev/null 2>&1 || { say "cannot remove user $u"; return 1; }
	done
	for u in $(getent group | cut -d: -f1 | grep -E '^_?berth' || :); do
		grep -qx "$u" "$BERTH_TEST/users" || groupdel "$u" >/dev/null 2>&1 || :
	done
}
