# Apps that are spoken to in HTTP/2: http:set APP app-protocol h2c.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }
teardown() { [ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :; }


# h2_app NAME: says back what it is sent, with its length as a trailer.
h2_app() {
	app "$1" -
	echo '{"name":"own"}' >package.json
	echo 'web: node server.js' >Procfile
	cat >server.js <<-'END'
		require('http2').createServer().on('stream', (stream, headers) => {
			let length = 0
			stream.respond({'x-via': headers.via, 'x-te': headers.te || 'none'}, {waitForTrailers: true})
			stream.on('wantTrailers', () => stream.sendTrailers({'x-length': String(length)}))
			stream.on('data', piece => { length += piece.length; stream.write(piece) }).on('end', () => stream.end())
		}).listen(process.env.PORT)
	END
	commit first
}

@test "an app of Node that speaks h2c alone serves clients of both versions, with trailers" {
	h2_app h-h2c
	pushed
	equal 502 "$(code_of h-h2c.localhost)" # it is asked in HTTP/1.1
	try berth http:report h-h2c --app-protocol
	equal http/1.1 "$output"
	try berth http:set h-h2c app-protocol h2c
	ok
	try berth http:report h-h2c --app-protocol
	equal h2c "$output"
	local kind
	for kind in --http1.1 --http2-prior-knowledge; do
		try curl -sS -i --max-time 10 "$kind" -H 'TE: trailers' -H 'Host: h-h2c.localhost' -d 'some words' "$(url)"
		ok
		has 'some words' 'x-length: 10' 'x-te: trailers'
	done
	head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/body"
	for kind in --http1.1 --http2-prior-knowledge; do
		curl -sS --max-time 20 "$kind" -H 'Host: h-h2c.localhost' -T "$BATS_TEST_TMPDIR/body" "$(url)" | cmp - "$BATS_TEST_TMPDIR/body"
	done
	equal 501 "$(curl -sS -o /dev/null -w '%{http_code}' --http1.1 -H 'Host: h-h2c.localhost' -H 'Connection: Upgrade' -H 'Upgrade: websocket' "$(url)")"
	wait_for 5 logged h-h2c 'protocol=http/2'
	try berth http:set h-h2c app-protocol h2
	exits 2
	has 'http/1.1, or h2c'
	berth http:set h-h2c app-protocol
	equal 502 "$(code_of h-h2c.localhost)"
	wait_for 5 logged h-h2c 'code=H17'
}

@test "a deploy of an h2c app loses no request" {
	h2_app h-turn
	berth apps:create h-turn
	berth http:set h-turn app-protocol h2c
	sed -i "s/stream.end()/stream.end('page 1\\\\n')/; s/respond({/respond({'content-length': 7, /" server.js
	commit page
	pushed
	serves h-turn 'page 1'
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
	printf 'page 2\n' >"$BATS_TEST_TMPDIR/2"
	load_start h-turn --expect "$BATS_TEST_TMPDIR/1" --expect "$BATS_TEST_TMPDIR/2"
	sed -i 's/page 1/page 2/' server.js
	commit two
	pushed
	serves h-turn 'page 2'
	load_stop 'over a push of an h2c app'
}

@test "a gRPC server is called by a gRPC client: calls, streams both ways, statuses" {
	app h-grpc grpc
	berth apps:create h-grpc
	berth http:set h-grpc app-protocol h2c
	pushed
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/grpc_client.py" "$BERTH_PORT" h-grpc.localhost
	ok
	equal 'unary cba OK 3
large 3000000 True
stream ONE TWO THREE
refused NOT_FOUND no such thing
unknown UNIMPLEMENTED' "$output"
}
