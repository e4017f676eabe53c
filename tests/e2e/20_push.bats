# Pushes: what a deploy does, what refuses one, and that the old release goes on serving.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

# live NAME: an app with one live release "page 1"; the shell is in its repository.
live() {
	app "$1" "${2:-probe}"
	pushed
	serves "$1" 'page 1'
}

# still NAME: the first release serves, the ref did not move, the release that failed is not current.
still() {
	serves "$1" 'page 1'
	equal "$2" "$(git ls-remote berth refs/heads/main | cut -f1)"
	equal 1 "$(release_of "$1")"
}

@test "the first push creates the app and the second push changes its page" {
	app push-two
	pushed
	has '-----> Released v1 (build ' ', start ' ', total ' "http://push-two.localhost$([ "$BERTH_PORT" -eq 80 ] || echo ":$BERTH_PORT")"
	serves push-two 'page 1'
	page_is 'page 2'
	pushed
	has 'Released v2'
	serves push-two 'page 2'
	equal "$(git rev-parse HEAD)" "$(git ls-remote berth refs/heads/main | cut -f1)"
}

@test "a clone gives back what was pushed, on the deploy branch" {
	live push-clone
	cd "$WORK"
	try git clone -q berth:push-clone push-clone-back
	ok
	try git -C push-clone-back status --short --branch
	has 'main'
	try diff -r --exclude=.git push-clone push-clone-back
	ok
	# a part of the history, and the rest of it later
	cd push-clone
	page_is 'page 2'
	pushed
	cd "$WORK"
	try git clone -q --depth 1 berth:push-clone push-clone-part
	ok
	equal 1 "$(git -C push-clone-part rev-list --count HEAD)"
	try git -C push-clone-part fetch -q --unshallow
	ok
	equal 2 "$(git -C push-clone-part rev-list --count HEAD)"
}

# What git is kept from is receiver/jail_test.c's matter; here, that it is.
@test "git is confined while it reads a push" {
	live push-jail
	printf 'web: exec perl serve.pl\nrelease: echo waiting; exec sleep 100\n' >Procfile
	commit 'waits in its release task'
	local pid push confined=0
	waiting_push
	for pid in $(pgrep -u "$BERTH_SSH_USER" -f 'git receive-pack|berth-hook|hooks/update'); do
		grep -q '^NoNewPrivs:.1$' "/proc/$pid/status" && grep -q '^Seccomp:.2$' "/proc/$pid/status" ||
			fail "not confined: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		confined=$((confined + 1))
	done
	interrupt_push
	[ "$confined" -ge 2 ] || fail "found only $confined processes of the push"
	wait_for 20 no_process_of push-jail 'sleep'
}

@test "each form of the remote's address leads to the same app" {
	live push-forms
	for form in berth:push-forms berth:/push-forms berth:push-forms.git ssh://berth/push-forms \
		"ssh://$BERTH_SSH_USER@127.0.0.1:$BERTH_SSH_PORT/push-forms"; do
		try git ls-remote "$form" refs/heads/main
		ok
		has "$(git rev-parse HEAD)"
	done
}

@test "a build that fails rejects the push and the old release serves on" {
	live push-build c-plain
	local old
	old=$(git rev-parse HEAD)
	sed -i 's/^int main/this is not C\n&/' server.c
	commit broken
	push
	refuses
	has ' !     ' 'server.c' 'error' 'v1 is still serving'
	still push-build "$old"
}

@test "an app that exits at once rejects the push with its status and last lines" {
	live push-exits
	local old
	old=$(git rev-parse HEAD)
	echo 'web: echo last words of mine; exit 3' >Procfile
	commit exits
	push
	refuses
	has 'exit status 3' 'last words of mine' 'v1 is still serving'
	still push-exits "$old"
}

