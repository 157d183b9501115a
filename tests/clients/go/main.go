// Go's kolo/xmlrpc makes the calls of test_clients.py and prints each result as a line of JSON.
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

type outcome struct {
	Step  string      `json:"step"`
	Value interface{} `json:"value,omitempty"`
	Fault *fault      `json:"fault,omitempty"`
}

// The client uses net/rpc, which keeps only the text of an error.
var faultText = regexp.MustCompile(`(?s)^Fault\((-?\d+)\): (.*)$`)

func main() {
	client, err := xmlrpc.NewClient(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	output := json.NewEncoder(os.Stdout)

	report := func(step, method string, params ...interface{}) {
		result := outcome{Step: step}
		if err := client.Call(method, params, &result.Value); err != nil {
			parts := faultText.FindStringSubmatch(err.Error())
			if parts == nil {
				log.Fatalf("%s: %v", step, err)
			}
			code, _ := strconv.Atoi(parts[1])
			result.Fault = &fault{code, parts[2]}
		}
		if err := output.Encode(result); err != nil {
			log.Fatal(err)
		}
	}

	var longList values
	for id := 1000; id < 1040; id++ {
		longList = append(longList, id)
	}
	var calls []call
	for _, id := range (values{42, "7", 404}) {
		calls = append(calls, call{"get_cover", values{id}})
	}

	report("an int id", "get_cover", 42)
	report("a string id", "get_cover", "42")
	report("an id with its source", "get_cover", "ozon:42")
	report("a missing item", "get_cover", 404)
	report("a bad id", "get_cover", badID)
	report("many ids", "get_covers", values{42, "7", 404, badID})
	report("a long list", "get_covers", longList)
	report("the methods", "system.listMethods")
	report("a signature", "system.methodSignature", "get_cover")
	report("a multicall", "system.multicall", calls)
}
