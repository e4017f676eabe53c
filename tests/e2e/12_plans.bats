# What each buildpack plans, asked directly: quick, and no push.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	cd "$BATS_TEST_TMPDIR"
	PACKS=$BERTH_PREFIX/lib/berth/packs
	export BERTH_BUILD=$BERTH_PREFIX/lib/berth/berth-build
}

# plan PACK: of the files in the current folder.
plan() {
	try "$PACKS/$1/bin/detect" "$PWD"
	ok
	try "$PACKS/$1/bin/plan" "$PWD"
	ok
}
# release PACK
release() {
	try "$PACKS/$1/bin/release" "$PWD"
	ok
}
elf() {
	mkdir -p "$(dirname "$1")"
	cp /bin/true "$1"
}

@test "every pack of the order is there whole, and every pack stands in the order" {
	local p f
	for p in $(grep -v '^#' "$PACKS/order"); do
		for f in bin/detect bin/plan bin/compile bin/release; do [ -x "$PACKS/$p/$f" ] || fail "$p has no $f"; done
	done
	equal "$(find "$PACKS" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)" "$(grep -v '^#' "$PACKS/order" | sort)"
}

@test "php: extensions become packages, unknown ones are named" {
	echo '{"require": {"php": "^8.1", "ext-pdo_mysql": "*", "ext-intl": "*", "ext-json": "*"}}' >composer.json
	mkdir public && touch public/index.php
	plan php
	has 'apt php-mysql' 'apt php-intl' 'PHP_DOCUMENT_ROOT /app/public' 'PHP_FRONT_CONTROLLER on' 'compile: no'
	lacks 'apt composer'
	lacks php-json
	lacks 'warning:'
	echo '{"require": {"php": ">=8.3", "ext-made-up": "*"}}' >composer.json
	plan php
	has 'error: composer.json requires ext-made-up'
	echo '{"require": {"php": ">=8.3", "vendor/x": "1"}}' >composer.json
	plan php
	has "warning: composer.json asks for PHP >=8.3; Debian's is 8.2" 'apt composer' 'deps-file: composer.lock'
}

@test "go: a version that Debian's Go cannot read is refused, a newer one is told" {
	printf 'module x\n\ngo 1.22.1\n' >go.mod
	plan go
	has 'error: go.mod says go 1.22.1'
	printf 'module x\n\ngo 1.22\nrequire example.org/y v1.0.0\n' >go.mod
	plan go
	has 'warning: go.mod says go 1.22' 'deps-file: go.sum' 'launch: no'
	mkdir vendor
	plan go
	lacks deps-file
	elf bin/server
	elf bin/tool
	release go
	has 'web: bin/server'
	mv bin/server bin/other
	release go
	lacks web:
}

@test "rust: editions and versions of Debian's" {
	printf '[package]\nname = "x"\nedition = "2024"\n' >Cargo.toml
	plan rust
	has 'error: Cargo.toml: edition 2024'
	printf '[package]\nname = "x"\nedition = "2021"\nrust-version = "1.70"\n' >Cargo.toml
	plan rust
	has 'error: Cargo.toml: rust-version 1.70'
	printf '[package]\nname = "x"\nedition = "2021"\nrust-version = "1.60"\n' >Cargo.toml
	plan rust
	lacks error:
}

@test "java: wrappers before Debian's tools, the built jar or the class with main" {
	touch pom.xml
	plan java
	has 'apt maven'
	touch mvnw
	plan java
	lacks 'apt maven'
	mkdir target && touch target/x-1.jar target/x-1-sources.jar
	release java
	has '-jar target/x-1.jar'
	rm -r pom.xml target
	mkdir -p classes src
	printf 'package a.b;\nclass Main { public static void main(String[] args) {} }\n' >src/Main.java
	plan java
	release java
	has 'classes:lib/*" a.b.Main'
	printf 'java.runtime.version=21\n' >system.properties
	plan java
	has 'error: the app asks for Java 21'
}

@test "ruby: Debian's gems by apt.txt, native ones with a compiler, Puma or rackup" {
	printf 'gem "sinatra"\n' >Gemfile
	touch config.ru
	plan ruby
	has 'process: web bundle exec rackup' 'BUNDLE_PATH /app/vendor/bundle' 'deps-file: Gemfile'
	lacks build-essential
	printf 'ruby "3.3.0"\ngem "pg"\ngem "puma"\n' >Gemfile
	plan ruby
	has 'apt libpq-dev' 'apt build-essential' 'bundle exec puma' "asks for Ruby 3.3.0; Debian's is 3.1"
	echo 'ruby-sinatra puma' >apt.txt
	plan ruby
	lacks BUNDLE_PATH
	lacks build-essential
}

