#!/bin/sh
# The xmlrpc command of xmlrpc-c makes the calls of the matrix and prints each answer as a line of JSON.
set -eu

url=$1
bad_id='Ænima <銀> & 1'

# A value as the command prints it, an array's items indented below it, as JSON.
value() {
    awk '
        /^(Result:)?$/ { next }
        {
            column = match($0, /[^ ]/)
            while (depth > 0 && begun[depth] >= column) { printf "]"; depth-- }
            printf "%s", comma
        }
        /Array of [0-9]+ items:$/ { printf "["; begun[++depth] = column; comma = ""; next }
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

# A fault as the command prints it, as JSON.
fault() {
    sed -E \
        -e 's/[\\"]/\\&/g' \
        -e 's/^Failed\.  Call failed\.  RPC failed at server\.  (.*)$/{"faultString": "\1}/' \
        -e 's/\.  \(XML-RPC fault code (-?[0-9]+)\)\}$/", "faultCode": \1}/'
}

tell() {
    step=$1
    shift
    if answer=$(xmlrpc "$url" "$@" 2>&1); then
        printf '{"step": "%s", "value": %s}\n' "$step" "$(printf '%s\n' "$answer" | value)"
    else
        printf '{"step": "%s", "fault": %s}\n' "$step" "$(printf '%s\n' "$answer" | fault)"
    fi
}

tell 'an int id' get_cover i/42
tell 'a string id' get_cover s/42
tell 'an id with its source' get_cover s/ozon:42
tell 'a missing item' get_cover i/404
tell 'a bad id' get_cover "s/$bad_id"
tell 'the methods' system.listMethods
tell 'a signature' system.methodSignature s/get_cover
