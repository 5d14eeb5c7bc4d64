local changes = require "stream_events.command.changes"

describe("stream_events.command.changes", function()
  local now, told
  before_each(function()
    now = 100
    told = changes.new(function() return now end)
  end)

  local function lost(reason, retry_in)
    return told:changed { online = false, will_retry = true, reason = reason, retry_in = retry_in }
  end

  it("say nothing of the first connection", function()
    assert.is_nil(told:changed { online = true })
  end)

  it("say that it was lost, that it is still gone, and that it is back, and for how long", function()
    assert.equal("connection lost (reset by peer); trying again in 1.2 s", lost("reset by peer", 1.234))
    now = 102
    assert.equal("still no connection (refused); trying again in 12 s", lost("refused", 12.3))
    now = 115
    assert.equal("connected again after 15 s", told:changed { online = true })
    assert.equal("connection lost (closed); trying again", lost("closed", 0))
    now = 115 + 600
    assert.equal("connected again after 10 min", told:changed { online = true })
  end)

  it("leave the end to whoever ends because of it", function()
    assert.is_nil(told:changed { online = false, will_retry = false, reason = "token is expired" })
  end)

  it("show no control characters of what the server says", function()
    assert.is_nil(lost("a\27[2Jb\nc", 1):find "%c")
  end)

  local function recovered(fields)
    local recovery = { gap = false, gap_cids = {}, replayed = 0, failed = {} }
    for name, value in pairs(fields) do recovery[name] = value end
    return told:recovered(recovery)
  end

  it("say nothing when nothing was missed", function()
    assert.same({}, recovered {})
  end)

  it("say what is missing, and where", function()
    assert.same({ "events that were sent meanwhile to a:b, a:c may be lost" },
      recovered { gap = true, gap_cids = { "a:b", "a:c" } })
    assert.same({ "events that were sent meanwhile to 4 channels may be lost" },
      recovered { gap = true, gap_cids = { "a:1", "a:2", "a:3", "a:4" } })
    assert.same({ "events that were sent meanwhile may be lost" }, recovered { gap = true })
  end)

  it("say what came back, and what is not heard any more", function()
    assert.same({
      "2 events that were sent meanwhile are shown now",
      "not watching a:b any more: gone", "not watching a:c any more: closed",
    }, recovered { replayed = 2, failed = { ["a:c"] = "closed", ["a:b"] = "gone" } })
  end)
end)
