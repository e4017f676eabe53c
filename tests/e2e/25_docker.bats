# Apps that are built by their Dockerfile: one test a feature of the language, then what must be refused.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

# docker_app NAME: a repository with the probe, and the Dockerfile that stands on stdin.
docker_app() {
	app "$1" probe
	rm -f Procfile
	cat >Dockerfile
	commit docker
}

# again: the Dockerfile on stdin instead.
again() {
	cat >Dockerfile
	commit again
}

# serving: what every probe ends with.
serving() {
	printf '%s\n' 'COPY serve.pl page.txt /srv/' 'WORKDIR /srv' 'CMD ["perl", "serve.pl"]'
}

refused_with() {
	push
	refuses
	has "$@"
}

@test "steps are layers: what did not change, and all above it, is not done again" {
	docker_app docker-steps <<-'END'
		FROM debian:12-slim
		RUN date +%s%N >/stamp
		WORKDIR /srv
		COPY serve.pl ./
		RUN cp /stamp /stamp2
		COPY page.txt ./
		CMD ["perl", "serve.pl"]
	END
	pushed
	has '-----> Dockerfile app detected' '[1/4] RUN date' '[2/4] COPY serve.pl' '[4/4] COPY page.txt' 'Released v1'
	serves docker-steps 'page 1'
	inside docker-steps 'cat /stamp /stamp2'
	local stamps=$output new="page of $BATS_SUITE_TMPDIR" # layers outlive a run with TESTS_KEEP
	page_is "$new"
	pushed
	has '[1/4] RUN date +%s%N >/stamp (unchanged)' '[3/4] RUN cp /stamp /stamp2 (unchanged)'
	lacks '[4/4] COPY page.txt ./ (unchanged)'
	serves docker-steps "$new"
	inside docker-steps 'cat /stamp /stamp2'
	equal "$stamps" "$output"
	touch serve.pl
	commit 'times do not count'
	pushed
	has '[4/4] COPY page.txt ./ (unchanged)'
	chmod -x serve.pl
	[ ! -x serve.pl ]
	chmod +x page.txt
	commit 'modes do'
	pushed
	lacks '[4/4] COPY page.txt ./ (unchanged)'
	commit 'without the cache'
	pushed -o no-cache berth HEAD:main
	lacks '(unchanged)'
}

@test "directives, case, continuations, comments inside, here-documents" {
	docker_app docker-text <<-'END'
		# syntax=docker/dockerfile:1
		# escape=`

		from debian:bookworm As base
		run echo one `
		# a comment inside

		    && echo two >/two
		RUN <<EOF
		set -e
		x=three
		echo $x >/three
		EOF
		RUN <<EOF
		#!/usr/bin/perl
		open F, '>', '/four'; print F "four\n";
		EOF
		RUN cat <<'A' >/five && cat <<B >/six
		$five
		A
		six
		B
		ENV seven=7
		COPY <<"seven.txt" <<eight.txt /here/
		$seven
		seven.txt
		${seven}8 "`$x"
		eight.txt
		COPY serve.pl page.txt /srv/
		WORKDIR /srv
		CMD ["perl", "serve.pl"]
	END
	pushed
	inside docker-text 'cat /two /three /four /five /six /here/seven.txt /here/eight.txt; ls -A / | grep script'
	equal 'two
three
four
$five
six
$seven
78 "$x"' "$output"
}

