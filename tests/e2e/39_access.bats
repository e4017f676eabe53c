# Members, roles and tokens: the same answers for git and commands over ssh, and for the API's socket. Every route with every
# role is control/access/access_test's; here the ways in are.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	dir=$BATS_FILE_TMPDIR
}

# A member with a key, and an ssh configuration that uses it.
member() { # NAME [OPTION…]
	ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$dir/$1"
	berth members:add "$1" "$dir/$1.pub" "${@:2}" >/dev/null
	sed "s|$BERTH_TEST/client/key|$dir/$1|" "$SSH_CONFIG" >"$dir/$1.config"
}

as() { # NAME COMMAND…
	run timeout --foreground 60 ssh -F "$dir/$1.config" berth "${@:2}" </dev/null
}

git_as() { # NAME ARG…
	GIT_SSH_COMMAND="ssh -F $dir/$1.config" run timeout --foreground 120 git "${@:2}"
}

# api TOKEN METHOD PATH [BODY]: the answer, and behind it the status.
api() {
	run curl -s --max-time 20 --unix-socket "$BERTH_RUN/api.sock" -X "$2" ${1:+-H "Authorization: Bearer $1"} \
		${4:+-d "$4"} -w '\n%{http_code}' "http://berth$3"
}
is() { equal "$1" "${lines[-1]}"; }

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	dir=$BATS_FILE_TMPDIR
	app ac-one
	pushed
	berth apps:create ac-two >/dev/null
	for role in view logs deploy admin; do member "m-$role" --role "$role" --app ac-one; done
	member m-none
	berth access:add ac-two m-none view >/dev/null
}

teardown_file() {
	for name in m-view m-logs m-deploy m-admin m-none m-new; do
		berth members:remove "$name" >/dev/null 2>&1 || :
	done
	berth apps:set --global members-create '' >/dev/null
	for name in ac-one ac-two ac-new; do berth apps:destroy "$name" --force >/dev/null 2>&1 || :; done
}

@test "each role may over ssh what it is for, and is told which one is missing" {
	local roles=(none view logs deploy admin) least command rank i
	while read -r least command; do
		for rank in "${!roles[@]}"; do
			[ "${roles[rank]}" = "$least" ] && break
		done
		for i in "${!roles[@]}"; do
			as "m-${roles[i]}" "$command"
			if [ "$i" -ge "$rank" ]; then
				ok
			elif [ "$i" = 0 ]; then
				exits 20
				has 'no app named ac-one'
			else
				exits 1
				has "m-${roles[i]} may not do this: it needs the role $least on ac-one" "only ${roles[i]}" \
					"berth access:add ac-one m-${roles[i]} $least"
			fi
		done
	done <<-END
		view apps:report ac-one
		logs logs ac-one -n 1
		deploy config:show ac-one
		deploy run ac-one -- true
		admin access:add ac-one m-deploy deploy
	END
	# what belongs to the host is for nobody of them
	for command in members:list 'images:prune --dry-run' 'volumes:destroy x --force'; do
		as m-admin "$command"
		fails
		try remote "$command"
		lacks 'needs the role'
	done
}

@test "lists show what one may see" {
	for command in apps:list events disk:report metrics; do
		as m-view "$command"
		ok
		lacks ac-two
	done
	as m-none apps:list
	has ac-two
	lacks ac-one
	try remote apps:list
	has ac-one ac-two
	as m-none apps:report ac-on
	lacks ac-one
}

