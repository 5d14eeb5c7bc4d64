--- JSON that is no event, with either of the two libraries that are called lua-cjson.
local lua = require "support.lua"

local function load_with(cjson)
  local before, ours = package.loaded.cjson, package.loaded["stream_events.plain_json"]
  package.loaded.cjson, package.loaded["stream_events.plain_json"] = cjson, nil
  local module = require "stream_events.plain_json"
  package.loaded.cjson, package.loaded["stream_events.plain_json"] = before, ours
  return module
end

for name, cjson in pairs { ["the installed lua-cjson"] = require "cjson",
  ["a stand-in with the other's habits"] = require "support.cjson_standin" } do
  describe("plain JSON by " .. name, function()
    local json = load_with(cjson)

    it("has integers for whole numbers, at any depth, and floats for the others", function()
      local value = json.decode '{"a":1,"b":[2,3.5],"c":{"d":-7},"e":9007199254740991}'
      assert.same({ a = 1, b = { 2, 3.5 }, c = { d = -7 }, e = 9007199254740991 }, value)
      for _, number in ipairs { value.a, value.b[1], value.c.d, value.e } do
        assert.equal("integer", lua.number_type(number))
      end
      assert.equal("float", lua.number_type(value.b[2]))
    end)

    it("has the null of events", function()
      assert.equal(require("stream_events").null, json.decode('{"a":null}').a)
    end)

    for what, text in pairs { ["nothing"] = "", ["a page"] = "<html>", ["half an object"] = '{"a":',
      ["NaN"] = "[NaN]", ["a hexadecimal number"] = "[0x10]",
      ["what is nested too deep"] = ("["):rep(100) .. ("]"):rep(100) } do
      it("refuses " .. what, function()
        local value, err = json.decode(text)
        assert.is_nil(value)
        assert.equal("protocol", err.kind)
      end)
    end

    it("leaves the program's own lua-cjson alone", function()
      assert.equal(1, #cjson.decode "[NaN]")
      assert.is_nil((json.decode "[NaN]"))
    end)
  end)
end
