#!/usr/bin/env perl
# Perl's Frontier::Client makes the calls of test_clients.py and prints each result as a line of JSON.
use v5.32;
use warnings;
use utf8;

use Frontier::Client;
use JSON::PP;

my $bad_id = 'Ænima <銀> & 1';
my $client = Frontier::Client->new(url => $ARGV[0]);
my $json   = JSON::PP->new->ascii->canonical;

sub report {
    my ($step, @call) = @_;
    my %outcome = (value => scalar eval { $client->call(@call) });
    if ($@) {    # the client dies on a fault and on any other error
        $@ =~ /fault code (-?\d+): (.*)\n\z/s or die "$step: $@";
        %outcome = (fault => { faultCode => $1, faultString => $2 });
    }
    say $json->encode({ step => $step, %outcome });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

# The client sends a scalar that looks like a number as an int, unless it is marked as a string.
my ($text_42, $text_7) = map { $client->string($_) } 42, 7;

report('an int id',             'get_cover',  42);
report('a string id',           'get_cover',  $text_42);
report('an id with its source', 'get_cover',  'ozon:42');
report('a missing item',        'get_cover',  404);
report('a bad id',              'get_cover',  $bad_id);
report('many ids',              'get_covers', [42, $text_7, 404, $bad_id]);
report('a long list',           'get_covers', [1000 .. 1039]);
report('the methods',           'system.listMethods');
report('a signature',           'system.methodSignature', 'get_cover');
report('a multicall',           'system.multicall', [map { cover_call($_) } 42, $text_7, 404]);
