# Logs are sent to where their owners want them: every line, in order, whatever dies meanwhile.

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	export DRAINS=$BATS_FILE_TMPDIR/drains
	mkdir -p "$DRAINS"
	chmod 755 "$DRAINS"
	app d-drain
	git push -q berth HEAD:main >"$DRAINS/push" 2>&1 || fail "$(cat "$DRAINS/push")"
}

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/drain.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

# What a test added goes, as eight drains are all an app can have.
teardown() {
	local id
	drains_stop
	for id in $(json logs:drain | jq -r '.[] | "\(.app) \(.id)"' | grep -v '^(all)' | cut -d ' ' -f 2); do
		berth logs:drain:remove d-drain "$id" >/dev/null 2>&1 || :
	done
	for id in $(json logs:drain | jq '.[] | select(.app == "(all)") | .id'); do
		berth logs:drain:remove --global "$id" >/dev/null
	done
}

teardown_file() { berth apps:destroy d-drain --force >/dev/null; }

@test "rsyslog, https and a file get every line in order; passwords go nowhere else" {
	local tcp tls udp https
	tcp=$(free_port) tls=$(free_port) udp=$(free_port) https=$(free_port)
	drain_keys
	drain_rsyslog "$tcp" "$tls" "$udp"
	drain_py https http "$https" "$DRAINS/https" "$DRAINS/server.pem" "$DRAINS/server.key"
	berth logs:drain:add d-drain "syslog+tcp://127.0.0.1:$tcp" >/dev/null
	berth logs:drain:add d-drain "syslog+tls://localhost:$tls" --ca "$DRAINS/ca.pem" >/dev/null
	berth logs:drain:add d-drain "syslog+udp://127.0.0.1:$udp" >/dev/null
	berth drains:add d-drain - --gzip --ca - <<<"" >/dev/null 2>&1 && return 1
	echo "https://ann:h4rbour%40@localhost:$https/in?key=v3rysecret" >"$DRAINS/url"
	berth logs:drain:add d-drain - --gzip --ca "$DRAINS/ca.pem" <"$DRAINS/url" >/dev/null
	# not from this authority
	berth logs:drain:add d-drain "https://localhost:$https/wrong" >/dev/null
	rm -f "$BERTH_STATE/drains/d-drain.log"*
	berth logs:drain:add d-drain file:d-drain.log >/dev/null
	wait_for 5 drain_is file: state 'nothing sent yet'
	says d-drain 'kind' 400
	for f in rsyslog.tcp rsyslog.tls rsyslog.udp https; do
		wait_for 10 got "$DRAINS/$f" kind 400 || fail "$f" "$(json logs:drain d-drain)"
		in_order "$DRAINS/$f" kind 400
	done
	wait_for 5 got "$BERTH_STATE/drains/d-drain.log" kind 400
	in_order "$BERTH_STATE/drains/d-drain.log" kind 400
	[ "$(stat -c %a "$BERTH_STATE/drains/d-drain.log")" = 640 ]
	# RFC 5424's fields, as rsyslog understood them; UTF-8 as it was
	grep -qE "^134 20[0-9-]+T[0-9:.]+Z $(hostname) d-drain web\.1 app kind 7 grüße$" "$DRAINS/rsyslog.tcp" || fail "$(head -n 3 "$DRAINS/rsyslog.tcp")"
	jq -se '[.[] | select(.app == "d-drain" and .source == "app" and .process == "web.1" and (.message | startswith("kind ")))] |
		length == 400 and (map(.id) | unique | length == 400) and (map(.time) | . == sort)' "$DRAINS/https" >/dev/null
	equal "Basic $(printf 'ann:h4rbour@' | base64)" "$(cat "$DRAINS/https.auth")"
	grep -qx '/in?key=v3rysecret' "$DRAINS/https.paths"
	! grep -q wrong "$DRAINS/https.paths" || fail 'a receiver with another certificate was asked'
	grep -qx gzip "$DRAINS/https.encodings"
	wait_for 10 drain_is "https://localhost:$https/wrong" state retrying
	case $(drain_of "https://localhost:$https/wrong" error) in *certificate*) ;; *) fail "$(json logs:drain d-drain)" ;; esac
	for url in syslog+tcp syslog+tls syslog+udp 'https://***' file; do
		wait_for 5 drain_is "$url" state ok
		wait_for 5 drain_is "$url" lag_bytes 0
		[ "$(drain_of "$url" lost_lines)" = 0 ]
	done
	[ "$(drain_of "https://localhost:$https/wrong" lag_bytes)" -gt 8000 ]
	# the receiver got them (above); nobody else does
	try berth logs:drain d-drain
	ok
	has "https://***@localhost:$https/in?***"
	json logs:drain d-drain >"$DRAINS/seen"
	{ cat "$DRAINS/seen" && berth logs:drain && berth events && berth logs d-drain -n 5000 && cat "$BERTH_TEST/berthd.log"; } >"$DRAINS/all"
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >>"$DRAINS/all" || :
	! grep -aE 'h4rbour|v3rysecret' "$DRAINS/all" || fail 'a password is told'
	equal '' "$(traces h4rbour "$BERTH_STATE/control" "$BERTH_STATE/logs" "$BERTH_STATE/drains")"
}

