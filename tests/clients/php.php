<?php

// PHP's xmlrpc extension makes the calls of test_clients.py and prints each result as a line of JSON.

declare(strict_types=1);

const BAD_ID = 'Ænima <銀> & 1';

// By default the extension declares iso-8859-1 and assumes that strings are in it.
const UTF8 = ['encoding' => 'utf-8', 'escaping' => 'markup'];

function report(string $step, string $method, array $arguments = [], array $options = []): void
{
    // The extension does the XML only; HTTP is PHP's own.
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: text/xml',
        'content' => xmlrpc_encode_request($method, $arguments, $options),
    ]]);
    $result = xmlrpc_decode(file_get_contents($GLOBALS['argv'][1], false, $context), 'utf-8');
    $kind = is_array($result) && xmlrpc_is_fault($result) ? 'fault' : 'value';
    echo json_encode(['step' => $step, $kind => $result], JSON_THROW_ON_ERROR), "\n";
}

function coverCall(int|string $id): array
{
    return ['methodName' => 'get_cover', 'params' => [$id]];
}

report('an int id', 'get_cover', [42]);
report('a string id', 'get_cover', ['42']);
report('an id with its source', 'get_cover', ['ozon:42']);
report('a missing item', 'get_cover', [404]);
report('a bad id', 'get_cover', [BAD_ID], UTF8);
report('many ids', 'get_covers', [[42, '7', 404, BAD_ID]], UTF8);
report('a long list', 'get_covers', [range(1000, 1039)]);
report('the methods', 'system.listMethods');
report('a signature', 'system.methodSignature', ['get_cover']);
report('a multicall', 'system.multicall', [array_map('coverCall', [42, '7', 404])]);
