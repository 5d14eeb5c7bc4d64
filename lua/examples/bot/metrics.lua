--- The numbers of a client as a file in the text format of Prometheus, for the textfile collector of its node
-- exporter. A file needs no port, and nobody can ask for it from outside.
local M = {}

local FAMILIES = {
  { "online", "gauge", "Whether the connection stands.", function(stats) return stats.online and 1 or 0 end },
  { "received_total", "counter", "Events that came in.", "received" },
  { "delivered_total", "counter", "Events that had a handler.", "delivered" },
  { "unwanted_total", "counter", "Events that nobody wanted.", "unwanted" },
  { "reconnects_total", "counter", "Connections made anew.", "reconnects" },
  { "gaps_total", "counter", "Reconnects after which events may be missing.", "gaps" },
  { "sends_total", "counter", "Calls of the service.", "sends" },
  { "send_failures_total", "counter", "Calls of the service that failed.", "failed" },
  { "queued", "gauge", "Sends that wait.", "queued" },
  { "handler_errors_total", "counter", "Errors that handlers raised.", "handler_errors" },
  { "longest_turn_seconds", "gauge", "The longest turn so far.", "longest_poll" },
  { "token_expires_seconds", "gauge", "When the token runs out, in Unix time.", "token_expires" },
}

-- By reason alone: the types are what anybody may have thought of.
local function dropped(stats)
  local by, names = {}, {}
  for _, reasons in pairs(stats.dropped) do
    for reason, count in pairs(reasons) do
      if not by[reason] then names[#names + 1] = reason end
      by[reason] = (by[reason] or 0) + count
    end
  end
  table.sort(names)
  return by, names
end

--- The text.
---@param stats stream_events.Stats
---@return string
function M.text(stats)
  local lines = {}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  local function head(name, kind, help)
    add("# HELP stream_events_bot_%s %s", name, help)
    add("# TYPE stream_events_bot_%s %s", name, kind)
  end
  for _, family in ipairs(FAMILIES) do
    local name, kind, help, of = family[1], family[2], family[3], family[4]
    local value = type(of) == "function" and of(stats) or stats[of]
    if value then
      head(name, kind, help)
      add("stream_events_bot_%s %.15g", name, value)
    end
  end
  local by, names = dropped(stats)
  head("dropped_total", "counter", "Events that were dropped, by reason.")
  for _, reason in ipairs(names) do
    add('stream_events_bot_dropped_total{reason="%s"} %.15g', reason:gsub('[\\"%c]', "?"), by[reason])
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Writes them. Whoever reads meanwhile finds the old ones, or the new.
---@param path string
---@param stats stream_events.Stats
---@return true? ok
---@return string? problem
function M.write(path, stats)
  local file, problem = io.open(path .. ".new", "w")
  if not file then return nil, problem end
  local ok
  ok, problem = file:write(M.text(stats))
  local closed, trouble = file:close() -- which is when a full disk shows
  if not ok or not closed then return nil, problem or trouble end
  return os.rename(path .. ".new", path)
end

return M
