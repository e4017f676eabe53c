# Receivers of logs for tests: rsyslog of Debian and tests/lib/drain.py, on loopback.
# shellcheck disable=SC2034 # variables are for the tests

# drain_start NAME COMMAND…: in the background, until drain_stop; its output in $DRAINS/NAME.log.
drain_start() {
	local name=$1
	shift
	"$@" >>"$DRAINS/$name.log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$DRAINS/$name.pid"
}
drain_py() { # NAME MODE PORT [FILE…]
	drain_start "$1" /usr/bin/python3 "$BERTH_SOURCE/tests/lib/drain.py" "${@:2}"
	[ "$2" = udp ] || wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$3" 2>/dev/null
}
# drain_kill NAME: at once.
drain_kill() {
	kill -KILL "$(cat "$DRAINS/$1.pid")" 2>/dev/null || :
	wait_for 5 not_running "$(cat "$DRAINS/$1.pid")"
	rm -f "$DRAINS/$1.pid"
}
drains_stop() {
	local f
	for f in "$DRAINS"/*.pid; do
		[ ! -e "$f" ] || kill -KILL "$(cat "$f")" 2>/dev/null || :
		rm -f "$f"
	done
}

drain_keys() (
	cd "$DRAINS" || exit 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=test authority' &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 30 \
			-extfile <(echo 'subjectAltName=DNS:localhost')
) 2>/dev/null

# drain_rsyslog TCP TLS UDP: Debian's rsyslog at these ports; what it understood is in rsyslog.tcp, .tls and .udp.
drain_rsyslog() {
	mkdir -p "$DRAINS/work"
	cat >"$DRAINS/rsyslog.conf" <<-END
		global(workDirectory="$DRAINS/work" maxMessageSize="64k" defaultNetstreamDriverCAFile="$DRAINS/ca.pem"
			defaultNetstreamDriverCertFile="$DRAINS/server.pem" defaultNetstreamDriverKeyFile="$DRAINS/server.key")
		template(name="all" type="string" string="%pri% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% %msgid% %msg%\n")
		module(load="imtcp")
		module(load="imudp")
		ruleset(name="tcp") { action(type="omfile" file="$DRAINS/rsyslog.tcp" template="all") }
		ruleset(name="tls") { action(type="omfile" file="$DRAINS/rsyslog.tls" template="all") }
		ruleset(name="udp") { action(type="omfile" file="$DRAINS/rsyslog.udp" template="all") }
		input(type="imtcp" address="127.0.0.1" port="$1" ruleset="tcp")
		input(type="imtcp" address="127.0.0.1" port="$2" ruleset="tls" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
		input(type="imudp" address="127.0.0.1" port="$3" ruleset="udp" rcvbufSize="1m")
	END
	# a copy: where AppArmor is on, the host's own may read and write its own folders only
	cp /usr/sbin/rsyslogd "$DRAINS/rsyslogd"
	drain_start rsyslog "$DRAINS/rsyslogd" -n -f "$DRAINS/rsyslog.conf" -i "$DRAINS/work/pid"
	wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$2" 2>/dev/null && wait_for 10 udp_is_open "$3" || { cat "$DRAINS/rsyslog.log" >&2; return 1; }
}
udp_is_open() { grep -q "$(printf ':%04X ' "$1")" /proc/net/udp; }

# drain_pid: berth-drain of this berth.
drain_pid() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe" 2>/dev/null)" != "$BERTH_PREFIX/lib/berth/berth-drain" ] || echo "${p#/proc/}"
	done
}
# drain_of URL KEY: what the report says of that drain of $APP.
drain_of() { json logs:drain "${APP:-d-drain}" | jq -r --arg u "$1" --arg k "$2" '.[] | select(.url | startswith($u)) | .[$k]'; }
drain_is() { [ "$(drain_of "$1" "$2")" = "$3" ]; }
# numbers FILE TEXT: the N of "TEXT N", in the order of the file.
numbers() { sed -nE "s/.*$2 ([0-9]+).*/\1/p" "$1" 2>/dev/null; }
# got FILE TEXT N: the file has all of 1 .. N.
got() { [ "$(numbers "$1" "$2" | sort -nu | wc -l)" -ge "$3" ]; }
# in_order FILE TEXT N: each of 1 .. N once, one after the other.
in_order() { equal "$(seq "$3")" "$(numbers "$1" "$2")"; }
# says APP TEXT N [SECONDS]: the app prints "TEXT 1" .. "TEXT N", so long after each other.
says() {
	inside "$1" "perl -e 'for my \$i (1 .. $3) { syswrite STDOUT, qq($2 \$i gr\xc3\xbc\xc3\x9fe\n); select undef, undef, undef, ${4:-0} if ${4:-0} }' >/proc/\$PPID/fd/1"
}