@test "an app that never listens rejects the push when the time is over" {
	live push-silent
	local old
	old=$(git rev-parse HEAD)
	berth checks:set push-silent timeout 6
	echo 'web: echo sitting here; exec sleep 1000' >Procfile
	commit silent
	push
	refuses
	has 'no listener on $PORT' 'sitting here' 'v1 is still serving'
	still push-silent "$old"
}

@test "an app that listens on another port is told which one" {
	live push-port
	local old
	old=$(git rev-parse HEAD)
	berth checks:set push-port timeout 6
	echo 'web: PORT=3000 exec perl serve.pl' >Procfile
	commit port
	push
	refuses
	has 'listens on 3000, not on $PORT=5000' 'v1 is still serving'
	still push-port "$old"
}

@test "a release task that fails rejects the push before anything is switched" {
	live push-release
	local old
	old=$(git rev-parse HEAD)
	printf 'web: exec perl serve.pl\nrelease: echo migrating; exit 7\n' >Procfile
	printf 'page 2\n' >page.txt
	commit release
	push
	refuses
	has 'migrating' 'exit status 7' 'v1 is still serving'
	still push-release "$old"
}

@test "a release task that succeeds runs once, before the switch" {
	app push-task
	printf 'web: exec perl serve.pl\nrelease: echo migrating release $BERTH_RELEASE\n' >Procfile
	commit task
	pushed
	has 'migrating release'
	serves push-task 'page 1'
}

@test "the deploy branch cannot be deleted" {
	live push-delete
	push berth :main
	refuses
	has 'cannot be deleted'
	serves push-delete 'page 1'
	try git ls-remote berth refs/heads/main
	has "$(git rev-parse HEAD)"
}

@test "another branch is stored with a warning and does not deploy" {
	live push-branch
	git checkout -q -b feature
	page_is 'page of the feature'
	pushed berth feature
	has 'feature' 'main'
	lacks 'Released'
	serves push-branch 'page 1'
	equal "$(git rev-parse feature)" "$(git ls-remote berth refs/heads/feature | cut -f1)"
	pushed berth :feature
	equal '' "$(git ls-remote berth refs/heads/feature)"
}

@test "a forced push deploys the rewritten branch" {
	live push-force
	page_is 'page 2'
	pushed
	git reset -q --hard HEAD~1
	page_is 'page 2, rewritten'
	push
	fails
	has 'rejected'
	serves push-force 'page 2'
	pushed --force berth HEAD:main
	serves push-force 'page 2, rewritten'
}

@test "a tag is stored and does not deploy" {
	live push-tag
	git tag -a -m 'one' one
	pushed berth one
	lacks 'Released'
	has 'tag'
	try git ls-remote berth refs/tags/one
	has refs/tags/one
	equal 1 "$(release_of push-tag)"
}

@test "an empty commit deploys without a build" {
	live push-empty
	commit 'nothing changed'
	pushed
	has 'Released v2'
	serves push-empty 'page 1'
}

@test "an up-to-date push deploys nothing" {
	live push-same
	pushed
	has 'Everything up-to-date'
	equal 1 "$(release_of push-same)"
}

@test "a push of 2,000 files arrives whole" {
	app push-many
	mkdir many
	for i in $(seq 2000); do echo "file $i" >"many/$i.txt"; done
	commit many
	pushed
	inside push-many 'ls many | wc -l; cat many/2000.txt; cat many/*.txt | wc -c'
	equal "$(ls many | wc -l; cat many/2000.txt; cat many/*.txt | wc -c)" "$output"
}

@test "several refs in one push make one deploy" {
	live push-refs
	git branch other
	page_is 'page 2'
	git tag two
	pushed berth main other two
	equal 2 "$(release_of push-refs)"
	serves push-refs 'page 2'
}

@test "master is the deploy branch where it was pushed first" {
	app push-master
	git branch -m master
	pushed berth master
	serves push-master 'page 1'
	try git ls-remote --symref berth HEAD
	has 'ref: refs/heads/master'
}

