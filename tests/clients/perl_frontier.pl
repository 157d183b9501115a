#!/usr/bin/env perl
# Perl's Frontier::Client makes the calls of the matrix and prints each answer as a line of JSON.
use v5.32;
use warnings;
use utf8;

use Frontier::Client;
use JSON::PP;

my $bad_id = 'Ænima <銀> & 1';
my $client = Frontier::Client->new(url => $ARGV[0]);
my $json   = JSON::PP->new->ascii->canonical;

sub tell_step {
    my ($step, @call) = @_;
    my %told = (value => scalar eval { $client->call(@call) });
    if ($@) {    # it dies of a fault, and of anything else
        $@ =~ /fault code (-?\d+): (.*)\n\z/s or die "$step: $@";
        %told = (fault => { faultCode => $1, faultString => $2 });
    }
    say $json->encode({ step => $step, %told });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

# What looks like a number goes out as one, unless it is said to be a string.
my ($text_42, $text_7) = map { $client->string($_) } 42, 7;

tell_step('an int id',             'get_cover',  42);
tell_step('a string id',           'get_cover',  $text_42);
tell_step('an id with its source', 'get_cover',  'ozon:42');
tell_step('a missing item',        'get_cover',  404);
tell_step('a bad id',              'get_cover',  $bad_id);
tell_step('many ids',              'get_covers', [42, $text_7, 404, $bad_id]);
tell_step('a long list',           'get_covers', [1000 .. 1039]);
tell_step('the methods',           'system.listMethods');
tell_step('a signature',           'system.methodSignature', 'get_cover');
tell_step('a multicall',           'system.multicall', [map { cover_call($_) } 42, $text_7, 404]);
