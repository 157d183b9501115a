<?php

// PHP's xmlrpc extension makes the calls of the matrix and prints each answer as a line of JSON.

declare(strict_types=1);

const BAD_ID = 'Ænima <銀> & 1';

// Without these the extension says iso-8859-1, and takes strings for that.
const UTF8 = ['encoding' => 'utf-8', 'escaping' => 'markup'];

function tell(string $step, string $method, array $arguments = [], array $options = []): void
{
    // The XML is the extension's, HTTP is PHP's own.
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: text/xml',
        'content' => xmlrpc_encode_request($method, $arguments, $options),
    ]]);
    $answer = xmlrpc_decode(file_get_contents($GLOBALS['argv'][1], false, $context), 'utf-8');
    $kind = is_array($answer) && xmlrpc_is_fault($answer) ? 'fault' : 'value';
    echo json_encode(['step' => $step, $kind => $answer], JSON_THROW_ON_ERROR), "\n";
}

function coverCall(int|string $id): array
{
    return ['methodName' => 'get_cover', 'params' => [$id]];
}

tell('an int id', 'get_cover', [42]);
tell('a string id', 'get_cover', ['42']);
tell('an id with its source', 'get_cover', ['ozon:42']);
tell('a missing item', 'get_cover', [404]);
tell('a bad id', 'get_cover', [BAD_ID], UTF8);
tell('many ids', 'get_covers', [[42, '7', 404, BAD_ID]], UTF8);
tell('a long list', 'get_covers', [range(1000, 1039)]);
tell('the methods', 'system.listMethods');
tell('a signature', 'system.methodSignature', ['get_cover']);
tell('a multicall', 'system.multicall', [array_map('coverCall', [42, '7', 404])]);
