# frozen_string_literal: true

# Ruby's xmlrpc/client makes the calls of the matrix and prints each answer as a line of JSON.

require "json"
require "xmlrpc/client"

BAD_ID = "Ænima <銀> & 1"
CLIENT = XMLRPC::Client.new2(ARGV.fetch(0))

def told(fault)
  { faultCode: fault.faultCode, faultString: fault.faultString }
end

def tell(step, method, *arguments)
  is_value, answer = CLIENT.call2(method, *arguments)
  puts JSON.generate(step: step, **(is_value ? { value: answer } : { fault: told(answer) }))
end

# The client takes each answer out of its array of one; here it is told as it was on the wire.
def tell_multicall(step, *calls)
  answers = CLIENT.multicall(*calls)
  entries = answers.map { |answer| answer.is_a?(XMLRPC::FaultException) ? told(answer) : [answer] }
  puts JSON.generate(step: step, value: entries)
end

tell("an int id", "get_cover", 42)
tell("a string id", "get_cover", "42")
tell("an id with its source", "get_cover", "ozon:42")
tell("a missing item", "get_cover", 404)
tell("a bad id", "get_cover", BAD_ID)
tell("many ids", "get_covers", [42, "7", 404, BAD_ID])
tell("a long list", "get_covers", (1000...1040).to_a)
tell("the methods", "system.listMethods")
tell("a signature", "system.methodSignature", "get_cover")
tell_multicall("a multicall", ["get_cover", 42], ["get_cover", "7"], ["get_cover", 404])
