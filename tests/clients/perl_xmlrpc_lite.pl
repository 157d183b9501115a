#!/usr/bin/env perl
# Perl's XMLRPC::Lite makes the calls of test_clients.py and prints each result as a line of JSON.
use v5.32;
use warnings;
use utf8;

use JSON::PP;
use XMLRPC::Lite;

# The client sends a scalar that looks like a number as an int, and non-ASCII text as base64, unless it is marked as a
# string.
my ($text_42, $text_7, $bad_id) = map { XMLRPC::Data->type(string => $_) } 42, 7, 'Ænima <銀> & 1';

# The client compresses requests over the threshold with gzip, and accepts compressed responses.
my $client = XMLRPC::Lite->proxy($ARGV[0], options => { compress_threshold => 1300 });
my $json   = JSON::PP->new->ascii->canonical;

sub report {
    my ($step, @call) = @_;
    my $response = $client->call(@call);
    say $json->encode({ step => $step, ($response->fault ? (fault => $response->fault) : (value => $response->result)) });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

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
