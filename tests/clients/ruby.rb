# frozen_string_literal: true

# Ruby's xmlrpc/client makes the calls of test_clients.py and prints each result as a line of JSON.

require "json"
require "xmlrpc/client"

BAD_ID = "Ænima <銀> & 1"
CLIENT = XMLRPC::Client.new2(ARGV.fetch(0))

def fault_fields(fault)
  { faultCode: fault.faultCode, faultString: fault.faultString }
end

def report(step, method, *arguments)
  is_value, result = CLIENT.call2(method, *arguments)
  puts JSON.generate(step: step, **(is_value ? { value: result } : { fault: fault_fields(result) }))
end

# The client unwraps each result from its array of one; this prints the entries as they were in the response.
def report_multicall(step, *calls)
  results = CLIENT.multicall(*calls)
  entries = results.map { |result| result.is_a?(XMLRPC::FaultException) ? fault_fields(result) : [result] }
  puts JSON.generate(step: step, value: entries)
end

report("an int id", "get_cover", 42)
report("a string id", "get_cover", "42")
report("an id with its source", "get_cover", "ozon:42")
report("a missing item", "get_cover", 404)
report("a bad id", "get_cover", BAD_ID)
report("many ids", "get_covers", [42, "7", 404, BAD_ID])
report("a long list", "get_covers", (1000...1040).to_a)
report("the methods", "system.listMethods")
report("a signature", "system.methodSignature", "get_cover")
report_multicall("a multicall", ["get_cover", 42], ["get_cover", "7"], ["get_cover", 404])
