# What an app's owner sets at the router: it holds at once, without a restart.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}
posted() { # APP BYTES: the status
	head -c "$2" /dev/zero | curl -s -o /dev/null -w '%{http_code}' -H "Host: $1.localhost" --data-binary @- "http://127.0.0.1:$BERTH_PORT/"
}

@test "maintenance shows its page at once, over ssh too, and ends at once" {
	live h-maint
	local before
	before=$(app_parents h-maint)
	try remote maintenance:on h-maint
	ok
	equal 503 "$(code_of h-maint.localhost)"
	remote maintenance:set h-maint page - <<<'<h1>Back at nine</h1>'
	equal '<h1>Back at nine</h1>' "$(page h-maint)"
	try berth maintenance:report h-maint --enabled
	equal on "$output"
	wait_for 5 logged h-maint 'code=H80'
	try berth maintenance:off h-maint
	ok
	serves h-maint 'page 1'
	equal "$before" "$(app_parents h-maint)"
	equal 1 "$(release_of h-maint)"
}

@test "a body limit holds from the next request on" {
	live h-body
	[ "$(posted h-body 5000)" != 413 ]
	try berth http:set h-body body-limit 4K
	ok
	equal 413 "$(posted h-body 5000)"
	[ "$(posted h-body 4096)" != 413 ]
	try berth http:set h-body body-limit lots
	fails
	has '512K, 20M or 5G'
	try berth http:report h-body --body-limit
	equal 4K "$output"
	try berth http:set h-body body-limit
	ok
	[ "$(posted h-body 5000)" != 413 ]
}

@test "an error page stands for the router's errors, and for all apps with --global" {
	live h-error
	try berth http:set --global error-page '<h1>Sorry</h1>'
	ok
	try berth http:set h-error error-page '<h1>Own</h1>'
	ok
	berth ps:stop h-error
	equal '<h1>Own</h1>' "$(page h-error)"
	berth http:set h-error error-page
	equal '<h1>Sorry</h1>' "$(page h-error)"
	berth http:set --global error-page
	lacks_sorry h-error
	equal 503 "$(code_of h-error.localhost)"
}
lacks_sorry() { ! page "$1" | grep -q Sorry; }

@test "a password is asked for, and neither shown nor kept nor logged" {
	live h-auth
	remote http:set h-auth auth - <<<'ann:s3cret-word'
	equal 401 "$(code_of h-auth.localhost)"
	equal 'page 1' "$(curl -s -u ann:s3cret-word -H 'Host: h-auth.localhost' "$(url)")"
	equal 401 "$(curl -s -o /dev/null -w '%{http_code}' -u ann:other -H 'Host: h-auth.localhost' "$(url)")"
	try berth http:report h-auth --auth
	equal ann "$output"
	wait_for 5 logged h-auth 'status=401'
	try berth logs h-auth -n 1000
	lacks s3cret
	! grep -rq s3cret-word "$BERTH_STATE/control" "$BERTH_TEST/berthd.log" || fail 'the password lies there'
	grep -rq h-auth "$BERTH_STATE/control" # that is where it would be
	berth http:set h-auth auth
	serves h-auth 'page 1'
}

@test "other names lead to the canonical one" {
	live h-name
	try berth http:set h-name canonical www.h-name.example
	fails
	has 'domains:add h-name www.h-name.example'
	berth domains:add h-name www.h-name.example
	berth http:set h-name canonical www.h-name.example
	equal 'http://www.h-name.example/x?y' "$(curl -s -o /dev/null -w '%{redirect_url}' -H 'Host: h-name.localhost' "$(url '/x?y')")"
	equal 200 "$(code_of www.h-name.example)"
}

@test "a client that asks too often is told to wait" {
	live h-rate
	berth http:set h-rate rate-limit 3/m
	local codes='' i
	for i in 1 2 3 4 5 6 7 8 9; do # one connection each: no worker has fewer than its part
		codes+="$(code_of h-rate.localhost) "
	done
	grep -q '^200 .*429 ' <<<"$codes"
	curl -s -D - -o /dev/null -H 'Host: h-rate.localhost' "$(url)" "$(url)" "$(url)" "$(url)" | grep -qi '^retry-after: [1-9]'
	berth http:set h-rate rate-limit
	serves h-rate 'page 1'
}

@test "responses are compressed, and a cookie keeps a client at its instance" {
	live h-gzip
	berth ps:scale h-gzip web=2
	berth http:set h-gzip sticky on
	local jar=$BATS_TEST_TMPDIR/jar seen
	curl -s -c "$jar" -o /dev/null -H 'Host: h-gzip.localhost' "$(url)"
	grep -q berth_instance "$jar"
	seen=$(for _ in 1 2 3 4 5 6; do curl -s -b "$jar" -o /dev/null -D - -H 'Host: h-gzip.localhost' "$(url)"; done | grep -ci '^set-cookie' || :)
	equal 0 "$seen"
	head -c 20000 /dev/zero | tr '\0' 'x' >big.txt
	berth http:set h-gzip compression on
	try berth http:report h-gzip --compression
	equal on "$output"
	try berth http:report h-gzip --sticky
	equal on "$output"
}

@test "requests are counted: ps:report, top and the OpenMetrics page" {
	live h-count
	local i
	for i in $(seq 20); do page h-count >/dev/null; done
	code_of h-count.localhost /no-such-page >/dev/null
	wait_for 5 counts h-count 22
	try berth ps:report h-count
	has REQUESTS/S P99 web.1
	try berth top
	has h-count
	try berth metrics
	ok
	has 'berth_requests_total{app="h-count",instance="web.1",id="' '# EOF' 'le="+Inf"}'
	berth ps:restart h-count # what the old instance has counted stays with the app
	wait_for 40 counts h-count 22
}
counts() { berth top --format json | jq -e --arg a "$1" --argjson n "$2" 'any(.[]; .app == $a and .requests == $n)'; }
