-- Calls of get_cover for wrk: `wrk -s load.lua URL -- LOAD FIRST_CACHED CACHED_COUNT FIRST_NEW`.
--
-- LOAD is one of
--   hits    cached ids; the request for an id is always the same
--   unique  cached ids; every request body is different
--   cold    new ids
--   mixed   nine cached ids to one new id
--   origin  pages of new ids, directly from the origin
--
-- Prints the result as one line of JSON. wrk itself counts error statuses and failed sockets; the script counts faults.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local HEAD = "POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n" ..
  "Content-Type: text/xml\r\nUser-Agent: Python-xmlrpc/3.11\r\nContent-Length: %d\r\n\r\n"
local PAGE = "GET /context/detail/id/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
local DECLARATION = "<?xml version='1.0'?>\n"
local CALL = "<methodCall>\n<methodName>get_cover</methodName>\n<params>\n<param>\n" ..
  "<value><int>%d</int></value>\n</param>\n</params>\n</methodCall>\n"
local COMMENT = "<!-- %010d -->\n"

local function http_request(body)
  return HEAD:format(#body) .. body
end

local function cover_request(id)
  return http_request(DECLARATION .. CALL:format(id))
end

function init(args)
  local load, first_cached, cached_count, first_new = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local requests = {}
  for number = 1, cached_count do
    requests[number] = cover_request(first_cached + number - 1)
  end
  local count = 0

  local function hit()
    return requests[math.random(cached_count)]
  end
  local function new()
    count = count + 1
    return cover_request(first_new + count - 1)
  end
  local generators = {
    hits = hit,
    cold = new,
    unique = function()
      count = count + 1
      local id = first_cached + math.random(cached_count) - 1
      return http_request(DECLARATION .. COMMENT:format(count) .. CALL:format(id))
    end,
    mixed = function()
      return math.random(10) == 1 and new() or hit()
    end,
  }
  math.randomseed(1)
  faults = 0
  request = generators[load]
  if load == "origin" then
    request = function()
      count = count + 1
      return PAGE:format(first_new + count)
    end
    response = nil
  end
end

function response(status, headers, body)
  if not body:find("<methodResponse>", 1, true) or body:find("<fault>", 1, true) then
    faults = faults + 1
  end
end

function done(summary, latency, requests)
  local faults = 0
  for _, thread in ipairs(threads) do
    faults = faults + thread:get("faults")
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "faults": %d, "statuses": %d, ' ..
    '"sockets": {"connect": %d, "read": %d, "write": %d, "timeout": %d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, faults,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout
  ))
end
