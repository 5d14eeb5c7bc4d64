--- Debug lines of what a client does: its states, its calls, and the envelopes of the events that come
-- in, wanted or not. For a look at what goes wrong: every custom event becomes a Lua value for it.
-- Put over a client's parts from outside, so that it costs nothing where it is not asked for. Tokens,
-- queries and the data of events are never in it.
local M = {}

-- The path of a URL: what follows may hold a token.
local function path_of(url)
  return url and url:match "^%a+://[^/?#]*([^?#]*)" or "?"
end

local function trace_states(context)
  context.session.moved = function(from, to)
    if from ~= to then context.log("debug", "session", { from = from, to = to }) end
  end
end

local function trace_calls(context)
  local api, log, now = context.api, context.log, context.clock.now
  local send = api.send
  local function ended(request, began, err, status)
    log("debug", "answer", {
      call = request.method .. " " .. path_of(request.url), status = status or err and err.status,
      error = err and err.message, code = err and err.code,
      milliseconds = math.floor((now() - began) * 1000 + 0.5),
    })
  end
  -- A request that is sent again tells of its first answer, too, where that was an error.
  function api:send(request)
    if not request.traced then
      local began, settle = now(), request.settle
      request.traced = true
      request.settle = function(same, err, status, body)
        ended(same, began, err, status)
        return settle(same, err, status, body)
      end
    end
    log("debug", "call", { call = request.method .. " " .. path_of(request.url) })
    return send(self, request)
  end
end

local function envelope(event, event_type, cid)
  local user = event.user
  return {
    type = event_type, cid = cid, user = type(user) == "table" and user.id or nil, trust = event.trust,
    created_at = event.created_at,
  }
end

local function note(log, event, kind, detail)
  if event then
    log("debug", "event", envelope(event, kind, detail))
  elseif event == false and kind == "malformed" then
    log("debug", "no event", { reason = detail })
  elseif event == false then -- a report of the rules
    log("debug", "event " .. kind, { type = detail.type, cid = detail.cid, user = detail.user_id,
      reason = detail.reason, rule = detail.rule })
  end
end

local function trace_events(context)
  local delivery, link, registry, log = context.delivery, context.link, context.registry, context.log
  local source, wants, send_health = delivery.source, registry.wants, link.send_health
  delivery.source = function(connection)
    source(connection and {
      next = function()
        local event, kind, detail, excerpt = connection:next()
        note(log, event, kind, detail)
        return event, kind, detail, excerpt
      end,
    })
  end
  function registry:wants()
    local everything = wants(self)
    everything.custom = true
    return everything
  end
  function link:send_health()
    send_health(self)
    log("debug", "health check", {})
  end
end

--- Begins to trace a client.
---@param context table of the client
function M.install(context)
  trace_states(context)
  trace_calls(context)
  trace_events(context)
end

return M