@test "names that are no app names are refused and make nothing" {
	app push-names
	local before name
	before=$(ls "$BERTH_STATE/repos" 2>/dev/null | sort)
	for name in ../x A -x "$(printf 'a%.0s' $(seq 64))" a/b a_b .x 'a b' ''; do
		try git push "ssh://berth/$name" HEAD:main
		fails
		lacks 'Released'
	done
	equal "$before" "$(ls "$BERTH_STATE/repos" 2>/dev/null | sort)"
	name=$(printf 'a%.0s' $(seq 63))
	pushed "ssh://berth/$name" HEAD:main
	has 'Released v1'
}

@test "an unknown key is turned away by sshd" {
	app push-key
	try git push stranger:push-key HEAD:main
	fails
	has 'Permission denied'
}

@test "the login gives no shell, no forwarding and no other program" {
	try remote 'sh -c id'
	exits 2
	lacks 'uid='
	try remote "git-receive-pack '/etc'"
	fails
	try remote 'git-upload-archive x'
	fails
	try ssh -F "$SSH_CONFIG" -o ExitOnForwardFailure=yes -W "127.0.0.1:$BERTH_PORT" berth
	fails
	lacks 'HTTP/'
	try ssh -F "$SSH_CONFIG" -s berth sftp
	fails
}

@test "Ctrl-C cancels the deploy and leaves nothing half-made" {
	live push-cancel
	local old push
	old=$(git rev-parse HEAD)
	printf 'web: exec perl serve.pl\nrelease: echo waiting; exec sleep 100\n' >Procfile
	commit 'waits in its release task'
	waiting_push
	interrupt_push
	wait_for 20 no_process_of push-cancel 'sleep'
	still push-cancel "$old"
	git reset -q --hard HEAD~1
	page_is 'page 2'
	pushed
	serves push-cancel 'page 2'
}
# A push in the background (its process id in $push) whose release task says "waiting" and sleeps; Ctrl-C on it.
waiting_push() {
	env --default-signal=INT git push berth HEAD:main >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	push=$!
	wait_for 30 grep -q waiting "$BATS_TEST_TMPDIR/out"
	wait_for 10 has_pids "$(basename "$PWD")" 'sleep 100'
}
interrupt_push() {
	kill -INT "$push" 2>/dev/null || :
	pkill -INT -P "$push" || :
	wait_for 10 not_running "$push"
}
no_process_of() { [ -z "$(app_pids "$1" "$2")" ]; }

@test "of two pushes at once the second waits and is refused before building when the branch moved" {
	live push-race
	local first second a b
	git clone -q berth:push-race "$WORK/push-race-2"
	printf 'web: exec perl serve.pl\nrelease: echo waiting; sleep 1001 || :\n' >Procfile
	page_is 'page of the first'
	git -C "$WORK/push-race-2" commit -q --allow-empty -m second
	git push berth HEAD:main >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	first=$!
	wait_for 30 grep -q waiting "$BATS_TEST_TMPDIR/first"
	git -C "$WORK/push-race-2" push origin HEAD:main >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
	second=$!
	wait_for 60 grep -q Waiting: "$BATS_TEST_TMPDIR/second"
	wait_for 10 end_sleep push-race 1001
	a=0 b=0
	wait "$first" || a=$?
	wait "$second" || b=$?
	output=$(cat "$BATS_TEST_TMPDIR/second") status=$b
	equal 0 "$a"
	fails
	has 'main moved to' 'fetch and push again'
	lacks 'Building'
	serves push-race 'page of the first'
}

@test "the build and the instance know the commit" {
	live push-rev
	try page push-rev /env
	has "GIT_REV=$(git rev-parse HEAD)" "SOURCE_VERSION=$(git rev-parse HEAD)" DYNO=web.1 BERTH_INSTANCE=web.1 \
		BERTH_APP=push-rev BERTH_RELEASE= HOME=/app PORT=5000
}

