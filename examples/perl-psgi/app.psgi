use strict;
use warnings;

sub {
    my ($env) = @_;
    return [200, ['Content-Type' => 'text/plain'], ["Hello from perl-psgi\n"]];
};
