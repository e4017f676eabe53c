# apply: a host as a file says, the plan before it, the same file again, and the file of what there is.
bats_require_minimum_version 1.5.0

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	cd "$BATS_FILE_TMPDIR" || return
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app ap-web
	pushed
	ssh-keygen -q -t ed25519 -N '' -C zoe -f "$BATS_FILE_TMPDIR/zoe"
	printf 'from a file\n' >"$BATS_FILE_TMPDIR/title"
	cat >"$BATS_FILE_TMPDIR/host.json" <<-'END'
		{
			// what the host has
			"settings": {"disk": {"releases": 12}},
			"members": {"ap-zoe": {"role": "view", "keys": [{"file": "zoe.pub"}]}},
			"volumes": {"ap-data": {"size": "66000k", "keep": 3}},
			"apps": {
				"ap-web": {
					"config": {"TITLE": {"file": "title"}, "SECRET": {"env": "AP_SECRET"}, "N": 3},
					"domains": ["www.ap-web.test"],
					"settings": {"http": {"timeout": 45, "canonical": "www.ap-web.test", "auth": "ann:opensesame"}},
					"resources": {"*": {"memory": "131000k"}, "web": {"cpu": 0.5}},
					"network": [{"allow": "ap-other", "ports": 5000}, {"deny": "10.0.0.0/8"}],
					"mounts": {"/data": "ap-data"}, /* makes a release, with the config one */
					"drains": [{"url": "https://ann:opensesame@logs.example.com/x?key=opensesame", "gzip": true}],
					"access": {"ap-zoe": "deploy"}
				},
				"ap-other": {"formation": {"web": 1, "worker": 2}, "locked": true}
			}
		}
	END
}

teardown_file() {
	for name in ap-web ap-other ap-kinds; do berth apps:destroy "$name" --force >/dev/null 2>&1 || :; done
	for name in ap-data ap-a ap-b; do berth volumes:destroy "$name" --force >/dev/null 2>&1 || :; done
	berth logs:drain:remove --global file:ap-all.log >/dev/null 2>&1 || :
	berth members:remove ap-zoe >/dev/null 2>&1 || :
	berth disk:set --global releases '' >/dev/null
}

@test "apply: the plan changes nothing, and says what would change without saying secrets" {
	AP_SECRET=opensesame run -0 berth apply host.json --plan
	has '+ volumes ap-data' '+ app ap-other' '+ settings http timeout: 45' '+ resources web cpu: 0.5' \
		'+ config SECRET' '+ mounts /data: ap-data' '+ network allow app:ap-other port 5000' \
		'-----> 24 changes: 23 to add, 1 to change, 0 to take away'
	lacks opensesame
	AP_SECRET=x run -3 berth apply host.json --plan --check
	run -20 berth apps:report ap-other
	[ -z "$(berth config:get ap-web N 2>/dev/null)" ]
}

@test "apply: all of it is done, with one release; the second time nothing is" {
	export AP_SECRET=opensesame
	before=$(release_of ap-web)
	run -0 berth apply host.json
	has '-----> 24 changes made' '-----> Released'
	lacks opensesame
	equal $((before + 1)) "$(release_of ap-web)"
	equal 'from a file' "$(berth config:get ap-web TITLE)"
	equal 45 "$(berth http:report ap-web --timeout)"
	berth volumes:list ap-web | grep 'ap-web:/data'
	json access:list ap-web | jq -e 'any(.member == "ap-zoe" and .app == "ap-web" and .role == "deploy")'
	json apps:report ap-other | jq -e '.locked'
	run -0 berth apply host.json
	equal '-----> Nothing to change' "$output"
	run -0 berth apply host.json --plan --check --format json
	equal '[]' "$output"
	equal $((before + 1)) "$(release_of ap-web)"
	# over ssh the file comes in, and values are values
	jq '.apps["ap-web"].config.N = "4"' <<-'END' >ssh.json
		{"apps": {"ap-web": {"config": {}}}}
	END
	run -0 remote apply - <ssh.json
	has '~ config N' '1 change made'
	equal 4 "$(berth config:get ap-web N)"
	run -2 remote apply - <host.json
	has 'line 4: members.ap-zoe.keys.0' "the host's here, not yours"
	# from another machine they are that machine's
	jq '.apps["ap-web"].config.N = {"env": "AP_N"} | .apps["ap-web"].resources = {"web": {"cpu": 0.5}}' ssh.json >far.json
	printf '#!/bin/sh\nexec ssh -F %s "$@"\n' "$SSH_CONFIG" >ssh.sh
	chmod +x ssh.sh
	run -0 env AP_N=5 BERTH_SSH="$PWD/ssh.sh" BERTH_HOST="$BERTH_SSH_USER@berth" berth apply far.json
	has '~ config N' '1 change made'
	equal 5 "$(berth config:get ap-web N)"
}