@test "git: deploy pushes and fetches, others do not, and new apps are made by who may" {
	cd "$WORK/ac-one"
	page_is 'by m-deploy'
	git_as m-logs push berth main
	fails
	has 'm-logs may not do this: it needs the role deploy on ac-one'
	git_as m-none push berth main
	fails
	has 'no app named ac-one'
	equal 1 "$(release_of ac-one)"
	git_as m-deploy push berth main
	ok
	has 'Released v2'
	serves ac-one 'by m-deploy'
	equal m-deploy "$(json releases ac-one | jq -r '.[0].by')"
	git_as m-logs clone -q "$BERTH_SSH_USER@berth:ac-one" "$dir/clone"
	fails
	has 'needs the role deploy'
	git_as m-deploy clone -q "$BERTH_SSH_USER@berth:ac-one" "$dir/clone"
	ok
	git_as m-deploy push "$BERTH_SSH_USER@berth:ac-new" main
	fails
	has 'no app named ac-new' 'admin on all apps'
	git_as m-deploy push "$BERTH_SSH_USER@berth:ac-two" main
	fails
	has 'no app named ac-two' 'admin on all apps'
	[ ! -e "$BERTH_STATE/repos/ac-new.git" ]
	berth apps:set --global members-create on >/dev/null
	git_as m-deploy push "$BERTH_SSH_USER@berth:ac-new" main
	ok
	berth apps:set --global members-create off >/dev/null
	as m-deploy access:list ac-new
	has 'admin'
	as m-deploy apps:destroy ac-new --confirm ac-new
	ok
}

@test "ssh: no other path, option, program, environment, forwarding or shell" {
	as m-deploy git-upload-pack ac-one
	has 'refs/heads/main' # the control: this one is served
	for command in "git-upload-pack '../../ac-two'" "git-upload-pack '../repos/ac-two.git'" "git-upload-pack '/ac-two'" \
		"git-upload-pack --upload-pack=id 'ac-one'" "git-upload-pack '--upload-pack=id'" "git-upload-pack -x" "git-upload-pack 'ac-one' 'ac-two'" \
		"git-receive-pack 'ac-two'" "git-receive-pack --exec=id" "git --exec-path=/tmp upload-pack ac-one" "git -c core.pager=id log" \
		"git-upload-archive 'ac-one'" "git-upload-pack 'ac-one;id'" "git-upload-pack 'ac-one'; id" "git-upload-pack \$(id)" \
		"sh -c id" "BERTH_KEY=1 apps:list" "env BERTH_KEY=1 berth apps:list" "scp -f /etc/passwd" /bin/sh; do
		as m-deploy "$command"
		fails
		lacks uid= root: "refs/heads"
	done
	# the key that speaks is sshd's, not the environment's
	as m-view config:show ac-one
	fails
	run ssh -F "$dir/m-view.config" -o SetEnv="BERTH_KEY=1" -o SetEnv="BERTH_API_FD=0" berth config:show ac-one
	fails
	has 'm-view may not'
	# what sshd would forward to: the router, and the API's own socket, where a key could be claimed
	equal 200 "$(code_of ac-one.localhost)"
	run timeout 10 ssh -F "$dir/m-deploy.config" -W "127.0.0.1:$BERTH_PORT" berth </dev/null
	fails
	timeout 60 ssh -F "$dir/m-deploy.config" -N -L "$dir/api.sock:$BERTH_RUN/api.sock" berth 3>&- 2>"$dir/forward" &
	local ssh=$!
	wait_for 5 test -S "$dir/api.sock"
	run curl -s --max-time 3 --unix-socket "$dir/api.sock" http://berth/v1/version
	fails
	kill "$ssh" && wait "$ssh" || :
	run curl -s --max-time 3 --unix-socket "$BERTH_RUN/api.sock" http://berth/v1/version
	has version
	run timeout 10 ssh -F "$dir/m-deploy.config" -o ExitOnForwardFailure=yes -N -R "127.0.0.1:0:127.0.0.1:$BERTH_PORT" berth </dev/null
	fails
	run timeout 10 ssh -F "$dir/m-deploy.config" -s berth sftp </dev/null
	fails
	# a terminal is for run and enter: there is no shell on it
	run timeout 10 ssh -F "$dir/m-deploy.config" -tt berth <<<'id'
	has 'no interactive shell'
	lacks uid=
	run timeout 20 ssh -F "$dir/m-deploy.config" -tt berth run ac-one -- id -u </dev/null
	has 1000
}

