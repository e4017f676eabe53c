# Bad input: a clear sentence, the right exit status, nothing half-made left.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

rejected_with() {
	push
	refuses
	has "$@"
	lacks 'Released'
}

@test "an unknown command suggests the nearest, and exits 2" {
	try berth app:list
	exits 2
	has apps:list
	try berth config:sett x A=b
	exits 2
	has config:set
	try berth
	[ "$status" -eq 2 ] || [ "$status" -eq 0 ]
	try berth apps:list --no-such-flag
	exits 2
	try berth logs bad-none -n many
	exits 2
}

@test "an unknown app exits 20 for every command" {
	local c
	for c in apps:report config:show ps:report releases logs domains:report resource:report rollback ps:restart; do
		try berth $c bad-none
		exits 20
		has bad-none
	done
	try berth config:set bad-none A=b
	exits 20
	try berth ps:scale bad-none web=2
	exits 20
	try git clone berth:bad-none "$BATS_TEST_TMPDIR/x"
	fails
	has bad-none
}

@test "a malformed Procfile is refused by its line" {
	app bad-procfile
	printf 'web: exec perl serve.pl\n# fine\nthis is not a line\n' >Procfile
	commit one
	rejected_with 'Procfile' 'line 3'
	printf 'web: exec perl serve.pl\nweb: again\n' >Procfile
	commit two
	rejected_with 'Procfile' 'line 2' web
	printf 'we b: x\n' >Procfile
	commit three
	rejected_with 'Procfile' 'line 1'
	: >Procfile
	rm -f serve.pl
	commit four
	push
	refuses
	# comments, CRLF and blank lines are fine
	printf '# first\r\n\r\nweb: exec perl serve.pl\r\n' >Procfile
	cp "$BERTH_SOURCE/tests/e2e/apps/probe/serve.pl" .
	commit five
	pushed
	serves bad-procfile 'page 1'
}

@test "a malformed app.json is refused with its line, comments are fine" {
	app bad-appjson
	printf '{\n  "formation": {\n    "web": nonsense\n  }\n}\n' >app.json
	commit one
	rejected_with 'app.json' 'line 3'
	printf '[1]\n' >app.json
	commit two
	rejected_with 'app.json'
	printf '{\n  // a comment\n  "name": "x" /* another */\n}\n' >app.json
	commit three
	pushed
	serves bad-appjson 'page 1'
}

@test "a malformed package.json is refused with the reason" {
	app bad-package -
	printf '{ "name": "x", \n' >package.json
	commit one
	rejected_with 'package.json'
}

@test "a repository nothing is known for says what was looked for" {
	app bad-unknown -
	echo hello >notes.txt
	commit one
	rejected_with 'Procfile' 'package.json' 'index.html'
}

@test "an empty tree is refused in words" {
	app bad-empty -
	git commit -q --allow-empty -m nothing
	push
	refuses
}

@test "submodules and LFS pointers are named as not fetched" {
	app bad-submodule
	git init -q "$BATS_TEST_TMPDIR/sub"
	git -C "$BATS_TEST_TMPDIR/sub" commit -q --allow-empty -m sub
	git -c protocol.file.allow=always submodule --quiet add "$BATS_TEST_TMPDIR/sub" libs/sub
	git commit -q -m submodule
	push
	has submodule 'libs/sub'
	app bad-lfs
	printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 7 >picture.png
	commit lfs
	push
	has LFS picture.png
}

@test "links that point outside stay links and lead nowhere" {
	app bad-links
	ln -s /etc/shadow shadow
	ln -s ../../../../../etc/hostname up
	ln -s "$BERTH_TEST" host
	commit links
	push
	if [ "$status" -eq 0 ]; then
		serves bad-links 'page 1'
		inside bad-links 'ls host/ 2>&1; cat shadow 2>&1'
		has 'No such file' 'Permission denied'
	else
		has link
	fi
}

@test "a static site does not serve through a link out of its folder" {
	app bad-static static-site
	pushed
	local want
	want=$(page bad-static)
	ln -s /etc/passwd leak.txt
	commit leak
	push
	[ "$status" -ne 0 ] || [ "$(code_of bad-static.localhost /leak.txt)" != 200 ]
	equal "$want" "$(page bad-static)"
	equal 404 "$(code_of bad-static.localhost '/..%2f..%2fetc/passwd')"
	[ "$(curl -s --path-as-is -o /dev/null -w '%{http_code}' -H 'Host: bad-static.localhost' "$(url /../../etc/passwd)")" != 200 ]
	[ "$(code_of bad-static.localhost /.git/config)" != 200 ]
}

# hostile NAME MODE ENTRY TYPE: a commit whose tree holds the entry, made past git's own checks.
hostile() {
	local blob tree sub
	blob=$(git rev-parse HEAD:page.txt)
	sub=$(printf '100644 blob %s\tinner\n' "$blob" | git mktree)
	raw=$BATS_TEST_TMPDIR/tree
	/usr/bin/python3 - "$1" "$blob" "$sub" "$(git rev-parse HEAD:Procfile)" "$(git rev-parse HEAD:serve.pl)" >"$raw" <<-'END'
		import sys
		kind, blob, sub, procfile, serve = sys.argv[1:]
		b = bytes.fromhex
		entries = [(b"100644", b"Procfile", procfile), (b"100644", b"page.txt", blob), (b"100644", b"serve.pl", serve)]
		odd = {
		    "git-dir": [(b"40000", b".git", sub)],
		    "git-upper": [(b"40000", b".GIT", sub)],
		    "git-short": [(b"40000", b"git~1", sub)],
		    "git-hfs": [(b"40000", ".g\u200cit".encode(), sub)],
		    "git-stream": [(b"40000", b".git::$INDEX_ALLOCATION", sub)],
		    "dotdot": [(b"40000", b"..", sub)],
		    "slash": [(b"100644", b"../esc", blob)],
		    "twice": [(b"120000", b"d", blob), (b"40000", b"d", sub)],
		    "modules-link": [(b"120000", b".gitmodules", blob)],
		}[kind]
		for mode, name, oid in sorted(entries + odd, key=lambda e: e[1] + (b"/" if e[0] == b"40000" else b"")):
		    sys.stdout.buffer.write(mode + b" " + name + b"\0" + b(oid))
	END
	tree=$(git hash-object -w -t tree --literally "$raw")
	git commit-tree -p HEAD -m "$1" "$tree"
}

