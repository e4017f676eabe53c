/*
 * The attacks, one row each. The probe (tests/attack/probe.c) takes the names and calls attack_NAME; the driver
 * (tests/attack/attack.c) takes the rest.
 *
 *   BOTH(name, what, passed, lacks, want, guards)      the same for an app and for a build's root
 *   EACH(name, what, passed, lacks, want, guards, want, guards)      first the app's, then a build's root's
 *
 * passed  what the attack gives where nothing stops it: 0, or an errno that only comes after the permission check,
 *         so that nothing happens to the machine
 * lacks   what it gives where the kernel has no such thing; 0: every kernel has it
 *         SKIP: it cannot be tried without guards
 * want    what it gives in a sandbox as berth makes it; SKIP: it says nothing there
 * guards  each of them alone refuses it, and without all of them it succeeds
 *
 * ALLOWED(name, what)      no attack: it must succeed
 *
 * ALONE_ rows get a sandbox to themselves: they change it, or fill it.
 */

/* clang-format off */

/* Three that mostly come together. */
#define SYSTEM (FILTER | CAPS | USERNS)

/* ---- mounts ---- */
BOTH(mount_tmpfs, "mount: a tmpfs", 0, 0, EPERM, SYSTEM)
BOTH(mount_bind, "mount: / bound to another place", 0, 0, EPERM, SYSTEM)
BOTH(mount_remount, "mount: /proc/sys made writable again", 0, 0, EPERM, SYSTEM)
BOTH(mount_shared, "mount: mounts shared with other namespaces", 0, 0, EPERM, SYSTEM)
BOTH(mount_move, "mount: a mask moved away", EINVAL, 0, EPERM, SYSTEM)
BOTH(umount, "umount2: a mask taken off /proc", EINVAL, 0, EPERM, SYSTEM)
BOTH(pivot_root, "pivot_root", ENOENT, 0, EPERM, SYSTEM)
BOTH(open_tree, "open_tree: a copy of /", 0, 0, EPERM, SYSTEM)
BOTH(move_mount, "move_mount", EBADF, 0, EPERM, SYSTEM)
BOTH(fsopen, "fsopen: a tmpfs", 0, 0, EPERM, SYSTEM)
BOTH(fsmount, "fsmount", EBADF, 0, EPERM, SYSTEM)
BOTH(fspick, "fspick: the root", 0, 0, EPERM, SYSTEM)
BOTH(fsconfig, "fsconfig", EINVAL, 0, EPERM, FILTER)
BOTH(mount_setattr, "mount_setattr: / without nosuid", EINVAL, 0, EPERM, SYSTEM)
BOTH(open_tree_attr, "open_tree_attr: a copy of /", 0, ENOSYS, ENOSYS, SYSTEM)
BOTH(statmount, "statmount", EFAULT, ENOSYS, ENOSYS, FILTER)
BOTH(listmount, "listmount", EFAULT, ENOSYS, ENOSYS, FILTER)
BOTH(mount_sysfs, "mount: sysfs, and its switches opened for writing", 0, 0, EPERM, SYSTEM)
BOTH(swapon, "swapon", ENOENT, ENOSYS, EPERM, SYSTEM)
BOTH(swapoff, "swapoff", ENOENT, ENOSYS, EPERM, SYSTEM)
BOTH(quotactl, "quotactl", ENOTBLK, ENOSYS, EPERM, FILTER)

/* ---- out of the root ---- */
EACH(chroot_chdir, "chroot, then .. past the root", 0, 0, EPERM, CAPS | ROOT, NOTHING, ROOT)
EACH(chroot_fchdir, "chroot, then fchdir to a folder kept open, then ..", 0, 0, EPERM, CAPS | ROOT, NOTHING, ROOT)
EACH(chroot_nested, "chroot in a chroot, then ..", 0, 0, EPERM, CAPS | ROOT, NOTHING, ROOT)
EACH(chroot_volume, "out of the root to another app's volume", 0, 0, EPERM, CAPS | USERNS | ROOT, NOTHING, USERNS | ROOT)
BOTH(handle, "open_by_handle_at", 0, 0, EPERM, SYSTEM)

