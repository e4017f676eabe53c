# Every example is pushed as it is, and its page is fetched through the router by hostname.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	TRY_SECONDS=280
}

@test "static-site: its files, whole, with types and its own 404 page" {
	app static-site static-site
	pushed
	has 'Released v1'
	page static-site / >"$BATS_TEST_TMPDIR/page"
	cmp "$BATS_TEST_TMPDIR/page" index.html
	for f in $(git ls-files | grep -v -e README -e html -e '^_'); do
		page static-site "/$f" >"$BATS_TEST_TMPDIR/page"
		cmp "$BATS_TEST_TMPDIR/page" "$f"
	done
	page static-site /no/such/page >"$BATS_TEST_TMPDIR/page"
	cmp "$BATS_TEST_TMPDIR/page" 404.html
	equal 404 "$(code_of static-site.localhost /no/such/page)"
	try curl -sSI -H 'Host: static-site.localhost' "$(url)"
	has 'text/html' 'X-Content-Type-Options: nosniff'
	try curl -sSi -H 'Host: static-site.localhost' "$(url '/old/a%20page?x=1')"
	has 'HTTP/1.1 302' 'Location: /a%20page?x=1'
	try curl -sSi -H 'Host: static-site.localhost' "$(url /css/site.css)"
	has 'Cache-Control: max-age=31536000, immutable' 'X-Content-Type-Options: nosniff'
	equal 404 "$(code_of static-site.localhost '/old//other.example')"
	for f in _headers _redirects; do equal 404 "$(code_of static-site.localhost /$f)"; done
}

@test "node-express: installed from its lock file, and not again when the lock file stays" {
	app node-express node-express
	pushed
	has 'Released v1'
	try page node-express
	ok
	has 'Hello from node-express'
	echo '// one more line' >>server.js
	commit 'one line'
	pushed
	has 'Released v2'
	lacks 'npm ci'
	lacks 'added '
	# of the layers of the release only that of the changed file is new
	equal 'changed files of the commit' "$({ json images:history node-express:v1; json images:history node-express:v2; } |
		jq -rs '[.[0].layers[].id] as $old | [.[1].layers[] | select(.id as $id | $old | index($id) | not) | .made_by] | join(", ")')"
	try page node-express
	has 'Hello from node-express'
}

@test "python-stdlib answers" {
	app python-stdlib python-stdlib
	pushed
	try page python-stdlib
	ok
	has 'Hello from python-stdlib'
}

@test "c-httpd is compiled and answers" {
	app c-httpd c-httpd
	pushed
	try page c-httpd
	ok
	has 'Hello from c-httpd'
}

# twice APP: pushed, and its page fetched; with one line more in FILE nothing is installed or detected anew.
twice() {
	local name=$1 file=$2 line=$3
	app "$name" "$name"
	pushed
	has 'Released v1'
	try page "$name"
	ok
	has "Hello from $name"
	printf '%s\n' "$line" >>"$file"
	commit 'one line'
	pushed
	has 'Released v2'
	lacks 'Installing'
	lacks 'Finding gems'
	lacks 'npm ci'
	try page "$name"
	has "Hello from $name"
}

@test "perl-mojolicious: its framework is found by what app.pl uses" {
	twice perl-mojolicious README.md more
}

@test "ruby-sinatra: Bundler finds Debian's gems, once" {
	twice ruby-sinatra app.rb '# one more line'
}

@test "c-cmake is compiled by CMake, and runs without the compiler" {
	twice c-cmake server.c '/* one more line */'
	try berth run c-cmake sh -c 'command -v gcc cmake make; echo "status $?"'
	equal 'status 127' "$output"
}

@test "vite-static: what the build leaves in dist is served without a Node.js process" {
	twice vite-static src/main.js '// one more line'
	page vite-static >page
	equal "$(page vite-static "$(grep -o '/assets/[^"]*' page)" | grep -c 'Hello from vite-static')" 1
	equal 200 "$(code_of vite-static.localhost /a/path/of/the/page)"
	try berth ps:report vite-static
	has berth-static
	lacks npm
}

@test "websocket-echo: messages come back through the router" {
	app websocket-echo websocket-echo
	pushed
	local big
	big=$(head -c 70000 /dev/zero | tr '\0' x)
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/ws.py" "$BERTH_PORT" websocket-echo.localhost / one two "$big"
	ok
	equal "one
two
$big" "$output"
}

@test "worker: a web and a worker process, each scaled by itself" {
	app worker worker
	pushed
	try page worker
	ok
	has 'Hello from worker'
	equal 0 "$(json ps:report worker | jq '[.instances[] | select(.type == "worker")] | length')"
	try berth ps:scale worker worker=2
	ok
	equal 2 "$(json ps:report worker | jq '[.instances[] | select(.type == "worker")] | length')"
	wait_for 10 worker_logs
}
worker_logs() { berth logs worker -n 200 -p worker | grep -qF 'app[worker.2]: '; }

@test "node-red: the real product, with a volume; its editor answers and its flows stay" {
	app node-red node-red
	berth apps:create node-red
	berth volumes:create node-red-data
	berth volumes:mount node-red node-red-data:/data
	pushed
	try page node-red
	ok
	has '<title>Node-RED</title>'
	equal 200 "$(code_of node-red.localhost /settings)"
	edit_flow Kept
	try berth ps:restart node-red
	ok
	wait_for 30 flow_is Kept
}
# Through the editor's own interface; it answers when the file is written.
edit_flow() {
	try curl -sS -H 'Host: node-red.localhost' -H 'Content-Type: application/json' --max-time 20 \
		-d '[{"id":"f1","type":"tab","label":"'"$1"'"}]' "$(url /flows)" -w '%{http_code}'
	has 20
}
flow_is() { page node-red /flows | grep -qF "\"label\":\"$1\""; }

@test "node-red: edited, released again, rolled back without its data and with them" {
	cd "$WORK/node-red" || return
	first=$(release_of node-red)
	commit again
	pushed
	has "node-red-data as it was with v$first is s"
	edit_flow Later
	berth rollback node-red "v$first" >/dev/null
	wait_for 30 flow_is Later
	try berth rollback node-red "v$first" --with-data
	ok
	has 'node-red-data is restored to s'
	wait_for 30 flow_is Kept
}
