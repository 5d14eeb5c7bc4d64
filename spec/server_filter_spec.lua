--- Filters and sort orders by themselves: what a record costs, however long the query is, and the order of
-- times.
local ban_query = require "stream_events.server.ban_query"
local channel_filter = require "stream_events.server.channel_filter"
local channels = require "stream_events.server.channels"
local filter = require "stream_events.server.filter"
local native = require "stream_events.native"
local store = require "stream_events.server.store"
local timestamp = require "stream_events.timestamp"
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
    local every = { all = function() return all end }
    local function select(limit)
      return assert(channel_filter.select(every, {}, {
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

-- Within a second, where texts are not in the order of the times: each is the id of its record, oldest
-- first.
local MOMENTS = {}
for _, rest in ipairs { "00Z", "00.000001Z", "00.2Z", "00.25Z", "00.250001Z", "00.5Z", "01Z", "01.1Z" } do
  MOMENTS[#MOMENTS + 1] = "2026-01-01T00:00:" .. rest
end

-- What finds which of them, by the field that it asks for; a page of all, in order.
local FINDERS = {
  users = { fields = { "created_at", "updated_at", "last_active" }, find = function(request)
    local by_id = {}
    for _, at in ipairs(MOMENTS) do
      by_id[at] = { id = at, created_at = at, updated_at = at, last_active = at }
    end
    return user_query.find(request, by_id, function(id) return by_id[id] end, read)
  end },
  bans = { fields = { "created_at", "expires" }, find = function(request)
    local bans = {}
    for i, at in ipairs(MOMENTS) do
      bans[i] = { id = at, target_user_id = "u", cid = at, created_at = at, expires = at }
    end
    return ban_query.find(request, bans)
  end },
  channels = {
    fields = { "created_at", "updated_at", "last_message_at", "last_updated" },
    find = function(request)
      local all = {}
      for _, at in ipairs(MOMENTS) do
        all[at] = { id = at, cid = at, created_at = at, updated_at = at, custom = {}, members = {} }
      end
      return channel_filter.select({ all = function() return all end }, request.filter_conditions or {},
        { sort = request.sort, limit = 30, offset = 0, allow = function() return true end })
    end,
  },
}

local function ids_of(records)
  local ids = {}
  for i, record in ipairs(records) do ids[i] = record.id end
  return ids
end

-- Those from one place to another, oldest first.
local function moments_between(from, to) return { table.unpack(MOMENTS, from, to) } end

local function backwards(list)
  local result = {}
  for i = #list, 1, -1 do result[#result + 1] = list[i] end
  return result
end

for kind, finder in pairs(FINDERS) do
  describe("times of " .. kind, function()
    it("order them, the newest first, to the last digit", function()
      assert.same(backwards(MOMENTS), ids_of(assert(finder.find {})))
    end)

    for _, field in ipairs(finder.fields) do
      it("order them both ways by " .. field, function()
        for direction, expected in pairs { [1] = MOMENTS, [-1] = backwards(MOMENTS) } do
          local sort = array { { field = field, direction = direction } }
          assert.same(expected, ids_of(assert(finder.find { sort = sort })))
        end
      end)

      local function found(condition)
        local sort = array { { field = "created_at", direction = 1 } }
        return ids_of(assert(finder.find { filter_conditions = { [field] = condition }, sort = sort }))
      end

      -- Each a way to write the fourth, ".25Z".
      for _, text in ipairs {
        "2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.250Z", "2026-01-01t00:00:00.250000000z",
        "2026-01-01T05:30:00.25+05:30", "2025-12-31T16:00:00.250-08:00",
      } do
        it(("are compared by %s with %s"):format(field, text), function()
          assert.same(moments_between(5, 8), found { ["$gt"] = text })
          assert.same(moments_between(4, 8), found { ["$gte"] = text })
          assert.same(moments_between(1, 3), found { ["$lt"] = text })
          assert.same(moments_between(1, 4), found { ["$lte"] = text })
          assert.same({ MOMENTS[4] }, found(text))
          assert.same({ MOMENTS[4] }, found { ["$eq"] = text })
          assert.same({ MOMENTS[4], MOMENTS[7] },
            found { ["$in"] = array { text, "2026-01-01T01:00:01.0+01:00" } })
          assert.equal(#MOMENTS - 1, #found { ["$ne"] = text })
          assert.equal(#MOMENTS - 1, #found { ["$nin"] = array { text } })
        end)
      end

      it("refuses to compare " .. field .. " with what is no date", function()
        for _, case in ipairs {
          { "yesterday", '$eq on "%s" needs a date as in RFC 3339, or null' },
          { { ["$gt"] = "2026-01-01" }, '$gt on "%s" needs a date as in RFC 3339' },
          { { ["$lte"] = 1767225600 }, '$lte on "%s" needs a date as in RFC 3339' },
          { { ["$in"] = array { MOMENTS[1], "x" } }, '$in on "%s" needs a list of dates as in RFC 3339' },
        } do
          local records, failure = finder.find { filter_conditions = { [field] = case[1] } }
          assert.is_nil(records)
          assert.same({ 4, case[2]:format(field) }, { failure.code, failure.message })
        end
      end)
    end
  end)
end

describe("the members of a channel", function()
  it("are in the order in which they came, to the last digit", function()
    local database, members = assert(store.open ":memory:"), {}
    finally(function() database:close() end)
    for _, at in ipairs(MOMENTS) do members[at] = { id = at, user_id = "u", created_at = at } end
    assert.same(MOMENTS, ids_of(channels.new(database):members_of { members = members }))
  end)
end)

describe("a filter on a time", function()
  local TIMES = { at = true }

  local function matches(condition, value)
    return assert(filter.compile({ at = condition }, read, TIMES)) { at = value }
  end

  it("tells those that have none", function()
    assert.is_true(matches(native.json.null, nil))
    assert.is_false(matches(native.json.null, MOMENTS[1]))
    assert.is_true(matches({ ["$ne"] = MOMENTS[1] }, nil))
    assert.is_true(matches({ ["$exists"] = false }, nil))
    for _, operator in ipairs { "$gt", "$gte", "$lt", "$lte", "$eq" } do
      assert.is_false(matches({ [operator] = MOMENTS[1] }, nil))
    end
  end)

  it("leaves other fields as they are", function()
    local of_text = assert(filter.compile({ level = { ["$gt"] = "1Z" } }, read, TIMES))
    assert.same({ false, true }, { of_text { level = "1.5Z" }, of_text { level = "2" } })
  end)

  -- To read a time costs as much as all the rest of looking at a record.
  it("reads what the client wrote, and the time of no record", function()
    local parse, count = timestamp.parse, 0
    finally(function() timestamp.parse = parse end)
    timestamp.parse = function(...)
      count = count + 1
      return parse(...)
    end
    local by_id = {}
    for i = 1, 1000 do
      by_id["u" .. i] = { id = "u" .. i, created_at = MOMENTS[i % #MOMENTS + 1] }
    end
    local request = {
      filter_conditions = { created_at = { ["$gte"] = MOMENTS[2], ["$ne"] = MOMENTS[3] } },
      sort = array { { field = "created_at", direction = -1 } },
    }
    assert.equal(30, #user_query.find(request, by_id, function(id) return by_id[id] end, read))
    assert.equal(2, count)
  end)
end)
