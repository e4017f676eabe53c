# Certificates: those that somebody brings, and automatic ones from an authority on loopback.

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/acme.bash"
	acme_up "$BATS_FILE_TMPDIR/ca"
	acme_trusted
	export CA_DIR CA_PORT CA_ADMIN DNS_PORT DNS_ADMIN CA_URL CA_ROOTS BERTHD_UNDER
	berthd_stop
	berthd_start
	berth tls:set --global server "$CA_URL"
	berth tls:set --global email ann@tests.example
}
teardown_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/acme.bash"
	acme_down
	berth tls:set --global server '' || :
	berth tls:set --global email '' || :
	unset BERTHD_UNDER
	berthd_stop
	berthd_start
}
setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/acme.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}
teardown() {
	[ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :
	acme_names 127.0.0.1 || :
}

live() { # APP HOST…
	local name=$1
	shift
	app "$name"
	pushed
	serves "$name" 'page 1'
	[ $# -eq 0 ] || berth domains:add "$name" "$@"
}
state_is() { equal "$2" "$(berth tls:report "$1" --state)" 2>/dev/null; }
serves_tls() { equal "$2" "$(https_of "$1")"; }
certified() { equal "$2" "$(berth tls:report "$1" --certified)" 2>/dev/null; }
# still APP HOST FINGERPRINT: after a failure the old certificate is served, and the report says so.
still() {
	equal "$3" "$(fingerprint_of "$2")"
	serves_tls "$2" 'page 1'
	state_is "$1" 'renewal fails' || fail "$(berth tls:report "$1")"
	[ "$(date -d "$(berth tls:report "$1" --next-try)" +%s)" -gt $(($(date +%s) + 600)) ]
	wait_for 5 logged "$1" 'the old certificate goes on'
}

@test "tls:enable: from nothing to https" {
	live c-auto auto.tests.example
	equal 200 "$(code_of auto.tests.example)"
	local began
	began=$(now_ms)
	try berth tls:enable c-auto
	ok
	printf '# %d ms\n' "$(($(now_ms) - began))" >&3
	has 'auto.tests.example' 'https://auto.tests.example'
	serves_tls auto.tests.example 'page 1'
	run curl -sS --max-time 20 -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: auto.tests.example' "$(url /x?y)"
	equal "301 https://auto.tests.example:$BERTH_TLS_PORT/x?y" "$output"
	equal 200 "$(code_of c-auto.localhost)"
	try berth tls:report c-auto
	ok
	has 'state:      valid' 'certified:  auto.tests.example' 'Pebble'
	equal '' "$(berth tls:report c-auto --last-error)"
	wait_for 5 logged c-auto 'berth[tls]: certificate for ["auto.tests.example"]'
	try berth certs:report c-auto --certificates-automatic-serves
	equal auto.tests.example "$output"
}

@test "a forced renewal under load: another certificate, no failed request" {
	local before
	before=$(fingerprint_of auto.tests.example)
	[ -n "$before" ]
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
	load_start c-auto --expect "$BATS_TEST_TMPDIR/1" --fresh 1
	try berth tls:renew c-auto
	ok
	load_stop
	[ "$before" != "$(fingerprint_of auto.tests.example)" ]
	serves_tls auto.tests.example 'page 1'
	[ "$(find "$BERTH_STATE/control/certs" -type f | wc -l)" -eq "$(berth certs:report --format json | jq length)" ]
}

@test "hostnames that come and go are followed, the API's too" {
	berth domains:add c-auto more.tests.example
	berth apps:set --global api-host api.tests.example >/dev/null
	berth apps:set --global api-certs c-auto >/dev/null
	wait_for 20 certified c-auto 'api.tests.example auto.tests.example more.tests.example' || fail "$(berth tls:report c-auto)"
	serves_tls more.tests.example 'page 1'
	run curl -sS --max-time 20 --cacert "$CA_ROOTS" --resolve "api.tests.example:$BERTH_TLS_PORT:127.0.0.1" \
		"https://api.tests.example:$BERTH_TLS_PORT/v1/apps"
	has 'a token of berth is needed'
	berth domains:remove c-auto auto.tests.example
	berth apps:set --global api-certs '' >/dev/null
	berth apps:set --global api-host '' >/dev/null
	wait_for 20 certified c-auto 'more.tests.example' || fail "$(berth tls:report c-auto)"
	serves_tls more.tests.example 'page 1'
	run https_of auto.tests.example
	fails
}

@test "control dies in the middle of an order: uacme goes with it, the old certificate stays" {
	local before control uacme
	before=$(fingerprint_of more.tests.example)
	pebble_signal STOP
	berth tls:renew c-auto >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local asker=$!
	wait_for 10 state_is c-auto ordering
	wait_for 5 pgrep -f "^uacme.*$BERTH_STATE" >/dev/null
	uacme=$(pgrep -f "^uacme.*$BERTH_STATE")
	# what it is confined to is lib/confine_test.c's matter; here, that it is, and as whom
	equal _berth "$(ps -o user= -p "$uacme")"
	equal "0000000000000000 1 2" "$(awk '/^(CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$uacme/status" | xargs)"
	equal "0 1 2 3" "$(ls "/proc/$uacme/fd" | sort -n | head -n 4 | xargs)"
	control=$(control_pid)
	kill -9 "$control"
	wait "$asker" || :
	wait_for 5 not_running "$uacme"
	pebble_signal CONT
	wait_for 10 berth_answers
	equal "$before" "$(fingerprint_of more.tests.example)"
	state_is c-auto due || fail "$(berth tls:report c-auto)"
	try berth tls:renew c-auto
	ok
	[ "$before" != "$(fingerprint_of more.tests.example)" ]
	equal '' "$(find "$BERTH_STATE/control/acme" -name 'app-*')"
	database_sound
}

@test "an authority that has forgotten the account gets a new one" {
	pebble_stop
	pebble_start
	live c-second second.tests.example
	try berth tls:enable c-second
	ok
	serves_tls second.tests.example 'page 1'
}

@test "an authority that cannot be reached: the old certificate goes on, the report says why" {
	local before
	before=$(fingerprint_of second.tests.example)
	pebble_stop
	TRY_SECONDS=60 try berth tls:renew c-second
	exits 1
	has 'the authority cannot be reached' 'the next try is at'
	pebble_start
	equal "$before" "$(fingerprint_of second.tests.example)"
	state_is c-second 'renewal fails'
	wait_for 5 logged c-second 'the old certificate goes on'
	# tls:enable again is a try at once
	try berth tls:enable c-second
	ok
	equal valid "$(berth tls:report c-second --state)"
	[ "$before" != "$(fingerprint_of second.tests.example)" ]
}

@test "a wrong answer where the name leads: the old certificate goes on" {
	local before server
	before=$(fingerprint_of second.tests.example)
	mkdir -p "$BATS_TEST_TMPDIR/www"
	/usr/bin/python3 -m http.server --bind 127.0.0.9 --directory "$BATS_TEST_TMPDIR/www" "$BERTH_PORT" >/dev/null 2>&1 3>&- &
	server=$!
	wait_for 5 curl -s -o /dev/null "http://127.0.0.9:$BERTH_PORT/"
	acme_names 127.0.0.9
	try berth tls:renew c-second
	kill "$server"
	exits 1
	has 'the authority refused' 'second.tests.example' 'unauthorized' 'each name must lead to this host'
	still c-second second.tests.example "$before"
}

@test "an account that was closed: the old certificate goes on, a new account is one command away" {
	local before conf
	before=$(fingerprint_of second.tests.example)
	conf=$BERTH_STATE/control/acme/$(printf %s "$CA_URL" | sha256sum | cut -c1-16)
	[ -e "$conf/registered" ]
	unshare -m "$CA_DIR/in" uacme -c "$conf" -a "$CA_URL" deactivate
	try berth tls:renew c-second
	exits 1
	has 'deactivated' 'berth tls:renew APP --new-account'
	still c-second second.tests.example "$before"
	try berth tls:renew c-second --new-account
	ok
	[ "$before" != "$(fingerprint_of second.tests.example)" ]
	serves_tls second.tests.example 'page 1'
}

@test "tls:disable: http again, and the key is gone" {
	local keys
	keys=$(find "$BERTH_STATE/control/certs" -type f | wc -l)
	try berth tls:disable c-second
	ok
	equal 200 "$(code_of second.tests.example)"
	run https_of second.tests.example
	fails
	equal off "$(berth tls:report c-second --state)"
	equal $((keys - 1)) "$(find "$BERTH_STATE/control/certs" -type f | wc -l)"
	try berth tls:renew c-second
	fails
	has 'tls:enable c-second'
}

@test "a certificate of one's own: added over ssh, checked, served, removed" {
	local d=$BATS_TEST_TMPDIR
	live c-own own.tests.example
	for n in own other; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$d/$n.key" -out "$d/$n.csr" -subj "/CN=$n" 2>/dev/null
		openssl x509 -req -in "$d/$n.csr" -CA "$CA_DIR/ca.pem" -CAkey "$CA_DIR/ca.key" -CAcreateserial -days 60 -out "$d/$n.crt" \
			-extfile <(printf 'subjectAltName=DNS:%s.tests.example\nextendedKeyUsage=serverAuth\n' "$n") 2>/dev/null
	done
	try berth certs:add c-own --cert "$d/own.crt" --key "$d/other.key"
	exits 1
	has 'the key does not belong to the certificate'
	try berth certs:add c-own --cert "$d/other.crt" --key "$d/other.key"
	exits 1
	has 'is for other.tests.example' 'domains:add'
	equal 200 "$(code_of own.tests.example)"
	tar -C "$d" -c own.crt own.key >"$d/certs.tar"
	run timeout 60 ssh -F "$SSH_CONFIG" berth certs:add c-own <"$d/certs.tar"
	ok
	has 'Added certificate default for own.tests.example'
	CA_ROOTS=$CA_DIR/ca.pem serves_tls own.tests.example 'page 1'
	equal 301 "$(code_of own.tests.example)"
	equal test\ authority "$(berth certs:report c-own --certificates-default-issuer)"
	berth certs:show c-own | openssl x509 -noout -subject | grep -q own
	try berth tls:enable c-own
	fails
	has 'no hostname that an authority can check'
	try berth certs:remove c-own
	ok
	equal 200 "$(code_of own.tests.example)"
	run env CA_ROOTS="$CA_DIR/ca.pem" bash -c '. "$BERTH_SOURCE/tests/lib/acme.bash"; https_of own.tests.example'
	fails
}

@test "certificates are there again after a stop and a start" {
	local before
	before=$(fingerprint_of more.tests.example)
	berthd_stop
	berthd_start
	wait_for 20 serves_tls more.tests.example 'page 1' 2>/dev/null
	equal "$before" "$(fingerprint_of more.tests.example)"
	equal 301 "$(code_of more.tests.example)"
}

@test "keys are files that only control reads, and in nothing that berth writes" {
	equal '' "$(find "$BERTH_STATE/control/certs" "$BERTH_STATE/control/acme" ! -user _berth -print)"
	equal '' "$(find "$BERTH_STATE/control/certs" -type f ! -perm 600 -print)"
	[ -n "$(find "$BERTH_STATE/control/certs" -type f)" ]
	try grep -rl 'PRIVATE KEY' "$BERTH_STATE/logs" "$BERTH_STATE"/control/berth.db* "$BERTH_TEST/berthd.log"
	exits 1
	grep -q 'PRIVATE KEY' "$BERTH_STATE"/control/certs/*
}
