--- The line that tells how far long work has come: where it is written, when, and what is in it.
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local progress = require "stream_events.command.progress"

describe("progress", function()
  local now, handle, term, written
  local guess_handle, getenv, stderr = luv.guess_handle, os.getenv, io.stderr

  before_each(function()
    now, handle, term, written = 0, "tty", "xterm", ""
    rawset(native, "now", function() return now end)
    luv.guess_handle = function(fd) return fd == 2 and handle or "pipe" end
    os.getenv = function(name) -- luacheck: ignore 122
      if name == "TERM" then return term end
      return getenv(name)
    end
    local function write(_, ...) written = written .. table.concat { ... } end
    io.stderr = { write = write } -- luacheck: ignore 122
  end)

  after_each(function()
    rawset(native, "now", nil)
    luv.guess_handle, os.getenv, io.stderr = guess_handle, getenv, stderr -- luacheck: ignore 122
    output.json, output.on_write = false, nil
  end)

  -- What work writes that takes two seconds.
  local function work()
    now = 0
    local told = progress.new "copying a.db"
    for i = 0, 20 do
      now = i / 10
      told:at(i / 20, i * 1000, "lines")
    end
    told:clear()
    return written
  end

  it("is one line, written over and over, and taken away", function()
    local text = work()
    assert.matches("^\r\27%[Kcopying a.db: 25%%, 5,000 lines\r\27%[Kcopying a.db: 3", text)
    assert.matches("100%%, 20,000 lines\r\27%[K$", text)
    assert.is_nil(text:find("\n", 1, true))
  end)

  it("is not there for work that is soon done", function()
    local told = progress.new "x"
    now = 0.4
    told:at(0.9, 1, "lines")
    told:clear()
    assert.equal("", written)
  end)

  it("is not written more often than people look", function()
    local told = progress.new "x"
    now = 1
    for i = 1, 1000 do told:at(i / 1000) end
    assert.equal("\r\27[Kx: 0%", written)
  end)

  it("is not there in a pipe or a file, with TERM=dumb, or for programs", function()
    handle = "pipe"
    assert.equal("", work())
    handle = "file"
    assert.equal("", work())
    handle, term = "tty", "dumb"
    assert.equal("", work())
    term, output.json = "xterm", true
    assert.equal("", work())
    output.json = false
    assert.not_equal("", work())
  end)

  it("says what it knows where that is less, and never more than all", function()
    local told = progress.new("checking " .. ("a"):rep(100) .. "\27[2J.db")
    now = 1
    told:at(nil, 0, "documents")
    now = 2
    told:at(7, 1234567, "documents")
    local first, second = written:match "^\r\27%[K([^\r]*)\r\27%[K([^\r]*)$"
    assert.matches("^%.%.%.a+\\u001b%[2J%.db %.%.%.$", first)
    assert.is_true(#first <= 44)
    assert.matches("100%%, 1,234,567 documents$", second)
  end)

  it("is taken away before anything else is written", function()
    local told = progress.new "x"
    now = 1
    told:at(0.5)
    output.note "something"
    assert.equal("\r\27[Kx: 50%\r\27[Ksomething\n", written)
    told:clear()
    assert.equal("\r\27[Kx: 50%\r\27[Ksomething\n", written)
    now = 2
    told:at(0.6)
    output.write ""
    assert.matches("\r\27%[Kx: 60%%\r\27%[K$", written)
  end)

  it("follows a file that another library writes, to its end", function()
    local stop = progress.of_file("copying a.db", "/nowhere/at-all", 100)
    stop()
    handle = "pipe"
    progress.of_file("copying a.db", "/nowhere/at-all", 100)()
    assert.equal("", written)
  end)
end)
