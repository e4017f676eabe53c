# A push writes what it changes: layers of changes on a whole one, and what an image shows is the commit, whatever way led there.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
}

# kinds APP: the layers of its image but the base image, by what made them
kinds() { json images:history "$1" | jq -r '[.layers[1:][].made_by] | join(", ")'; }

# A program that says what it sees below /app: name, type, mode, target, sum.
lister() {
	cat >list.pl <<-'END'
		use File::Find; use Digest::SHA;
		my $top = $ARGV[0];
		my @rows;
		find({no_chdir => 1, wanted => sub {
			my $name = $File::Find::name;
			(my $short = $name) =~ s{^\Q$top\E/?}{};
			if ($short eq '.git') { $File::Find::prune = 1; return }
			return if $short eq '';
			if (-l $name) { push @rows, "$short l " . readlink($name) }
			elsif (-d _) { push @rows, "$short d" }
			else { push @rows, sprintf "%s f %o %s", $short, (stat _)[2] & 0111, Digest::SHA->new(1)->addfile($name)->hexdigest }
		}}, $top);
		print "$_\n" for sort @rows;
	END
}

# What the app sees is what is here.
same() {
	perl list.pl "$PWD" >"$BATS_TEST_TMPDIR/here"
	berth run "$1" -- perl /app/list.pl /app >"$BATS_TEST_TMPDIR/there"
	[ -s "$BATS_TEST_TMPDIR/here" ] && diff "$BATS_TEST_TMPDIR/here" "$BATS_TEST_TMPDIR/there"
}

# Other tools see the same in what is exported.
elsewhere() {
	berth images:export "$1" --format docker --to "$BATS_TEST_TMPDIR/docker.tar"
	skopeo copy -q "docker-archive:$BATS_TEST_TMPDIR/docker.tar" "oci:$BATS_TEST_TMPDIR/layout:1"
	umoci unpack --image "$BATS_TEST_TMPDIR/layout:1" "$BATS_TEST_TMPDIR/bundle"
	perl list.pl "$BATS_TEST_TMPDIR/bundle/rootfs/app" | diff "$BATS_TEST_TMPDIR/here" -
}

# change N: the Nth of a row of changes, of every sort.
change() {
	case $1 in
	1) echo two >>page.txt ;;
	2) rm -r deep/a && echo file >deep/a ;;
	3) rm deep/a && mkdir -p deep/a/b && echo again >deep/a/b/c ;;
	4) git mv many more ;;
	5) chmod +x more/7 && ln -sf more/8 link ;;
	6) rm link && mkdir link && echo in >link/in ;;
	7) rm -r link && ln -s more link ;;
	8) rm -r more/1? && printf '%s' 'a b' >'more/ä b' ;;
	9) mkdir -p .wh..wh..opq && echo x >.wh..wh..opq/.wh.page.txt ;;
	10) chmod -x more/7 && rm -r deep && mkdir deep && echo new >deep/new ;;
	*) echo "$1" >"more/change-$1" && rm -f "more/change-$(($1 - 2))" ;;
	esac
}

@test "over many pushes the app sees the commit, files and folders, gone and come again" {
	app changes
	mkdir -p many deep/a/b
	mkdir bulk
	for i in $(seq 80); do echo "$i" >"bulk/$i"; done
	for i in $(seq 20); do echo "file $i" >"many/$i"; done
	for i in 1 2 3; do echo "$i" >"deep/a/b/$i"; done
	ln -s many/3 link
	lister
	commit first
	pushed
	equal 'files of the commit' "$(kinds changes)"
	same changes
	local i made=
	for i in $(seq 15); do
		change "$i"
		commit "change $i"
		pushed
		same changes
		made=$(kinds changes | tr ',' '\n' | wc -l)
		[ "$made" -le 13 ] || fail "an image of $made layers after $i changes"
		[ "$i" -ne 8 ] || elsewhere changes # before names that archives of layers have for themselves
		[ "$i" -ne 12 ] || equal 13 "$made"
		[ "$i" -ne 13 ] || equal 2 "$made"
	done
	# an earlier commit has its layers still, and one without history has the same files
	git reset -q --hard HEAD~3
	pushed -f berth HEAD:main
	same changes
	commit empty
	pushed -o no-cache berth HEAD:main
	equal 'files of the commit' "$(kinds changes)"
	same changes
	echo more >>page.txt
	commit more
	pushed
	equal 'files of the commit, changed files of the commit' "$(kinds changes)"
	same changes
}

