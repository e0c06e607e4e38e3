# Inside the sandbox: opens ports of 127.0.0.1, and becomes the program that follows. In Perl, which has begun within two milliseconds.
#
#   lead.pl PYTHON FORWARD.PY PORT=SOCKET... -- PROGRAM ARG...
#
# The ports are open before the program begins. What leads from them to unix sockets of the worker is a child, which becomes forward.py
# when somebody connects: most programs never do. It ends with the sandbox.
use strict;

my ($python, $forward) = splice @ARGV, 0, 2;
my @exits;
while ((my $exit = shift @ARGV) ne '--') {
    my ($port, $path) = split /=/, $exit, 2;
    # AF_INET, SOCK_STREAM, and a struct sockaddr_in, as Linux has them: the module that knows their names takes as long as all this.
    socket my $listener, 2, 1, 0 or die "socket: $!";
    bind $listener, pack 'S n C4 x8', 2, $port, 127, 0, 0, 1 or die "bind: $!";
    listen $listener, 64 or die "listen: $!";
    push @exits, [$listener, $path];
}

my $child = fork // die "fork: $!";
# Perl has marked the ports so that no program inherits them.
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!" if $child;

setpgrp;
open STDIN, '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';
my %own = map { fileno $_->[0] => 1 } @exits;
for my $descriptor (grep { !$own{$_} } 3 .. 31) {
    if (open my $other, '<&=', $descriptor) { close $other }
}
my $ports = '';
vec($ports, $_, 1) = 1 for keys %own;
select $ports, undef, undef, undef;
# F_SETFD
fcntl $_->[0], 2, 0 for @exits;
exec $python, '-I', '-S', $forward, map { fileno($_->[0]) . "=$_->[1]" } @exits;
