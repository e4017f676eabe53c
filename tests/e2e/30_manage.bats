# Managing apps: every command a user has, on the host and over ssh.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}

@test "config values reach the app, a change makes a release, no change makes none" {
	live m-config
	try berth config:set m-config COLOUR=blue 'WORDS=two words' EMPTY=
	ok
	equal 2 "$(release_of m-config)"
	try page m-config /env
	has COLOUR=blue 'WORDS=two words' EMPTY=
	try berth config:set m-config COLOUR=blue
	ok
	equal 2 "$(release_of m-config)"
	try berth config:get m-config COLOUR
	equal blue "$output"
	try berth config:show m-config --format json
	equal blue "$(jq -r .COLOUR <<<"$output")"
	try berth config:unset m-config COLOUR
	ok
	try page m-config /env
	lacks COLOUR
	equal 3 "$(release_of m-config)"
	try berth config:get m-config COLOUR
	exits 1
}

@test "config values may hold newlines, quotes and shell characters, and are never run" {
	live m-bytes
	local value=$'line 1\nline "2" $(touch /tmp/owned) `id` \\ \'\nünïcode'
	try berth config:set m-bytes "ODD=$value"
	ok
	equal "$value" "$(berth config:get m-bytes ODD)"
	inside m-bytes 'printf %s "$ODD"; ls /tmp/owned 2>&1'
	has "$value" 'No such file'
	# and over ssh, where the words travel as one line
	try remote config:set m-bytes "\"OVER=a  b'c\""
	ok
	equal "a  b'c" "$(berth config:get m-bytes OVER)"
}

@test "PORT cannot be set" {
	live m-port
	try berth config:set m-port PORT=1234
	fails
	has PORT
	equal 1 "$(release_of m-port)"
}

@test "scaling makes instances and takes them away" {
	live m-scale
	try berth ps:scale m-scale web=3
	ok
	equal 3 "$(app_parents m-scale | wc -l)"
	equal 3 "$(json ps:report m-scale | jq '[.instances[] | select(.type == "web")] | length')"
	seen=$(for _ in $(seq 30); do page m-scale /env | grep ^DYNO=; done | sort -u | tr '\n' ' ')
	equal 'DYNO=web.1 DYNO=web.2 DYNO=web.3 ' "$seen"
	try berth ps:scale m-scale web=1
	ok
	wait_for 10 one_left m-scale
	serves m-scale 'page 1'
	try berth ps:scale m-scale nosuch=1
	fails
	has nosuch
	try berth ps:scale m-scale web=-1
	exits 2
}
one_left() { [ "$(app_parents "$1" | wc -l)" = 1 ]; }

@test "rollback goes back to the code and config of an earlier release with a new number" {
	live m-back
	berth config:set m-back STEP=one
	page_is 'page 2'
	pushed
	berth config:set m-back STEP=two
	equal 4 "$(release_of m-back)"
	try berth rollback m-back v2
	ok
	has v5
	serves m-back 'page 1'
	equal one "$(berth config:get m-back STEP)"
	try berth rollback m-back
	ok
	serves m-back 'page 2'
	equal two "$(berth config:get m-back STEP)"
	try berth rollback m-back v99
	fails
	has v99
	try berth rollback m-back nonsense
	exits 2
}

@test "a release that failed keeps its number and rollback never goes to it" {
	live m-failed
	echo 'web: exit 9' >Procfile
	commit fails
	push
	refuses
	git reset -q --hard HEAD~1
	page_is 'page 3'
	pushed
	has 'Released v3'
	equal '3 2 1' "$(json releases m-failed | jq -r '[.[].version] | join(" ")')"
	try berth rollback m-failed
	ok
	serves m-failed 'page 1'
	try berth rollback m-failed v2
	fails
}

@test "releases:info tells commit, image and config keys, never values" {
	live m-info
	berth config:set m-info SECRET=dont-show-me
	try berth releases:info m-info v2
	ok
	has v2
	lacks dont-show-me
	try berth releases:info m-info v1
	ok
	has "$(git rev-parse --short=7 HEAD)"
	try berth releases m-info
	ok
	has v1 v2
	lacks dont-show-me
	try grep -rl dont-show-me "$BERTH_STATE/logs"
	fails
}

