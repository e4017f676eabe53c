# The app most tests push: serves page.txt, and does inside the sandbox what a test asks it to.
#   GET /          page.txt            GET /env      its environment
#   GET /slow?MS   answers after MS    POST /sh      runs the body with sh -c: "status N\n", then the output
#   GET /events    server-sent events, one each 100 ms, for ever
#   GET /long?N    N bytes in pieces of 16 kB, 20 ms apart
#   any path with Upgrade: 101, then every byte back until the other end closes
# These three say X-Release.
# With TICK_MS in the environment it prints "tick 1", "tick 2", … forever.
use strict;
use warnings;
use Socket;

$| = 1;
$SIG{CHLD} = 'IGNORE';

if ($ENV{TICK_MS} && !fork) {
	for (my $n = 1;; $n++) {
		print "tick $n\n";
		select undef, undef, undef, $ENV{TICK_MS} / 1000;
	}
}

socket my $listener, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
setsockopt $listener, SOL_SOCKET, SO_REUSEADDR, 1;
my $address = $ENV{LISTEN_ANY} ? INADDR_ANY : INADDR_LOOPBACK;
bind $listener, sockaddr_in($ENV{PORT} || 5000, $address) or die "bind: $!";
listen $listener, 128 or die "listen: $!";
print "listening on $ENV{PORT}\n";

sub page {
	open my $f, '<', 'page.txt' or return "no page: $!\n";
	local $/;
	return <$f>;
}

sub shell {
	my ($command) = @_;
	local $SIG{CHLD} = 'DEFAULT';
	open my $f, '-|', 'sh', '-c', "exec 2>&1 </dev/null\n$command" or return "status 126\n$!\n";
	local $/;
	my $out = <$f> // '';
	close $f;
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return "status $status\n$out";
}

sub send_all {
	my ($c, $text) = @_;
	while (length $text) {
		my $n = syswrite $c, $text or exit 0;
		substr $text, 0, $n, '';
	}
}

sub events {
	my ($c, $release) = @_;
	send_all $c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n$release\r\n";
	for (my $n = 1;; $n++) {
		my $event = "data: $n\n\n";
		send_all $c, sprintf "%x\r\n%s\r\n", length $event, $event;
		select undef, undef, undef, 0.1;
	}
}

sub long {
	my ($c, $release, $left) = @_;
	send_all $c, "HTTP/1.1 200 OK\r\nContent-Length: $left\r\n$release\r\n";
	for (; $left > 0; $left -= 16384) {
		send_all $c, 'x' x ($left < 16384 ? $left : 16384);
		select undef, undef, undef, 0.02;
	}
}

sub serve {
	my ($c) = @_;
	my $release = "X-Release: " . ($ENV{BERTH_RELEASE} // '') . "\r\n";
	my $in = '';
	while (1) {
		until ($in =~ /\r\n\r\n/) {
			sysread $c, $in, 65536, length $in or return;
		}
		my ($head, $rest) = split /\r\n\r\n/, $in, 2;
		if ($head =~ /^upgrade: *(\S+)/im) {
			$in = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: $1\r\n$release\r\n$rest";
			do { syswrite $c, $in or return; $in = '' } while sysread $c, $in, 65536;
			return;
		}
		my ($size) = $head =~ /^content-length: *(\d+)/im;
		$size //= 0;
		while (length $rest < $size) {
			sysread $c, $rest, 65536, length $rest or return;
		}
		my $body = substr $rest, 0, $size, '';
		$in = $rest;
		my ($method, $path) = split / /, $head;
		events($c, $release) if $path eq '/events';
		if ($path =~ m{^/long\?(\d+)}) {
			long($c, $release, $1);
			next;
		}
		my $out = page();
		$out = join '', map { "$_=$ENV{$_}\n" } sort keys %ENV if $path eq '/env';
		$out = shell($body) if $path eq '/sh' && $method eq 'POST';
		$out = "$head\r\n" if $path eq '/head';
		select undef, undef, undef, $1 / 1000 if $path =~ m{^/slow\?(\d+)};
		my $reply = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($out) . "\r\n\r\n";
		$reply .= $out if $method ne 'HEAD';
		while (length $reply) {
			my $n = syswrite $c, $reply or return;
			substr $reply, 0, $n, '';
		}
	}
}

while (1) {
	accept my $c, $listener or next;
	my $pid = fork;
	if (defined $pid && $pid == 0) {
		close $listener;
		serve($c);
		exit 0;
	}
	close $c;
}
