# What package.json says, as shell variables; read by plan, deps and compile.
# shellcheck shell=sh disable=SC2034 # used by those who read this

# read_package DIR: 0, or 1 with "error: sentence" printed.
read_package() {
	if ! values=$("$BERTH_BUILD" json "$1/package.json" engines/node engines/npm packageManager main \
		scripts/start scripts/prestart scripts/poststart scripts/build scripts/heroku-prebuild \
		scripts/heroku-postbuild scripts/heroku-cleanup scripts/preinstall scripts/install \
		scripts/postinstall scripts/prepare workspaces 'dependencies/*' 'devDependencies/*' \
		'optionalDependencies/*'); then
		printf '%s\n' "$values"
		return 1
	fi
	{
		read -r engine_node
		read -r engine_npm
		read -r manager
		read -r main
		read -r start
		read -r prestart
		read -r poststart
		read -r build
		read -r prebuild
		read -r postbuild
		read -r cleanup
		read -r preinstall
		read -r install
		read -r postinstall
		read -r prepare
		read -r workspaces
		read -r dependencies
		read -r dev_dependencies
		read -r optional_dependencies
	} <<VALUES
$values
VALUES
	return 0
}

has_dependencies() {
	[ -n "$dependencies$dev_dependencies$optional_dependencies" ]
}

has_build() {
	[ -n "$build$prebuild$postbuild$cleanup" ]
}

# The program that installs: sets tool (npm, yarn, pnpm) and tool_range. In the app's folder.
choose_tool() {
	tool=npm tool_range=$engine_npm
	case $manager in
	npm@* | pnpm@* | yarn@1*)
		tool=${manager%%@*} tool_range=${manager#*@}
		tool_range=${tool_range%%+*}
		return
		;;
	esac
	[ ! -f package-lock.json ] && [ ! -f npm-shrinkwrap.json ] || return 0
	if [ -f pnpm-lock.yaml ]; then
		tool=pnpm
		case $(head -n 1 pnpm-lock.yaml) in
		*5.*) tool_range=7 ;;
		*6.*) tool_range=8 ;;
		*) tool_range=9 ;;
		esac
	elif [ -f yarn.lock ] && ! grep -q '^__metadata:' yarn.lock; then
		tool=yarn tool_range=1
	fi
}

# Whether installing needs more than package.json and its lock file: the repository, or the app's config (a token in
# .npmrc). Then it is part of compile.
install_needs_tree() {
	[ -z "$preinstall$install$postinstall$prepare$workspaces" ] || return 0
	[ ! -f pnpm-workspace.yaml ] || return 0
	# shellcheck disable=SC2016 # npm expands it
	[ ! -f .npmrc ] || ! grep -q '${' .npmrc || return 0
	case " $dependencies $dev_dependencies $optional_dependencies" in
	*' file:'* | *' link:'* | *' workspace:'* | *' .'/* | *' ../'*) return 0 ;;
	esac
	return 1
}

# yarn 2 and newer, whose lock file and settings are its own.
modern_yarn() {
	[ ! -f package-lock.json ] && [ ! -f npm-shrinkwrap.json ] || return 1
	case $manager in
	yarn@1* | npm@* | pnpm@*) return 1 ;;
	yarn@*) return 0 ;;
	esac
	[ -f .yarnrc.yml ] || { [ -f yarn.lock ] && grep -q '^__metadata:' yarn.lock; }
}

# Whether the app starts a program of its own. What only serves a developer's machine is none.
has_server() {
	case $start in
	'') [ -f server.js ] || [ -f index.js ] || [ -f app.js ] || { [ -n "$main" ] && [ -f "$main" ]; } ;;
	vite | vite\ * | 'react-scripts start' | 'vue-cli-service serve'* | 'ng serve'* | 'astro dev'* | 'astro preview'* | 'parcel '*) return 1 ;;
	esac
}
