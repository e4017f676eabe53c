"""The peers of the router's benchmark: their configurations, tuned to their best, and how each is started."""
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/router"))
sys.dont_write_bytecode = True
import harness  # noqa: E402

UNPACKED = os.path.join(ROOT, "build/peers/root")
LOAD_CPU, PROXY_CPU = 0, 1
POOL_ONE, POOL_MANY = 1024, 64  # idle connections that a peer may keep to each app


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name):
    for folder in ("usr/sbin", "usr/bin"):
        path = os.path.join(UNPACKED, folder, name)
        if os.path.exists(path):
            return path
    return name


def environment(folder):
    libs = [os.path.join(UNPACKED, d) for d in ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib")]
    return dict(os.environ, LD_LIBRARY_PATH=":".join(libs), GOMAXPROCS="1", HOME=folder, XDG_DATA_HOME=folder,
                XDG_CONFIG_HOME=folder)


def spawn(words, cpu, folder, **more):
    log = open(os.path.join(folder, "log"), "ab")
    return subprocess.Popen(["nice", "-n", "-20", "taskset", "-c", str(cpu)] + words, stdout=log, stderr=log,
                            stdin=subprocess.DEVNULL, env=environment(folder), **more)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    except OSError:
        return False


def host_name(i):
    """localhost first: it resolves without help, so TLS clients can name it."""
    return "localhost" if i == 0 else "app%d.test" % i


class Site:
    """What is served: n hosts by up to 5,000 apps, all of them the one backend."""

    def __init__(self, n_hosts, backend_port, cert, apps_max=5000):
        self.n_hosts, self.n_apps = n_hosts, min(n_hosts, apps_max)
        self.backend_port, self.cert = backend_port, cert  # paths of chain, key, both in one file
        self.unix = None  # the backend's unix socket, to be used instead

    def hosts_of(self, app):
        return [host_name(i) for i in range(app, self.n_hosts, self.n_apps)]

    def backend(self, tcp, unix):
        """Its address as a program writes it."""
        return unix % self.unix if self.unix else tcp % self.backend_port

    @property
    def pool(self):
        return POOL_ONE if self.n_apps == 1 else POOL_MANY


class Proxy:
    tls, h2, reloads = True, True, False

    def __init__(self, site, folder, master=False):
        self.site, self.folder, self.master = site, os.path.join(folder, self.name), master
        os.makedirs(self.folder, exist_ok=True)
        self.port, self.tls_port = free_port(), free_port()
        self.write(site)
        self.process = spawn(self.command(), PROXY_CPU, self.folder)
        self.pid = self.process.pid
        self.wait()

    def wait(self):
        for _ in range(1200):
            if answers(self.port):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            raise RuntimeError("%s does not start: %s" % (self.name, f.read()[-800:]))

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, text):
        with open(self.path(name) + ".new", "w") as f:
            f.write(text)
        os.rename(self.path(name) + ".new", self.path(name))

    def pids(self):
        """Itself and its children."""
        found = [self.pid]
        for pid in found:
            try:
                with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                    found += [int(p) for p in f.read().split()]
            except OSError:
                pass
        return found

    def pause(self, on):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    def close(self):
        self.pause(False)
        children = [os.pidfd_open(p) for p in self.pids()[1:]]  # a master that is killed leaves its workers
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for fd in children:
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.close(fd)