@test "apply: a member may with it what the member may" {
	sed "s|$BERTH_TEST/client/key|$PWD/zoe|" "$SSH_CONFIG" >zoe.config
	as_zoe() { timeout 60 ssh -F zoe.config berth "$@"; }
	run -0 as_zoe apply - <<<'{"apps": {"ap-web": {"config": {"ZOE": "was here"}}}}'
	has '+ config ZOE' '-----> Released'
	run -0 as_zoe apply:export ap-web
	has '"ZOE"'
	run -1 as_zoe apply - <<<'{"domains": ["zoe.test"]}'
	has 'needs the role admin'
	run -1 as_zoe apply - <<<'{"apps": {"ap-web": {"access": {"ap-zoe": "admin"}}}}'
	has 'ap-zoe may not do this: it needs the role admin on ap-web' 'standard input, line 1: apps.ap-web.access.ap-zoe could not be applied'
	run -1 as_zoe apply - <<<'{"apps": {"ap-zoes-own": {}}}'
	has 'needs the role admin'
	# what cannot be seen cannot be planned
	run -1 as_zoe apply - --plan <<<'{"apps": {"ap-other": {"locked": false}}}'
	lacks 'locked off'
}

@test "apply: a slip of the pen is named with its line and place, and nothing is done" {
	printf 'caf\351\n' >latin1
	while IFS='|' read -r status text message; do
		printf '{\n"apps": {\n"ap-web": {\n%s\n}}}\n' "$text" >bad.json
		run "-$status" berth apply bad.json
		has "$message"
	done <<-'END'
		2|"confg": {}|bad.json line 4: apps.ap-web.confg: there is no such thing; did you mean config?
		2|"formation": {"web": "two"}|bad.json line 4: apps.ap-web.formation.web: a whole number is expected
		2|"resources": {"web": {"memory": "much"}}|line 4: apps.ap-web.resources.web.memory: a size is expected
		2|"network": [{"allow": "a", "deny": "b"}]|line 4: apps.ap-web.network.0: {"allow": TARGET} or
		2|"config": {"A": "1", "A": "2"}|bad.json line 4: duplicate
		1|"config": {"A": {"env": "AP_NOT_THERE"}}|line 4: apps.ap-web.config.A: the environment has no AP_NOT_THERE
		1|"config": {"A": {"file": "not-there"}}|line 4: apps.ap-web.config.A: cannot read ./not-there: No such file
		2|"settings": {"http": {"error-page": {"file": "latin1"}}}|line 4: apps.ap-web.settings.http.error-page: latin1 has bytes that are no UTF-8, as only config may: write it in UTF-8
	END
	run -1 berth apply none.json
	has 'cannot read none.json: No such file'
}

@test "apply: a failure in the midst says what was done and what not, and the next run goes on" {
	cat >half.json <<-'END'
		{"apps": {"ap-web": {
			"domains": ["half.ap-web.test"],
			"settings": {"http": {"timeout": "soon"}},
			"config": {"HALF": "done"}
		}}}
	END
	run -2 berth apply half.json
	has '+ domains half.ap-web.test' 'timeout must be a whole number' 'half.json line 3: apps.ap-web.settings.http.timeout could not be applied' \
		'done: 1 of 3 steps; not done:' 'ap-web: config'
	sed -i 's/"soon"/46/' half.json
	run -0 berth apply half.json
	lacks 'domains'
	has '~ settings http timeout: 45 -> 46' '+ config HALF' '2 changes made'
}

