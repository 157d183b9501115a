#!/bin/sh
# The xmlrpc command of xmlrpc-c makes the calls of test_clients.py and prints each result as a line of JSON.
set -eu

url=$1
bad_id='Ænima <銀> & 1'

# Converts a value from the command's output to JSON. The items of an array are indented below it.
value_to_json() {
    awk '
        /^(Result:)?$/ { next }
        {
            column = match($0, /[^ ]/)
            while (depth > 0 && columns[depth] >= column) { printf "]"; depth-- }
            printf "%s", comma
        }
        /Array of [0-9]+ items:$/ { printf "["; columns[++depth] = column; comma = ""; next }
        {
            gsub(/[\\"]/, "\\\\&")
            sub(/^[^\047]*\047/, "\"")
            sub(/\047$/, "\"")
            printf "%s", $0
            comma = ","
        }
        END { while (depth-- > 0) printf "]" }
    '
}

# Converts a fault from the command's output to JSON.
fault_to_json() {
    sed -E \
        -e 's/[\\"]/\\&/g' \
        -e 's/^Failed\.  Call failed\.  RPC failed at server\.  (.*)$/{"faultString": "\1}/' \
        -e 's/\.  \(XML-RPC fault code (-?[0-9]+)\)\}$/", "faultCode": \1}/'
}

report() {
    step=$1
    shift
    if output=$(xmlrpc "$url" "$@" 2>&1); then
        printf '{"step": "%s", "value": %s}\n' "$step" "$(printf '%s\n' "$output" | value_to_json)"
    else
        printf '{"step": "%s", "fault": %s}\n' "$step" "$(printf '%s\n' "$output" | fault_to_json)"
    fi
}

report 'an int id' get_cover i/42
report 'a string id' get_cover s/42
report 'an id with its source' get_cover s/ozon:42
report 'a missing item' get_cover i/404
report 'a bad id' get_cover "s/$bad_id"
report 'the methods' system.listMethods
report 'a signature' system.methodSignature s/get_cover