class Nginx(Proxy):
    name, title, reloads = "nginx", "nginx", True

    def write(self, site):
        chain, key, _ = site.cert
        ssl = "ssl_certificate %s; ssl_certificate_key %s;" % (chain, key)
        out = ["daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid %s;" % self.path("pid"),
               "master_process %s; user root;" % ("on" if self.master else "off"),
               "error_log %s error;" % self.path("error.log"),
               "events { worker_connections 19000; multi_accept off; accept_mutex off; }", "http {",
               "access_log off; server_tokens off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 300s;"]
        out += ["%s_temp_path %s;" % (what, self.path("temp"))
                for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        out += ["server_names_hash_max_size 65536; server_names_hash_bucket_size 128; variables_hash_max_size 4096;",
                ssl, "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;",
                "http2_max_concurrent_streams 256;",
                'map $http_upgrade $conn_up { default upgrade; "" ""; }',
                "proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection $conn_up;",
                "proxy_set_header Upgrade $http_upgrade; proxy_set_header X-Forwarded-For $remote_addr;",
                "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;",
                "proxy_set_header X-Request-Id $request_id;",
                "proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;",
                "proxy_request_buffering off; client_max_body_size 0;"]
        own = " default_server reuseport backlog=4096"
        out.append("server { listen 127.0.0.1:%d%s; listen 127.0.0.1:%d ssl http2%s; return 404; }" %
                   (self.port, own, self.tls_port, own))
        for a in range(site.n_apps):
            out.append("upstream u%d { server %s; keepalive %d; keepalive_requests 100000000; keepalive_timeout 300s; }"
                       % (a, site.backend("127.0.0.1:%d", "unix:%s"), site.pool))
            out.append("server { listen 127.0.0.1:%d; listen 127.0.0.1:%d ssl http2; server_name %s; "
                       "location / { proxy_pass http://u%d; } }"
                       % (self.port, self.tls_port, " ".join(site.hosts_of(a)), a))
        self.put("nginx.conf", "\n".join(out + ["}", ""]))

    def command(self):
        return [program("nginx"), "-c", self.path("nginx.conf"), "-p", self.folder, "-e", self.path("error.log")]

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)


class Haproxy(Proxy):
    name, title, reloads = "haproxy", "HAProxy", True

    def write(self, site):
        out = ["global", " nbthread 1", " maxconn 8000", " no strict-limits", " tune.h2.max-concurrent-streams 256",
               " tune.pool-low-fd-ratio 99", " tune.pool-high-fd-ratio 99",
               " ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets", " tune.ssl.cachesize 0",
               "defaults", " mode http", " no log"]
        out += [" timeout %s" % t for t in ("client 300s", "server 300s", "connect 5s", "http-keep-alive 300s", "tunnel 300s")]
        out += [" option http-keep-alive", " option splice-auto", " http-reuse always", "frontend f",
                " bind 127.0.0.1:%d backlog 4096" % self.port,
                " bind 127.0.0.1:%d ssl crt %s alpn h2,http/1.1 backlog 4096" % (self.tls_port, site.cert[2]),
                " http-request set-header X-Forwarded-For %[src]",
                " http-request set-header X-Forwarded-Proto http if !{ ssl_fc }",
                " http-request set-header X-Forwarded-Proto https if { ssl_fc }",
                " http-request set-header X-Forwarded-Port %[dst_port]",
                " http-request set-header X-Request-Id %[uuid]",
                " use_backend %%[req.hdr(host),field(1,:),lower,map_str(%s,nohost)]" % self.path("hosts.map"),
                "backend nohost", " http-request return status 404"]
        for a in range(site.n_apps):
            out += ["backend u%d" % a, " server s %s pool-max-conn -1 pool-purge-delay 300s" % site.backend("127.0.0.1:%d", "unix@%s")]
        self.put("hosts.map", "".join("%s u%d\n" % (h, a) for a in range(site.n_apps) for h in site.hosts_of(a)))
        self.put("haproxy.cfg", "\n".join(out + [""]))

    def command(self):
        return [program("haproxy")] + (["-W"] if self.master else []) + ["-f", self.path("haproxy.cfg")]

    def reload(self):
        os.kill(self.pid, signal.SIGUSR2)