@test "no line is lost when berth-drain, control or the receiver is killed" {
	local port http pid
	port=$(free_port) http=$(free_port)
	drain_py tcp tcp "$port" "$DRAINS/k.tcp"
	drain_py http http "$http" "$DRAINS/k.http"
	berth logs:drain:add d-drain "syslog+tcp://127.0.0.1:$port" >/dev/null
	berth logs:drain:add d-drain "http://127.0.0.1:$http" >/dev/null
	wait_for 5 drain_is syslog+tcp state 'nothing sent yet'
	says d-drain killed 600 0.005 >/dev/null 3>&- &
	pid=$!
	wait_for 20 got "$DRAINS/k.tcp" killed 100
	kill -KILL "$(drain_pid)"
	wait_for 20 got "$DRAINS/k.tcp" killed 150
	drain_kill tcp
	drain_kill http
	drain_py tcp tcp "$port" "$DRAINS/k.tcp"
	drain_py http http "$http" "$DRAINS/k.http"
	wait_for 20 got "$DRAINS/k.tcp" killed 200
	kill -KILL "$(control_pid)"
	wait "$pid"
	wait_for 20 got "$DRAINS/k.tcp" killed 600 || fail "$(numbers "$DRAINS/k.tcp" killed | sort -nu | wc -l)" "$(json logs:drain d-drain)"
	wait_for 20 got "$DRAINS/k.http" killed 600 || fail "$(json logs:drain d-drain)"
	# what was sent again begins anew at an earlier line: never a line before its time
	for f in k.tcp k.http; do
		numbers "$DRAINS/$f" killed | awk '$1 > top + 1 { exit 1 } $1 > top { top = $1 }' || fail "$f"
	done
	wait_for 5 drain_is syslog+tcp lag_bytes 0
}

