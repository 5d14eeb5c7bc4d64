--- Small pieces of HTML: escaped text, inline marks, code in colours.
local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

---@param text string
---@return string
function M.escape(text)
  return (text:gsub('[&<>"]', ENTITIES))
end

--- The name of a heading in links, as code hosts make it.
---@param title string
---@return string
function M.slug(title)
  return (title:lower():gsub("[^%w %-_]", ""):gsub(" ", "-"))
end

--- The name of a type or module in links.
---@param name string
---@return string
function M.id(name)
  return (name:gsub("[^%w_]", "-"))
end

--- Text with `code`, **strong** and [links](to).
---@param text string
---@param link (fun(target: string): string)? where a link leads; default: there
---@param word (fun(code: string): string?)? where a piece of code leads, if anywhere
---@return string
function M.inline(text, link, word)
  local kept = {}
  local function keep(html)
    kept[#kept + 1] = html
    return "\1" .. #kept .. "\2"
  end
  text = text:gsub("(`+)(.-)%1", function(_, code)
    local target = word and word(code)
    local html = "<code>" .. M.escape(code) .. "</code>"
    return keep(target and ('<a href="%s">%s</a>'):format(target, html) or html)
  end)
  text = text:gsub("!%[([^%]]*)%]%(([^)%s]+)%)", function(alt, target)
    return keep(('<img src="%s" alt="%s">'):format(M.escape(link and link(target) or target), M.escape(alt)))
  end)
  text = M.escape(text)
  text = text:gsub("%[([^%]]*)%]%(([^)%s]+)%)", function(label, target)
    return ('<a href="%s">%s</a>'):format(link and link(target) or target, label)
  end)
  text = text:gsub("%*%*(.-)%*%*", "<strong>%1</strong>")
  -- What was kept may hold what was kept before it.
  for _ = 1, 2 do text = text:gsub("\1(%d+)\2", function(i) return kept[tonumber(i)] end) end
  return text
end

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then
  true until while]]):gmatch "%a+" do KEYWORDS[word] = true end

local PIECES = {
  { "^%-%-%[(=*)%[.-%]%1%]", "comment" }, { "^%-%-[^\n]*", "comment" },
  { '^"[^"\n]*"', "string" }, { "^'[^'\n]*'", "string" }, { "^%[(=*)%[.-%]%1%]", "string" },
  { "^[%a_][%w_]*", "word" }, { "^%d[%w.]*", "number" }, { "^%s+" }, { "^." },
}

local function lua(text)
  local out, at = {}, 1
  while at <= #text do
    for _, piece in ipairs(PIECES) do
      local from, to = text:find(piece[1], at)
      if from then
        local part, class = text:sub(from, to), piece[2]
        if class == "word" then class = KEYWORDS[part] and "keyword" or nil end
        part = M.escape(part)
        out[#out + 1] = class and ('<span class="%s">%s</span>'):format(class, part) or part
        at = to + 1
        break
      end
    end
  end
  return table.concat(out)
end

local function shell(text)
  return (M.escape(text):gsub("(%f[#]#[^\n]*)", '<span class="comment">%1</span>'))
end

--- A block of code.
---@param text string
---@param language string
---@return string
function M.code(text, language)
  local paint = language == "lua" and lua or (language == "sh" or language == "") and shell or M.escape
  return ('<pre class="code"><code>%s</code></pre>'):format(paint((text:gsub("\n$", ""))))
end

return M