@test "apply: only --prune takes away what the file does not name, and asks; null takes one thing away" {
	cat >less.json <<-'END'
		{"apps": {"ap-web": {"domains": ["www.ap-web.test"], "config": {"HALF": null}, "mounts": {}, "network": []}}}
	END
	run -0 berth apply less.json
	has '- config HALF' '1 change made: 0 to add, 0 to change, 1 to take away'
	run -2 berth apply less.json --prune </dev/null
	has 'add --force, or --confirm prune'
	run -0 berth apply less.json --prune --plan
	has '- app ap-other' '- domains half.ap-web.test' '- mounts /data' '- config TITLE' '- network deny 10.0.0.0/8'
	# of a host of one's own: here other tests have apps, which the file has to name
	berth previews:set ap-web enabled on >/dev/null
	git -C "$WORK/ap-web" push -q berth HEAD:side
	berth apps:list --format json |
		jq '{apps: ([.[] | select(.name != "ap-other" and .preview_of == null) | {(.name): {}}] | add)}' >all.json
	jq -s '.[0].apps * .[1].apps | {apps: .}' all.json less.json >prune.json
	run -0 berth apply prune.json --prune --confirm prune
	has '- app ap-other'
	run -20 berth apps:report ap-other
	berth apps:report ap-web-side >/dev/null # previews are their branches'
	equal www.ap-web.test "$(json domains:report ap-web | jq -r '.domains[]')"
	equal '{}' "$(json config:show ap-web)"
	berth volumes:list | grep ap-data
	run -0 berth apply prune.json --prune --plan --check
	equal '-----> Nothing to change' "$output"
}

@test "apply: every kind of thing is made, changed and taken away" {
	cat >made.json <<-'END'
		{"volumes": {"ap-a": null, "ap-b": null}, "drains": ["file:ap-all.log"], "apps": {"ap-kinds": {
			"mounts": {"/a": "ap-a", "/b": {"volume": "ap-b", "read-only": true}}, "buildpacks": ["node"],
			"network": [{"deny": "internet"}, {"allow": "internet", "ports": "443"}, {"allow": "ap-web"}],
			"access": {"ap-zoe": "view"}, "formation": {"worker": 2}, "drains": ["file:ap-1.log"],
			"resources": {"worker": {"pids": 100}}, "config": {"A": "1"}, "settings": {
				"builds": {"build-arg.X": "y"}, "maintenance": {"page": "<h1>a</h1>\n", "enabled": true},
				"git": {"deploy-branch": "trunk"}, "http": {"sticky": "on"}}}}}
	END
	cat >other.json <<-'END'
		{"ap-kinds": {
			"mounts": {"/a": "ap-b", "/c": "ap-a"}, "buildpacks": [],
			"network": [{"allow": "internet", "ports": "443"}, {"deny": "ap-web"}],
			"access": {"ap-zoe": "logs"}, "formation": {}, "drains": [{"url": "file:ap-2.log"}],
			"resources": {}, "config": {}, "settings": {"maintenance": {"page": "<h1>b</h1>\n"}}}}
	END
	run -0 berth apply made.json
	has '-----> 20 changes made: 19 to add, 1 to change, 0 to take away'
	run -0 berth apply made.json
	equal '-----> Nothing to change' "$output"
	berth apps:list --format json | jq --slurpfile o other.json '{apps: (([.[] | {(.name): {}}] | add) * $o[0])}' >changed.json
	run -0 berth apply changed.json --prune --force
	has '-----> 17 changes made: 2 to add, 5 to change, 10 to take away' '~ mounts /a: ap-a -> ap-b' '- resources worker pids: was 100'
	equal 'deny app:ap-web allow internet:443' "$(json network:report ap-kinds | jq -r '[.rules[] | "\(.verdict) \(.target)\(if .ports == "" then "" else ":\(.ports)" end)"] | join(" ")')"
	run -0 berth apply changed.json --prune --plan --check
	equal '-----> Nothing to change' "$output"
	run -0 berth apply:export ap-kinds
	jq -e '.apps["ap-kinds"] | has("resources") or has("config") or has("buildpacks") | not' <<<"$output"
}

@test "apply:export: what it prints is what there is" {
	berth config:set ap-web SECRET=opensesame --no-restart >/dev/null
	run -0 --separate-stderr berth apply:export ap-web
	lacks opensesame
	printf '%s\n' "$output" >export.json
	jq -e '.apps["ap-web"].config.SECRET == {"env": "AP_WEB_SECRET"} and .apps["ap-web"].resources.web.cpu == 0.5' export.json
	AP_WEB_SECRET=opensesame run -0 berth apply export.json --plan
	equal '-----> Nothing to change' "$output"
	berth apply:export --values >whole.json 2>/dev/null
	run -0 berth apply whole.json --plan --check
	equal '-----> Nothing to change' "$output"
	sed 's/"ap-web"/"ap-other"/' export.json | AP_WEB_SECRET=y berth apply - --plan >plan.txt
	grep '+ app ap-other' plan.txt
}