@test "one changed line writes one small layer; what most of the tree is in is written anew" {
	app small
	mkdir files
	for i in $(seq 200); do head -c 20000 /dev/urandom >"files/$i"; done
	commit files
	pushed
	echo line >>page.txt
	commit line
	pushed
	equal 'files of the commit, changed files of the commit' "$(kinds small)"
	wait_for 30 settled small
	local whole few
	read -r whole few < <(json images:history small | jq -r '[.layers[1:][].size] | join(" ")')
	[ "$whole" -gt 4000000 ] && [ "$few" -lt 30000 ] || fail "layers of $whole and $few bytes"
	for i in $(seq 120); do head -c 20000 /dev/urandom >"files/$i"; done
	commit most
	pushed
	equal 'files of the commit' "$(kinds small)"
}
settled() { json images:history "$1" | jq -e '[.layers[].size] | all(. > 0)' >/dev/null; }

@test "another app's changes are its own, and go with it; what lies below others stays" {
	app own-a
	for i in $(seq 20); do echo "$i" >"file-$i"; done
	commit files
	pushed
	echo changed >file-1
	commit changed
	pushed
	equal 'files of the commit, changed files of the commit' "$(kinds own-a)"
	pushed -f berth:own-b HEAD~1:refs/heads/main
	pushed berth:own-b HEAD:refs/heads/main
	equal 'files of the commit, changed files of the commit' "$(kinds own-b)"
	equal 2 "$({ json images:history own-a; json images:history own-b; } | jq -s '[.[].layers[2].id] | unique | length')"
	equal 1 "$({ json images:history own-a; json images:history own-b; } | jq -s '[.[].layers[1].id] | unique | length')"
	berth apps:destroy own-a --force
	berth images:prune >/dev/null
	berth ps:restart own-b
	equal changed "$(berth run own-b -- cat /app/file-1)"
	equal 2 "$(berth run own-b -- cat /app/file-2)"
}

@test "a repository's own buildpack and warnings about files keep a tree whole" {
	app wholly
	for i in $(seq 20); do echo "$i" >"file-$i"; done
	ln -s /etc/hostname out
	commit files
	pushed
	has 'out leads outside the app'
	echo changed >file-1
	commit changed
	pushed
	has 'out leads outside the app'
	equal 'files of the commit' "$(kinds wholly)"
}

@test "what .slugignore names is not in the app, whatever changes" {
	app c-slug
	mkdir -p docs spec/deep lib/spec
	touch docs/a.pdf docs/a.txt spec/deep/x lib/spec/x lib/big.psd
	commit files # first without, so that the next is a change of these
	pushed
	printf '/spec\n*.psd\ndocs/*.pdf\n!docs/a.pdf\n' >.slugignore
	commit slugignore
	pushed
	has 'leaves out 3 files and folders' 'line 4'
	inside c-slug 'ls docs lib spec 2>&1'
	has a.txt spec "'spec': No such file"
	lacks a.pdf
	lacks big.psd
	page_is 'slug 2'
	pushed
	serves c-slug 'slug 2'
	inside c-slug 'find docs lib spec 2>/dev/null | sort | tr "\n" " "'
	equal 'docs docs/a.txt lib lib/spec lib/spec/x' "${output% }"
	printf '*.psd\n' >.slugignore
	commit fewer
	pushed
	inside c-slug 'find docs lib spec 2>/dev/null | sort | tr "\n" " "'
	equal 'docs docs/a.pdf docs/a.txt lib lib/spec lib/spec/x spec spec/deep spec/deep/x' "${output% }"
	git rm -q .slugignore
	git commit -q -m none
	pushed
	inside c-slug 'ls lib/big.psd'
	ok
}
