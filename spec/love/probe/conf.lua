-- The settings of the game that is looked into.
dofile(os.getenv "LOBBY" .. "/conf.lua")