@test "receivers that hang, close, chatter or fail hold up nobody, and that is told once" {
	local good hang close chatter headers bad before
	good=$(free_port) hang=$(free_port) close=$(free_port) chatter=$(free_port) headers=$(free_port) bad=$(free_port)
	drain_py good tcp "$good" "$DRAINS/h.good"
	drain_py bad http "$bad" "$DRAINS/h.bad"
	for mode in hang close chatter headers; do drain_py "$mode" "$mode" "${!mode}"; done
	echo 500 >"$DRAINS/h.bad.status"
	for url in syslog+tcp://127.0.0.1:$hang syslog+tcp://127.0.0.1:$close syslog+tcp://127.0.0.1:$chatter http://127.0.0.1:$hang \
		http://127.0.0.1:$headers http://127.0.0.1:$bad syslog+tcp://127.0.0.1:$good; do
		berth logs:drain:add d-drain "$url" >/dev/null
	done
	wait_for 5 drain_is "syslog+tcp://127.0.0.1:$good" state 'nothing sent yet'
	before=$(berth logs d-drain -n 5000 | grep -c 'berth\[drain\]' || :)
	says d-drain held 3000
	wait_for 5 got "$DRAINS/h.good" held 3000
	in_order "$DRAINS/h.good" held 3000
	wait_for 5 drain_is "http://127.0.0.1:$bad" error 'the receiver answers 500'
	wait_for 5 drain_is "http://127.0.0.1:$headers" error 'the answer has more than 32 kB of headers'
	wait_for 5 drain_is "syslog+tcp://127.0.0.1:$close" state retrying
	[ "$(drain_of "http://127.0.0.1:$bad" lag_bytes)" -gt 100000 ]
	[ "$(ps -o rss= -p "$(drain_pid)")" -lt 60000 ]
	told() { [ "$(berth logs d-drain -n 5000 | grep -c "berth\[drain\]: drain $1 cannot deliver.*$2")" = 1 ]; }
	wait_for 20 told "$(drain_of "http://127.0.0.1:$bad" id)" 'answers 500'
	echo 204 >"$DRAINS/h.bad.status"
	wait_for 20 got "$DRAINS/h.bad" held 3000
	in_order "$DRAINS/h.bad" held 3000
	wait_for 5 drain_is "http://127.0.0.1:$bad" state ok
	wait_for 5 eval 'berth logs d-drain -n 100 | grep -q "drain .* delivers again: http://127.0.0.1:'"$bad"'"'
	# they do not tell of themselves
	! grep -q 'cannot deliver' "$DRAINS/h.good" || fail 'drains tell of themselves'
	# a batch that will never be taken is given up
	echo 400 >"$DRAINS/h.bad.status"
	says d-drain refused 5
	wait_for 15 eval '[ "$(drain_of "http://127.0.0.1:$bad" refused_lines)" -ge 5 ]' # and what the router says of the request
	echo 204 >"$DRAINS/h.bad.status"
	says d-drain taken 5
	wait_for 10 got "$DRAINS/h.bad" taken 5
	! grep -q refused "$DRAINS/h.bad"
}

@test "a drain of all apps gets each app's lines, and those of apps made later; idle it costs nothing" {
	local port switches
	port=$(free_port)
	drain_py all http "$port" "$DRAINS/all.http"
	berth logs:drain:add --global "http://127.0.0.1:$port/all" >/dev/null
	berth logs:drain:add --global file:all.log >/dev/null
	berth apps:create d-late >/dev/null
	says d-drain everyone 20
	wait_for 10 got "$DRAINS/all.http" everyone 20
	in_order "$DRAINS/all.http" everyone 20
	equal d-drain "$(grep everyone "$DRAINS/all.http" | jq -r .app | sort -u)"
	berth maintenance:on d-late >/dev/null
	curl -sS -o /dev/null -H 'Host: d-late.localhost' "$(url)"
	wait_for 10 grep -q '"app":"d-late","source":"berth"' "$DRAINS/all.http" || fail "$(berth logs d-late)"
	berth apps:rename d-late d-later >/dev/null
	curl -sS -o /dev/null -H 'Host: d-later.localhost' "$(url)"
	wait_for 10 grep -q '"app":"d-later","source":"berth"' "$DRAINS/all.http" || fail "$(tail -n 3 "$DRAINS/all.http")"
	berth apps:destroy d-later --force >/dev/null
	wait_for 10 eval '[ "$(json logs:drain | jq "[.[].lag_bytes] | add")" = 0 ]'
	for id in $(json logs:drain | jq '.[].id'); do berth logs:drain:remove --global "$id" >/dev/null; done
	# Other apps of this berth write all the time: that of an app that does not.
	berth logs:drain:add d-drain "http://127.0.0.1:$port/one" >/dev/null
	says d-drain alone 5
	wait_for 10 got "$DRAINS/all.http" alone 5
	quiet() {
		switches=$(grep ctxt_switches "/proc/$(drain_pid)/status")
		sleep 2
		equal "$switches" "$(grep ctxt_switches "/proc/$(drain_pid)/status")"
	}
	wait_for 20 quiet
	berth logs:drain:remove d-drain "http://127.0.0.1:$port/one" >/dev/null
	wait_for 5 eval '[ -z "$(drain_pid)$(ls "$BERTH_STATE/control/drains")" ]'
}

@test "addresses that are nobody's business are refused, and loopback to whoever comes by ssh" {
	local port
	port=$(free_port)
	drain_py ssh tcp "$port" "$DRAINS/ssh.tcp"
	for host in 169.254.169.254 '[fe80::1]' 198.18.0.5 '[::ffff:127.0.0.1]' 0.0.0.0 224.0.0.1; do
		try berth logs:drain:add d-drain "syslog+tcp://$host:80"
		exits 2
		has 'never for drains'
	done
	try remote logs:drain:add d-drain "syslog+tcp://127.0.0.1:$port"
	fails
	has 'only root on the host'
	try remote logs:drain:add d-drain file:../x
	exits 2
	try remote logs:drain:add d-drain "syslog+tcp://localhost:$port"
	ok
	says d-drain ssh 3
	wait_for 10 drain_is syslog+tcp state retrying
	case $(drain_of syslog+tcp error) in *'which drains do not reach'*) ;; *) fail "$(json logs:drain d-drain)" ;; esac
	[ ! -s "$DRAINS/ssh.tcp" ]
	berth logs:drain:remove d-drain "syslog+tcp://localhost:$port" >/dev/null
	# root may
	berth logs:drain:add d-drain "syslog+tcp://localhost:$port" >/dev/null
	wait_for 5 drain_is syslog+tcp state 'nothing sent yet'
	says d-drain root 3
	wait_for 10 got "$DRAINS/ssh.tcp" root 3
	try berth logs:drain:add d-drain "syslog+tcp://localhost:$port"
	fails
	has 'there already'
	try berth logs:drain:remove d-drain 99999
	fails
}
