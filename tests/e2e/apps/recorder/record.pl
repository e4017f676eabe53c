# Writes numbered records to a volume and says each one's number once fsync has returned. Each start writes a file of its own,
# /data/RUN, and goes on counting where the last one ended; a line of it is "record RUN N", as is the line in the log.
#   POST /record   one more record; answered "RUN N" after its fsync
#   GET /records   of each file "RUN FIRST LAST", or "RUN bad WHAT"; half a line at a file's end was never acknowledged
#   GET /          page.txt         GET /env   its environment
# Between requests it writes a record every RECORD_MS (25).
use strict;
use warnings;
use Fcntl;
use IO::Handle;
use Socket;
use Time::HiRes qw(time);

my $dir = $ENV{RECORD_DIR} || '/data';
$SIG{PIPE} = 'IGNORE';

sub whole {
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!";
	local $/;
	return <$f> // '';
}
sub runs {
	opendir my $d, $dir or die "$dir: $!";
	return sort grep { /^\d{6}$/ } readdir $d;
}

# First and last number of a file; dies when it isn't what was written.
sub numbers {
	my ($run) = @_;
	my ($first, $last);
	for (split /\n/, whole("$dir/$run") =~ s/[^\n]*\z//r) {
		/^record $run (\d+)$/ or die "line \"$_\"\n";
		!defined $last || $1 == $last + 1 or die "$1 after $last\n";
		$first //= $1;
		$last = $1;
	}
	return ($first // 0, $last // 0);
}

my ($run, $n) = ('000000', 0);
for (runs()) {
	my (undef, $last) = numbers($_);
	$n = $last if $last > $n;
	$run = $_;
}
$run = sprintf '%06d', $run + 1;
sysopen my $out, "$dir/$run", O_WRONLY | O_CREAT | O_EXCL | O_APPEND or die "$dir/$run: $!";
sysopen my $parent, $dir, O_RDONLY or die "$dir: $!";
$parent->sync or die "$dir: $!";

# The number of one more record that is on disk, 0 when the disk doesn't take it.
sub record {
	my $line = "record $run " . ($n + 1) . "\n";
	my $size = -s $out;
	my $wrote = syswrite $out, $line;
	unless (defined $wrote && $wrote == length $line && $out->sync) {
		truncate $out, $size;
		return 0;
	}
	$n++;
	syswrite STDOUT, $line;
	return $n;
}

socket my $listener, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
setsockopt $listener, SOL_SOCKET, SO_REUSEADDR, 1;
bind $listener, sockaddr_in($ENV{PORT} || 5000, INADDR_ANY) or die "bind: $!";
listen $listener, 128 or die "listen: $!";

sub answer {
	my ($head) = @_;
	if ($head =~ m{^POST /record }) {
		my $got = record();
		return $got ? "$run $got\n" : undef;
	}
	return whole('page.txt') unless $head =~ m{^GET /(records|env) };
	return join '', map { "$_=$ENV{$_}\n" } sort keys %ENV if $1 eq 'env';
	return join '', map { my @n = eval { numbers($_) }; $@ ? "$_ bad $@" : "$_ @n\n" } runs();
}

my (%in, $due);
my $pause = ($ENV{RECORD_MS} || 25) / 1000;
$due = time;
while (1) {
	my $bits = '';
	vec($bits, fileno $_, 1) = 1 for $listener, map { $_->[0] } values %in;
	my $wait = $due - time;
	my $ready = $wait > 0 ? select($bits, undef, undef, $wait) : 0;
	if ($ready <= 0) {
		$due = time + $pause;
		record();
		next;
	}
	for my $id (keys %in) {
		my $c = $in{$id}[0];
		next unless vec $bits, fileno $c, 1;
		unless (sysread $c, $in{$id}[1], 65536, length $in{$id}[1]) {
			delete $in{$id};
			next;
		}
		while ($in{$id}[1] =~ s/\A(.*?\r\n\r\n)//s) {
			my $body = answer($1);
			my $status = defined $body ? '200 OK' : '507 Insufficient Storage';
			$body //= "the record could not be written\n";
			syswrite $c, "HTTP/1.1 $status\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
		}
	}
	if (vec($bits, fileno $listener, 1) && accept my $c, $listener) {
		$in{fileno $c} = [$c, ''];
	}
}
