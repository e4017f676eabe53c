# What an operator uses beside apps: doctor, setup, completions, the manual, berth.conf.
bats_require_minimum_version 1.5.0

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

@test "doctor: a host in order has no failed check, also as JSON" {
	run -0 berth doctor
	[[ $output == *"ok       kernel       Linux "* ]]
	[[ $output == *"ok       berthd       "* ]]
	[[ $output == *"base image"*"there "[ia][sr]*[1-9]* ]]
	[[ $output == *"-----> 0 failed, "* ]]
	berth doctor --format json | jq -e 'map(select(.state == "failed")) == [] and (map(.check) | index("sshd")) != null'
}

@test "doctor: a port that another program has, and a berthd that is not there, are failures with what to do" {
	run -1 env BERTH_RUN=/nonexistent BERTH_HTTP="127.0.0.1:$BERTH_PORT" BERTH_HTTPS=none berth doctor
	[[ $output == *"failed   berthd       it does not answer"*"systemctl start berthd"* ]]
	[[ $output == *"failed   http         127.0.0.1:$BERTH_PORT: Address already in use"*"ss -ltnp"* ]]
}

@test "berth.conf: a mistake is named with its line, by berthd and by berth; the environment goes before it" {
	printf 'http = 127.0.0.1:1\nhtpps = none\n' >"$BATS_TEST_TMPDIR/berth.conf"
	export BERTH_CONF=$BATS_TEST_TMPDIR/berth.conf
	run -2 berthd --stop
	[[ $output == *"berth.conf, line 2: there is no setting \"htpps\""* ]]
	run -1 berth apps:list
	[[ $output == *"line 2: there is no setting \"htpps\""* ]]
	printf 'run = /nonexistent\n' >"$BERTH_CONF"
	berth apps:list
	run -1 env -u BERTH_RUN berth apps:list
	[[ $output == *"/nonexistent/api.sock"* ]]
	sed 's/^#\([a-z]\)/\1/' "$BERTH_SOURCE/packaging/berth.conf" >"$BERTH_CONF" # every setting that the file explains is one
	berth apps:list
}

@test "setup: what is there already stays, what is given is done, nobody is asked without a terminal" {
	ssh-keygen -q -t ed25519 -N '' -C 'carla@laptop' -f "$BATS_TEST_TMPDIR/key"
	run -0 berth setup --key "$BATS_TEST_TMPDIR/key.pub" </dev/null
	[[ $output == *"-----> Key carla may push"* ]]
	[[ $output != *"base image"* ]]
	[[ $output == *"This host takes pushes"* ]]
	berth ssh-keys:list | grep carla
	run -1 berth setup --key "$BATS_TEST_TMPDIR/none" </dev/null
	[[ $output == *"cannot read the key in "*"No such file"* ]]
	berth ssh-keys:remove carla
	run -2 ssh -F "$SSH_CONFIG" berth setup
	[[ $output == *"for root on the host itself"* ]]
}

@test "completions: commands, options and names, from berth itself" {
	berth apps:create completed-app
	[ "$(berth complete apps:cr)" = apps:create ]
	[ "$(berth complete logs --si)" = --since ]
	berth complete config:set complete | grep -x completed-app
	[ -z "$(berth complete config:set completed-app KEY)" ]
	[ -z "$(BERTH_RUN=/nonexistent berth complete config:set co 2>&1)" ]
	run -0 bash -c 'source "$BERTH_SOURCE/packaging/completions/berth.bash"; COMP_LINE="berth volumes:cr"
		COMP_POINT=${#COMP_LINE}; _berth; printf "%s\n" "${COMPREPLY[@]}"'
	[ "$output" = create ]
	berth apps:destroy completed-app --force
}

@test "the manual: every command has its place in it" {
	"$BERTH_SOURCE/packaging/manual" "$BERTH_PREFIX/bin/berth" >"$BATS_TEST_TMPDIR/berth.1"
	berth help | sed -n 's/^  \([a-z][a-z:-]*\).*/\1/p' | while read -r command; do
		grep -qF ".SS ${command//-/\\-}" "$BATS_TEST_TMPDIR/berth.1" || { echo "not there: $command" >&2; false; }
	done
}
