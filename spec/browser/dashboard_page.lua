--- The dashboard in a real browser, against a real `stream-events serve` and a real client.
local command = require "support.command"
local fixtures = require "support.server"
local free_port = require "support.free_port"
local process = require "support.process"
local stream_events = require "stream_events"
local webdriver = require "support.webdriver"

local KEY = "a-key-that-stays"

-- What the page must never do is written down from its very beginning.
local WATCH = [[
  window.violations = [];
  window.ran = [];
  document.addEventListener("securitypolicyviolation", (violation) =>
    window.violations.push(violation.effectiveDirective + " " + violation.blockedURI));
  addEventListener("error", (error) => window.ran.push("error: " + error.message));
  addEventListener("unhandledrejection", (error) => window.ran.push("rejected: " + error.reason));
]]

describe("the dashboard in a browser", function()
  local browser, server, url, backend, clients
  setup(function()
    browser = webdriver.start()
    browser:before_pages(WATCH)
  end)
  teardown(function()
    browser:stop()
    process.end_all()
  end)

  local function serve(port, rules, key)
    local args = { "serve", "--port", tostring(port or 0), "--data", ":memory:" }
    if rules then table.move({ "--rules", rules }, 1, 2, #args + 1, args) end
    server = command.start(args, { STREAM_EVENTS_DASHBOARD_KEY = key or KEY })
    url = server:wait_for("stdout", "listening on (%S+)\n")
  end

  local function stop_server()
    server:kill "sigterm"
    assert.equal(0, server:finish())
  end

  local function open(options)
    options = options or {}
    serve(options.port, options.rules)
    backend = fixtures.attach {
      host = "127.0.0.1", port = math.tointeger(tonumber(url:match ":(%d+)$")), api_key = "devkey",
      api_secret = "lan-dev-secret",
    }
    backend:users("alice", "bob", "carol")
    backend:channel("messaging:lobby", { "alice", "bob" })
    browser:resize(1280, 900)
    browser:dark(false)
    browser:open(url .. "/dashboard#key=" .. (options.key or KEY))
    if not options.key then
      browser:wait_text("#link-text", "Live")
      browser:wait("the types are there", "return document.querySelector('.switch') !== null")
    end
  end

  -- A client of the plugin's that is signed in.
  local function connect(user)
    local client = stream_events.new {
      api_key = "devkey", base_url = url, rules = { default = "allow" },
    }
    assert(client:connect_user({ id = user }, backend:user_token(user)))
    clients[#clients + 1] = client
    return client
  end

  before_each(function() clients = {} end)
  after_each(function()
    for _, client in ipairs(clients) do client:disconnect() end
    if backend then backend:stop() end
    backend = nil
    local ran, violations = browser:run "return window.ran", browser:run "return window.violations"
    stop_server()
    assert.same({}, { table.unpack(ran) })
    assert.same({}, { table.unpack(violations) })
  end)

  local function switch(name) return ('.switch[aria-label="Custom events of %s"]'):format(name) end
  local function wait_switch(name, state)
    browser:wait("the switch is " .. state, [[
      const toggle = document.querySelector(arguments[0]);
      return toggle.getAttribute("aria-checked") === arguments[1] && !toggle.hasAttribute("aria-busy")]],
      switch(name), state)
  end
  local function wait_row(text)
    return browser:wait("a row says " .. text, [[
      return [...document.querySelectorAll("#log > li")].map((row) => row.textContent)
        .find((row) => row.includes(arguments[0]))]], text)
  end
  local function rows()
    return browser:run [[return [...document.querySelectorAll("#log > li")].map((row) => row.textContent)]]
  end
  local function send(event)
    return backend:call("alice", "POST", "/channels/messaging/lobby/event", { event = event })
  end

  it("switches custom events off and on for a plugin", function()
    open()
    local channel = connect "alice":channel("messaging", "lobby")
    assert(channel:watch())
    assert(channel:send_event("flare", {}))
    browser:click(switch "messaging")
    wait_switch("messaging", "false")
    local event, err = channel:send_event("flare", {})
    assert.is_nil(event)
    assert.equal(18, err.code)
    local row = wait_row "not-supported"
    assert.matches("flare", row)
    assert.matches("alice", row)
    browser:wait_text("#reasons", "not-supported")
    browser:click(switch "messaging")
    wait_switch("messaging", "true")
    assert(channel:send_event("flare", {}))
  end)

  it("shows what was dropped, and why", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write 'default "drop"\nevent "flare" { fields = { x = integer { max = 9 } } }\n'
    file:close()
    open { rules = path }
    local channel = connect "alice":channel("messaging", "lobby")
    assert(channel:watch())
    assert(channel:send_event("flare", { x = 1 }))
    assert.is_nil((channel:send_event("flare", { x = 10 })))
    assert.is_nil((channel:send_event("grant_admin", {})))
    os.remove(path)
    wait_row "to 1"
    wait_row "undeclared-type"
    assert.equal(3, #rows())
    browser:run [[document.querySelector("#log summary").click()]]
    local opened = browser:wait_text("#log details[open] dl", "refused: undeclared-type")
    assert.matches("Sent by", opened)
    assert.matches("grant_admin", browser:text "#log details[open] pre")
    browser:wait("the counters follow", [[
      return document.getElementById("figure-accepted").textContent === "1"
        && document.getElementById("figure-refused").textContent === "2"]])
  end)

  it("filters and pauses", function()
    open()
    send { type = "trade_offer", item = "sword" }
    send { type = "trade_done" }
    send { type = "flare", text = "a SWORD is here" }
    send { type = "message.new" }
    wait_row "not-supported"
    local function shows(...)
      browser:wait("the filter holds", [[
        const types = [...document.querySelectorAll("#log .type")].map((type) => type.textContent).join(" ");
        return types === arguments[0] ]], table.concat({ ... }, " "))
    end
    shows("message.new", "flare", "trade_done", "trade_offer")
    browser:fill("#filter-text", "sword")
    shows("flare", "trade_offer")
    browser:fill("#filter-type", "trade_*")
    shows("trade_offer")
    browser:fill("#filter-text", "")
    shows("trade_done", "trade_offer")
    browser:fill("#filter-type", "")
    browser:click "#filter-verdict option[value=refused]"
    shows("message.new")
    browser:click "#filter-verdict option[value='']"
    browser:fill("#filter-cid", "team:")
    shows()
    browser:wait_text("#log-empty", "No event matches")
    browser:fill("#filter-cid", "messaging:")
    shows("message.new", "flare", "trade_done", "trade_offer")

    browser:click "#pause"
    send { type = "late" }
    browser:wait_text("#shown", "1 new while paused")
    shows("message.new", "flare", "trade_done", "trade_offer")
    browser:click "#pause"
    shows("late", "message.new", "flare", "trade_done", "trade_offer")
    browser:click "#clear"
    browser:wait_text("#log-empty", "No events yet")
  end)

  it("sends an event to a channel and to a user, and says what is wrong with one", function()
    open()
    local bob = connect "bob"
    local channel = bob:channel("messaging", "lobby")
    assert(channel:watch())
    local got = {}
    bob:subscribe_for({ "wave", "bonus" }, function(event) got[#got + 1] = event end)
    local function wait_event()
      local count = #got
      process.wait(function()
        bob:poll(0.01)
        return #got > count
      end, "the event arrives")
      return got[#got]
    end
    local function submit()
      browser:run [[document.getElementById("send-result").textContent = ""]]
      browser:click "#send-button"
      return browser:wait("an answer", [[return document.getElementById("send-result").textContent || null]])
    end
    assert.matches("Which channel", submit())
    browser:fill("#send-to", "messaging:lobby")
    browser:fill("#send-type", "wave")
    browser:fill("#send-user", "alice")
    for data, wrong in pairs {
      ["{"] = "no JSON", ["[1]"] = "must be a JSON object", ['{"type":"x"}'] = "field of its own",
    } do
      browser:fill("#send-data", data)
      assert.matches(wrong, submit())
    end
    browser:fill("#send-data", '{"coins": 9007199254740993, "list": []}')
    assert.matches("Accepted", submit())
    local event = wait_event()
    assert.same({ "wave", "alice", 9007199254740993 }, { event.type, event.user.id, event.coins })
    browser:fill("#send-user", "carol")
    assert.matches("code 17", submit())
    browser:click "input[name=by][value=server]"
    assert.matches("Accepted", submit())
    assert.equal("carol", wait_event().user.id)
    browser:fill("#send-user", "nobody")
    assert.matches("code 16", submit())
    browser:click "input[name=target][value=user]"
    browser:fill("#send-to", "bob")
    browser:fill("#send-type", "bonus")
    assert.matches("Accepted", submit())
    assert.same({ "bonus", "server" }, { wait_event().type, got[#got].trust })
    wait_row "@bob"
  end)

  it("shows hostile data as text, and runs none of it", function()
    open()
    local hostile = {
      '<img src=x onerror="ran.push(1)">', "</script><script>ran.push(2)</script>",
      "\u{202E}gnp.exe", "<svg onload=ran.push(3)>", "javascript:ran.push(4)", '"><b>', "${ran.push(5)}",
    }
    backend:call("server", "POST", "/users", { users = { mallory = {
      id = "mallory", name = hostile[1], role = "admin",
    } } })
    for _, text in ipairs(hostile) do
      send { type = text, text = text, [text] = { text } }
      wait_row(text:gsub("\u{202E}", "\\u{202e}"))
    end
    for _, name in ipairs { "__proto__", "constructor", "toString", "hasOwnProperty" } do
      send { type = name, [name] = name }
      wait_row(name)
      assert.equal(201, (backend:call("server", "POST", "/channeltypes", { name = name })))
    end
    send { type = "long", text = ("<b>&amp;"):rep(600) }
    backend:call("alice", "POST", "/channels/messaging/lobby/event", '{"event":{"type":"raw","x":"\255')
    backend:call("alice", "POST", "/channels/%3Cimg%20src=x%3E/%3Cb%3E/event",
      { event = { type = "wave" } })
    wait_row "<img src=x>:<b>"
    browser:run [[for (const summary of document.querySelectorAll("#log summary")) summary.click()]]
    browser:wait("all of it is open", [[
      const count = (selector) => document.querySelectorAll(selector).length;
      return count("#log pre") === count("#log summary")]])
    browser:fill("#filter-type", "(((*")
    browser:fill("#filter-type", "__proto__")
    browser:wait("one row is left", [[return document.querySelectorAll("#log summary").length === 1]])
    assert.equal("__proto__", browser:text "#log .type")
    browser:refresh()
    browser:wait("a switch for __proto__", "return document.querySelector(arguments[0]) !== null",
      switch "__proto__")
    browser:click(switch "__proto__")
    wait_switch("__proto__", "false")
    assert.same({ 0, 0, 0 }, { table.unpack(browser:run [[
      return ["img:not([alt=''])", "script:not([src])", "main b:not(#log-empty b, .legend b)"]
        .map((selector) => document.querySelectorAll(selector).length)]]) })
  end)

  it("runs no script that was put into it", function()
    open()
    browser:run [[
      const script = document.createElement("script");
      try { script.text = "ran.push('inline')"; } catch { window.refused = true; }
      document.head.append(script);
      const markup = "<img src=x onerror=ran.push('handler')>";
      try { document.body.insertAdjacentHTML("beforeend", markup); } catch { window.refused = true; }
      const image = document.createElement("img");
      image.src = "https://elsewhere.example/";
      document.body.append(image);]]
    -- Without Trusted Types a browser would still be stopped by script-src.
    browser:wait("the violations are reported", "return window.violations.length >= 3")
    local reported = table.concat(browser:run "return window.violations", "\n")
    assert.matches("require%-trusted%-types%-for", reported)
    assert.matches("img%-src", reported)
    assert.same({}, { table.unpack(browser:run "return window.ran") })
    browser:run [[
      window.violations.length = 0;
      const element = document.createElement("button");
      document.body.append(element);
      element.remove();
      window.violations.length = 0;]]
  end)

  it("can be used with the keyboard alone", function()
    open()
    local function focused()
      return browser:run [[
        const at = document.activeElement;
        return at.id || at.getAttribute("aria-label") || at.textContent.trim()]]
    end
    local function tab_to(name)
      for _ = 1, 60 do
        browser:press "Tab"
        if focused() == name then
          assert.is_true(browser:run [[
            const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
              || document.activeElement.matches("input, select, textarea")]])
          return
        end
      end
      error("Tab does not lead to " .. name .. " but to " .. focused())
    end
    tab_to "pause"
    browser:press "Space"
    assert.equal("true", browser:run "return document.getElementById('pause').getAttribute('aria-pressed')")
    browser:press "Space"
    tab_to "Custom events of messaging"
    browser:press "Space"
    wait_switch("messaging", "false")
    browser:press "Enter"
    wait_switch("messaging", "true")
    tab_to "send-to"
    browser:write "messaging:lobby"
    tab_to "send-type"
    browser:write "wave"
    tab_to "send-user"
    browser:write "alice"
    browser:press "Enter"
    browser:wait_text("#send-result", "Accepted")
    wait_row "wave"
    send { type = "second" }
    wait_row "second"
    -- Backwards into the events, and with the arrows from one to the next.
    for _ = 1, 40 do
      browser:chord("Shift", "Tab")
      if browser:run "return document.activeElement.matches('#log summary')" then break end
    end
    browser:press "Home"
    assert.matches("second", focused())
    browser:press "ArrowDown"
    assert.matches("wave", focused())
    browser:press "Enter"
    browser:wait("it is open", [[return document.activeElement.parentElement.open]])
    -- Data that is taller than its place.
    local list = {}
    for i = 1, 100 do list[i] = i end
    send { type = "tall", list = list }
    wait_row "tall"
    browser:press "Home"
    browser:press "Enter"
    browser:wait("the data is there", "return document.querySelector('#log > li:first-child pre') !== null")
    browser:press "Tab"
    assert.is_true(browser:run "return document.activeElement.matches('#log > li:first-child pre')")
    browser:press "End"
    browser:wait("it is scrolled", "return document.activeElement.scrollTop > 0")
  end)

  it("fits on a phone, and is dark where the system is", function()
    open()
    connect "bob":channel("messaging", "lobby"):watch()
    send { type = ("long_name_"):rep(20), text = ("wide"):rep(200) }
    wait_row "long_name_"
    browser:run [[document.querySelector("#log summary").click()]]
    browser:run [[for (const details of document.querySelectorAll("#types details")) details.open = true]]
    browser:resize(380, 800)
    browser:wait("nothing is wider than the page", [[
      return document.documentElement.clientWidth === 380
        && document.documentElement.scrollWidth <= 380]])
    local function colours()
      return browser:run [[
        const style = getComputedStyle(document.body);
        return style.color + " on " + style.backgroundColor]]
    end
    local light = colours()
    browser:dark(true)
    browser:wait("the colours change", [[
      const style = getComputedStyle(document.body);
      return style.color + " on " + style.backgroundColor !== arguments[0] ]], light)
  end)

  -- The contrast of every text that is seen with what is behind it (WCAG 2.1, 1.4.3).
  local CONTRAST = [[
    const parse = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
    const part = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const behind = (element) => {
      for (; element; element = element.parentElement) {
        const colour = parse(getComputedStyle(element).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
      }
      return [255, 255, 255];
    };
    const poor = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) poor.push(ratio.toFixed(2) + " " + element.className + " " + element.textContent);
    }
    return poor]]

  it("is readable: every text stands out enough, light and dark", function()
    open()
    send { type = "flare" }
    send { type = "message.new" }
    wait_row "not-supported"
    browser:run [[for (const details of document.querySelectorAll("details")) details.open = true]]
    browser:click "#send-button"
    browser:wait_text("#send-result", "Which channel")
    browser:click "#pause"
    for _, dark in ipairs { false, true } do
      browser:dark(dark)
      browser:wait("the colours have settled", [[
        return document.getAnimations().length === 0]])
      assert.same({}, { table.unpack(browser:run(CONTRAST)) })
    end
    local unnamed = browser:run [[
      return [...document.querySelectorAll("button, input, select, textarea")]
        .filter((control) => control.checkVisibility() && !control.labels?.length
          && !control.getAttribute("aria-label") && !control.textContent.trim())
        .map((control) => control.outerHTML)]]
    assert.same({}, { table.unpack(unnamed) })
  end)

  it("edits grants, and says what is wrong with them", function()
    open()
    local row = "#types li.type-row:nth-child(4)"
    assert.matches("messaging", browser:text(row))
    browser:click(row .. " summary")
    local edit = '[aria-label="Edit the permissions of channel_member"]'
    browser:click(row .. " " .. edit)
    browser:fill(row .. " textarea", "read-channel\nsend-custom-events")
    browser:click(row .. " .editor button")
    browser:wait_text(row .. " .editor .error", "send-custom-event")
    browser:fill(row .. " textarea", "read-channel")
    browser:click(row .. " .editor button")
    browser:wait("the editor is closed", "return !document.querySelector(arguments[0])", row .. " .editor")
    local path, flare = "/channels/messaging/lobby/event", { event = { type = "flare" } }
    local _, body = backend:call("bob", "POST", path, flare)
    assert.equal(17, body.code)
    browser:click(row .. " .reset")
    browser:click(row .. " .reset")
    browser:wait_text(row .. " .roles", "channel_member")
    browser:wait("the grants are back", [[
      return [...document.querySelectorAll(arguments[0] + " .roles > li")].some((role) =>
        role.textContent.startsWith("channel_member")
          && role.textContent.includes("send-custom-event"))]], row)
    assert.equal(201, (backend:call("bob", "POST", path, flare)))
  end)

  it("shows who is connected and who watches, and follows", function()
    open()
    browser:wait_text("#connections .empty", "Nobody is connected")
    browser:wait_text("#channels tbody", "messaging:lobby")
    local bob = connect "bob"
    assert(bob:channel("messaging", "lobby"):watch())
    browser:wait_text("#connections tbody", "messaging:lobby")
    browser:click '#channels button[aria-expanded="false"]'
    browser:wait_text("#channels .watchers", "bob")
    browser:fill("#connections input", "nobody")
    browser:wait_text("#connections .empty", "Nobody with that")
    browser:fill("#connections input", "bo")
    browser:wait_text("#connections tbody", "bob")
    browser:click '#channels .action button'
    assert.equal("messaging:lobby", browser:run "return document.getElementById('send-to').value")
    bob:disconnect()
    browser:wait_text("#connections .empty", "Nobody with that")
  end)

  it("stays small with many connections and events", function()
    open()
    local sockets = {}
    for i = 1, 30 do
      backend:users("user-" .. i)
      sockets[i] = backend:connect("user-" .. i)
    end
    browser:wait_text("#connections .pager", "1 to 25 of 30")
    browser:click "#connections .pager button:nth-child(2)"
    browser:wait_text("#connections .pager", "26 to 30 of 30")
    assert.is_true(browser:run "return document.querySelector('#connections .pager').children[1].disabled")
    for i = 6, 30 do sockets[i]:close() end
    browser:wait("the last page that is left is shown", [[
      return document.querySelectorAll("#connections tbody tr").length === 5]])
    for _ = 1, 600 do send { type = "flare" } end
    browser:wait("all are counted", [[
      return document.getElementById("figure-accepted").textContent === "600"]])
    assert.is_true(#rows() <= 250)
  end)

  it("counts the events it shows, and not what it says between them", function()
    open()
    for _ = 1, 200 do
      backend.client:send("POST", "/channels/messaging/lobby/event?api_key=devkey",
        { Authorization = backend:user_token "alice" }, '{"event":{"type":"flare"}}')
    end
    for _ = 1, 200 do backend.client:next_answer() end
    wait_row "more events not shown"
    send { type = "message.new" }
    wait_row "not-supported"
    browser:click "#filter-verdict option[value=refused]"
    browser:wait("only the refused one is counted", [[
      return document.getElementById("shown").textContent === "1 event"]])
    wait_row "more events not shown"
  end)

  it("asks for the key when it has none, or a wrong one, and takes it out of the address", function()
    open { key = "a-wrong-key-it-is" }
    browser:wait_text("#key-error", "does not take this key")
    assert.is_true(browser:run "return document.getElementById('board').hidden")
    assert.equal(url .. "/dashboard", browser:run "return location.href")
    assert.equal("key", browser:run "return document.activeElement.id")
    browser:write("another wrong one")
    browser:press "Enter"
    browser:wait_text("#key-error", "does not take this key")
    browser:wait("it may be typed again", [[
      return document.activeElement.id === "key" && document.activeElement.value === ""]])
    browser:write(KEY)
    browser:press "Enter"
    browser:wait_text("#link-text", "Live")
    assert.equal(url .. "/dashboard", browser:run "return location.href")
    browser:refresh()
    browser:wait_text("#link-text", "Live")
  end)

  it("takes any key that was set", function()
    local key = 'ein Schl\u{FC}ssel, "so" <lang> \u{1F511}'
    serve(nil, nil, key)
    browser:open(url .. "/dashboard")
    browser:wait("it can be typed", "return document.activeElement.id === 'key'")
    browser:write(key)
    browser:press "Enter"
    browser:wait_text("#link-text", "Live")
  end)

  it("says that the connection is lost, and comes back by itself", function()
    local port = free_port.tcp()
    open { port = port }
    backend:stop()
    stop_server()
    browser:wait_text("#link-text", "No connection")
    assert.is_false(browser:run "return document.getElementById('retry').hidden")
    serve(port)
    browser:wait("it is live again", [[
      return document.getElementById("link").dataset.state === "open"]])
    assert.equal("The connection is back", browser:text "#announcer")
  end)

  it("opens the same with the address that the command prints", function()
    local own = command.start { "serve", "--port", "0", "--data", ":memory:" }
    local printed = own:wait_for("stderr", "Dashboard: (%S+)\n")
    serve()
    browser:open(printed)
    browser:wait_text("#link-text", "Live")
    assert.equal((printed:gsub("#.*", "")), browser:run "return location.href")
    own:kill "sigterm"
    own:finish()
  end)
end)
