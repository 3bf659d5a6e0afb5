# The guest's side of BusySandboxForkIT: work without an end, each kind of which checks what it gets and writes down how
# far it has come. Without modules, not even strict: the image of the test has none.
my ($kind) = @ARGV;
my $rounds = 0;

open(my $notes, '+>', "/tmp/$kind") or die "$kind: $!";

sub note {
    sysseek($notes, 0, 0);
    syswrite($notes, sprintf("%09d %-80s\n", $rounds, $_[0]));
}

sub give_up {
    note("@_: $!");
    sleep 1 while 1;
}

sub pattern {
    my ($seed, $size) = @_;
    my $text = '';
    while (length($text) < $size) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        $text .= pack('N', $seed) x 16;
    }
    return $text;
}

sub echo {
    my $listener;
    socket($listener, 2, 1, 6) and setsockopt($listener, 1, 2, 1)
        and bind($listener, pack('S n a4 x8', 2, 8000, "\x7f\x00\x00\x01")) and listen($listener, 16)
        or die "echo: $!";
    $SIG{CHLD} = 'IGNORE';
    note('ok');
    while (1) {
        accept(my $connection, $listener) or next;
        next if fork();
        my $buffer;
        while (my $n = sysread($connection, $buffer, 16384)) {
            for (my $at = 0; $at < $n;) {
                $at += syswrite($connection, $buffer, $n - $at, $at) // exit;
            }
        }
        exit;
    }
}

my $known;
my %work = (
    arithmetic => sub {
        my ($x, $sum) = (1, 0);
        for (1 .. 500) {
            $x = ($x * 1103515245 + 12345) % 2147483648;
            $sum += sqrt($x) / 3;
        }
        $known //= "$x $sum";
        give_up("arithmetic gave $x $sum, not $known") if $known ne "$x $sum";
    },
    programs => sub {
        my $wanted = $rounds % 100;
        my $status = system('sh', '-c', "exit $wanted");
        give_up("a program ended with $status, not $wanted") if $status != $wanted << 8;
    },
    files => sub {
        my $content = pattern($rounds, 32768);
        open(my $out, '>', '/tmp/work-new') or give_up('open');
        print $out $content;
        close($out) or give_up('close');
        rename('/tmp/work-new', '/tmp/work') or give_up('rename');
        open(my $in, '<', '/tmp/work') or give_up('open');
        local $/;
        give_up('a file is not what was written') if <$in> ne $content;
    },
);

echo() if $kind eq 'echo';
while (1) {
    $work{$kind}->();
    $rounds++;
    note('ok');
    select(undef, undef, undef, 0.002);
}
