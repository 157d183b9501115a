#!/usr/bin/env perl
# Perl's RPC::XML makes the calls of test_clients.py and prints each result as a line of JSON.
use v5.32;
use warnings;
use utf8;

use JSON::PP;
use RPC::XML;
use RPC::XML::Client;

my $bad_id = 'Ænima <銀> & 1';
my $client = RPC::XML::Client->new($ARGV[0]);
my $json   = JSON::PP->new->ascii->canonical;

sub report {
    my ($step, @call) = @_;
    my $response = $client->send_request(@call);
    die "$step: $response\n" unless ref $response;
    say $json->encode({ step => $step, ($response->is_fault ? 'fault' : 'value') => $response->value });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

# The client sends a scalar that looks like a number as an int, unless it is marked as a string.
my ($text_42, $text_7) = map { RPC::XML::string->new($_) } 42, 7;

report('an int id',             'get_cover',  42);
report('a string id',           'get_cover',  $text_42);
report('an id with its source', 'get_cover',  'ozon:42');
report('a missing item',        'get_cover',  404);

$RPC::XML::ENCODING = 'utf-8';    # the default is us-ascii, which replaces other characters by question marks

report('a bad id',              'get_cover',  $bad_id);
report('many ids',              'get_covers', [42, $text_7, 404, $bad_id]);
report('a long list',           'get_covers', [1000 .. 1039]);
report('the methods',           'system.listMethods');
report('a signature',           'system.methodSignature', 'get_cover');
report('a multicall',           'system.multicall', [map { cover_call($_) } 42, $text_7, 404]);