@test "domains: a hostname of its own, a wildcard, the longest match, an unknown host" {
	live m-domain
	app m-domain-2
	page_is 'page of the second'
	pushed
	try berth domains:add m-domain shop.example.test '*.wild.example.test'
	ok
	try berth domains:add m-domain-2 exact.wild.example.test
	ok
	equal 'page 1' "$(fetch shop.example.test)"
	equal 'page 1' "$(fetch SHOP.example.test)"
	equal 'page 1' "$(fetch a.wild.example.test)"
	equal 'page of the second' "$(fetch exact.wild.example.test)"
	equal 404 "$(code_of unknown.example.test)"
	try fetch unknown.example.test
	lacks m-domain
	try berth domains:add m-domain-2 shop.example.test
	fails
	has m-domain
	try berth domains:remove m-domain shop.example.test
	ok
	equal 404 "$(code_of shop.example.test)"
	try berth domains:report m-domain
	ok
	has '*.wild.example.test'
	try berth domains:add m-domain 'not a host'
	fails
	try berth domains:add m-domain 'a..b'
	fails
}

@test "a global domain names every app" {
	live m-global
	try berth domains:set-global example.net
	ok
	equal 'page 1' "$(fetch m-global.example.net)"
	try berth domains:clear-global
	ok
	serves m-global 'page 1'
}

@test "logs: the app's own lines, deploy and router lines, -n, -p and -t" {
	live m-logs
	inside m-logs 'echo marker-one >/proc/1/fd/1 2>/dev/null || echo marker-one >/dev/stdout'
	berth config:set m-logs TICK_MS=50
	fetch m-logs.localhost '/some/path?x=1' >/dev/null
	wait_for 10 logged m-logs 'path="/some/path?x=1"'
	wait_for 10 logged m-logs 'tick 5'
	try berth logs m-logs -n 500
	ok
	has 'app[web.1]: listening on 5000' 'berth[router]: at=info method=GET path="/some/path?x=1" host=m-logs.localhost' \
		'status=200' 'instance=web.1' 'berth[deploy]'
	try berth logs m-logs -n 3
	equal 3 "$(wc -l <<<"$output")"
	grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z (app|berth)\[[a-z0-9.]+\]: ' <<<"$output"
	try berth logs m-logs -n 20 -p web
	has 'app[web.1]: tick'
	lacks 'berth[router]'
	# following shows lines as they come
	try timeout 6 berth logs m-logs -t -n 0
	exits 124
	has 'tick'
	try remote logs m-logs -n 2 -p web
	equal 2 "$(wc -l <<<"$output")"
	berth config:unset m-logs TICK_MS
}

@test "a volume keeps its content over deploys, and stopping first never runs two instances on it" {
	app m-volume
	cat >locked.sh <<-'END'
		# The lock stays while this instance runs: a second one on the same volume would see it held.
		exec 9>/data/lock
		flock -n 9 || echo "TWO AT ONCE" >>/data/trouble
		exec perl serve.pl
	END
	echo 'web: exec sh locked.sh' >Procfile
	try berth apps:create m-volume
	ok
	try berth volumes:create m-data
	ok
	try berth volumes:mount m-volume m-data:/data
	ok
	commit volume
	pushed
	inside m-volume 'echo kept >/data/file; id -u; stat -c %u /data/file'
	equal $'1000\n1000' "$output"
	page_is 'page 2'
	pushed
	inside m-volume 'cat /data/file; ls /data/trouble 2>&1'
	has kept 'No such file'
	try berth volumes:list --format json
	has m-data /data
	try berth volumes:mount m-volume nosuch:/x
	fails
	try berth volumes:mount m-volume m-data:relative
	fails
	try berth volumes:mount m-volume m-data:/proc
	fails
}

@test "the file system of an instance is private and gone after a restart" {
	live m-scratch
	inside m-scratch 'echo gone >/app/file && echo gone >/tmp/file && cat /app/file'
	equal gone "$output"
	try berth ps:restart m-scratch
	ok
	inside m-scratch 'ls /app/file /tmp/file'
	fails
}