@test "python: a framework's app by the server that the app names, else the program" {
	printf 'from flask import Flask\nsite = Flask(__name__)\n' >app.py
	plan python
	has 'web python app.py'
	echo 'python3-flask gunicorn' >apt.txt
	plan python
	has 'web gunicorn --bind 0.0.0.0:$PORT app:site'
	rm apt.txt
	printf 'Gunicorn==20\nflask\n' >requirements.txt
	plan python
	has 'web gunicorn' 'deps-file: requirements.txt'
	printf 'from fastapi import FastAPI\napi: FastAPI = FastAPI()\n' >main.py
	printf 'fastapi\nuvicorn[standard]\n' >requirements.txt
	plan python
	has 'web uvicorn --host 0.0.0.0 --port $PORT main:api'
	rm requirements.txt
	touch pyproject.toml uv.lock
	plan python
	has 'warning: uv.lock is not read'
}

@test "perl: known modules become packages, cpanfile a step" {
	printf 'requires "Mojolicious", "9";\nrequires "DBD::SQLite";\n' >cpanfile
	mkdir script && printf 'use Mojolicious::Commands;\n' >script/my_app
	plan perl
	has 'apt libmojolicious-perl' 'apt libdbd-sqlite-perl' 'web perl script/my_app daemon' 'deps-file: cpanfile'
}

@test "c: CMake, Meson, make; C++ where it is wanted" {
	printf 'project(x C)\n' >CMakeLists.txt
	plan c
	has 'apt cmake' 'launch: no'
	lacks 'apt g++'
	printf 'project(x)\n' >CMakeLists.txt
	plan c
	has 'apt g++'
	elf build/x
	release c
	has 'web: ./build/x'
	rm -r CMakeLists.txt build
	printf "project('x', 'cpp')\n" >meson.build
	plan c
	has 'apt meson' 'apt g++'
}

@test "deno and bun: versions, locks, start" {
	echo '{"tasks": {"build": "x"}, "imports": {"ms": "npm:ms"}}' >deno.json
	touch main.ts
	plan deno
	has 'toolchain: deno 2.x' 'deps-file: deno.lock' 'compile: yes' 'web deno run -A main.ts'
	rm deno.json
	echo '{"packageManager": "bun@1.2.0", "scripts": {"start": "bun x.ts"}, "dependencies": {"ms": "2"}}' >package.json
	touch bun.lock
	plan bun
	has 'toolchain: bun 1.2.0' 'deps-file: bun.lock' 'web bun x.ts' 'compile: no'
}

@test "node: what a build keeps for the next one is there again, and not in the image" {
	mkdir fake app env cache
	# npm as the build sees it: it runs the script build, which counts
	cat >fake/npm <<-'END'
		#!/bin/sh
		[ "$3" = build ] && mkdir -p node_modules/.cache .next/cache && echo run >>node_modules/.cache/runs && echo x >.next/page &&
			cp node_modules/.cache/runs runs.txt
	END
	chmod 755 fake/npm
	for n in 1 2; do
		rm -rf app
		mkdir app
		echo '{"scripts": {"build": "x"}}' >app/package.json
		PATH=$PWD/fake:$PATH try "$PACKS/node/bin/compile" "$PWD/app" "$PWD/cache" "$PWD/env"
		ok
		equal $n "$(wc -l <app/runs.txt)"
		[ ! -e app/node_modules/.cache ] && [ ! -e app/.next/cache ] && [ -e app/.next/page ] || fail 'caches are in the app'
	done
}

@test "node: yarn 2 is named, native modules get a compiler, a build without a server leaves files" {
	echo '{"dependencies": {"x": "1"}}' >package.json
	touch .yarnrc.yml yarn.lock
	plan node
	has 'error: the app is installed by yarn 2 or newer'
	rm .yarnrc.yml
	plan node
	lacks error:
	has 'tool yarn 1'
	touch binding.gyp
	plan node
	has 'apt build-essential'
	lacks berth-static
	echo '{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "6"}}' >package.json
	plan node
	has 'toolchain: berth-static'
	lacks process:
	release node
	has 'left neither a program nor files'
	mkdir dist && touch dist/index.html
	release node
	has 'web: berth-static --root /app/dist --fallback index.html'
	touch dist/other.html
	release node
	lacks fallback
	mkdir build && touch build/index.js build/handler.js
	release node
	has 'web: node build'
	rm -r dist build
	echo '{"scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/adapter-auto": "6"}}' >package.json
	echo "import adapter from '@sveltejs/adapter-auto'" >svelte.config.js
	release node
	has 'adapter-auto made no server'
	echo '{"scripts": {"build": "tsc", "start": "node dist/main.js"}}' >package.json
	plan node
	has 'web node dist/main.js'
	lacks berth-static
}
