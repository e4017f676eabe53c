# The API and git at a hostname of their own, through the router: everything of a token, nothing without one.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	dir=$BATS_FILE_TMPDIR
	host=api.berth.test
	[ ! -f "$dir/tokens" ] || . "$dir/tokens"
}

# api TOKEN METHOD PATH [CURL ARG…]: the answer, and behind it the status.
api() {
	run curl -s --max-time 20 --resolve "$host:$BERTH_PORT:127.0.0.1" -X "$2" ${1:+-H "Authorization: Bearer $1"} "${@:4}" \
		-w '\n%{http_code}' "http://$host:$BERTH_PORT$3"
}
is() { equal "$1" "${lines[-1]}"; }
api_answers() {
	api "$t_admin" GET /v1/version
	[ "${lines[-1]}" = 200 ]
}
token() { # NAME [OPTION…]
	printf '%s=%s\n' "t_$1" "$(berth tokens:create "ah-$1" --member ah "${@:2}" -q)" >>"$dir/tokens"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	dir=$BATS_FILE_TMPDIR
	app ah-one
	pushed
	berth apps:create ah-two >/dev/null
	ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
	berth members:add ah "$dir/key.pub" --role admin >/dev/null
	token admin
	token view --role view
	token two --app ah-two
	token short --expires 1s
	berth apps:set --global api-host api.berth.test >/dev/null
}

teardown_file() {
	berth apps:set --global api-certs '' >/dev/null
	berth apps:set --global api-host '' >/dev/null
	berth members:remove ah >/dev/null
	for name in ah-one ah-two ah-new; do berth apps:destroy "$name" --force >/dev/null 2>&1 || :; done
}

@test "the API at its hostname: what a token may, and nothing without one" {
	api "$t_admin" GET /v1/version
	is 200
	has version
	api "$t_admin" PATCH /v1/apps/ah-two/domains -d '{"add":["two.berth.test"]}'
	is 200
	try berth events --app ah-two
	has 'ah (token ah-admin)' 'from=127.0.0.1'
	api "$t_admin" GET '/v1/apps/ah-one/logs?n=1'
	is 200
	api "$t_view" GET /v1/apps/ah-one
	is 200
	api "$t_view" GET /v1/apps/ah-one/config
	is 403
	has 'ah (token ah-view) may not'
	api "$t_two" GET /v1/apps/ah-two
	is 200
	api "$t_two" GET /v1/apps/ah-one
	is 404
	for path in /v1/version /v1/apps / /nothing; do
		api '' GET "$path"
		is 401
		lacks version
		lacks 'there is nothing'
	done
	api "${t_admin%??}" GET /v1/apps
	is 401
	sleep 1
	api "$t_short" GET /v1/version
	is 401
	has 'ah-short expired'
	# who speaks is not the connection's to say
	run curl -s --max-time 5 --resolve "$host:$BERTH_PORT:127.0.0.1" -w '\n%{http_code}' -H 'KEY: 1' -H 'X-Forwarded-For: 10.9.9.9' \
		--data-binary 'KEY 1' "http://$host:$BERTH_PORT/v1/apps"
	is 401
	# bodies: one that is too large is refused, whoever sends it
	head -c 1200000 /dev/zero >"$dir/zeros"
	api "$t_admin" POST /v1/apps -H Expect: --data-binary "@$dir/zeros"
	is 413
	# descriptors do not pass a router
	api "$t_admin" POST /v1/apps/ah-one/run -H 'Connection: Upgrade' -H 'Upgrade: berth-run' -d '{"command":["true"]}'
	is 400
	has 'only a unix socket'
}

@test "streams and followed answers come as they are made" {
	run timeout 20 curl -sN --resolve "$host:$BERTH_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" -X PATCH \
		-d '{"set":{"A":"1"}}' "http://$host:$BERTH_PORT/v1/apps/ah-one/config"
	has 'Released v2' 'x 0'
	curl -sN --max-time 20 --resolve "$host:$BERTH_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" \
		"http://$host:$BERTH_PORT/v1/events?follow=1&limit=1" >"$dir/events" 3>&- &
	local follow=$!
	wait_for 5 test -s "$dir/events"
	berth apps:lock ah-two >/dev/null
	wait_for 5 grep -q apps:lock "$dir/events"
	kill "$follow"
	berth apps:unlock ah-two >/dev/null
}

@test "the hostname is the API's alone" {
	try berth domains:add ah-two api.berth.test
	fails
	has 'the hostname of the API'
	berth domains:add ah-two other.berth.test >/dev/null # the control
	try berth apps:set --global api-host other.berth.test
	fails
	has 'a hostname of the app ah-two'
	try berth apps:set --global api-host '*.berth.test'
	fails
	# nor is a global domain a way to it: an app of that name has all but this
	berth domains:add-global berth.test >/dev/null
	berth apps:create api >/dev/null
	api "$t_admin" GET /v1/version
	berth apps:destroy api --force >/dev/null
	berth domains:remove-global berth.test >/dev/null
	is 200
}

@test "with a certificate it is served by https, and http leads there" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=api.berth.test \
		-addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:api.berth.test -keyout "$dir/tls.key" -out "$dir/tls.pem" 2>/dev/null
	try berth certs:add ah-two "$dir/tls.pem" "$dir/tls.key"
	has 'the certificate is for api.berth.test'
	berth apps:set --global api-certs ah-two >/dev/null
	berth certs:add ah-two "$dir/tls.pem" "$dir/tls.key" >/dev/null
	api "$t_admin" GET /v1/version
	is 301
	run curl -s --max-time 10 --cacert "$dir/tls.pem" --resolve "$host:$BERTH_TLS_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" \
		"https://$host:$BERTH_TLS_PORT/v1/version"
	has version
	berth apps:set --global api-certs '' >/dev/null
	api "$t_admin" GET /v1/version
	is 200
}

@test "berth-control killed: its hostname is back at once, no other notices" {
	local control i codes=
	control=$(program_pids berth-control)
	api_answers
	kill -KILL "$control"
	for i in 1 2 3 4 5; do
		codes+="$(curl -s --max-time 20 -o "$dir/answer" -w '%{http_code} ' -H "Authorization: Bearer $t_admin" -H "Host: $host" "$(url /v1/version)")"
		equal 200 "$(code_of ah-one.localhost)"
	done
	[[ $codes =~ ^((200|503)\ )+$ ]] || fail "$codes"
	wait_for 10 api_answers
}

@test "without the setting there is nothing at the hostname" {
	berth apps:set --global api-host '' >/dev/null
	api "$t_admin" GET /v1/version
	is 404
	lacks version
	berth apps:set --global api-host "$host" >/dev/null
	api "$t_admin" GET /v1/version
	is 200
}