@test "trees with .git, .., slashes, doubled names or a linked .gitmodules inside are refused" {
	app bad-trees
	pushed
	local kind commit
	for kind in git-dir git-upper git-short git-hfs git-stream dotdot slash twice modules-link; do
		commit=$(hostile $kind)
		push berth "$commit:refs/heads/main"
		[ "$status" -ne 0 ] || fail "$kind was accepted:" "$output"
		serves bad-trees 'page 1'
	done
	[ ! -e "$BERTH_STATE/esc" ]
	# The control: the same tree without the odd entry deploys.
	page_is 'page 2'
	pushed
	serves bad-trees 'page 2'
}

@test "names that differ in case or form alone stay two files; folders too deep and files of zeros are refused" {
	app bad-forms
	mkdir forms
	echo 1 >forms/README
	echo 2 >forms/readme
	printf '3\n' >$'forms/caf\u00e9'
	printf '4\n' >$'forms/cafe\u0301'
	git config core.precomposeUnicode false
	commit forms
	pushed
	inside bad-forms 'LC_ALL=C; cat forms/*'
	equal $'1\n4\n3\n2' "$output"
	local deep
	deep=$(printf 'd/%.0s' {1..300})
	git update-index --add --cacheinfo "100644,$(git rev-parse HEAD:page.txt),${deep}f"
	git commit -q -m deep
	rejected_with 'nested more than 128'
	git reset -q --hard HEAD^
	head -c 300M /dev/zero >zeros
	git -c core.compression=1 add zeros
	git commit -q -m zeros
	rejected_with 'larger than'
	rm zeros
	serves bad-forms 'page 1'
}

@test "config values with NUL, of 1 MB, and names that are no names are refused" {
	app bad-config
	pushed
	try sh -c 'curl -sS -o /dev/null -w "%{http_code}" --unix-socket "$BERTH_RUN/api.sock" -X PATCH -H "Content-Type: application/json" -d "{\"set\":{\"A\":\"x\\u0000y\"}}" http://berth/v1/apps/bad-config/config'
	has 4
	lacks 200
	head -c 1000000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/big"
	/usr/bin/python3 -c 'import json, sys; json.dump({"set": {"BIG": open(sys.argv[1]).read()}}, sys.stdout)' \
		"$BATS_TEST_TMPDIR/big" >"$BATS_TEST_TMPDIR/json"
	try curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$BERTH_RUN/api.sock" -X PATCH \
		-d "@$BATS_TEST_TMPDIR/json" http://berth/v1/apps/bad-config/config
	has 4
	lacks 200
	local word
	for word in 1A=x 'A B=x' =x A-B=x; do
		try berth config:set bad-config "$word"
		fails
	done
	# 64 KiB is allowed
	try berth config:set bad-config "LARGE=$(head -c 60000 "$BATS_TEST_TMPDIR/big")"
	ok
	equal 2 "$(release_of bad-config)"
	inside bad-config 'printf %s "$LARGE" | wc -c'
	equal 60000 "$output"
}

@test "requests that are no HTTP do not hurt the router" {
	app bad-http
	pushed
	local bad
	for bad in 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' 'GET / HTTP/1.1\r\n\r\n' 'nonsense\r\n\r\n' \
		'POST / HTTP/1.1\r\nHost: bad-http.localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
		'GET / HTTP/1.1\r\nHost : bad-http.localhost\r\n\r\n'; do
		# shellcheck disable=SC2059 # the escapes are meant
		output=$(printf "$bad" | timeout 15 socat -t 10 - "TCP:127.0.0.1:$BERTH_PORT" 2>&1 | head -n 1)
		case $output in
		'HTTP/1.1 400'* | 'HTTP/1.1 404'*) ;;
		*) fail "answer to $bad: $output" ;;
		esac
	done
	serves bad-http 'page 1'
}

@test "refused requests leave no release, instance or repository half-made" {
	try berth apps:create 'Not A Name'
	fails
	try berth apps:create "$(printf 'a%.0s' $(seq 64))"
	fails
	try berth stacks:create nosuch-99
	fails
	has debian-12
	try berth volumes:create '../x'
	fails
	try berth volumes:create ''
	fails
	[ ! -e "$BERTH_STATE/volumes/../x" ]
}

@test "the API refuses malformed JSON, wrong methods and unknown paths with JSON errors" {
	local api=(curl -sS --unix-socket "$BERTH_RUN/api.sock")
	try "${api[@]}" -X POST -d '{"name":' http://berth/v1/apps
	jq -e .error.message <<<"$output"
	try "${api[@]}" -X PUT http://berth/v1/apps
	jq -e .error.code <<<"$output"
	try "${api[@]}" http://berth/v1/nowhere
	jq -e .error.code <<<"$output"
	try "${api[@]}" http://berth/v1/apps/nosuch
	equal 20 "$(jq .error.exit <<<"$output")"
	# somebody who is neither root nor the ssh user gets nothing
	try setpriv --reuid 65534 --regid 65534 --clear-groups curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$BERTH_RUN/api.sock" http://berth/v1/apps
	lacks 200
}
