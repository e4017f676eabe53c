# A certificate authority on loopback for tests: pebble, its name server, and a berth that trusts it.
# shellcheck disable=SC2034 # variables are for the tests

# acme_up DIR: makes keys in DIR and starts both. CA_DIR, CA_URL, CA_ROOTS (of what it issues; another one with each start).
acme_up() {
	CA_DIR=$1
	CA_PORT=$(free_port)
	CA_ADMIN=$(free_port)
	DNS_PORT=$(free_port)
	DNS_ADMIN=$(free_port)
	CA_URL=https://localhost:$CA_PORT/dir
	CA_ROOTS=$CA_DIR/roots.pem
	mkdir -p "$CA_DIR"
	(
		cd "$CA_DIR" || exit 1
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
			-subj '/CN=test authority'
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 30 \
			-extfile <(echo 'subjectAltName=DNS:localhost')
	) 2>/dev/null || return 1
	cat >"$CA_DIR/config.json" <<-END
		{"pebble": {"listenAddress": "127.0.0.1:$CA_PORT", "managementListenAddress": "127.0.0.1:$CA_ADMIN",
		 "certificate": "$CA_DIR/server.pem", "privateKey": "$CA_DIR/server.key", "httpPort": $BERTH_PORT, "tlsPort": $BERTH_TLS_PORT,
		 "ocspResponderURL": "", "externalAccountBindingRequired": false}}
	END
	pebble-challtestsrv -defaultIPv6 '' -dns01 "127.0.0.1:$DNS_PORT" -http01 '' -https01 '' -tlsalpn01 '' \
		-management "127.0.0.1:$DNS_ADMIN" >"$CA_DIR/dns.log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$CA_DIR/dns.pid"
	wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$DNS_ADMIN" 2>/dev/null || return 1
	pebble_start
}

# It forgets everything at each start, its own root too.
pebble_start() {
	PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 PEBBLE_AUTHZREUSE=0 pebble -config "$CA_DIR/config.json" -dnsserver "127.0.0.1:$DNS_PORT" \
		>>"$CA_DIR/pebble.log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$CA_DIR/pebble.pid"
	wait_for 10 pebble_roots || { cat "$CA_DIR/pebble.log" >&2; return 1; }
}
pebble_roots() { curl -sf --cacert "$CA_DIR/ca.pem" "https://localhost:$CA_ADMIN/roots/0" >>"$CA_ROOTS"; }
pebble_signal() { kill "-$1" "$(cat "$CA_DIR/pebble.pid")"; }
pebble_stop() {
	local pid
	pid=$(cat "$CA_DIR/pebble.pid")
	kill "$pid" 2>/dev/null || :
	wait_for 5 not_running "$pid"
}

acme_down() {
	local f
	for f in "$CA_DIR"/*.pid; do
		[ ! -e "$f" ] || kill "$(cat "$f")" 2>/dev/null || :
	done
}

# acme_names ADDRESS: where all names lead.
acme_names() { curl -sf -d "{\"ip\":\"$1\"}" "http://127.0.0.1:$DNS_ADMIN/set-default-ipv4" >/dev/null; }

# uacme takes its authorities from the host's file: berthd gets a mount namespace in which the test's is one of them.
acme_trusted() {
	cat /etc/ssl/certs/ca-certificates.crt "$CA_DIR/ca.pem" >"$CA_DIR/bundle.pem"
	cat >"$CA_DIR/in" <<-END
		#!/bin/sh
		mount --bind '$CA_DIR/bundle.pem' /etc/ssl/certs/ca-certificates.crt && exec "\$@"
	END
	chmod 755 "$CA_DIR/in"
	BERTHD_UNDER="unshare -m --propagation slave $CA_DIR/in"
}

# https_of HOST [CURL ARG…]: a request to HOST, whose certificate must be of the authority.
https_of() {
	local host=$1
	shift
	curl -sS --max-time 20 --cacert "$CA_ROOTS" --connect-to "$host:443:127.0.0.1:$BERTH_TLS_PORT" "$@" "https://$host/"
}
# fingerprint_of HOST: of the certificate that is served.
fingerprint_of() {
	openssl s_client -connect "127.0.0.1:$BERTH_TLS_PORT" -servername "$1" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256
}