@test "run gives output, status, stdin and its own environment" {
	live m-run
	berth config:set m-run COLOUR=green
	try berth run m-run -- sh -c 'echo $COLOUR; pwd; id -u; echo error >&2; exit 7'
	exits 7
	has green /app 1000 error
	output=$(printf 'through\nstdin\n' | berth run m-run -- cat)
	equal $'through\nstdin' "$output"
	try berth run m-run -- sh -c 'kill -9 $$'
	exits 137
	try sh -c 'berth run m-run -- no-such-program; echo "status $?"' # bats warns of a 127 of its own
	has 'status 127'
	try berth run nosuch -- true
	exits 20
	# words keep their borders
	try berth run m-run -- printf '<%s>' 'a b' "it's" '$HOME' ''
	equal "<a b><it's><\$HOME><>" "$output"
	try remote run m-run -- "sh -c 'exit 9'"
	exits 9
}

@test "run has a terminal where the caller has one" {
	live m-tty
	try script -qec 'berth run m-tty -- sh -c "test -t 0 && test -t 1 && echo has a terminal; stty size; exit 5"' /dev/null
	exits 5
	has 'has a terminal'
	try berth run m-tty -- sh -c 'test -t 0 || echo no terminal'
	has 'no terminal'
	# over ssh with a terminal
	try script -qec "ssh -tt -F $SSH_CONFIG berth run m-tty -- test -t 0" /dev/null
	exits 0
}

@test "enter joins the running instance" {
	live m-enter
	inside m-enter 'echo here >/tmp/mark'
	try berth enter m-enter web.1 -- cat /tmp/mark
	ok
	equal here "$output"
	# shellcheck disable=SC2046
	try berth enter m-enter web.1 -- sh -c 'echo $#' sh $(seq 900)
	has 900
	# shellcheck disable=SC2046
	try berth run m-enter -- sh -c 'echo $#' sh $(seq 900)
	has 900
	try berth enter m-enter web.1 -- sh -c 'id -u; exit 4'
	exits 4
	has 1000
	try script -qec 'berth enter m-enter web.1 -- sh -c "test -t 0 && echo has a terminal"' /dev/null
	ok
	has 'has a terminal'
	try berth enter m-enter web.9 -- true
	fails
	has web.9
}

@test "limits show what was set, hold at once, and can be cleared" {
	live m-limit
	try berth resource:limit m-limit --memory 128M --cpu 0.5 --pids 50
	ok
	try berth resource:report m-limit
	has 128M
	try berth resource:limit m-limit --memory 1K
	fails
	try berth resource:limit m-limit --memory lots
	fails
	try berth resource:limit-clear m-limit
	ok
	try berth resource:report m-limit
	lacks 128M
	serves m-limit 'page 1'
}

@test "stop, start and restart do as they say" {
	live m-stop
	try berth ps:stop m-stop
	ok
	equal 503 "$(code_of m-stop.localhost)"
	try berth ps:start m-stop
	ok
	serves m-stop 'page 1'
	old=$(app_parents m-stop)
	try berth ps:restart m-stop
	ok
	serves m-stop 'page 1'
	[ "$old" != "$(app_parents m-stop)" ]
}

@test "a crashed instance comes back and the log says why it went" {
	live m-crash
	local old
	old=$(app_parents m-crash)
	kill -9 "$old"
	wait_for 10 came_back m-crash "$old"
	wait_for 10 logged m-crash 'signal 9'
	serves m-crash 'page 1'
}
came_back() {
	local now
	now=$(app_parents "$1")
	[ -n "$now" ] && [ "$now" != "$2" ] && [ "$(page "$1")" = 'page 1' ]
}

@test "apps: list, report, create twice, lock, destroy asks for the name" {
	try berth apps:create m-apps
	ok
	try berth apps:create m-apps
	fails
	has m-apps
	try berth apps:list
	ok
	has m-apps
	try berth apps:list --format json
	jq -e '.[] | select(.name == "m-apps")' <<<"$output"
	try berth apps:report m-apps
	ok
	try berth apps:lock m-apps
	ok
	app m-apps
	push
	fails
	has lock
	berth apps:unlock m-apps
	pushed
	try berth apps:destroy m-apps
	fails
	try berth apps:destroy m-apps --confirm wrong
	fails
	serves m-apps 'page 1'
	try berth apps:destroy m-apps --force
	ok
	equal 404 "$(code_of m-apps.localhost)"
	try git ls-remote berth
	fails
	wait_for 10 no_process_of m-apps
	[ ! -e "$BERTH_STATE/repos/m-apps.git" ]
}
no_process_of() { [ -z "$(app_pids "$1")" ]; }

