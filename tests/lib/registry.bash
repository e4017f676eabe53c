# A registry on loopback for tests: Debian's docker-registry over https with a private authority and token authentication, a token
# server, a registry that lies, and a berth that trusts the authority and knows their names.
# shellcheck disable=SC2034 # variables are for the tests

registry_py() { /usr/bin/python3 "$BERTH_SOURCE/tests/lib/registry.py" "$@"; }

# registry_up DIR: makes keys in DIR and starts all. REG_DIR, REG (its name for berth), REG_LOCAL (the same on localhost), LIAR (reached by a proxy),
# PLAIN_PORT (http, with a password: ann, harbour-9).
registry_up() {
	REG_DIR=$1
	local port tokens liar peer proxy
	port=$(free_port)
	tokens=$(free_port)
	liar=$(free_port)
	peer=$(free_port)
	proxy=$(free_port)
	PLAIN_PORT=$(free_port)
	REG=registry.tests:$port
	REG_LOCAL=localhost:$port
	LIAR=liar.tests:$liar
	mkdir -p "$REG_DIR/certs"
	registry_keys 2>/dev/null || return 1
	cp "$REG_DIR/ca.pem" "$REG_DIR/certs/ca.crt"
	registry_config "$port" "tls: {certificate: $REG_DIR/server.pem, key: $REG_DIR/server.key}" \
		"auth: {token: {realm: 'https://localhost:$tokens/token', service: tests, issuer: tests, rootcertbundle: $REG_DIR/token.pem}}" \
		>"$REG_DIR/config.yml"
	registry_config "$PLAIN_PORT" '' "auth: {htpasswd: {realm: tests, path: $REG_DIR/passwords}}" >"$REG_DIR/plain.yml"
	perl -e 'print "ann:", crypt("harbour-9", q($2y$05$abcdefghijklmnopqrstuu)), "\n"' >"$REG_DIR/passwords"
	registry_py image "$REG_DIR/layout" "$BERTH_SOURCE/build/bin/berth-static" 'page of the registry'
	registry_start tokens registry_py tokens "$tokens" "$REG_DIR"
	registry_start liar registry_py liar "$liar" "$REG_DIR" "$REG_DIR/layout" "https://elsewhere.tests:$peer"
	registry_start peer registry_py peer "$peer" "$REG_DIR" "$REG_DIR/layout"
	registry_start proxy registry_py proxy "$proxy" "$REG_DIR"
	registry_start registry docker-registry serve "$REG_DIR/config.yml"
	registry_start plain docker-registry serve "$REG_DIR/plain.yml"
	registry_trusted "$proxy"
	for port in "$port" "$tokens" "$liar" "$peer" "$proxy" "$PLAIN_PORT"; do
		wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null || { cat "$REG_DIR"/*.log >&2; return 1; }
	done
}

registry_keys() (
	cd "$REG_DIR" || exit 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=test authority' &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=registry.tests &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 30 -extfile \
			<(echo 'subjectAltName=DNS:localhost,DNS:registry.tests,DNS:liar.tests,DNS:elsewhere.tests') &&
		openssl req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.pem -days 30 -subj '/CN=tokens'
)

registry_config() { # PORT TLS AUTH
	cat <<-END
		version: 0.1
		log: {level: warn, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $REG_DIR/storage-$1}}
		http: {addr: '127.0.0.1:$1'${2:+, $2}}
		${3:-}
	END
}

# The process that registry_down ends: a function would run it below a shell of its own.
registry_start() { # NAME PROGRAM…
	local name=$1
	shift
	[ "$1" != registry_py ] || set -- /usr/bin/python3 "$BERTH_SOURCE/tests/lib/registry.py" "${@:2}"
	"$@" >"$REG_DIR/$name.log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$REG_DIR/$name.pid"
}

registry_down() {
	local f
	for f in "$REG_DIR"/*.pid; do
		[ ! -e "$f" ] || kill "$(cat "$f")" 2>/dev/null || :
	done
	for f in "$REG_DIR"/*.pid; do
		[ ! -e "$f" ] || wait_for 5 not_running "$(cat "$f")" || :
	done
}

# berthd gets a mount namespace in which the test's authority and names are the host's, and a proxy for liar.tests.
registry_trusted() { # PORT
	cat /etc/ssl/certs/ca-certificates.crt "$REG_DIR/ca.pem" >"$REG_DIR/bundle.pem"
	{ cat /etc/hosts && echo '127.0.0.1 registry.tests liar.tests elsewhere.tests'; } >"$REG_DIR/hosts"
	cat >"$REG_DIR/in" <<-END
		#!/bin/sh
		mount --bind '$REG_DIR/bundle.pem' /etc/ssl/certs/ca-certificates.crt && mount --bind '$REG_DIR/hosts' /etc/hosts &&
			export https_proxy=http://127.0.0.1:$1 no_proxy=registry.tests,elsewhere.tests && exec "\$@"
	END
	chmod 755 "$REG_DIR/in"
	BERTHD_UNDER="unshare -m --propagation slave $REG_DIR/in"
}

# skopeo, with the authority and ann's login.
registry_skopeo() { # COMMAND [OPTION…] ARG…
	local command=$1
	shift
	case $command in
	copy) skopeo copy -q --src-cert-dir "$REG_DIR/certs" --dest-cert-dir "$REG_DIR/certs" "$@" ;;
	*) skopeo "$command" --cert-dir "$REG_DIR/certs" --creds ann:harbour-9 "$@" ;;
	esac
}

# registry_token SCOPE: a token of ann's, for curl.
registry_token() {
	local realm
	realm=$(sed -n "s/.*realm: '\([^']*\)'.*/\1/p" "$REG_DIR/config.yml")
	curl -sS --cacert "$REG_DIR/ca.pem" -u ann:harbour-9 "$realm?service=tests&scope=$1" | jq -r .token
}
