// Node's xmlrpc makes the calls of test_clients.py and prints each result as a line of JSON.
// To install it: npm install --no-save --no-package-lock --prefix tests/clients/node xmlrpc@1.3.2
"use strict";

const { promisify } = require("node:util");
const xmlrpc = require("xmlrpc");

const BAD_ID = "Ænima <銀> & 1";

const client = xmlrpc.createClient(process.argv[2]);
const call = promisify(client.methodCall.bind(client));

async function outcome(method, params) {
  try {
    return { value: await call(method, params) };
  } catch (error) {
    if (error.faultCode === undefined) throw error;
    return { fault: { faultCode: error.faultCode, faultString: error.faultString } };
  }
}

async function report(step, method, ...params) {
  console.log(JSON.stringify({ step, ...(await outcome(method, params)) }));
}

function coverCall(id) {
  return { methodName: "get_cover", params: [id] };
}

async function main() {
  await report("an int id", "get_cover", 42);
  await report("a string id", "get_cover", "42");
  await report("an id with its source", "get_cover", "ozon:42");
  await report("a missing item", "get_cover", 404);
  await report("a bad id", "get_cover", BAD_ID);
  await report("many ids", "get_covers", [42, "7", 404, BAD_ID]);
  await report("a long list", "get_covers", Array.from({ length: 40 }, (_, index) => 1000 + index));
  await report("the methods", "system.listMethods");
  await report("a signature", "system.methodSignature", "get_cover");
  await report("a multicall", "system.multicall", [42, "7", 404].map(coverCall));
}

main();
