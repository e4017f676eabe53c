# app.json: env, scripts, formation, health checks; mistakes refuse the push with their place.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
}

restarted() { json ps:report "$1" | jq -e '.instances[] | select(.name == "web.1" and .restarts > 0 and .state == "running")' >/dev/null; }

@test "env, scripts and warnings of app.json, on a first push and later" {
	app j-env
	cat >app.json <<-'END'
		{
		  "nmae": "a mistake",
		  "env": {
		    "GREETING": "hello",
		    "SESSION": {"generator": "secret"},
		    "STRIPE_KEY": {"required": true, "description": "from the dashboard"}
		  },
		  "formation": {"web": {"quantity": 2, "max_parallel": 1}},
		  "scripts": {
		    "predeploy": "echo \"$GREETING from $(id -u) in $PWD\" >made.txt; mkdir -p /opt/x; echo $?",
		    "postdeploy": "echo first of $BERTH_RELEASE",
		    "dokku": {"postdeploy": "echo each of $BERTH_RELEASE; cat made.txt"}
		  }
		}
	END
	commit all
	push
	refuses
	has 'requires config that is not set: STRIPE_KEY' 'berth config:set j-env STRIPE_KEY=VALUE'
	equal '{}' "$(json config j-env)"
	berth config:set j-env STRIPE_KEY=sk >/dev/null
	pushed
	has 'app.json line 2: nmae is not known' 'Config from app.json: GREETING, SESSION' 'Running scripts.predeploy' \
		'first of v1' 'each of v1' 'hello from 1000 in /app'
	equal 2 "$(json ps:report j-env | jq '.instances | length')"
	[ "$(berth config:get j-env SESSION | wc -c)" -eq 65 ]
	local secret
	secret=$(berth config:get j-env SESSION)
	sed -i 's/"value": "hello"/"value": "other"/; s/cat made.txt/exit 3/' app.json
	commit later
	pushed
	has 'postdeploy failed' 'serves all the same'
	lacks 'first of'
	equal "$secret" "$(berth config:get j-env SESSION)"
	printf '{\n  "cron": [\n    {"command": "x", "schedule": "0 0 30 2 *"}\n  ]\n}\n' >app.json
	commit never
	push
	refuses
	has 'app.json line 3, column 5: cron[0]' 'never comes'
}

@test "startup checks of app.json: content, command, attempts" {
	app j-up
	berth apps:create j-up >/dev/null
	echo '{"healthchecks": {"web": [{"path": "/", "content": "not there", "attempts": 2, "wait": 0}]}}' >app.json
	commit content
	push
	refuses
	has 'is not healthy after 2 attempts: "not there" is not in the answer of /'
	echo '{"healthchecks": {"web": [{"path": "/"}, {"command": ["test", "-e", "absent"], "attempts": 1}]}}' >app.json
	commit command
	push
	refuses
	has 'is not healthy after 1 attempts: test: exit status 1'
	# four in a row, each with one attempt: none meets the connection of the one before
	echo '{"healthchecks": {"web": [{"path": "/", "attempts": 1}, {"path": "/", "attempts": 1}, {"command": ["test", "-e", "serve.pl"], "attempts": 1}, {"command": ["true"], "attempts": 1}, {"type": "liveness", "command": ["test", "!", "-e", "/tmp/sick"], "attempts": 1, "wait": 1}]}}' >app.json
	commit well
	pushed
	# and, from now on, liveness: a failure is the end of an instance
	equal 0 "$(json ps:report j-up | jq '.instances[0].restarts')"
	berth enter j-up web.1 -- touch /tmp/sick
	wait_for 10 restarted j-up
	berth logs j-up -n 50 | grep -q 'failed its liveness check: test: exit status 1'
	json events j-up | jq -e '[.[] | select(.what == "ps:unhealthy")] | length >= 1' >/dev/null
}
