# Calls of the network tests: perl net.pl WORD HOST PORT
#   line    the first line that the other end says      page  the page there, PATH as a fourth word
#   talk    to and fro in the background until it breaks, into /tmp/talk
#   calls   pages in the background until /tmp/stop is there, the counts of good and bad ones into /tmp/calls
#   tries   connections in the background until /tmp/stop is there, the count into /tmp/tries, /tmp/through when one succeeds
use strict;
use warnings;
use IO::Socket::IP;

my ($word, $host, $port, $path) = @ARGV;
$path //= '/';

sub connection { IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Timeout => 2) }

sub page {
	my $s = connection() or return "closed: $@\n";
	my $size;
	print $s "GET $path HTTP/1.1\r\nHost: x\r\n\r\n";
	while (<$s>) {
		$size = $1 if /^content-length: (\d+)/i;
		last if /^\r?\n/;
	}
	defined $size && read($s, my $body, $size) == $size or return "cut\n";
	return $body;
}

sub note {
	my ($file, $text) = @_;
	open my $f, '>', "/tmp/$file.new" or die;
	print $f $text;
	close $f;
	rename "/tmp/$file.new", "/tmp/$file";
}

sub background {
	unlink glob '/tmp/stop /tmp/talk /tmp/calls /tmp/tries /tmp/through';
	exit if fork;
	open STDOUT, '>', '/dev/null';
	open STDERR, '>', '/dev/null';
	alarm 150;
}

if ($word eq 'line') {
	alarm 15;
	my $s = connection() or print("closed: $@\n"), exit 1;
	print scalar <$s> // "closed: cut\n";
} elsif ($word eq 'page') {
	alarm 15;
	my $page = page();
	print $page;
	exit 1 if $page =~ /^(closed|cut)/;
} elsif ($word eq 'talk') {
	$SIG{PIPE} = 'IGNORE';
	background();
	my $s = connection();
	for (my $n = 1; sysread $s, my $bytes, 100; $n++) {
		note talk => $n;
		select undef, undef, undef, 0.05;
		syswrite $s, 'x' or last;
	}
	note talk => 'END';
} elsif ($word eq 'calls') {
	background();
	my ($good, $bad, $why) = (0, 0, '');
	until (-e '/tmp/stop') {
		my $page = page();
		$page =~ /^page / ? $good++ : ($bad++, $why = $page);
		note calls => "good $good bad $bad $why";
		select undef, undef, undef, 0.01;
	}
} elsif ($word eq 'tries') {
	background();
	for (my $n = 1; !-e '/tmp/stop'; $n++) {
		note tries => $n;
		note through => 1 if connection();
		select undef, undef, undef, 0.002;
	}
}