class H2o(Proxy):
    name, title = "h2o", "h2o"

    def write(self, site):
        chain, key, _ = site.cert
        out = ["user: root", "num-threads: 1", "max-connections: 8000", "proxy.timeout.keepalive: 300000", "http1-request-timeout: 300",
               "proxy.preserve-host: ON", "proxy.websocket: ON", "pid-file: " + self.path("pid"), "listen:",
               "  port: %d" % self.port, "  host: 127.0.0.1", "listen:", "  port: %d" % self.tls_port, "  host: 127.0.0.1", "  ssl:",
               "    certificate-file: " + chain, "    key-file: " + key, "    minimum-version: TLSv1.2", "    ocsp-update-interval: 0",
               "ssl-session-resumption:", "  mode: off", "hosts:"]
        for a in range(site.n_apps):
            for h in site.hosts_of(a):
                out += ['  "%s":' % h, "    paths:", '      "/":',
                        '        proxy.reverse.url: "http://%s/"' % site.backend("127.0.0.1:%d", "[unix:%s]")]
        self.put("h2o.conf", "\n".join(out + [""]))

    def command(self):
        return [program("h2o"), "-c", self.path("h2o.conf")]


class Caddy(Proxy):
    name, title = "caddy", "Caddy"

    def write(self, site):
        chain, key, _ = site.cert
        self.tls = site.n_apps == 1
        proxy = (" bind 127.0.0.1\n reverse_proxy %s {\n  transport http {\n   keepalive_idle_conns_per_host 1024\n"
                 "   keepalive 300s\n  }\n }\n}\n" % site.backend("127.0.0.1:%d", "unix/%s"))
        out = ["{\n admin off\n auto_https off\n}\n"]
        for a in range(site.n_apps):
            names = site.hosts_of(a)
            out.append("%s {\n%s" % (", ".join("http://%s:%d" % (h, self.port) for h in names), proxy))
            if self.tls:
                out.append("%s {\n tls %s %s\n%s" % (", ".join("https://%s:%d" % (h, self.tls_port) for h in names), chain,
                                                    key, proxy))
        self.put("Caddyfile", "".join(out))

    def command(self):
        return [program("caddy"), "run", "--config", self.path("Caddyfile"), "--adapter", "caddyfile"]


class Berth(Proxy):
    """One worker of the real router; its access lines go through a pipe to a program that only reads them."""
    name, title = "berth", "berth"

    def write(self, site):
        names = [h for a in range(site.n_apps) for h in site.hosts_of(a)]
        port = site.backend_port
        if site.unix:
            port = free_port()
            harness.UNIX[port] = site.unix
        self.apps = [harness.App(a + 1, site.hosts_of(a), [(a + 1, port, "web.1")]) for a in range(site.n_apps)]
        self.names = names

    def __init__(self, site, folder, master=False):
        self.site, self.folder = site, os.path.join(folder, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.write(site)
        self.router = harness.Router(log_reader=False, tls=True)
        fcntl.fcntl(self.router.log_w, fcntl.F_SETPIPE_SZ, 1 << 20)  # as berthd does
        self.sink = subprocess.Popen(["nice", "-n", "-20", "taskset", "-c", str(LOAD_CPU), "cat"], stdin=self.router.log_r,
                                     stdout=subprocess.DEVNULL)
        self.pid, self.port, self.tls_port = self.router.pid, self.router.port, self.router.tls_port
        os.sched_setaffinity(self.pid, {PROXY_CPU})
        os.setpriority(os.PRIO_PROCESS, self.pid, -20)
        with open(site.cert[0], "rb") as c, open(site.cert[1], "rb") as k:
            if self.router.send_certs([(("localhost",), c.read(), k.read())]) != 0:
                raise RuntimeError("the router refuses the certificate")
        if self.router.send_table(self.apps) != 0:
            raise RuntimeError("the router refuses the table")

    def close(self):
        self.pause(False)
        status = self.router.close()
        self.sink.wait(5)
        if status:
            raise RuntimeError("the router ended with %r" % status)


ALL = [Nginx, Haproxy, H2o, Caddy, Berth]
