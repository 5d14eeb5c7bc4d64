--- The descriptor for loops without timers: readable when another one is, and when its time has come.
local luv = require "luv"
local core = require "stream_events.core"
local peer = require "support.peer"

local alarm, pipe

-- Whether a descriptor is readable now, or becomes so within the patience of a spec.
local function readable(fd, how)
  local found = false
  local poll, late = assert(luv.new_poll(fd)), luv.new_timer()
  poll:start("r", function() found = true end)
  local over = false
  luv.update_time()
  late:start(how == "in time" and 10000 or 20, 0, function() over = true end)
  while not found and not over do luv.run(how == "now" and "nowait" or "once") end
  poll:close()
  late:close()
  luv.run "nowait"
  return found
end

before_each(function()
  pipe = assert(luv.pipe({}, {}))
  alarm = assert(core.alarm(pipe.read))
end)
after_each(function()
  alarm:close()
  luv.fs_close(pipe.read)
  luv.fs_close(pipe.write)
end)

describe("an alarm", function()
  it("is readable when the other descriptor is", function()
    assert.is_false(readable(alarm:pollfd(), "now"))
    assert(luv.fs_write(pipe.write, "x"))
    assert.is_true(readable(alarm:pollfd(), "in time"))
    alarm:set() -- does not hide it
    assert.is_true(readable(alarm:pollfd(), "in time"))
    alarm:release()
    alarm:release()
    assert.is_false(readable(alarm:pollfd(), "now"))
  end)

  it("is readable from its time on, until it is set again", function()
    assert.is_true(alarm:set(0))
    assert.is_true(readable(alarm:pollfd(), "in time"))
    assert.is_true(readable(alarm:pollfd(), "in time"))
    assert.is_true(alarm:set(1000))
    assert.is_false(readable(alarm:pollfd(), "now"))
    local before = core.now()
    assert.is_true(alarm:set(0.05))
    assert.is_true(readable(alarm:pollfd(), "in time"))
    assert.is_true(core.now() - before >= 0.04)
    assert.is_true(alarm:set())
    assert.is_false(readable(alarm:pollfd(), "now"))
    assert.is_true(alarm:set(1e300))
    assert.is_false(readable(alarm:pollfd(), "now"))
  end)

  it("tells of the transport that has something to do", function()
    local transport = core.transport()
    local over = assert(core.alarm(transport:pollfd()))
    local server = peer.http(function(_, connection) connection:answer(200, "yes") end)
    local id = assert(transport:request { method = "GET", url = server:url "http" })
    transport:step()
    local answered
    peer.pump(transport, function()
      over:set(transport:timeout())
      assert.is_true(readable(over:pollfd(), "in time"))
      transport:step()
      answered = transport:next_response()
      return answered
    end, "the answer")
    assert.equal(id, answered)
    over:close()
    transport:close()
    peer.stop_all()
  end)

  it("can be closed at any time, and is of no use then", function()
    alarm:close()
    alarm:close()
    assert.has_error(function() alarm:pollfd() end)
    assert.has_error(function() alarm:set(1) end)
    assert.has_error(function() alarm:release() end)
  end)

  it("refuses what is no descriptor, and no time", function()
    assert.has_error(function() core.alarm(-1) end)
    local none, kind = core.alarm(1000000)
    assert.is_nil(none)
    assert.equal("network", kind)
    assert.has_error(function() alarm:set(-1) end)
    assert.has_error(function() alarm:set(0 / 0) end)
  end)
end)