@test "tokens over the socket: for their app, role and time, and only as long as their member may" {
	local token narrow short
	token=$(as_out m-deploy tokens:create t-own)
	[[ $token =~ ^berth_[0-9a-f]{72}$ ]]
	api "$token" GET /v1/apps
	is 200
	has ac-one
	lacks ac-two
	api "$token" GET /v1/apps/ac-one/config
	is 200
	api "$token" POST /v1/apps/ac-one/access '{"member":"m-none","role":"view"}'
	is 403
	has 'm-deploy (token t-own) may not'
	api "$token" POST /v1/tokens '{"name":"t-more"}'
	is 403
	# in the database is only its hash
	! grep -aq "${token#berth_}" "$BERTH_STATE"/control/berth.db* || fail "the token lies in the database"
	narrow=$(berth tokens:create t-narrow --member tester --role admin --app ac-two -q)
	api "$narrow" GET /v1/apps/ac-two
	is 200
	api "$narrow" GET /v1/apps/ac-one
	is 404
	api "$narrow" GET /v1/members
	is 403
	short=$(berth tokens:create t-short --member tester --expires 6s -q)
	api "$short" GET /v1/version
	is 200
	sleep 6
	api "$short" GET /v1/version
	is 401
	has 't-short expired'
	# root's connection, but not root's request
	api "${token%??}" GET /v1/apps
	is 401
	api '' GET /v1/apps
	is 200
	# a stranger of this host is nobody without one
	chmod 755 "$dir"
	run setpriv --reuid 65534 --regid 65534 --clear-groups curl -s --unix-socket "$BERTH_RUN/api.sock" http://berth/v1/apps
	has 'not a member'
	run setpriv --reuid 65534 --regid 65534 --clear-groups curl -s --unix-socket "$BERTH_RUN/api.sock" \
		-H "Authorization: Bearer $token" http://berth/v1/apps
	has ac-one
	as m-view tokens:revoke t-own
	fails
	as m-deploy tokens:list
	has t-own
	lacks t-narrow
	as m-deploy tokens:revoke t-own
	ok
	api "$token" GET /v1/apps
	is 401
	try berth events
	has 'm-deploy (token t-own)' 'tokens:create'
	berth tokens:revoke t-narrow >/dev/null
	berth tokens:revoke t-short >/dev/null
}

as_out() { timeout --foreground 60 ssh -F "$dir/$1.config" berth "${@:2}" </dev/null 2>/dev/null; }

@test "a role that is taken and a member who is removed are out at once" {
	local token followed=$BATS_TEST_TMPDIR/followed follow
	as m-deploy config:show ac-one
	ok
	token=$(as_out m-deploy tokens:create t-follow)
	curl -sN --max-time 60 --unix-socket "$BERTH_RUN/api.sock" -H "Authorization: Bearer $token" \
		'http://berth/v1/apps/ac-one/logs?follow=1' >"$followed" 3>&- &
	follow=$!
	wait_for 5 test -s "$followed"
	berth access:add ac-two m-view view >/dev/null # somebody else's
	kill -0 "$follow"
	berth access:add ac-one m-deploy view >/dev/null
	status=0
	wait "$follow" || status=$?
	equal 18 "$status" # cut off; 28 were its own time limit
	as m-deploy config:show ac-one
	fails
	as m-deploy apps:report ac-one
	ok
	berth access:remove ac-one m-deploy >/dev/null
	as m-deploy apps:report ac-one
	exits 20
	token=$(as_out m-view tokens:create t-view --role view)
	api "$token" GET /v1/apps/ac-one
	is 200
	berth members:remove m-view >/dev/null
	api "$token" GET /v1/apps/ac-one
	is 401
	as m-view apps:list
	fails
	has 'Permission denied'
	# tester is the last admin with a key: only root may end that
	remote members:list | grep tester
	try remote members:remove tester
	fails
	has 'the last admin'
	try remote access:add --global tester view
	fails
	has 'the last admin'
	try remote apps:list
	ok
}

@test "a new name of ssh-keys:add is an admin, another key of a member is not" {
	ssh-keygen -q -t ed25519 -N '' -f "$dir/m-new"
	try berth ssh-keys:add m-new "$dir/m-new.pub"
	ok
	try berth members:list
	[[ $output =~ m-new\ +admin ]] || fail "$output"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/other"
	berth ssh-keys:add m-logs "$dir/other.pub" >/dev/null
	sed "s|$BERTH_TEST/client/key|$dir/other|" "$SSH_CONFIG" >"$dir/other.config"
	as other logs ac-one -n 1
	ok
	as other config:show ac-one
	fails
	has 'm-logs may not'
	try berth members:add m-logs
	fails
	has 'already a member'
}
