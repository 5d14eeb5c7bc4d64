-- The bounded buffer, seen through the output of a WebSocket: frames are appended at its end and
-- bytes are taken from its front, in any sizes.
local core = require "stream_events.core"

-- Sizes that neither the code nor a reader can foresee, the same in every run.
local function generator(seed)
  return function(limit)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return math.floor(seed / 65536) % limit
  end
end

describe("a buffer", function()
  it("gives back what was put in, in order, whatever is put and taken", function()
    for seed = 1, 40 do
      local random, sender, receiver = generator(seed), core.ws("server", nil, 5000), core.ws "client"
      local sent, got = {}, {}
      for round = 1, 400 do
        local message = ("%d:"):format(round) .. ("x"):rep(random(seed % 2 == 0 and 40 or 900))
        local ok, kind = sender:write(message)
        if ok then
          sent[#sent + 1] = message
        else
          assert.equal("full", kind)
        end
        for _, item in ipairs((receiver:read(sender:output(random(600))))) do got[#got + 1] = item.data end
      end
      for _, item in ipairs((receiver:read(sender:output()))) do got[#got + 1] = item.data end
      assert.same(sent, got)
      assert.is_true(#sent > 100)
    end
  end)

  it("holds as much as its limit and not a byte more", function()
    local sender = core.ws("server", nil, 100)
    assert.is_true((sender:write(("a"):rep(98))))
    assert.equal("full", select(2, sender:write ""))
    assert.equal(2, #sender:output(2))
    assert.is_true((sender:write ""))
    assert.equal("full", select(2, sender:write ""))
    assert.equal(100, #sender:output())
    assert.equal("full", select(2, sender:write(("a"):rep(99))))
    assert.equal("", sender:output())
  end)

  it("stays in order when it is always nearly full", function()
    local sender, received, count = core.ws("server", nil, 64), {}, 5000
    for i = 1, count do
      while not sender:write(("%04d"):format(i)) do received[#received + 1] = sender:output(5) end
    end
    received[#received + 1] = sender:output()
    local items = core.ws("client", nil):read(table.concat(received))
    assert.equal(count, #items)
    for i = 1, count do assert.equal(("%04d"):format(i), items[i].data) end
  end)
end)
