#!/usr/bin/env perl
# Perl's XMLRPC::Lite makes the calls of the matrix and prints each answer as a line of JSON.
use v5.32;
use warnings;
use utf8;

use JSON::PP;
use XMLRPC::Lite;

# What looks like a number goes out as one, and what is not ASCII as base64, unless it is said to be a string.
my ($text_42, $text_7, $bad_id) = map { XMLRPC::Data->type(string => $_) } 42, 7, 'Ænima <銀> & 1';

# It sends longer requests as gzip, and takes answers as gzip.
my $client = XMLRPC::Lite->proxy($ARGV[0], options => { compress_threshold => 1300 });
my $json   = JSON::PP->new->ascii->canonical;

sub tell_step {
    my ($step, @call) = @_;
    my $answer = $client->call(@call);
    say $json->encode({ step => $step, ($answer->fault ? (fault => $answer->fault) : (value => $answer->result)) });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

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
