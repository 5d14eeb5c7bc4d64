--- Filters and sort orders by themselves: what a record costs, however long the query is.
local filter = require "stream_events.server.filter"
local native = require "stream_events.native"
local channel_filter = require "stream_events.server.channel_filter"
local user_query = require "stream_events.server.user_query"

local array = native.json.array

local function read(record, field) return record[field] end

describe("a filter with a long list", function()
  -- Looking through the list for each record would take hours.
  it("costs a record no more than one with a short list", function()
    local list = array {}
    for i = 1, 200000 do list[i] = "id" .. i end
    local inside = assert(filter.compile({ id = { ["$in"] = list } }, read))
    local outside = assert(filter.compile({ id = { ["$nin"] = list } }, read))
    local found = 0
    for i = 1, 200000 do
      local record = { id = "other" .. i }
      assert(outside(record) and not inside(record))
      record.id = "id" .. i
      if inside(record) and not outside(record) then found = found + 1 end
    end
    assert.equal(200000, found)
  end)

  for name, case in pairs {
    ["a text"] = { "a", true }, ["another text"] = { "b", false }, ["a number"] = { 1, true },
    ["a number that is written with a point"] = { 2, true }, ["a text like a number"] = { "1", false },
    ["false"] = { false, true }, ["true"] = { true, false }, ["nothing"] = { nil, false },
    ["an object"] = { {}, false },
  } do
    it("compares " .. name, function()
      local list = array { "a", 1, 2.0, false }
      local record = { field = case[1] }
      assert.equal(case[2], assert(filter.compile({ field = { ["$in"] = list } }, read))(record))
      assert.equal(not case[2], assert(filter.compile({ field = { ["$nin"] = list } }, read))(record))
    end)
  end

  it("completes what is typed in any case", function()
    local matches = assert(filter.compile({ name = { ["$autocomplete"] = "aLi" } }, read))
    assert.same({ true, true, false, false },
      { matches { name = "Alice" }, matches { name = "ALI" }, matches { name = "Al" }, matches {} })
  end)
end)

describe("a filter of very many parts that say nothing", function()
  for name, part in pairs {
    ["empty filters"] = {}, ["fields without a condition"] = { name = {} },
    ["lists of them"] = { ["$and"] = array { {} } },
  } do
    -- Judging a record by all of them would take milliseconds, and there may be many records.
    it("is refused: " .. name, function()
      for _, combiner in ipairs { "$and", "$or", "$nor" } do
        local list = array {}
        for i = 1, 256 do list[i] = part end
        assert(filter.compile({ [combiner] = list }, read))
        list[257] = part
        local matches, failure = filter.compile({ [combiner] = list }, read)
        assert.is_nil(matches)
        assert.same({ 4, "the filter has more than 256 conditions" }, { failure.code, failure.message })
      end
    end)
  end
end)

describe("a page of very many", function()
  local COUNT = 20000

  -- What each is ordered by is looked at a few times; sorting all of them would do so thirty times.
  local function assert_cheap(looks, page, offset)
    assert.is_true(looks < 5 * COUNT, looks)
    for i = 1, 30 do assert.equal(offset + i, page[i].rank) end
    assert.equal(30, #page)
  end

  it("of users costs no more than to look at each", function()
    local by_id, looks = {}, 0
    for i = 1, COUNT do by_id["u" .. i] = { id = "u" .. i, rank = i * 7919 % COUNT + 1, created_at = "" } end
    local function value(user, field)
      looks = looks + 1
      return user[field]
    end
    local sort = array { { field = "rank", direction = 1 } }
    local users = assert(user_query.find({ sort = sort, offset = 40 }, by_id,
      function(id) return by_id[id] end, value))
    assert_cheap(looks, users, 40)
    assert.same({}, user_query.find({ limit = 0 }, by_id, function(id) return by_id[id] end, value))
  end)

  it("of channels, too, and has those that may be seen alone", function()
    local all, looks = {}, 0
    for i = 1, COUNT do
      local rank = i * 7919 % COUNT + 1
      local data = { rank = rank // 2 }
      local channel = { cid = "c" .. i, updated_at = "", rank = rank // 2, seen = rank % 2 == 1 }
      all[channel.cid] = setmetatable(channel, { __index = function(_, name)
        looks = looks + 1
        return name == "custom" and data or nil
      end })
    end
    local channels = { all = function() return all end }
    local function select(limit)
      return assert(channel_filter.select(channels, {}, {
        sort = array { { field = "rank", direction = 1 } }, limit = limit, offset = 40,
        allow = function(channel) return channel.seen end,
      }))
    end
    local page = select(30)
    assert_cheap(looks, page, 39)
    assert.same({}, select(0))
  end)
end)

describe("the name of a field", function()
  local LONGEST = ("x"):rep(512)

  it("may be long in a filter, and not too long", function()
    assert.is_true(assert(filter.compile({ [LONGEST] = 1 }, read)) { [LONGEST] = 1 })
    for _, inner in ipairs { { [LONGEST .. "x"] = 1 }, { ["$or"] = array { { [LONGEST .. "x"] = {} } } } } do
      local predicate, failure = filter.compile(inner, read)
      assert.is_nil(predicate)
      assert.equal(4, failure.code)
    end
  end)

  it("may be long in a sort order, and not too long", function()
    local function never() return false end
    assert.is_function((filter.order(array { { field = LONGEST } }, read, never)))
    local order, failure = filter.order(array { { field = LONGEST .. "x" } }, read, never)
    assert.is_nil(order)
    assert.equal(4, failure.code)
  end)
end)
