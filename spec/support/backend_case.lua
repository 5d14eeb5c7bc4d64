--- One call of a backend as a case of a table: what goes over the wire, what comes back, and what
-- becomes of answers that are none.
--
--   call     { method of the client, its arguments... }
--   sends    { method, path, body }; the body as decoded JSON, absent: none
--   query    what the query holds beside the key, decoded
--   payload  the decoded query parameter payload
--   text     what stands in the body as text, where decoding would hide it
--   answer   JSON of the answer; gives: what the call gives for it
local assert = require "luassert"
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local M = {}

local unpack = table.unpack or unpack -- luacheck: ignore 113 (Lua 5.1)
local SECRET = "lan-dev-secret"

--- A backend on a transport without sockets.
---@return table fake
---@return stream_events.Client client
function M.backend()
  local fake = fakes.new()
  return fake, stream_events.new(fake.options { secret = SECRET })
end

--- Lets a fake answer one request after the other: JSON, or { status, JSON }. One more fails the spec.
function M.answering(fake, ...)
  local answers, at = { ... }, 0
  fake.answer = function()
    at = at + 1
    local answer = assert(answers[at], "one request too many")
    if type(answer) == "table" then return answer[1], answer[2] end
    return 200, answer
  end
end

--- An answer that is a failure.
M.FAILED = { 500, '{"code":-1,"message":"broken","StatusCode":500}' }

-- The parameters of a query string, decoded.
local function parameters(query)
  local found = {}
  for name, value in query:gmatch("([^&=]+)=([^&]*)") do
    found[name] = value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return found
end

--- Whether a request is the one that the case says.
function M.check_request(request, case)
  assert.same({ case.sends[1], case.sends[2] }, { request.method, request.path })
  assert.truthy(request.headers:find("Authorization: " .. tokens.server(SECRET), 1, true))
  local query = parameters(request.query)
  assert.equal("devkey", query.api_key)
  assert.is_nil(query.user_id)
  if case.payload then assert.same(case.payload, native.json.decode(query.payload)) end
  if case.query then
    query.api_key = nil
    assert.same(case.query, query)
  end
  if case.sends[3] then
    assert.same(case.sends[3], native.json.decode(request.body))
  else
    assert.is_nil(request.body)
  end
  if case.text then assert.truthy(request.body:find(case.text, 1, true), request.body) end
end

-- Makes the call, with a callback if there is one.
local function make(client, case, callback)
  local arguments = { client, unpack(case.call, 2) }
  arguments[#arguments + 1] = callback
  return client[case.call[1]](unpack(arguments))
end

local function asks(case)
  local fake, client = M.backend()
  fake.answer = function() return 201, case.answer end
  local result, err = make(client, case)
  assert.is_nil(err)
  assert.same(case.gives, result)
  assert.equal(1, #fake.requests)
  M.check_request(fake.requests[1], case)
end

local function gives_error(case)
  local fake, client = M.backend()
  fake.answer = function() return 404, '{"code":16,"message":"what","StatusCode":404}' end
  local result, err = make(client, case)
  assert.is_nil(result)
  assert.same({ "api", 16, 404 }, { err.kind, err.code, err.status })
end

local function calls_back(case)
  local fake, client = M.backend()
  fake.answer = function() return 200, case.answer end
  local given, failure
  assert.is_nil(make(client, case, function(result, err) given, failure = result, err end))
  assert.is_nil(given)
  client:poll(1)
  assert.is_nil(failure)
  assert.same(case.gives, given)
end

local function copes_with(answer, case)
  local fake, client = M.backend()
  fake.answer = function() return 200, answer end
  local result, err = make(client, case)
  if err then assert.equal("protocol", err.kind) else assert.is_truthy(result) end
end

local ODD = { ["no JSON"] = "<html>", ["a list"] = "[]", ["null"] = "null" }

--- What there is to say about a call: sentences, each with the function that checks it.
---@return table<string, fun()>
function M.checks(case)
  local checks = {
    ["asks as the backend and gives what was asked for"] = function() asks(case) end,
    ["gives the service's error"] = function() gives_error(case) end,
    ["calls back"] = function() calls_back(case) end,
  }
  for odd, answer in pairs(ODD) do
    checks["copes with an answer that is " .. odd] = function() copes_with(answer, case) end
  end
  return checks
end

return M
