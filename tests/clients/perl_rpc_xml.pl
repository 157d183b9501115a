#!/usr/bin/env perl
# Perl's RPC::XML makes the calls of the matrix and prints each answer as a line of JSON.
use v5.32;
use warnings;
use utf8;

use JSON::PP;
use RPC::XML;
use RPC::XML::Client;

my $bad_id = 'Ænima <銀> & 1';
my $client = RPC::XML::Client->new($ARGV[0]);
my $json   = JSON::PP->new->ascii->canonical;

sub tell_step {
    my ($step, @call) = @_;
    my $answer = $client->send_request(@call);
    die "$step: $answer\n" unless ref $answer;
    say $json->encode({ step => $step, ($answer->is_fault ? 'fault' : 'value') => $answer->value });
}

sub cover_call {
    my ($content_id) = @_;
    return { methodName => 'get_cover', params => [$content_id] };
}

# What looks like a number goes out as one, unless it is said to be a string.
my ($text_42, $text_7) = map { RPC::XML::string->new($_) } 42, 7;

tell_step('an int id',             'get_cover',  42);
tell_step('a string id',           'get_cover',  $text_42);
tell_step('an id with its source', 'get_cover',  'ozon:42');
tell_step('a missing item',        'get_cover',  404);

$RPC::XML::ENCODING = 'utf-8';    # by default it says us-ascii, and sends question marks

tell_step('a bad id',              'get_cover',  $bad_id);
tell_step('many ids',              'get_covers', [42, $text_7, 404, $bad_id]);
tell_step('a long list',           'get_covers', [1000 .. 1039]);
tell_step('the methods',           'system.listMethods');
tell_step('a signature',           'system.methodSignature', 'get_cover');
tell_step('a multicall',           'system.multicall', [map { cover_call($_) } 42, $text_7, 404]);
