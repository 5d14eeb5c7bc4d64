--- A headless Chromium, driven through chromedriver (W3C WebDriver): what a person does with a page, and
-- looks at what is on it. Waits are for conditions.
local http_client = require "support.http_client"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"

local M = {}

local json = native.json

local PATIENCE = 30000 -- milliseconds; only a guard
local ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
local ARGUMENTS = {
  "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
}

M.KEYS = {
  Tab = "\u{E004}", Enter = "\u{E007}", Escape = "\u{E00C}", Shift = "\u{E008}", Control = "\u{E009}",
  Home = "\u{E011}", End = "\u{E010}", ArrowUp = "\u{E013}", ArrowDown = "\u{E015}", Space = " ",
}

---@class support.Browser
local Browser = {}
Browser.__index = Browser

local function remove(folder)
  process.run("rm", { "-rf", folder }, { LD_PRELOAD = false })
end

-- One command of the driver; raises what it says is wrong.
local function command(self, method, path, body)
  local answer = self.client:request(method, "/session" .. path,
    { body = method == "POST" and json.encode(body or { _ = 0 }) or nil })
  local value = answer.body.value
  if answer.status ~= 200 then error(("%s: %s"):format(value.error, value.message), 3) end
  if value ~= json.null then return value end
end

--- Starts a browser.
---@param options { width: integer?, height: integer?, scale: integer? }?
---@return support.Browser
function M.start(options)
  options = options or {}
  local folder = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-browser-XXXXXX"))
  local driver = process.start("chromedriver", { "--port=0" }, { LD_PRELOAD = false, HOME = folder })
  local port = driver:wait_for("stdout", "started successfully on port (%d+)")
  local address = { host = "127.0.0.1", port = math.tointeger(tonumber(port)), patience = PATIENCE }
  local self = setmetatable({
    driver = driver, folder = folder, path = "", client = http_client.new(address),
  }, Browser)
  local args = { "--user-data-dir=" .. folder .. "/profile",
    ("--window-size=%d,%d"):format(options.width or 1280, options.height or 900) }
  for _, argument in ipairs(ARGUMENTS) do args[#args + 1] = argument end
  local session = command(self, "POST", "", { capabilities = { alwaysMatch = {
    browserName = "chrome", ["goog:loggingPrefs"] = { browser = "ALL" },
    ["goog:chromeOptions"] = { binary = "/usr/bin/chromium", args = args },
  } } })
  self.path = "/" .. session.sessionId
  self:resize(options.width or 1280, options.height or 900, options.scale)
  return self
end

--- Ends it and everything it has left.
function Browser:stop()
  pcall(command, self, "DELETE", self.path)
  self.client:close()
  http_client.settle()
  self.driver:kill "sigterm"
  self.driver:finish()
  remove(self.folder)
end

--- A command of Chromium's own protocol.
function Browser:devtools(name, parameters)
  return command(self, "POST", self.path .. "/goog/cdp/execute",
    { cmd = name, params = parameters or { _ = 0 } })
end

--- Has the page be of that size, in CSS pixels.
---@param scale integer? device pixels for one of them
function Browser:resize(width, height, scale)
  self:devtools("Emulation.setDeviceMetricsOverride",
    { width = width, height = height, deviceScaleFactor = scale or 1, mobile = false })
end

--- Whether the system prefers dark colours.
function Browser:dark(on)
  self:devtools("Emulation.setEmulatedMedia",
    { features = json.array { { name = "prefers-color-scheme", value = on and "dark" or "light" } } })
end

--- Has a script run before those of every page that is opened from now on.
function Browser:before_pages(script)
  self:devtools("Page.addScriptToEvaluateOnNewDocument", { source = script })
end

function Browser:open(url)
  command(self, "POST", self.path .. "/url", { url = url })
end

function Browser:refresh()
  command(self, "POST", self.path .. "/refresh")
end

--- Runs a script, the body of a function, in the page; gives what it returns.
---@param script string
---@param ... any its arguments
function Browser:run(script, ...)
  return command(self, "POST", self.path .. "/execute/sync", { script = script, args = json.array { ... } })
end

--- Waits until a script gives something true, and returns that.
---@param what string for the error
---@param script string
---@param ... any its arguments
function Browser:wait(what, script, ...)
  local till = luv.hrtime() + PATIENCE * 1e6
  repeat
    local value = self:run(script, ...)
    if value then return value end
  until luv.hrtime() > till
  local seen = self:run "return document.body.innerText.slice(0, 1500)"
  error(("waited in vain until %s\n%s"):format(what, seen), 2)
end

--- Waits until the text of an element holds a text, and returns all of it.
function Browser:wait_text(selector, text)
  return self:wait(selector .. " says " .. text, [[
    const element = document.querySelector(arguments[0]);
    return element && element.textContent.includes(arguments[1]) && element.textContent]], selector, text)
end

--- The text of an element.
function Browser:text(selector)
  return self:run("return document.querySelector(arguments[0]).textContent", selector)
end

local function find(self, selector)
  self:wait(selector .. " is there", "return document.querySelector(arguments[0]) !== null", selector)
  return command(self, "POST", self.path .. "/element", { using = "css selector", value = selector })[ELEMENT]
end

function Browser:click(selector)
  local element = find(self, selector)
  -- What is scrolled to the edge may be below the bar that stays at the top.
  self:run("arguments[0].scrollIntoView({ block: 'center' })", { [ELEMENT] = element })
  command(self, "POST", self.path .. "/element/" .. element .. "/click")
end

--- Puts a text into a field in the place of what is there.
function Browser:fill(selector, text)
  local element = self.path .. "/element/" .. find(self, selector)
  command(self, "POST", element .. "/clear")
  if text ~= "" then command(self, "POST", element .. "/value", { text = text }) end
end

--- Presses keys, one after the other: names of M.KEYS, or characters.
function Browser:press(...)
  local actions = json.array {}
  for _, name in ipairs { ... } do
    local value = M.KEYS[name] or name
    actions[#actions + 1] = { type = "keyDown", value = value }
    actions[#actions + 1] = { type = "keyUp", value = value }
  end
  command(self, "POST", self.path .. "/actions",
    { actions = json.array { { type = "key", id = "keyboard", actions = actions } } })
end

--- Presses a key while another is held.
function Browser:chord(held, name)
  held, name = M.KEYS[held] or held, M.KEYS[name] or name
  command(self, "POST", self.path .. "/actions", { actions = json.array { {
    type = "key", id = "keyboard", actions = json.array {
      { type = "keyDown", value = held }, { type = "keyDown", value = name },
      { type = "keyUp", value = name }, { type = "keyUp", value = held },
    },
  } } })
end

--- Types a text into whatever has the focus.
function Browser:write(text)
  local characters = {}
  for _, code in utf8.codes(text) do characters[#characters + 1] = utf8.char(code) end
  self:press(table.unpack(characters))
end

--- What the browser has written to its console since the last call.
---@return { level: string, message: string }[]
function Browser:console()
  return command(self, "POST", self.path .. "/se/log", { type = "browser" })
end

--- Writes what is seen into a PNG file.
---@param path string
---@param all boolean? also what is below the window
function Browser:picture(path, all)
  local picture = self:devtools("Page.captureScreenshot",
    { format = "png", captureBeyondViewport = all or false })
  local file = assert(io.open(path, "wb"))
  file:write(assert(native.crypto.base64_decode(picture.data)))
  file:close()
end

return M
