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
short_is_out() {
	api "$t_short" GET /v1/version
	[ "${lines[-1]}" = 401 ]
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
	token admin --role admin
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
	wait_for 5 short_is_out
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
	api "$t_admin" POST /v1/apps/ah-one/run -H 'Connection: Upgrade' -H 'Upgrade: berth-run' -H "Berth-Body: $(printf '{"command":["true"]}' | base64)"
	is 400
	has 'must carry Upgrade: berth-frames'
}

frames() { # TOKEN PATH JSON [SIGNAL]
	run timeout 30 "$BERTH_SOURCE/tests/lib/frames.py" "$BERTH_PORT" "$host" "$@"
}

@test "programs run at the hostname, their descriptors in frames" {
	printf 'from here\n' >"$dir/in"
	frames "$t_admin" /v1/apps/ah-one/run '{"command":["sh","-c","cat; echo to-err >&2; exit 7"]}' <"$dir/in"
	exits 7
	has 'from here' to-err
	frames "$t_admin" /v1/apps/ah-one/enter '{"instance":"web.1","command":["sh","-c","read a; stty size; echo got $a"],"tty":true,"rows":12,"cols":34}' <"$dir/in"
	exits 0
	has '12 34' 'got from here'
	frames "$t_admin" /v1/apps/ah-one/run '{"command":["sh","-c","trap \"exit 9\" TERM; echo ready; while :; do sleep 0.1; done"]}' 15
	exits 9
	# what is larger than every buffer on the way, both ways
	head -c 3000000 /dev/urandom >"$dir/in"
	"$BERTH_SOURCE/tests/lib/frames.py" "$BERTH_PORT" "$host" "$t_admin" /v1/apps/ah-one/run '{"command":["cat"]}' <"$dir/in" >"$dir/out"
	cmp "$dir/in" "$dir/out"
	frames "$t_view" /v1/apps/ah-one/run '{"command":["true"]}' <"$dir/in"
	exits 1
	has 'HTTP/1.1 403' 'needs the role deploy'
}

@test "streams and followed answers come as they are made" {
	run timeout 20 curl -sN --resolve "$host:$BERTH_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" -X PATCH \
		-d '{"set":{"A":"1"}}' "http://$host:$BERTH_PORT/v1/apps/ah-one/config"
	has 'Released v2' 'x 0'
	curl -sN --max-time 60 --resolve "$host:$BERTH_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" \
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
	try berth doctor
	has 'api.berth.test has no certificate: tokens pass in the clear'
	try berth certs:add ah-two "$dir/tls.pem" "$dir/tls.key"
	has 'the certificate is for api.berth.test'
	berth apps:set --global api-certs ah-two >/dev/null
	berth certs:add ah-two "$dir/tls.pem" "$dir/tls.key" >/dev/null
	api "$t_admin" GET /v1/version
	is 301
	try berth doctor
	has 'https://api.berth.test'
	run curl -s --max-time 10 --cacert "$dir/tls.pem" --resolve "$host:$BERTH_TLS_PORT:127.0.0.1" -H "Authorization: Bearer $t_admin" \
		"https://$host:$BERTH_TLS_PORT/v1/version"
	has version
	# git, whose chunked requests are HTTP/2 there
	cd "$WORK/ah-one"
	head -c 2000000 /dev/urandom >large
	commit large
	GIT_SSL_CAINFO=$dir/tls.pem GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.curloptResolve \
		GIT_CONFIG_VALUE_0=$host:$BERTH_TLS_PORT:127.0.0.1 \
		try git push "https://any:$t_admin@$host:$BERTH_TLS_PORT/ah-one" HEAD:refs/heads/by-https
	ok
	git reset -q --hard HEAD~1
	berth apps:set --global api-certs '' >/dev/null
	api "$t_admin" GET /v1/version
	is 200
}

# git_with TOKEN ARG…: with HOST of a URL found at the router, and no credentials but these.
git_with() {
	local token=$1
	shift
	GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.curloptResolve GIT_CONFIG_VALUE_0=$host:$BERTH_PORT:127.0.0.1 \
		try git "${@/#@/"http://${token:+any:$token@}$host:$BERTH_PORT/"}"
}

@test "git: pushes and clones with a token, as over ssh" {
	cd "$WORK/ah-one"
	page_is 'by http'
	git_with "$t_admin" push @ah-one.git HEAD:main
	ok
	has 'remote: -----> Procfile app detected' 'Released v3'
	serves ah-one 'by http'
	try berth events --app ah-one
	has 'git:push' 'ah (token ah-admin)' 'from=127.0.0.1'
	git_with "$t_admin" clone -q @ah-one "$dir/clone"
	ok
	equal 'by http' "$(cat "$dir/clone/page.txt")"
	git_with "$t_admin" -c protocol.version=0 ls-remote @ah-one
	has refs/heads/main
	# options pass, and a first push makes the app
	git_with "$t_admin" push -o no-deploy @ah-new.git HEAD:main
	ok
	has 'not deployed (no-deploy)'
	# a push that is refused says why, and what ran goes on
	echo 'web: false' >Procfile
	commit broken
	git_with "$t_admin" push @ah-one HEAD:main
	refuses
	has 'ended before it was ready: exit status 1' 'v3 is still serving'
	git reset -q --hard HEAD~1
	serves ah-one 'by http'
}

