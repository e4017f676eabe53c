"""Memory, wake-ups and processor time of one berth's programs; see tests/bench/idle."""
import argparse
import collections
import glob
import json
import os
import time

p = argparse.ArgumentParser()
p.add_argument("--run")
p.add_argument("--id")
p.add_argument("--seconds", type=int)
p.add_argument("--apps", type=int, default=1)
p.add_argument("--save")
p.add_argument("--before")
arg = p.parse_args()

QUIET_S = 120  # at most: chores and retention follow a deploy by seconds


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except (OSError, UnicodeDecodeError):
        return ""


def is_ready(pid):
    """A process of berthd's that waits for the next sandbox."""
    return read(f"/proc/{pid}/comm") == "berth-ready\n"


def programs():
    """{pid: name} of berth's own programs, without those inside sandboxes."""
    found, names = {}, {}
    for d in glob.glob("/proc/[0-9]*"):
        if f"BERTH_RUN={arg.run}\0" not in read(d + "/environ") + "\0":
            continue
        exe = os.path.basename(os.readlink(d + "/exe"))
        if exe.startswith("berth"):
            found[int(d[6:])] = exe
    monitor = int(read(arg.run + "/berthd.pid"))
    several = collections.Counter()
    for pid in sorted(found):
        name = "berth-ready" if is_ready(pid) else found[pid]
        if name == "berthd":
            name = "berthd, monitor" if pid == monitor else "berthd, worker"
        if name in ("berth-router", "berth-ready"):
            name, n = f"{name} {several[name]}", name
            several[n] += 1
        names[pid] = name
    return names


def instances():
    """(berth-init pids, app pids)"""
    inits, apps = [], []
    for d in glob.glob("/proc/[0-9]*"):
        if f"/berth-{arg.id}/" not in read(d + "/cgroup"):
            continue
        pid = int(d[6:])
        if is_ready(pid):
            continue
        (inits if "memfd:berth-init" in os.readlink(d + "/exe") else apps).append(pid)
    return inits, apps


def memory(pid):
    m = {}
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]:
        k, v = line.split()[:2]
        m[k[:-1]] = int(v)
    return {"pss": m.get("Pss", 0), "private": m.get("Private_Clean", 0) + m.get("Private_Dirty", 0),
            "fds": len(os.listdir(f"/proc/{pid}/fd"))}


def activity(pid):
    """(wake-ups, processor time in ns) of all its threads"""
    wakes = ns = 0
    for t in glob.glob(f"/proc/{pid}/task/[0-9]*"):
        for line in read(t + "/status").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakes += int(line.split()[1])
        ns += int((read(t + "/schedstat") or "0").split()[0])
    return wakes, ns


def during(pids, seconds):
    before = {p: activity(p) for p in pids}
    time.sleep(seconds)
    return {p: tuple(b - a for a, b in zip(before[p], activity(p))) for p in pids}


def wait_until_quiet(pids):
    end = time.time() + QUIET_S
    while time.time() < end:
        if sum(w for w, _ in during(pids, 3).values()) <= 3:
            return True
    return False


def kernel_kb():
    keys = ("Slab:", "KernelStack:", "PageTables:", "Percpu:")
    return sum(int(line.split()[1]) for line in read("/proc/meminfo").splitlines() if line.startswith(keys))


own = programs()
quiet = wait_until_quiet(list(own))
inits, apps = instances()
now = {"kernel": kernel_kb(), "programs": {n: memory(p) for p, n in own.items()}}
if arg.save:
    with open(arg.save, "w") as f:
        json.dump(now, f)
    raise SystemExit
with open(arg.before) as f:
    one = json.load(f)

act = during(list(own) + inits + apps, arg.seconds)
more = arg.apps - 1
print(f"### {arg.apps} idle apps, {time.strftime('%F')}, {os.cpu_count()} processors, Linux {os.uname().release}\n")
if not quiet:
    print(f"berth's programs were not quiet after {QUIET_S} s; the figures hold what they still did.\n")
print(f"| program | PSS kB | private kB | private kB with one app | descriptors | wake-ups in {arg.seconds} s | processor ms in {arg.seconds} s |")
print("|---|---|---|---|---|---|---|")
total = dict.fromkeys(("pss", "private", "one", "fds", "wakes", "ns"), 0)
for pid, name in sorted(own.items(), key=lambda x: x[1]):
    m = now["programs"][name]
    row = {"pss": m["pss"], "private": m["private"], "one": one["programs"].get(name, m)["private"], "fds": m["fds"],
           "wakes": act[pid][0], "ns": act[pid][1]}
    for k in total:
        total[k] += row[k]
    print(f"| {name} | {row['pss']} | {row['private']} | {row['one']} | {row['fds']} | {row['wakes']} | {row['ns'] / 1e6:.2f} |")
print(f"| all of berth's programs | {total['pss']} | {total['private']} | {total['one']} | {total['fds']} | {total['wakes']} | {total['ns'] / 1e6:.2f} |")

init = [memory(p) for p in inits]
init_private = sum(m["private"] for m in init) / max(len(init), 1)
growth = (total["private"] - total["one"]) / more
wakes = sum(act[p][0] for p in inits)
print("\n| for each idle instance | |\n|---|---|")
print(f"| berth-init, private | {init_private:.0f} kB |")
print(f"| berth's programs, private memory above one app's | {growth:.1f} kB |")
print(f"| together | {init_private + growth:.0f} kB (must: under 150) |")
print(f"| berth-init, PSS | {sum(m['pss'] for m in init) / max(len(init), 1):.0f} kB |")
print(f"| the kernel's own (slab, stacks, page tables, per-cpu) | {(now['kernel'] - one['kernel']) / more:.0f} kB |")
print(f"| descriptors in berth's programs | {(total['fds'] - sum(m['fds'] for m in one['programs'].values())) / more:.1f} |")
print(f"| wake-ups of all {len(inits)} berth-inits in {arg.seconds} s | {wakes} |")
print(f"| wake-ups of berth's programs for each app and second | {total['wakes'] / arg.seconds / arg.apps:.4f} (must: 0) |")
bad = len(inits) != arg.apps or init_private + growth >= 150 or total["wakes"] / arg.seconds / arg.apps >= 0.0005
raise SystemExit(1 if bad else 0)
