# What decides how a Python app is installed; read by plan, deps and compile.
# shellcheck shell=sh disable=SC2034 # used by those who read this

# Files of packages that the repository brings along, one a line: put into vendor/ or wheels/.
vendored() {
	for f in vendor/*.whl vendor/*.tar.gz wheels/*.whl wheels/*.tar.gz; do
		[ ! -f "$f" ] || printf '%s\n' "$f"
	done
}

# Whether installing needs the whole repository: a project of its own, or a requirement that is a folder of it.
install_needs_tree() {
	if [ -f requirements.txt ]; then
		grep -qE '^[[:space:]]*(-e|--editable|\.|file:|[A-Za-z0-9._-]+ *@ *file:)' requirements.txt
	else
		[ -f setup.py ] || { [ -f pyproject.toml ] && grep -q '^\[project\]' pyproject.toml; }
	fi
}

has_requirements() {
	[ -f requirements.txt ] && grep -qE '^[[:space:]]*[^#[:space:]]' requirements.txt
}

# install DIR CACHE: into DIR/.venv, which also sees Debian's packages (apt.txt: python3-flask).
install() {
	cd "$1" || return 1
	export HOME=/tmp PIP_CACHE_DIR="$2/pip" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
	[ -n "$PIP_CERT" ] || [ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
		export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
	echo "-----> Installing Python packages"
	python3 -m venv --system-site-packages .venv || return 1
	if [ -f requirements.txt ]; then set -- -r requirements.txt; else set -- .; fi
	# What the repository and Debian's packages have needs no index.
	for d in vendor wheels; do [ ! -d $d ] || set -- --find-links "$d" "$@"; done
	if [ -n "$(vendored)" ] || [ -f apt.txt ]; then
		.venv/bin/python -m pip install -qq --no-index "$@" 2>/dev/null && return 0
	fi
	.venv/bin/python -m pip install -qq --retries 2 --timeout 20 "$@" && return 0
	status=$?
	echo " !     pip could not install the requirements. Where no package index is reachable, put the"
	echo " !     packages as wheels into vendor/, or name Debian's (python3-flask) in apt.txt."
	return "$status"
}
