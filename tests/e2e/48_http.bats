# What an app's owner sets at the router: it holds at once, without a restart.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}
logged() { berth logs "$1" -n 1000 | grep -qF "$2"; }
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
