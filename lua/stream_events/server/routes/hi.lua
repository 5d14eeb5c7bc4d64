--- GET /hi: lets a client warm up its connection; says nothing.
local function hi()
  return 200, {}
end

return {
  { "GET", "/hi", endpoint = "Hi", access = "open", handler = hi },
}