@test "ARG and ENV: scope, defaults, expansion, and config variables by name" {
	docker_app docker-vars < <(cat <<-'END'; serving
		ARG TAG=12
		ARG outer=global
		FROM debian:${TAG}
		ARG outer
		ARG inner=in COLOUR=none
		RUN echo "$outer $inner $COLOUR" >/args
		ENV A=1 B="two words" C=$A-x D=\$A E=${none:-dflt}${A:+set}
		ENV OLD the old  form
		RUN echo "$A|$B|$C|$D|$E|$OLD|$outer" >/env
		ARG A=arg late=late
		RUN echo "$A $late" >/env-wins
		ENV dir=/deep
		WORKDIR $dir/er
		COPY page.txt ${dir}/p
	END
	)
	pushed
	inside docker-vars 'cat /args /env /env-wins; ls /deep; echo "$B $OLD ${inner-none} $PATH"'
	equal 'global in none
1|two words|-x|$A|dflt|the old  form|global
1 late
er
p
two words the old  form none /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$output"
	# config is not for builds; what ARGs get is said for each, and only the steps after its ARG are done again
	berth config:set docker-vars COLOUR=blue B=config
	try berth builds:set docker-vars build-arg.COLOUR green
	ok
	berth builds:set docker-vars build-arg.A given
	berth builds:set docker-vars build-arg.nobody 1
	berth builds:set docker-vars build-arg.HTTPS_PROXY http://127.0.0.1:9
	equal green "$(berth builds:report docker-vars --build-arg.COLOUR)"
	pushed -o no-deploy berth HEAD:refs/heads/other
	commit 'once more'
	pushed
	has 'build-arg.nobody is set, but no ARG nobody'
	lacks HTTPS_PROXY
	inside docker-vars 'cat /args; echo $B; cat /env-wins'
	equal 'global in green
config
1 late' "$output"
	berth builds:set docker-vars build-arg.late other
	commit 'another value'
	pushed
	has 'RUN echo "$outer $inner $COLOUR" >/args (unchanged)' 'RUN echo "$A|$B|$C|$D|$E|$OLD|$outer" >/env (unchanged)'
	lacks '>/env-wins (unchanged)'
	inside docker-vars 'cat /env-wins'
	equal '1 other' "$output"
	try berth builds:set docker-vars build-arg.1x y
	exits 2
	try berth builds:set docker-vars build-arg x
	exits 2
	has build-arg.NAME
}

@test "predefined ARGs: the platform's by ARG, proxies without, and no layer is another one for them" {
	docker_app docker-given < <(cat <<-'END'; serving
		FROM --platform=$BUILDPLATFORM debian:12
		RUN echo "none ${TARGETARCH-}" >/first
		ARG TARGETARCH TARGETPLATFORM BUILDOS
		RUN echo "$TARGETARCH $TARGETPLATFORM $BUILDOS; $https_proxy" >/second
	END
	)
	berth apps:create docker-given
	berth builds:set docker-given build-arg.https_proxy http://127.0.0.1:9
	pushed
	inside docker-given 'cat /first /second'
	equal 'none 
amd64 linux/amd64 linux; http://127.0.0.1:9' "$output"
	berth builds:set docker-given build-arg.https_proxy http://127.0.0.1:10
	commit 'another proxy'
	pushed
	has '>/second (unchanged)'
}

