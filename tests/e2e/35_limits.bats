# Limits as a person sets them: what holds at once, what from the next start, what this host cannot give.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}
computed() { berth resource:report "$1" "--$2"; }

@test "each limit says whether it holds at once or from the next start, and does" {
	live l-when
	try berth resource:limit l-when --memory 200M --cpu 0.5 --pids 60 --nofile 300 --scratch 32M
	ok
	has 'memory: 200M, at once' 'cpu: 0.5, at once' 'processes: 60, at once' 'open files: 300, at once' \
		'scratch: 32M, from the next start'
	inside l-when 'ulimit -n; ulimit -Hn'
	equal $'300\n300' "$output"
	inside l-when 'dd if=/dev/zero of=/app/big bs=1M count=48 2>&1; rm -f /app/big'
	lacks 'No space'
	try berth ps:restart l-when
	ok
	inside l-when 'dd if=/dev/zero of=/app/big bs=1M count=48 2>&1; rm -f /app/big'
	has 'No space left on device'
	try berth resource:report l-when
	has 'PROCESS  LIMIT' 'web      memory    -     200M  512M     200M' 'web      cpu       -     0.5   1        0.5'
	equal 209715200 "$(computed l-when web-memory)"
	equal null "$(json resource:report l-when | jq .web.memory.type)"
	try berth resource:limit-clear l-when
	ok
	has 'memory: 512M, at once' 'scratch: 1G, from the next start'
	equal 536870912 "$(computed l-when web-memory)"
	serves l-when 'page 1'
}

@test "limits that make no sense are refused with the range or the unit" {
	live l-bad
	try berth resource:limit l-bad --memory 512
	exits 2
	has 'memory must be from 16M to 16T' '512 is a number of bytes'
	try berth resource:limit l-bad --cpu none
	exits 2
	try berth resource:limit l-bad --cpu 0.001
	exits 2
	has 'cpu must be from 0.01 to 1024'
	try berth resource:limit l-bad --nofile 3
	exits 2
	has 'nofile must be from 128'
	try berth resource:limit l-bad --io-read 1k
	exits 2
	has 'io_read must be from 64k a second'
	try berth resource:limit l-bad --memory 128M --process-type nosuch
	exits 2
	has 'its types: web, run, build'
	equal 536870912 "$(computed l-bad web-memory)"
}

@test "more than this host has is kept, and told where a person looks" {
	live l-much
	try berth resource:limit l-much --nofile 1073741816 --cpu 1024 --memory 16T
	ok
	has 'open files: 1073741816' 'allowed by this host' '1024 wanted, this host has' '16T wanted, this host has'
	wait_for 10 logged l-much 'web.1: open files 1073741816 wanted'
	try berth ps:report l-much
	ok
	has 'web: open files 1073741816 wanted' 'web: cpu 1024 wanted'
	try berth resource:report l-much
	has '(1073741816 wanted'
	berth ps:restart l-much
	serves l-much 'page 1'
	inside l-much 'ulimit -Hn'
	equal "$output" "$(computed l-much web-nofile)"
	[ "$output" -lt 1073741816 ]
}

@test "less memory than an instance uses is refused with what it uses, and nothing of it changes" {
	live l-used
	inside l-used "perl -e '\$x = q(x) x 90_000_000; open my \$f, q(>), q(/tmp/filled); sleep 120' >/dev/null 2>&1 &
		until [ -e /tmp/filled ]; do sleep 0.1; done"
	try berth resource:limit l-used --memory 64M --pids 60
	fails
	has 'web.1 keeps its old limits: it uses' 'more than 64M' 'ps:restart'
	inside l-used "perl -e '\$x = q(x) x 90_000_000; print length(\$x)'"
	equal 90000000 "$output"
	inside l-used 'for i in $(seq 70); do sleep 2 & done; echo done'
	has 'done'
	lacks 'annot fork'
	try berth ps:restart l-used
	ok
	serves l-used 'page 1'
	inside l-used 'echo $MEMORY_AVAILABLE'
	equal 64 "$output"
}

@test "a process of the app that the kernel kills for memory is told while the app lives on" {
	live l-oom
	berth resource:limit l-oom --memory 64M
	inside l-oom "perl -e 'my @x; push @x, q(x) x 1_000_000 while 1'"
	equal 137 "$status"
	wait_for 10 logged l-oom 'web.1: out of memory at 64M: the kernel killed a process (1 so far)'
	inside l-oom "perl -e 'my @x; push @x, q(x) x 1_000_000 while 1'"
	wait_for 10 logged l-oom 'web.1: out of memory at 64M: the kernel killed a process (2 so far)'
	equal 2 "$(json ps:report l-oom | jq '.instances[0].oom_kills')"
	equal 0 "$(json ps:report l-oom | jq '.instances[0].restarts')"
	try berth ps:report l-oom
	has 'web.1: the kernel killed 2 of its processes, out of memory'
	serves l-oom 'page 1'
}

@test "builds and one-offs have limits of their own" {
	live l-own
	cat >>Procfile <<-'END'
		worker: sleep 1000
	END
	commit worker
	pushed
	try berth resource:limit l-own --process-type build --memory 80M
	ok
	has 'memory: 80M, from the next build'
	try berth resource:limit l-own --process-type run --memory 96M
	has 'memory: 96M, from the next one-off'
	try berth resource:limit l-own --process-type worker --memory 128M
	has 'memory: 128M, from the next start'
	equal 96 "$(berth run l-own -- sh -c 'echo $MEMORY_AVAILABLE')"
	equal 128 "$(berth run l-own --type worker -- sh -c 'echo $MEMORY_AVAILABLE')"
	try berth run l-own --type nosuch -- true
	fails
	has nosuch
	equal 512 "$(page l-own /env | sed -n 's/^MEMORY_AVAILABLE=//p')"
	# a child of the build is killed; make only sees that it failed
	printf 'server: server.c\n\tperl -e %s\n\tcp server.c server\n' "'my @x; push @x, q(x) x 1_000_000 while 1'" >Makefile
	echo 'int main(void) { return 0; }' >server.c
	rm Procfile
	commit hungry
	berth config:set l-own --no-restart X=1
	push
	refuses
	has 'the build ran out of memory at 80M' '--process-type build --memory'
}

@test "reading from the disk is as slow as asked, at once, or the report says why it cannot be" {
	live l-io
	# a file on the disk that is in no cache
	local read="dd if=/usr/bin/perl of=/dev/null bs=256k count=12 iflag=direct 2>&1 | tail -n 1"
	try berth resource:limit l-io --io-read 1M --io-write 1M
	ok
	if [[ $output == *'cannot be limited here'* ]]; then
		printf '# %s\n' "$(grep 'disk reads' <<<"$output")" >&3
		try berth resource:report l-io
		has 'none (cannot be limited here'
		return 0
	fi
	has 'disk reads: 1M a second, at once'
	local from=$(now_ms)
	inside l-io "$read"
	local slow=$(($(now_ms) - from))
	try berth resource:limit l-io --io-read 0
	has 'disk reads: none, at once'
	from=$(now_ms)
	inside l-io "$read"
	local fast=$(($(now_ms) - from))
	printf '# 3 MiB: %d ms at 1M a second, %d ms without\n' $slow $fast >&3
	[ $slow -gt 2000 ]
	[ $fast -lt $slow ]
}
