--- What the bot does with events. The rules have checked them: what comes here has the fields it should have.
local M = {}

--- Binds the handlers to a channel.
---@param channel stream_events.Channel
---@param log stream_events.Logger
function M.bind(channel, log)
  channel:subscribe_for("friendship_request", function(event)
    log("info", "a friendship request", { user = event.user.id, cid = event.cid })
    local sent, err = channel:send_event("friendship_answer", {
      text = ("Hello, %s!"):format(event.user.id),
    }, { queue = true }) -- it may wait while the server is away
    if not sent then
      log("warning", "no answer was sent", { user = event.user.id, error = err.message, kind = err.kind })
    end
  end)
end

return M