@test "git: a large push comes in chunks, and is not held in memory" {
	local control before
	control=$(control_pid)
	cd "$WORK/ah-one"
	head -c 5000000 /dev/urandom >large
	commit large
	git push -q berth HEAD:refs/heads/other # so that it is not libgit2 that holds it
	echo 5 >"/proc/$control/clear_refs" # its peak counts from here
	before=$(awk '/VmRSS/ { print $2 }' "/proc/$control/status")
	git_with "$t_admin" clone -q @ah-one -b other "$dir/large"
	ok
	cmp large "$dir/large/large"
	git reset -q --hard HEAD~1
	head -c 5000000 /dev/urandom >large
	commit large
	git_with "$t_admin" push @ah-one HEAD:refs/heads/third
	ok
	git reset -q --hard HEAD~1
	[ "$(awk '/VmHWM/ { print $2 }' "/proc/$control/status")" -lt $((before + 6000)) ] || fail "control has grown from $before kB: $(grep Vm "/proc/$control/status")"
}

@test "git: every token that is not for this is refused, with the words of ssh" {
	cd "$WORK/ah-one"
	page_is refused
	for path in ah-one ah-one.git; do
		git_with "$t_view" push "@$path" HEAD:main
		fails
		has 'ah (token ah-view) may not do this: it needs the role deploy on ah-one'
		git_with "$t_view" ls-remote "@$path"
		fails
		has 'needs the role deploy'
		git_with "$t_two" ls-remote "@$path"
		fails
		has 'no app named ah-one'
		git_with "$t_short" ls-remote "@$path"
		fails
		has 'ah-short expired'
		git_with "" ls-remote "@$path"
		fails
		lacks refs/heads
	done
	git_with "$(berth tokens:create ah-gone --member ah -q)" ls-remote @ah-one
	has refs/heads/main # the control
	local gone
	gone=$(berth tokens:create ah-gone2 --member ah -q)
	berth tokens:revoke ah-gone2 >/dev/null
	git_with "$gone" ls-remote @ah-one
	fails
	has 'it was revoked'
	git_with "$t_two" ls-remote @ah-two # nothing was pushed there, but it may
	ok
	equal 'by http' "$(page ah-one)"
	git reset -q --hard HEAD~1
}

@test "git: no other path, option or program" {
	local path
	for path in ../ah-two ah-one/../ah-two %2e%2e/ah-two .git --upload-pack=id 'ah-one;id' ah-one%00 ah-one%0a repos/ah-one; do
		for service in info/refs?service=git-upload-pack git-receive-pack; do
			api '' "$([ "$service" = "${service%%\?*}" ] && echo POST || echo GET)" "/$path/$service" --path-as-is -u "x:$t_admin"
			[ "${lines[-1]}" -ge 400 ] || fail "$path/$service: $output"
			lacks refs/heads
		done
	done
	for path in /ah-one.git/HEAD /ah-one.git/config /ah-one/objects/info/packs '/ah-one/info/refs' \
		'/ah-one/info/refs?service=git-upload-archive' '/ah-one/info/refs?service=x'; do
		api '' GET "$path" -u "x:$t_admin"
		[ "${lines[-1]}" -ge 400 ] || fail "$path: $output"
	done
	api '' GET '/ah-one/info/refs?service=git-upload-pack' -u "x:$t_admin" -o "$dir/refs"
	is 200 # the control
	grep -aq refs/heads/main "$dir/refs"
	api '' GET '/ah-one/info/refs?service=git-upload-pack' -D "$dir/head"
	is 401
	grep -qi 'www-authenticate: basic' "$dir/head"
	# a web page cannot have a browser push what a person is logged in for
	api '' POST /ah-one/git-receive-pack -u "x:$t_admin" -H 'Content-Type: text/plain' -d 0000
	is 400
	# Basic is for git alone
	api '' GET /v1/apps -u "x:$t_admin"
	is 401
}

@test "git: a pusher who goes away cancels the deploy" {
	cd "$WORK/ah-one"
	local push
	printf 'release: echo waiting; sleep 30\n' >>Procfile
	commit slow
	GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.curloptResolve GIT_CONFIG_VALUE_0=$host:$BERTH_PORT:127.0.0.1 \
		setsid git push "http://x:$t_admin@$host:$BERTH_PORT/ah-one" HEAD:main >"$dir/push" 2>&1 3>&- &
	push=$!
	wait_for 10 grep -q waiting "$dir/push" || fail "$(cat "$dir/push")"
	kill -- "-$push"
	wait_for 10 not_deploying
	equal 3 "$(release_of ah-one)"
	git reset -q --hard HEAD~1
	serves ah-one 'by http'
}
not_deploying() { ! json releases ah-one | jq -e '.[] | select(.status == "pending")' >/dev/null; }

@test "berth-control killed: its hostname is back at once, no other notices" {
	local control i codes=
	control=$(control_pid)
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