@test "the same words work over ssh, with the same exit status" {
	live m-ssh
	try remote apps:list --format json
	ok
	jq -e '.[] | select(.name == "m-ssh")' <<<"$output"
	try remote apps:report nosuch
	exits 20
	try remote nosuch:command
	exits 2
	try remote config:get m-ssh
	exits 2
	try remote releases m-ssh
	ok
	has v1
}

@test "keys: add from stdin and file, list, remove; a removed key no longer opens" {
	local d=$BATS_TEST_TMPDIR
	live m-keys
	ssh-keygen -q -t ed25519 -N '' -f "$d/second"
	try sh -c "berth ssh-keys:add second <$d/second.pub"
	ok
	try berth ssh-keys:add second "$d/second.pub" # again, from a file: nothing new
	ok
	try grep -cF "$(cut -d' ' -f2 "$d/second.pub")" "$BERTH_STATE/ssh/authorized_keys"
	equal 1 "$output"
	ssh-keygen -q -t ed25519 -N '' -f "$d/third"
	try berth ssh-keys:add second "$d/third.pub" # a name may hold several keys
	ok
	try berth ssh-keys:list
	has second tester "$(ssh-keygen -lf "$d/second.pub" | cut -d' ' -f2)"
	sed "s|$BERTH_TEST/client/key|$d/second|" "$SSH_CONFIG" >"$d/config"
	try ssh -F "$d/config" berth apps:list
	ok
	try berth ssh-keys:remove second
	ok
	try ssh -F "$d/config" berth apps:list
	fails
	has 'Permission denied'
	try grep -cF -e "$(cut -d' ' -f2 "$d/second.pub")" -e "$(cut -d' ' -f2 "$d/third.pub")" \
		"$BERTH_STATE/ssh/authorized_keys"
	equal 0 "$output"
	echo 'ssh-ed25519 not-base64! x' >"$d/bad"
	try berth ssh-keys:add bad "$d/bad"
	fails
	printf 'command="sh" %s\n' "$(cat "$d/second.pub")" >"$d/options"
	try berth ssh-keys:add options "$d/options"
	try grep -c 'command="sh"' "$BERTH_STATE/ssh/authorized_keys"
	equal 0 "$output"
}

@test "status and version answer" {
	try berth status
	ok
	try berth status --format json
	jq -e .apps <<<"$output"
	try berth version
	ok
	try berth --help
	ok
	try berth config:set --help
	ok
	has 'config:set'
}

@test "every command that prints data prints JSON when asked" {
	live m-json
	berth volumes:create m-json-data
	local c
	for c in apps:list 'apps:report m-json' 'config:show m-json' 'domains:report m-json' domains:report 'ps:report m-json' \
		'releases m-json' 'releases:info m-json v1' 'builds:list m-json' 'builds:info m-json' 'resource:report m-json' \
		volumes:list ssh-keys:list stacks:list status version events network:report 'network:report m-json' 'git:report m-json' 'checks:report m-json' \
		'ports:report m-json'; do
		# shellcheck disable=SC2086 # words
		try berth $c --format json
		ok
		jq -e . <<<"$output" >/dev/null || fail "$c: $output"
		try remote "$c --format json"
		ok
		jq -e . <<<"$output" >/dev/null || fail "over ssh, $c: $output"
	done
}

@test "a report's single key prints the bare value" {
	live m-key
	try berth apps:report m-key --url
	equal "http://m-key.localhost:$BERTH_PORT" "$output"
	try berth apps:report m-key --nonsense
	fails
}

@test "an app that keeps crashing is started again with pauses, and the router says H10 meanwhile" {
	live m-loop
	printf 'web: exec perl serve.pl & sleep 3; echo giving up; exit 4\n' >Procfile
	commit loop
	pushed
	wait_for 20 logged m-loop 'giving up'
	wait_for 30 router_says_h10
	wait_for 30 m_loop_is_started_again
	logged m-loop 'exit status 4'
	berth apps:destroy m-loop --force # it would be started again and again, beside the other tests
}
m_loop_is_started_again() {
	berth ps:report m-loop --format json | jq -e '.instances[0].restarts >= 1' >/dev/null
}
router_says_h10() {
	[ "$(code_of m-loop.localhost)" = 503 ] && logged m-loop 'at=error code=H10'
}

@test "events tell who did what" {
	live m-events
	remote config:set m-events A=b
	try berth events m-events
	ok
	has config:set tester
}