/* ---- namespaces ---- */
BOTH(clone_user, "clone: a user namespace", 0, 0, EPERM, FILTER)
BOTH(clone_mount, "clone: a mount namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone_pid, "clone: a pid namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone_net, "clone: a network namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone_ipc, "clone: an ipc namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone_uts, "clone: a uts namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone_cgroup, "clone: a cgroup namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(clone3_user, "clone3: a user namespace", 0, 0, ENOSYS, FILTER)
BOTH(clone3_mount, "clone3: a mount namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_pid, "clone3: a pid namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_net, "clone3: a network namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_ipc, "clone3: an ipc namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_uts, "clone3: a uts namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_cgroup, "clone3: a cgroup namespace", 0, 0, ENOSYS, FILTER | CAPS)
BOTH(clone3_time, "clone3: a time namespace", 0, EINVAL, ENOSYS, FILTER | CAPS)
BOTH(unshare_user, "unshare: a user namespace", 0, 0, EPERM, FILTER)
BOTH(unshare_mount, "unshare: a mount namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_pid, "unshare: a pid namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_net, "unshare: a network namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_ipc, "unshare: an ipc namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_uts, "unshare: a uts namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_cgroup, "unshare: a cgroup namespace", 0, 0, EPERM, FILTER | CAPS)
BOTH(unshare_time, "unshare: a time namespace", 0, EINVAL, EPERM, FILTER | CAPS)
BOTH(setns_net, "setns: a network namespace", 0, 0, EPERM, SYSTEM)
BOTH(setns_user, "setns: a user namespace", EINVAL, 0, EPERM, FILTER)
BOTH(setns_process, "setns: by a process", 0, 0, EPERM, SYSTEM)

/* ---- other processes ---- */
BOTH(ptrace_me, "ptrace: TRACEME", 0, 0, EPERM, FILTER)
BOTH(ptrace_child, "ptrace: SEIZE of its own child", 0, 0, EPERM, FILTER)
BOTH(ptrace_init, "ptrace: SEIZE of berth-init", 0, 0, EPERM, FILTER | DUMP | UNREAD)
BOTH(vm_read, "process_vm_readv of its own child", 0, 0, EPERM, FILTER)
BOTH(vm_write, "process_vm_writev of its own child", 0, 0, EPERM, FILTER)
BOTH(vm_read_init, "process_vm_readv of berth-init", EFAULT, 0, EPERM, FILTER | DUMP | UNREAD)
BOTH(getfd_child, "pidfd_getfd of its own child", 0, 0, EPERM, FILTER)
BOTH(getfd_init, "pidfd_getfd of berth-init", 0, 0, EPERM, FILTER | DUMP | UNREAD)
BOTH(kcmp, "kcmp", 0, ENOSYS, EPERM, FILTER)
BOTH(init_memory, "open /proc/1/mem", 0, 0, EACCES, DUMP | UNREAD)
BOTH(init_environ, "open /proc/1/environ", 0, 0, EACCES, DUMP | UNREAD)
BOTH(init_fds, "open a descriptor of berth-init in /proc/1/fd", 0, 0, EACCES, DUMP | UNREAD)
BOTH(init_exe, "open /proc/1/exe", 0, 0, EACCES, DUMP | UNREAD)
BOTH(init_root, "open /proc/1/root", 0, 0, EACCES, DUMP | UNREAD)
BOTH(init_cwd, "open /proc/1/cwd", 0, 0, EACCES, DUMP | UNREAD)
EACH(kill_all, "kill(-1): a process of the host gets it", 0, 0, NOTHING, CAPS | USERNS | PIDNS, NOTHING, USERNS | PIDNS)
EACH(kill_host, "kill: a process of the host by its number", 0, 0, ESRCH, CAPS | USERNS | PIDNS, ESRCH, USERNS | PIDNS)
EACH(kill_app, "kill: a process of another app by its number", 0, 0, ESRCH, CAPS | USERNS | PIDNS, ESRCH, USERNS | PIDNS)
BOTH(host_environ, "open /proc/PID/environ of the host's process", 0, 0, ENOENT, CAPS | USERNS | PIDNS)
BOTH(app_root, "open a file through /proc/PID/root of another app", 0, 0, ENOENT, CAPS | USERNS | PIDNS)
BOTH(priority, "setpriority: above others", 0, 0, EACCES, CAPS | USERNS)
BOTH(io_priority, "ioprio_set: real time", 0, 0, EPERM, CAPS | USERNS)
BOTH(host_shm, "shmget: the host's shared memory", 0, 0, ENOENT, IPCNS)
BOTH(host_mqueue, "mq_open: the host's message queue", 0, 0, ENOENT, IPCNS)

/* ---- becoming more ---- */
EACH(setuid, "setuid(0)", 0, 0, EPERM, CAPS, 0, 0)
EACH(setgid, "setgid(0)", 0, 0, EPERM, CAPS, 0, 0)
EACH(setgroups, "setgroups", 0, 0, EPERM, CAPS, 0, 0)
EACH(chown, "chown: its file to root", 0, 0, EPERM, CAPS, 0, 0)
BOTH(capset, "capset: SYS_ADMIN", 0, 0, EPERM, CAPS)
EACH(suid_layer, "a set-uid root program in a layer", 0, 0, NOTHING, NNP | FLAGS, SKIP, 0)
EACH(suid_volume, "a set-uid root program in a volume", 0, 0, NOTHING, NNP | FLAGS, SKIP, 0)
EACH(file_caps, "a program with file capabilities", 0, 0, NOTHING, CAPS | NNP | FLAGS, SKIP, 0)
BOTH(descriptors, "a descriptor above 2 at the start", 0, 0, NOTHING, FDS)

/* ---- device nodes ---- */
BOTH(mknod_char, "mknod: a character device", 0, 0, EPERM, CAPS | USERNS)
BOTH(mknod_block, "mknod: a block device", 0, 0, EPERM, CAPS | USERNS)
BOTH(device_made, "mknod and open of a device", 0, 0, EPERM, CAPS | USERNS | FLAGS)
BOTH(device_layer, "open a device that a layer brings", 0, 0, EACCES, FLAGS)
BOTH(device_volume, "open a device in a volume", 0, 0, EACCES, FLAGS)
EACH(dev_write, "a new file in /dev", 0, 0, EROFS, CAPS | USERNS | FLAGS, EROFS, USERNS | FLAGS)
BOTH(volume_read_only, "write to a volume mounted read-only", 0, 0, EROFS, FLAGS)

/* ---- /proc ---- */
EACH(core_pattern, "open /proc/sys/kernel/core_pattern for writing", 0, 0, EACCES, USERNS | USER | MASKS, EACCES, USERNS | MASKS)
EACH(drop_caches, "open /proc/sys/vm/drop_caches for writing", 0, 0, EACCES, USERNS | USER | MASKS, EACCES, USERNS | MASKS)
EACH(modprobe, "open /proc/sys/kernel/modprobe for writing", 0, ENOENT, EACCES, USERNS | USER | MASKS, EACCES, USERNS | MASKS)
EACH(sysrq, "open /proc/sysrq-trigger for writing", 0, ENOENT, NOTHING, CAPS | USERNS | MASKS, NOTHING, USERNS | MASKS)
EACH(irq, "open /proc/irq/default_smp_affinity for writing", 0, ENOENT, EACCES, CAPS | USERNS | MASKS, EACCES, USERNS | MASKS)
BOTH(release_agent, "mount a control group hierarchy, open its release_agent for writing", 0, EBUSY, EPERM, SYSTEM | CGNS)
BOTH(kcore, "read /proc/kcore", 0, ENOENT, NOTHING, CAPS | USERNS | MASKS)
BOTH(kallsyms, "an address in /proc/kallsyms", 0, 0, NOTHING, CAPS | USERNS | MASKS)
BOTH(kmsg, "open /proc/kmsg", 0, 0, NOTHING, CAPS | USERNS | MASKS)
BOTH(cmdline, "read /proc/cmdline", 0, 0, NOTHING, MASKS)
BOTH(keys, "read the host's keys in /proc/keys", 0, 0, NOTHING, USERNS | MASKS)
BOTH(key_users, "read /proc/key-users", 0, 0, NOTHING, USERNS | MASKS)
EACH(timer_list, "read /proc/timer_list", 0, ENOENT, NOTHING, CAPS | USERNS | MASKS, NOTHING, USERNS | MASKS)
EACH(kpageflags, "read /proc/kpageflags", 0, ENOENT, NOTHING, CAPS | USERNS | MASKS, NOTHING, USERNS | MASKS)
BOTH(drivers, "list /proc/acpi, asound, driver and scsi", 0, NOTHING, NOTHING, MASKS)

/* ---- the kernel itself ---- */
BOTH(add_key, "add_key", 0, ENOSYS, EPERM, FILTER)
BOTH(request_key, "request_key", ENOKEY, ENOSYS, EPERM, FILTER)
BOTH(keyctl, "keyctl: its session keyring", 0, ENOSYS, EPERM, FILTER)
BOTH(host_key, "keyctl: a key in the session keyring of berthd", 0, ENOSYS, EPERM, FILTER | KEYRING)
BOTH(bpf, "bpf", ENOENT, ENOSYS, EPERM, SYSTEM)
BOTH(perf, "perf_event_open: a processor", 0, ENOSYS, EPERM, SYSTEM)
BOTH(io_uring, "io_uring_setup", 0, ENOSYS, ENOSYS, FILTER)
BOTH(userfaultfd, "userfaultfd: faults of the kernel too", 0, ENOSYS, EPERM, SYSTEM)
BOTH(userfaultfd_user, "userfaultfd: own faults", 0, ENOSYS, EPERM, FILTER)
BOTH(init_module, "init_module", ENOEXEC, ENOSYS, EPERM, SYSTEM)
BOTH(finit_module, "finit_module", EBADF, ENOSYS, EPERM, SYSTEM)
BOTH(delete_module, "delete_module", ENOENT, ENOSYS, EPERM, SYSTEM)
BOTH(kexec_load, "kexec_load", EINVAL, ENOSYS, EPERM, SYSTEM)
BOTH(kexec_file_load, "kexec_file_load", EINVAL, ENOSYS, EPERM, SYSTEM)
BOTH(reboot, "reboot", EINVAL, 0, EPERM, SYSTEM)
BOTH(acct, "acct", ENOENT, ENOSYS, EPERM, SYSTEM)
BOTH(syslog, "syslog: the console's level", EINVAL, 0, EPERM, SYSTEM)
BOTH(settimeofday, "settimeofday", EINVAL, 0, EPERM, SYSTEM)
BOTH(clock_settime, "clock_settime (no control: it would set the machine's clock)", SKIP, 0, EPERM, SYSTEM)
BOTH(adjtimex, "adjtimex", EINVAL, 0, EPERM, SYSTEM)
BOTH(clock_adjtime, "clock_adjtime", EINVAL, 0, EPERM, SYSTEM)
BOTH(sethostname, "sethostname", 0, 0, EPERM, SYSTEM)
BOTH(setdomainname, "setdomainname", 0, 0, EPERM, SYSTEM)
BOTH(iopl, "iopl", 0, ENOSYS, EPERM, SYSTEM)
BOTH(ioperm, "ioperm", 0, ENOSYS, EPERM, SYSTEM)
BOTH(vhangup, "vhangup", 0, 0, EPERM, SYSTEM)
BOTH(fanotify, "fanotify_init: with permission events", 0, ENOSYS, EPERM, SYSTEM)
BOTH(move_pages, "move_pages", 0, ENOSYS, EPERM, FILTER)
BOTH(migrate_pages, "migrate_pages", 0, ENOSYS, EPERM, FILTER)
BOTH(modify_ldt, "modify_ldt", 0, ENOSYS, ENOSYS, FILTER)
BOTH(personality, "personality: READ_IMPLIES_EXEC", 0, 0, EPERM, FILTER)
BOTH(int80, "int 0x80: a call of 32-bit x86", 0, KILLED_BY(SIGSEGV), KILLED_BY(SIGSYS), FILTER)
BOTH(x32, "a call with the x32 bit", 0, ENOSYS, KILLED_BY(SIGSYS), FILTER)

/* ---- terminals ---- */
BOTH(tiocsti, "TIOCSTI: typing into its own terminal", 0, EIO, EPERM, FILTER)
BOTH(tiocsti_high, "TIOCSTI with a bit above the 32nd", 0, EIO, EPERM, FILTER)
BOTH(tioclinux, "TIOCLINUX: pasting into a console", ENOTTY, 0, EPERM, FILTER)

/* ---- sockets ---- */
BOTH(socket_raw, "socket: raw ICMP", 0, 0, EPERM, CAPS | USERNS)
BOTH(socket_packets, "socket: whole IP packets", 0, 0, EPROTONOSUPPORT, SYSTEM)
BOTH(socket_packet, "socket: packets of an interface", 0, EAFNOSUPPORT, EAFNOSUPPORT, SYSTEM)
BOTH(socket_vsock, "socket: to the hypervisor", 0, EAFNOSUPPORT, EAFNOSUPPORT, FILTER)
BOTH(socket_alg, "socket: the kernel's ciphers", 0, EAFNOSUPPORT, EAFNOSUPPORT, FILTER)
BOTH(socket_xdp, "socket: express data path", 0, EAFNOSUPPORT, EAFNOSUPPORT, SYSTEM)
BOTH(socket_key, "socket: keys of IPsec", 0, EAFNOSUPPORT, EAFNOSUPPORT, SYSTEM)
BOTH(socket_netfilter, "socket: netlink to the packet filter", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(socket_generic, "socket: generic netlink", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(socket_uevent, "socket: netlink of device events", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(socket_sctp, "socket: SCTP", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(socket_udplite, "socket: UDP-Lite", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(socket_l2tp, "socket: L2TP", 0, EPROTONOSUPPORT, EPROTONOSUPPORT, FILTER)
BOTH(interface, "ioctl: an interface taken down", ENODEV, 0, EPERM, CAPS | USERNS)
BOTH(peer_pidfd, "getsockopt: a descriptor of the process at the other end", 0, ENOPROTOOPT, ENOPROTOOPT, FILTER)
BOTH(pass_pidfd, "setsockopt: a descriptor of whoever sends", 0, ENOPROTOOPT, ENOPROTOOPT, FILTER)
BOTH(transparent, "setsockopt: IP_TRANSPARENT", 0, 0, EPERM, CAPS | USERNS)

/* ---- the network ---- */
BOTH(host_abstract, "connect: an abstract socket of the host", 0, 0, ECONNREFUSED, NETNS)
BOTH(host_loopback, "connect: a service on the host's loopback", 0, 0, ECONNREFUSED, NETNS)
BOTH(host_address, "connect: a service at the host's own address", 0, 0, ECONNREFUSED, NET)
BOTH(other_app, "connect: another app's address", 0, 0, ECONNREFUSED, NET)
BOTH(other_app_udp, "a datagram to another app", 0, 0, NOTHING, NET)
BOTH(metadata, "connect: the cloud's metadata address", 0, 0, ECONNREFUSED, NET)
BOTH(private_net, "connect: a private address behind the host", 0, 0, ECONNREFUSED, NET)
BOTH(spoof, "a datagram with another source address", 0, 0, EPROTONOSUPPORT, SYSTEM | NET)

/* ---- using up ---- */
ALONE_BOTH(fork_bomb, "a fork bomb of 200", 0, 0, EAGAIN, LIMITS)
ALONE_BOTH(memory_bomb, "160 MiB of memory", 0, 0, KILLED_BY(SIGKILL), LIMITS)
ALONE_BOTH(tmp_fill, "160 MiB in /tmp", 0, 0, ENOSPC, SIZES | LIMITS)
ALONE_BOTH(shm_fill, "160 MiB in /dev/shm", 0, 0, KILLED_BY(SIGKILL), SIZES | LIMITS)
ALONE_BOTH(scratch_fill, "48 MiB of files", 0, 0, ENOSPC, LIMITS)
ALONE_BOTH(inode_fill, "30,000 files", 0, 0, ENOSPC, LIMITS)
ALONE_BOTH(fd_exhaustion, "2,000 open files", 0, 0, EMFILE, LIMITS)
ALONE_BOTH(inotify, "the inotify instances of other users", 0, 0, NOTHING, OWNER)
ALONE_BOTH(timers, "the timers of other users", 0, 0, NOTHING, OWNER)
ALONE_BOTH(mqueues, "the message queues of other users", 0, 0, NOTHING, OWNER)
ALONE_BOTH(terminals, "the terminals of other sandboxes", 0, 0, NOTHING, SIZES)
ALONE_BOTH(log_flood, "16 MiB of output keep a log budget of 4", 0, 0, NOTHING, LIMITS)

ALONE_BOTH(pass_linger, "the router's time, by a descriptor that is slow to close", 0, ENOPROTOOPT, NOTHING, RIGHTS)

/* ---- outliving the end ---- */
ALONE_BOTH(fork_at_kill, "SIGTERM ignored, a fork loop at the kill", 0, 0, NOTHING, PIDNS | KILL)
ALONE_BOTH(daemon, "a daemonised grandchild after the stop", 0, 0, NOTHING, PIDNS | KILL)
ALONE_BOTH(pid_reuse, "a kill after its pid was given to another", 0, 0, NOTHING, START)

/* ---- allowed on purpose: what the other sandboxes refuse by default and an app is there for ---- */
ALLOWED(world, "connect: another machine in the internet")
ALLOWED(write_root, "a new file in its own folder")

#undef SYSTEM