@test "secrets: the one step that mounts them sees them, no layer, image, row, log or command line does" {
	local canary=canary-$RANDOM$RANDOM$RANDOM layers=()
	echo "$canary" >"$BATS_TEST_TMPDIR/canary"
	docker_app docker-secret < <(cat <<-'END'; serving
		FROM debian:12
		ARG round=1
		RUN --mount=type=secret,id=TOKEN,required --mount=type=secret,id=TOKEN,env=AS_ENV --mount=type=secret,id=TOKEN,target=/root/conf/token,mode=0444 \
		    --mount=type=secret,id=NONE set -e; cd /run/secrets; test "$(cat TOKEN)" = "$AS_ENV"; test "$(cat /root/conf/token)" = "$AS_ENV"; \
		    test ${#AS_ENV} -gt 10; stat -Lc %a:%u TOKEN /root/conf/token >/modes; test ! -e NONE; test -z "$TOKEN"; echo $round; \
		    cat /proc/*/cmdline | tr '\0' ' ' >/cmdlines; for i in 1 2 3 4 5 6; do sleep 0.1; done
		USER www-data
		RUN --mount=type=secret,id=TOKEN ! cat /run/secrets/TOKEN 2>/dev/null
		RUN --mount=type=secret,id=TOKEN,uid=33 cat /run/secrets/TOKEN >/dev/null
		USER root
		RUN env | grep -c . >/seen; ls -d /run/secrets /root/conf /dev/shm/.secrets >/left 2>&1 || true; env >>/left
	END
	)
	berth apps:create docker-secret
	push
	refuses
	has 'Dockerfile:3:5: the build sees no config variable TOKEN' 'berth config:set'
	berth config:set docker-secret TOKEN="$canary" >/dev/null
	in_argv() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -aFf "$BATS_TEST_TMPDIR/canary"; }
	(exec -a "$canary" sleep 60) 3>&- & # it is found where it is
	local control=$! push argv=''
	wait_for 5 in_argv
	kill $control
	wait $control || :
	git push berth HEAD:main >"$BATS_TEST_TMPDIR/push" 2>&1 </dev/null 3>&- &
	push=$!
	while kill -0 $push 2>/dev/null; do
		argv+=$(in_argv || :)
		sleep 0.2
	done
	wait $push || fail "$(cat "$BATS_TEST_TMPDIR/push")"
	equal '' "$argv"
	inside docker-secret 'cat /modes /left; echo "in the app: $TOKEN"'
	has '400:0
444:0' 'in the app: canary' "cannot access '/run/secrets'" "cannot access '/root/conf'" "cannot access '/dev/shm/.secrets'"
	lacks 'TOKEN='
	berth images:export docker-secret --format docker --to "$BERTH_TEST/secret.tar" >/dev/null # not compressed
	mapfile -t layers < <(find "$BERTH_STATE/layers" -mindepth 1 -maxdepth 1 -newer "$BATS_TEST_TMPDIR/canary")
	[ ${#layers[@]} -ge 5 ]
	equal '' "$(traces "$canary" "${layers[@]}" "$BERTH_STATE/logs" "$BERTH_TEST/secret.tar" "$BATS_TEST_TMPDIR/push" "$BERTH_TEST/berthd.log")"
	# it would have been found
	[ -n "$(traces 'cd /run/secrets' "$BATS_TEST_TMPDIR/push")" ]
	[ -n "$(traces docker-secret)" ]
	[ -n "$(traces 'page 1' "$BERTH_TEST/secret.tar")" ]
	rm -f "$BERTH_TEST/secret.tar"
	# another value is no other layer, and builds may be kept from it
	berth config:set docker-secret TOKEN=other-value >/dev/null
	commit again
	pushed
	equal 4 "$(grep -c '/5\] RUN .*(unchanged)' <<<"$output")"
	try berth builds:set docker-secret config OTHER
	ok
	commit 'kept away'
	push
	refuses
	has 'sees no config variable TOKEN'
	try berth builds:set docker-secret config 'A B'
	exits 2
}

@test "COPY: folders, globs, links, names with blanks, owner and mode, and .dockerignore" {
	app docker-copy probe
	rm -f Procfile
	mkdir -p tree/sub tree/skip 'a b'
	echo 1 >tree/one.txt
	echo 2 >tree/sub/two.txt
	echo 3 >tree/skip/three.txt
	echo 4 >tree/skip/keep.txt
	echo 5 >'a b/c d.txt'
	echo 6 >x1.c
	echo 7 >x2.c
	ln -s tree/one.txt link
	ln -s one.txt tree/inner
	ln -s tree folder
	echo secret >secret.env
	printf '%s\n' '**/*.env' 'tree/skip' '!tree/skip/keep.txt' >.dockerignore
	cat >Dockerfile <<-'END'
		FROM debian:12
		COPY tree /tree
		COPY x?.c [x]1.c /globs/
		COPY ["a b/c d.txt", "/with blanks/"]
		COPY link /link-target
		COPY folder/ /folder
		COPY --chown=1000:100 --chmod=640 x1.c /owned/x
		COPY --chown=www-data x2.c /owned/y
		COPY . /all
		WORKDIR /in
		COPY x1.c there
		COPY x2.c .
		COPY serve.pl page.txt /srv/
		WORKDIR /srv
		CMD perl serve.pl
	END
	commit docker
	pushed
	inside docker-copy 'cd /tree && find . | sort; readlink inner; cd / && ls globs "with blanks"; stat -c "%F %n" link-target folder;
		stat -c "%u:%g %a %n" owned/x owned/y tree/one.txt; ls -A all; find all/tree | sort; ls /in'
	equal '.
./inner
./one.txt
./skip
./skip/keep.txt
./sub
./sub/two.txt
one.txt
globs:
x1.c
x2.c

with blanks:
c d.txt
regular file link-target
directory folder
1000:100 640 owned/x
33:33 644 owned/y
0:0 644 tree/one.txt
.dockerignore
Dockerfile
a b
folder
link
net.pl
page.txt
serve.pl
tree
x1.c
x2.c
all/tree
all/tree/inner
all/tree/one.txt
all/tree/skip
all/tree/skip/keep.txt
all/tree/sub
all/tree/sub/two.txt
there
x2.c' "$output"
}

@test "stages: COPY --from by name, number and image; what is not needed is not built" {
	docker_app docker-stages < <(cat <<-'END'; serving
		FROM debian:12 AS make
		RUN mkdir -p /out/sub && echo made >/out/sub/file && ln /out/sub/file /out/hard && ln -s sub/file /out/soft && \
		    chown 33:44 /out/hard && chmod 4750 /out/sub/file && touch -d @1000000000 /out/sub
		FROM debian:12 AS unused
		RUN exit 1
		FROM make AS more
		RUN echo more >>/out/sub/file
		FROM debian:12
		COPY --from=make /out /out
		COPY --from=2 /out/sub/fil? /more/
		COPY --from=debian:12 /etc/debian_version /copied
		COPY --from=MAKE /out/soft /resolved
		COPY --from=make --chown=7:8 /out/sub/ /owned/
	END
	)
	pushed
	lacks 'exit 1'
	inside docker-stages 'cd /out && stat -c "%n %u:%g %a %h" hard sub/file; readlink soft; stat -c %Y sub; cat /more/file;
		cmp /copied /etc/debian_version && echo same; cat /resolved; stat -c "%u:%g" /owned/file'
	equal 'hard 0:0 4750 2
sub/file 0:0 4750 2
sub/file
1000000000
made
more
same
made
7:8' "$output"
	# what is copied counts, not what the image is called
	sed -i 's/--from=debian:12 /--from=debian:bookworm-slim /' Dockerfile
	commit 'the same image by another name'
	pushed
	has 'COPY /etc/debian_version /copied (unchanged)'
}

@test "scratch and a static program: no shell, no /etc, one layer" {
	app docker-scratch c-plain
	rm -f Makefile Procfile
	gcc -O1 -static -o server server.c
	cat >Dockerfile <<-'END'
		FROM scratch
		COPY server /
		ENTRYPOINT ["/server"]
		CMD ["unused"]
	END
	commit docker
	pushed
	try page docker-scratch
	ok
	try berth run docker-scratch /bin/sh
	fails
	rm server
	printf 'FROM scratch\nCMD ["/x"]\n' >Dockerfile
	commit empty
	refused_with 'the image is empty'
	printf 'FROM scratch\nRUN true\n' >Dockerfile
	commit run
	refused_with 'Dockerfile:2' 'scratch'
}

@test "ADD unpacks archives of the repository and copies the rest" {
	app docker-add probe
	rm -f Procfile
	mkdir -p in/dir
	echo packed >in/dir/file
	tar -C in -czf a.tar.gz dir
	tar -C in -cJf b.tar.xz dir
	gzip -c page.txt >plain.gz
	cat >Dockerfile <<-'END'
		FROM debian:12
		ADD a.tar.gz /a/
		ADD b.tar.xz /b
		ADD plain.gz page.txt /c/
		ADD serve.pl page.txt /srv/
		WORKDIR /srv
		CMD ["perl", "serve.pl"]
	END
	commit docker
	pushed
	inside docker-add 'cat /a/dir/file /b/dir/file; ls /c; ls -A /a'
	equal 'packed
packed
page.txt
plain.gz
dir' "$output"
	again <<<$'FROM debian:12\nADD https://example.com/x /x\n'
	refused_with 'Dockerfile:2:5' 'nothing is fetched'
}

@test "USER: by name and number, in the build, for the app, its volume, and entering" {
	docker_app docker-user < <(cat <<-'END'; serving
		FROM debian:12
		RUN groupadd -g 700 crew && useradd -u 701 -g crew -m -d /home/sailor sailor && groupadd -g 702 -U sailor deck
		USER sailor
		RUN id >/home/sailor/id; echo $HOME >>/home/sailor/id; touch /not 2>/dev/null || echo no >>/home/sailor/id
		USER 12:34
		RUN id -u >/tmp/id; id -g >>/tmp/id
		USER root
		RUN cp /tmp/id /id && mkdir /data
		USER sailor
	END
	)
	berth apps:create docker-user >/dev/null
	berth volumes:create docker-user-data >/dev/null
	berth volumes:mount docker-user docker-user-data /data
	pushed
	inside docker-user 'cat ~/id /id; id -u; id -g; echo $HOME; touch /data/mine; stat -c %U:%G /data/mine; grep -c "CapEff:.0000000000000000" /proc/self/status'
	equal 'uid=701(sailor) gid=700(crew) groups=700(crew),702(deck)
/home/sailor
no
12
34
701
700
/home/sailor
sailor:crew
1' "$output"
	try berth run docker-user id -un
	has sailor
	try berth enter docker-user web.1 id -un
	has sailor
	sed -i '$!b;i USER root' Dockerfile
	commit 'root, without any right'
	pushed
	inside docker-user 'id -u; stat -c %u /data/mine; grep -c "CapEff:.0000000000000000" /proc/self/status; cat /etc/shadow >/dev/null && echo read'
	equal '0
0
1
read' "$output"
	sed -i '$!b;i USER nobody-knows' Dockerfile
	commit 'unknown'
	refused_with 'no user nobody-knows' 'still serving'
	berth apps:destroy docker-user --force >/dev/null
	berth volumes:destroy docker-user-data --force >/dev/null
}

@test "CMD, ENTRYPOINT, SHELL and Procfile: what starts, with which words" {
	app docker-start probe
	rm -f Procfile
	cat >args <<-'END'
		#!/bin/sh
		for word; do echo "<$word>"; done >/tmp/args
		pwd >>/tmp/args
		exec perl /srv/serve.pl
	END
	chmod +x args
	local head
	head=$'FROM debian:12\nCOPY . /srv/\nWORKDIR /\nWORKDIR srv\n'
	again <<<"$head"$'ENTRYPOINT ["/srv/args", "a b", "$HOME"]\nCMD ["c", "it\'s"]'
	pushed
	inside docker-start 'cat /tmp/args'
	equal $'<a b>\n<$HOME>\n<c>\n<it\'s>\n/srv' "$output"
	try berth ps:report docker-start
	has "/srv/args 'a b'"
	try berth run docker-start echo plain
	ok
	has plain
	again <<<"$head"$'SHELL ["/bin/bash", "-c"]\nCMD ["x"]\nENTRYPOINT /srv/args $0 "$BASH_VERSION" | cat'
	pushed
	inside docker-start 'sed -n 1p /tmp/args'
	equal '<x>' "$output"
	inside docker-start 'sed -n 2p /tmp/args'
	equal '<5.' "${output:0:3}"
	again <<<"$head"$'ENTRYPOINT ["/srv/args"]\nCMD ["c"]'
	printf 'web: proc file\nworker: exec sleep 1000\n' >Procfile
	commit procfile
	pushed
	inside docker-start 'cat /tmp/args'
	equal $'</bin/sh>\n<-c>\n<exec proc file>\n/srv' "$output"
	rm Procfile
	again <<<$'FROM scratch\nCOPY . /\n'
	refused_with 'neither CMD nor ENTRYPOINT'
}

@test "EXPOSE, HEALTHCHECK, VOLUME, LABEL, STOPSIGNAL and ONBUILD" {
	docker_app docker-meta <<-'END'
		FROM debian:12 AS base
		ONBUILD COPY page.txt /from-onbuild
		ONBUILD RUN cp /from-onbuild /twice
		EXPOSE 53/udp
		FROM base
		LABEL one=1 "two words"="3 4"
		MAINTAINER nobody
		EXPOSE 8080 9090/tcp
		VOLUME ["/data", "/more"]
		STOPSIGNAL SIGQUIT
		HEALTHCHECK --interval=5s CMD curl -f http://localhost:8080/env || exit 1
		COPY serve.pl page.txt /srv/
		WORKDIR /srv
		CMD ["perl", "-e", "$SIG{QUIT} = sub { print qq(ended by QUIT\n); exit 0 }; do q(./serve.pl)"]
	END
	pushed
	has 'VOLUME /data' 'berth volumes:create' '[2/3] RUN cp /from-onbuild /twice'
	serves docker-meta 'page 1'
	inside docker-meta 'echo $PORT; cat /twice'
	equal $'8080\npage 1' "$output"
	berth ports:set docker-meta 7000
	berth ps:restart docker-meta
	inside docker-meta 'echo $PORT'
	equal 7000 "$output"
	wait_for 10 logged docker-meta 'ended by QUIT'
	sed -i 's/SIGQUIT/SIGSTOPS/' Dockerfile
	commit 'no such signal'
	refused_with 'Dockerfile:10:12: STOPSIGNAL: there is no signal SIGSTOPS'
	sed -i 's/SIGSTOPS/SIGTERM/' Dockerfile
	sed -i 's,localhost:8080/env,localhost/slow?60000,' Dockerfile
	berth checks:set docker-meta timeout 2
	commit unhealthy
	refused_with 'not healthy' '/slow'
}

@test "cache mounts stay from build to build, and out of the image" {
	docker_app docker-cache < <(cat <<-'END'; serving
		FROM debian:12
		ARG round=1
		RUN --mount=type=cache,target=/root/.cache/x --mount=type=cache,id=two,target=/two,uid=33,mode=750 \
		    echo "$round" >>/root/.cache/x/log && echo $round >>/two/log && cat /root/.cache/x/log >/seen && stat -c %u:%a /two >>/seen
	END
	)
	pushed
	sed -i 's/round=1/round=2/' Dockerfile
	commit 'round 2'
	pushed
	inside docker-cache 'cat /seen; ls -A /root/.cache/x /two'
	equal '1
2
33:750
/root/.cache/x:

/two:' "$output"
}

@test "what a step leaves in /tmp is there for the next one" {
	docker_app docker-tmp < <(cat <<-'END'; serving
		FROM debian:12
		COPY page.txt /tmp/
		RUN cp /tmp/page.txt /kept && rm /tmp/page.txt
	END
	)
	pushed
	inside docker-tmp 'cat /kept; ls -A /tmp; touch /tmp/writable && echo yes'
	equal 'page 1
yes' "$output"
}

@test "a RUN that fails names file, line, instruction and status; the old release serves on" {
	docker_app docker-fails < <(echo FROM debian:12; serving)
	pushed
	again <<<$'FROM debian:12\n\nRUN echo last words \\\n  && exit 7\n'
	refused_with 'last words' 'Dockerfile:3: RUN echo last words' 'exit status 7' 'v1 is still serving'
	serves docker-fails 'page 1'
	again <<<$'FROM debian:12\nRUN ["/nowhere/x"]\n'
	refused_with '/nowhere/x is not in the image'
	again <<<$'FROM debian:12\nRUN kill -9 $$\n'
	refused_with 'Dockerfile:2' 'exit status 137'
}

@test "what is not understood or not supported is named with line and column" {
	docker_app docker-errors <<<'FROM debian:12'
	local row
	while IFS='|' read -r row expect; do
		printf 'FROM debian:12\n%b\n' "$row" >Dockerfile
		commit "$row"
		refused_with "$expect"
	done <<-'END'
		FORM x|Dockerfile:2:1: unknown instruction FORM
		RUN --mount=type=ssh true|Dockerfile:2:5: RUN --mount=type=ssh is not supported
		COPY --parents page.txt /x/|Dockerfile:2:6: COPY --parents is not supported
		COPY nothing /x|Dockerfile:2:6: COPY: nothing is not in the repository
		COPY --from=debian:11 /x /x|base image debian:11 is not known here
		FROM --platform=linux/arm64 debian:12|--platform=linux/arm64 cannot be built here
	END
	again <<<'FROM alpine:3'
	refused_with 'base image alpine:3 is not known here' 'images:import'
	again <<<'RUN true'
	refused_with 'before the first FROM'
}

@test "a Dockerfile gives way to .buildpacks, and says so" {
	app docker-second probe
	echo 'FROM nothing-of-that-name' >Dockerfile
	echo procfile >.buildpacks
	commit both
	pushed
	has 'the Dockerfile is not used'
	serves docker-second 'page 1'
	rm .buildpacks
	commit one
	refused_with 'nothing-of-that-name is not known here'
}

@test "nothing leads out of the repository or the image" {
	app docker-hostile probe
	rm -f Procfile
	ln -s /etc/passwd outside
	ln -s ../../../../etc out
	mkdir d
	ln -s / d/root
	local row expect
	while IFS='|' read -r row expect; do
		printf 'FROM debian:12\n%s\nCMD x\n' "$row" >Dockerfile
		commit "$row"
		refused_with "$expect"
	done <<-'END'
		COPY ../.. /x|leads out of the repository
		COPY out/passwd /x|leads out of the repository
		COPY outside /x|is not in the repository
		COPY --from=debian:12 /proc/1/root/etc/shadow /x|is not in that image
		COPY page.txt /dev/null/x|cannot make the folder
	END
	# a link is copied as it is; what it leads to is the image's own
	again < <(cat <<-'END'; serving
		FROM debian:12 AS a
		RUN mkdir /t && ln -s /etc/passwd /t/p && ln -s ../../../../../../etc/hostname /t/up
		FROM debian:12
		COPY d /d
		COPY --from=a /../../t /t
		COPY page.txt /d/root/through
	END
	)
	pushed
	inside docker-hostile 'readlink /d/root /t/p; grep -c app /t/p; cat /through'
	equal $'/\n/etc/passwd\n1\npage 1' "$output"
	[ ! -e /through ] || fail "written to the host"
}

@test "a huge Dockerfile, ten thousand instructions, a long chain: refused with a reason, in no time" {
	docker_app docker-huge <<<'FROM debian:12'
	{ echo 'FROM debian:12'; yes 'RUN true' | head -n 10000; } >Dockerfile
	commit many
	refused_with 'more than 4096 instructions'
	{ echo 'FROM debian:12'; yes '# a comment that says nothing at all' | head -n 40000; } >Dockerfile
	commit large
	refused_with 'larger than 1024 kB'
	{ echo 'FROM debian:12'; for i in $(seq 70); do echo "COPY page.txt /$i"; done; } >Dockerfile
	commit chain
	refused_with 'more than 63 layers'
	{ printf 'FROM debian:12\nENV a=0123456789\n'; for _ in $(seq 30); do echo 'ENV a=$a$a$a'; done; } >Dockerfile
	commit 'a variable that doubles'
	refused_with 'Dockerfile:'
}

@test "FROM a language's image: Debian's, or Node.js of any version; others are named" {
	app docker-node -
	cat >server.js <<-'END'
		require('http').createServer((q, a) => a.end(`node ${process.versions.node.split('.')[0]} as ${require('os').userInfo().username}`))
			.listen(process.env.PORT)
	END
	cat >Dockerfile <<-'END'
		ARG NODE=22
		FROM node:${NODE}-bookworm-slim
		WORKDIR /srv
		RUN npm --version >/npm && chown node .
		USER node
		COPY --chown=node:node . .
		ENV NODE_ENV=production
		EXPOSE 3000
		CMD ["node", "server.js"]
	END
	commit node
	pushed
	equal 'node 22 as node' "$(page docker-node)"
	local row expect
	while IFS='|' read -r row expect; do
		echo "FROM $row" >Dockerfile
		commit "$row"
		refused_with "base image $row" "$expect"
	done <<-'END'
		node:22-alpine|only Debian 12
		python:3.12|Debian 12 has python 3.11
		golang:1.22|Debian 12 has golang 1.19
	END
}

@test "FROM a base image under a registry's name: the one that is known here" {
	docker_app docker-mirror <<-END
		FROM registry.example.com/library/debian:12-slim
		$(serving)
	END
	pushed
	sed -i '1s|.*|FROM registry.example.com/debian:12-slim|' Dockerfile
	commit 'no folder'
	refused_with 'registry.example.com/debian:12-slim is not here'
	try berth builds:set --global base-registry 'no host'
	exits 2
	berth builds:set --global base-registry registry.example.com
	pushed
	berth builds:set --global base-registry ''
	equal 'page 1' "$(page docker-mirror)"
}

@test "FROM an imported image: its files, environment and user" {
	app docker-import c-plain
	mkdir -p "$BATS_TEST_TMPDIR/root/bin" "$BATS_TEST_TMPDIR/root/etc"
	gcc -O1 -static -o "$BATS_TEST_TMPDIR/root/bin/server" server.c
	echo 'who:x:77:78::/home/who:' >"$BATS_TEST_TMPDIR/root/etc/passwd"
	tar -C "$BATS_TEST_TMPDIR/root" -cf "$BATS_TEST_TMPDIR/root.tar" .
	try berth images:import "$BATS_TEST_TMPDIR/root.tar" --as docker-base:1 --user who --env GREETING=hello
	ok
	git rm -q Makefile Procfile
	printf 'FROM docker-base:1\nENV MORE=$GREETING-again\nCMD ["/bin/server"]\n' >Dockerfile
	commit docker
	pushed
	try page docker-import
	ok
	output=$(tr '\0' '\n' <"/proc/$(app_pids docker-import /bin/server | head -n 1)/environ")
	has MORE=hello-again HOME=/home/who
	berth apps:destroy docker-import --force >/dev/null
	berth images:untag docker-base:1 >/dev/null
}

@test "examples/dockerfile answers, and again after a change to one page" {
	app dockerfile dockerfile
	pushed
	try page dockerfile
	has 'Hello from dockerfile'
	equal 'no such page' "$(page dockerfile /README)"
	echo more >>pages/index.txt
	commit more
	pushed
	has 'RUN useradd --system --no-create-home web (unchanged)' 'COPY server.pl ./'
	try page dockerfile
	has more
}
