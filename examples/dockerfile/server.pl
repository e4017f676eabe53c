# A file server in forty lines: pages/NAME.html at /NAME, one process a connection.
use strict;
use Socket;

$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
my $port = $ENV{PORT} || 8080;
socket my $listener, AF_INET, SOCK_STREAM, 0 or die "socket: $!";
setsockopt $listener, SOL_SOCKET, SO_REUSEADDR, 1;
bind $listener, sockaddr_in($port, INADDR_ANY) or die "bind: $!";
listen $listener, 64 or die "listen: $!";
$| = 1;
print "listening on $port as user ", (getpwuid $<)[0], "\n";

sub answer {
	my ($client, $status, $type, $body) = @_;
	syswrite $client, "HTTP/1.1 $status\r\nContent-Type: $type\r\nContent-Length: " .
		length($body) . "\r\nConnection: close\r\n\r\n$body";
}

while (1) {
	accept my $client, $listener or next;
	if (my $pid = fork) {
		close $client;
		next;
	}
	my $head = '';
	while ($head !~ /\r\n\r\n/) {
		sysread($client, $head, 4096, length $head) or exit;
	}
	my ($name) = $head =~ m{^GET /([a-z]*) };
	$name = 'index' if defined $name && $name eq '';
	if (defined $name && $name eq 'health') {
		answer($client, '200 OK', 'text/plain', "ok\n");
	} elsif (defined $name && open my $page, '<', "pages/$name.html") {
		local $/;
		answer($client, '200 OK', 'text/html', scalar <$page>);
	} else {
		answer($client, '404 Not Found', 'text/plain', "no such page\n");
	}
	exit;
}
