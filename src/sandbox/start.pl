# Outside the sandbox: joins control groups, waits until it is told what to become, and becomes that.
#
#   start.pl LAST GROUP...
#
# A group is the file into which it writes its pid. From descriptor 5 it reads, up to the end, words that each end with NUL: how many
# follow, a descriptor that it closes, or none, and a program with its arguments. Told nothing, or not all of it, it ends: the worker has.
# What the worker was given when it began, and knows nothing of, is closed: all beyond the descriptor LAST.
use strict;

my $last = shift @ARGV;
opendir my $open, '/proc/self/fd' or die "/proc/self/fd: $!";
for my $descriptor (grep { /^\d+$/ && $_ > $last && $_ != fileno $open } readdir $open) {
    if (open my $other, '<&=', $descriptor) { close $other }
}
closedir $open;

for my $group (@ARGV) {
    open my $members, '>', $group or die "$group: $!";
    syswrite $members, $$ or die "$group: $!";
    close $members;
}
open my $told, '<&=', 5 or die "open: $!";
my $all = do { local $/; <$told> } // '';
close $told;
my ($count, @words) = split /\0/, $all, -1;
pop @words;
exit 125 if !@words || $count != @words;
my $unneeded = shift @words;
if ($unneeded ne '' && open my $other, '<&=', $unneeded) { close $other }
exec { $words[0] } @words or die "$words[0]: $!";
