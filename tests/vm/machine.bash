# A whole Debian in QEMU for tests/vm/system: its disk, its package, its start, and how it is reached. Needs $out, a folder, and
# $release, which is $here or another that the host's archives have.

root=${out:?}/root
memory_mb=3072
packages=systemd-sysv,udev,dbus,linux-image-amd64,openssh-server,ca-certificates,chrony,iproute2,nftables,curl,procps
# The names of files: where the host's packages come from, those of the release.
sources() {
	local file
	mkdir -p "$out/sources"
	find /etc/apt/sources.list /etc/apt/sources.list.d -type f \( -name '*.list' -o -name '*.sources' \) 2>/dev/null | while read -r file; do
		sed "s/\<${here:?}\>/${release:?}/g" "$file" >"$out/sources/${file##*/}"
		echo "$out/sources/${file##*/}"
	done
}
# ROOT reaches the archives as the host does, and asks NAMESERVER for names, or those that the host asks.
online() {
	cp -a /etc/ssl/certs/. "$1/etc/ssl/certs/"
	apt-config dump Acquire | grep -i proxy >"$1/etc/apt/apt.conf.d/90host" || :
	cp /usr/share/keyrings/* "$1/usr/share/keyrings/" 2>/dev/null || :
	sed "s/^nameserver .*/${2:+nameserver }${2:-&}/" /etc/resolv.conf >"$1/etc/resolv.conf"
	grep -v localhost /etc/hosts >>"$1/etc/hosts" || :
}

image() {
	[ ! -e "$out/disk.base" ] || return 0
	rm -rf "$out"
	mkdir -p "$out"
	ssh-keygen -q -t ed25519 -N '' -C operator -f "$out/key"
	# shellcheck disable=SC2046 # file names without blanks
	mmdebstrap --quiet --mode=root --variant=minbase --include=$packages '' "$root" $(sources)
	online "$root" 10.0.2.3
	echo '10.0.2.15 berth-doctor.apps.test' >>"$root/etc/hosts" # the record *.apps.test that an operator makes
	echo host >"$root/etc/hostname"
	echo '/dev/vda / ext4 rw,noatime 0 1' >"$root/etc/fstab"
	printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$root/etc/systemd/network/10-host.network"
	ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/"
	mkdir -p "$root/root/.ssh"
	cp "$out/key.pub" "$root/root/.ssh/authorized_keys"
	rm -rf "$root"/var/cache/apt/archives/*.deb
	cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
	cp "$root"/boot/initrd.img-* "$out/initrd"
	truncate -s 12G "$out/disk.new"
	mke2fs -q -t ext4 -d "$root" "$out/disk.new"
	rm -rf "$root"
	mv "$out/disk.new" "$out/disk.base"
}

# The package of what is in the work tree, made where the release's libraries are.
package() {
	local work=$out/build
	if [ "$release" = "$here" ]; then
		packaging/deb >"$out/package" || { cat "$out/package"; return 1; }
		cp build/deb/berth_*.deb "$out/berth.deb"
		return
	fi
	if [ ! -e "$work" ]; then
		# shellcheck disable=SC2046
		mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates '' "$work.new" $(sources)
		online "$work.new"
		mv "$work.new" "$work"
	fi
	rm -rf "$work/berth"
	mkdir "$work/berth"
	git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- | tar -x -C "$work/berth"
	git -C "$work/berth" init -q
	git -C "$work/berth" add -A
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --pid --fork --propagation private bash -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" /berth/packaging/deb' deb "$PWD/$work" >"$out/package" || { cat "$out/package"; return 1; }
	cp "$work"/berth/build/deb/berth_*.deb "$out/berth.deb"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

boot() {
	ssh_port=$(free_port) http_port=$(free_port)
	nice -n 10 qemu-system-x86_64 -nodefaults -no-user-config -display none -accel tcg,thread=multi -cpu max,la57=off \
		-smp 2 -m $memory_mb -kernel "$out/vmlinuz" -initrd "$out/initrd" -append 'root=/dev/vda rw console=ttyS0 quiet mitigations=off panic=-1' \
		-drive "file=$out/disk,format=raw,if=virtio,cache=unsafe" -serial "file:$out/console" \
		-nic "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$ssh_port-:22,hostfwd=tcp:127.0.0.1:$http_port-:80" -device virtio-rng-pci &
	machine=$!
	cat >"$out/ssh_config" <<-END
		Host host berth
		    HostName 127.0.0.1
		    Port $ssh_port
		    IdentityFile $PWD/$out/key
		    IdentitiesOnly yes
		    StrictHostKeyChecking no
		    UserKnownHostsFile $PWD/$out/known_hosts
		    LogLevel ERROR
		    ConnectTimeout 10
		Host host
		    User root
		Host berth
		    User berth
	END
	export GIT_SSH_COMMAND="ssh -F $PWD/$out/ssh_config"
}
# SECONDS COMMAND…
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] && kill -0 "$machine" 2>/dev/null || return 1
		sleep 0.5
	done
}
host() { timeout 900 ssh -F "$out/ssh_config" host "$@" </dev/null; }
put() { timeout 300 scp -q -F "$out/ssh_config" "$@"; }
up() { timeout 20 ssh -F "$out/ssh_config" host true </dev/null 2>/dev/null; }
fetch() { curl -sS --fail --max-time 20 -H "Host: $1.apps.test" "http://127.0.0.1:$http_port${2:-/}"; }
serves() { [ "$(fetch "$1" 2>/dev/null)" = "$2" ]; }
# The clock that the machine goes by: this host's.
time_server() {
	ntp_port=$(free_port)
	python3 - "$ntp_port" <<-'END' &
		import socket, struct, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(("127.0.0.1", int(sys.argv[1])))
		while True:
		    asked, who = s.recvfrom(1024)
		    now = struct.pack("!Q", int((time.time() + 2208988800) * 2**32))
		    if len(asked) >= 48:
		        s.sendto(struct.pack("!BBbbII4s", 36, 2, 4, -20, 0, 0, b"LOCL") + now + asked[40:48] + now + now, who)
	END
	clock=$!
}
clock_runs() {
	host "echo 'server 10.0.2.2 port $ntp_port iburst minpoll 2 maxpoll 4' >/etc/chrony/conf.d/host.conf && systemctl restart chrony"
	within 120 host 'chronyc -n tracking | grep "Leap status *: Normal"'
}
# Gone with all that belongs to it.
finish() {
	local status=$?
	trap - EXIT
	[ -z "${clock:-}" ] || kill "$clock" 2>/dev/null || :
	if [ -n "${machine:-}" ]; then
		kill "$machine" 2>/dev/null || :
		wait "$machine" 2>/dev/null || :
	fi
	[ -n "${TESTS_KEEP:-}" ] || rm -f "$out/disk"
	exit $status
}
