// Go's kolo/xmlrpc makes the calls of the matrix and prints each answer as a line of JSON.
package main

import (
	"encoding/json"
	"log"
	"os"
	"regexp"
	"strconv"

	"github.com/kolo/xmlrpc"
)

const badID = "Ænima <銀> & 1"

type values = []interface{}

type call struct {
	MethodName string `xmlrpc:"methodName"`
	Params     values `xmlrpc:"params"`
}

type fault struct {
	Code int    `json:"faultCode"`
	Text string `json:"faultString"`
}

type told struct {
	Step  string      `json:"step"`
	Value interface{} `json:"value,omitempty"`
	Fault *fault      `json:"fault,omitempty"`
}

// The client goes through net/rpc, which keeps of an error nothing but its text.
var faultText = regexp.MustCompile(`(?s)^Fault\((-?\d+)\): (.*)$`)

func main() {
	client, err := xmlrpc.NewClient(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	output := json.NewEncoder(os.Stdout)

	tell := func(step, method string, params ...interface{}) {
		answer := told{Step: step}
		if err := client.Call(method, params, &answer.Value); err != nil {
			parts := faultText.FindStringSubmatch(err.Error())
			if parts == nil {
				log.Fatalf("%s: %v", step, err)
			}
			code, _ := strconv.Atoi(parts[1])
			answer.Fault = &fault{code, parts[2]}
		}
		if err := output.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}

	var thousands values
	for id := 1000; id < 1040; id++ {
		thousands = append(thousands, id)
	}
	var calls []call
	for _, id := range (values{42, "7", 404}) {
		calls = append(calls, call{"get_cover", values{id}})
	}

	tell("an int id", "get_cover", 42)
	tell("a string id", "get_cover", "42")
	tell("an id with its source", "get_cover", "ozon:42")
	tell("a missing item", "get_cover", 404)
	tell("a bad id", "get_cover", badID)
	tell("many ids", "get_covers", values{42, "7", 404, badID})
	tell("a long list", "get_covers", thousands)
	tell("the methods", "system.listMethods")
	tell("a signature", "system.methodSignature", "get_cover")
	tell("a multicall", "system.multicall", calls)
}
