--- Dates in headers of HTTP. What a whole answer asks for is in error_spec.lua.
local http_date = require "stream_events.http_date"

describe("http_date.parse", function()
  it("reads dates in each of the forms that they ever had", function()
    for _, text in ipairs {
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    } do
      assert.equal(784111777, http_date.parse(text), text)
    end
    assert.equal(1767225600, http_date.parse "Thursday, 01-Jan-26 00:00:00 GMT")
    assert.equal(1796000400, http_date.parse "Mon Nov 30 01:00:00 2026")
  end)

  it("takes nothing else for one", function()
    for _, text in ipairs {
      "", "7", "tomorrow", "2026-01-01T00:00:00Z",
      "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    } do
      assert.is_nil(http_date.parse(text), text)
    end
    assert.is_nil(http_date.parse(nil))
  end)
end)
