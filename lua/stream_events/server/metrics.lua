--- The server's numbers for Prometheus. Each part counts for itself; here they are only gathered, when
-- somebody asks. No label ever holds what a client may choose: event types, ids, paths.
local uv = require "luv"
local native = require "stream_events.native"
local expositions = require "stream_events.server.exposition"

local M = {}

-- The values of a table as samples, one label saying which; sorted, so that two answers compare.
local function by_key(label, values)
  local samples = {}
  for key, value in pairs(values) do samples[#samples + 1] = { labels = { label, key }, value = value } end
  table.sort(samples, function(a, b) return tostring(a.labels[2]) < tostring(b.labels[2]) end)
  return samples
end

local function size(map)
  local number = 0
  for _ in pairs(map) do number = number + 1 end
  return number
end

local function process(out)
  local usage = uv.getrusage()
  local seconds = 0
  for _, part in ipairs { usage.utime, usage.stime } do seconds = seconds + part.sec + part.usec / 1e6 end
  out:family("counter", "process_cpu_seconds_total", "User and system CPU time.", seconds)
  out:family("gauge", "process_resident_memory_bytes", "Memory of the process.", uv.resident_set_memory())
end

local function own(out, parts)
  out:family("gauge", "stream_events_build_info", "Always 1; the labels say which version runs.",
    { { labels = { "version", native.version, "lua", _VERSION }, value = 1 } })
  out:family("gauge", "stream_events_start_time_seconds", "When the server was started, in Unix time.",
    parts.started_at)
  out:family("gauge", "stream_events_lua_heap_bytes", "Memory that Lua manages.",
    collectgarbage "count" * 1024)
  out:family("counter", "stream_events_log_lines_total", "Lines in the log.",
    by_key("level", parts.log.counts))
end

local function connections(out, parts)
  local stats = parts.listener:stats()
  out:family("gauge", "stream_events_connections", "Open connections.",
    by_key("kind", { http = stats.connections - stats.websockets, websocket = stats.websockets }))
  for _, name in ipairs { "accepted", "refused", "refused_by_address", "timed_out", "too_slow",
    "too_busy" } do
    out:family("counter", ("stream_events_connections_%s_total"):format(name), ({
      accepted = "Connections that were accepted.",
      refused = "Connections that were turned away: too many, or no good HTTP.",
      refused_by_address = "Of the refused, those whose addresses had too many.",
      timed_out = "Connections that were ended because nothing came in time.",
      too_slow = "Connections that were ended because they did not read.",
      too_busy = "WebSockets that were ended because they sent too many messages.",
    })[name], stats[name])
  end
  out:family("gauge", "stream_events_output_queued_bytes", "Bytes that wait for clients to read them.",
    stats.queued_bytes)
  out:family("gauge", "stream_events_signed_in_connections", "WebSockets that are signed in.",
    parts.connections.count)
  out:family("gauge", "stream_events_online_users", "Users with at least one connection.",
    size(parts.connections.by_user))
  out:family("gauge", "stream_events_watches", "Channels that are watched, each for every connection.",
    parts.watching.watches)
  out:family("gauge", "stream_events_channels", "Channels there are.", parts.channels.count)
end

local function events(out, parts)
  local outcomes = parts.outcomes
  local samples = { { labels = { "outcome", "accepted", "reason", "" }, value = outcomes.accepted_count } }
  for _, each in ipairs(by_key("reason", outcomes.reasons)) do
    samples[#samples + 1] =
      { labels = { "outcome", "refused", "reason", each.labels[2] }, value = each.value }
  end
  out:family("counter", "stream_events_custom_events_total", "Custom events that were sent, and why some "
    .. "were refused.", samples)
  out:family("counter", "stream_events_repeated_sends_total", "Sends with the id of an earlier one, which "
    .. "delivered nothing.", outcomes.repeated_count)
  local kept = parts.retention:stats()
  out:family("gauge", "stream_events_kept_events", "Custom events kept for those who are away.", kept.events)
  out:family("gauge", "stream_events_kept_bytes", "Bytes of them.", kept.bytes)
  out:histograms("stream_events_custom_event_receivers", "Connections that an accepted custom event went to.",
    { { labels = {}, histogram = outcomes.receivers } })
  out:family("counter", "stream_events_events_total", "Events of all kinds that were distributed.",
    parts.events.sent)
  out:family("counter", "stream_events_deliveries_total", "Events of all kinds, each for every connection "
    .. "it went to.", parts.events.deliveries)
end

local function rules(out, parts)
  if not parts.rules then return end
  local stats, totals, samples = parts.rules:stats(), {}, {}
  for _, verdicts in pairs(stats.types) do
    for verdict, reasons in pairs(verdicts) do
      for reason, number in pairs(reasons) do
        local key = verdict .. "\0" .. reason
        totals[key] = (totals[key] or 0) + number
      end
    end
  end
  for _, each in ipairs(by_key("", totals)) do
    local verdict, reason = each.labels[2]:match "^(%Z*)%z(.*)$"
    samples[#samples + 1] = { labels = { "verdict", verdict, "reason", reason }, value = each.value }
  end
  out:family("counter", "stream_events_rule_verdicts_total", "What the rules decided.", samples)
  out:family("gauge", "stream_events_rules_off", "Rules that are off because they broke their budgets.",
    #stats.tripped)
  out:family("counter", "stream_events_rule_reloads_total", "Reloads that put new rules in force.",
    stats.reloads)
  out:family("gauge", "stream_events_rules_last_reload_failed", "1: the rule file cannot be used, and the "
    .. "rules before it stay in force.", stats.last_error and 1 or 0)
end

local function webhooks(out, parts)
  local stats = parts.webhooks:stats()
  local queued, in_flight, attempts, ends = {}, {}, {}, {}
  for id, hook in pairs(stats.hooks) do
    queued[id], in_flight[id], attempts[id] = hook.queued, hook.in_flight, hook.attempts
    for _, outcome in ipairs { "delivered", "failed", "refused" } do
      ends[#ends + 1] = { labels = { "hook", id, "outcome", outcome }, value = hook[outcome] }
    end
  end
  out:family("gauge", "stream_events_webhook_queued", "Deliveries that wait for their first attempt.",
    by_key("hook", queued))
  out:family("gauge", "stream_events_webhook_in_flight", "Deliveries that are being sent or will be tried "
    .. "again.", by_key("hook", in_flight))
  out:family("counter", "stream_events_webhook_attempts_total", "Requests that were made to hooks.",
    by_key("hook", attempts))
  out:family("counter", "stream_events_webhook_deliveries_total", "Deliveries that came to an end.", ends)
  local latencies = {}
  for _, each in ipairs(by_key("hook", parts.webhooks:latencies())) do
    latencies[#latencies + 1] = { labels = each.labels, histogram = each.value }
  end
  out:histograms("stream_events_webhook_delivery_seconds", "Time from when an event was accepted until a "
    .. "hook had its copy.", latencies)
end

local function requests(out, parts)
  local counts, durations, names = {}, {}, {}
  for name in pairs(parts.requests.endpoints) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local endpoint = parts.requests.endpoints[name]
    for _, each in ipairs(by_key("status", endpoint.statuses)) do
      counts[#counts + 1] = { labels = { "endpoint", name, "status", each.labels[2] }, value = each.value }
    end
    durations[#durations + 1] = { labels = { "endpoint", name }, histogram = endpoint.seconds }
  end
  out:family("counter", "stream_events_http_requests_total", "Requests, by what they asked for and the "
    .. "status of the answer.", counts)
  out:histograms("stream_events_http_request_seconds", "Time of the work on a request.", durations)
end

local function database(out, parts)
  out:histograms("stream_events_database_commit_seconds", "Time until a change was in the database to last.",
    { { labels = {}, histogram = parts.store.commits } })
end

local SECTIONS = { own, process, connections, events, rules, webhooks, requests, database }

--- All numbers as they are now.
---@param parts table the running server
---@return string
function M.text(parts)
  local out = expositions.new()
  for _, section in ipairs(SECTIONS) do section(out, parts) end
  return out:text()
end

return M