@test "push options: config, message, no-deploy, no-cache" {
	live push-options
	page_is 'page 2'
	pushed -o config.COLOUR=blue -o config.COLOUR=red -o message='with a colour' berth HEAD:main
	equal red "$(berth config:get push-options COLOUR)"
	try page push-options /env
	has COLOUR=red
	try berth releases push-options
	has 'with a colour'
	page_is 'page 3'
	pushed -o no-deploy berth HEAD:main
	lacks Released
	serves push-options 'page 2'
	commit 'again'
	# what is not known, or makes no sense, is refused before anything is built
	push -o nocache berth HEAD:main
	refuses
	has 'no push option nocache' 'no-cache, no-deploy, skip-checks, config.KEY=VALUE and message=TEXT'
	push -o config.PORT=80 berth HEAD:main
	refuses
	pushed -o no-cache -o skip-checks berth HEAD:main
	serves push-options 'page 3'
}

@test "the deploy branch can be chosen" {
	live push-chosen
	try berth git:set push-chosen deploy-branch stable
	ok
	page_is 'page 2'
	pushed
	lacks Released
	serves push-chosen 'page 1'
	pushed berth HEAD:stable
	has Released
	serves push-chosen 'page 2'
}

@test "pushes to several apps at once all go live" {
	local i pids=() failed=0
	for i in 1 2 3 4; do
		app "push-at-once-$i"
		page_is "page of $i"
		git push -q berth HEAD:main >"$BATS_TEST_TMPDIR/$i" 2>&1 3>&- &
		pids+=($!)
	done
	for i in 1 2 3 4; do wait "${pids[i - 1]}" || { failed=1; cat "$BATS_TEST_TMPDIR/$i"; }; done
	equal 0 $failed
	for i in 1 2 3 4; do serves "push-at-once-$i" "page of $i"; done
}

@test "a health check that fails rejects the push with its answer" {
	app push-health static-site
	pushed
	berth checks:set push-health path /missing
	berth checks:set push-health timeout 5
	sed -i 's|<title>[^<]*|<title>second|' index.html
	commit second
	push
	refuses
	has 'HTTP 404 from /missing' 'v1 is still serving'
	berth checks:set push-health path /index.html
	berth checks:set push-health timeout 30
	pushed
	has 'Released v3'
	try page push-health
	has '<title>second'
}

@test "the startup check of app.json decides when a release is ready" {
	app push-own-check static-site
	berth apps:create push-own-check
	berth checks:set push-own-check timeout 5
	echo '{"healthchecks": {"web": [{"type": "startup", "path": "/missing"}]}}' >app.json
	commit 'checked at a missing page'
	push
	refuses
	has 'HTTP 404 from /missing'
	echo '{"healthchecks": {"web": [{"type": "startup", "path": "/index.html"}]}}' >app.json
	berth checks:set push-own-check timeout 30
	commit 'checked at its page'
	pushed
	has 'Released v2'
	echo '{"healthchecks": {"web": [{"path": "missing"}]}}' >app.json
	commit 'checked at no path'
	push
	refuses
	has 'healthchecks.web[0].path' 'v2 is still serving'
}

@test "an app on a port of its own serves once berth is told the port" {
	app push-own-port
	echo 'web: PORT=3000 exec perl serve.pl' >Procfile
	commit port
	berth apps:create push-own-port
	try berth ports:set push-own-port 3000
	ok
	pushed
	serves push-own-port 'page 1'
}

@test "app.json gives the first formation" {
	app push-formation
	printf 'web: exec perl serve.pl\nclock: exec sleep 1000\n' >Procfile
	echo '{"formation":{"web":{"quantity":2},"clock":{"quantity":1}}}' >app.json
	commit formation
	pushed
	equal 'clock.1 web.1 web.2' "$(json ps:report push-formation | jq -r '[.instances[].name] | sort | join(" ")')"
}
