# Builds, tests and installs stream-events. `make` alone lists what it can do.

LUA        ?= lua5.4
LUA_PC     ?= lua5.4
BUSTED     ?= $(firstword $(wildcard /usr/bin/busted /usr/local/bin/busted) busted)
CC         ?= cc
CFLAGS     ?= -O2 -g
BUILD      ?= build
PREFIX     ?= /usr/local
DESTDIR    ?=
LUA_VERSION = 5.4
INSTALL_LUA = $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)
INSTALL_LIB = $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS_ALL = -D_POSIX_C_SOURCE=200809L -Icsrc $(CPPFLAGS) \
               $(shell pkg-config --cflags $(LUA_PC) libcurl libcrypto 2>/dev/null)
CFLAGS_ALL = -std=c11 -fPIC -fvisibility=hidden $(WARNINGS) $(CFLAGS)
LIBS_CORE = $(shell pkg-config --libs libcurl libcrypto 2>/dev/null)
LIBS_SERVER = $(shell pkg-config --libs libcrypto 2>/dev/null) -lhttp_parser
SHARED = -shared $(LDFLAGS)

CORE_SOURCES   = $(wildcard csrc/*.c)
# What the server's module takes from the client's C parts: framing and what that needs.
SERVER_SHARES  = status buffer utf8 ws upgrade crypto poller lcore
SERVER_SOURCES = $(wildcard csrc/server/*.c) $(wildcard $(SERVER_SHARES:%=csrc/%.c))
CORE_OBJECTS   = $(CORE_SOURCES:csrc/%.c=$(BUILD)/obj/%.o)
SERVER_OBJECTS = $(SERVER_SOURCES:csrc/%.c=$(BUILD)/obj/%.o)
MODULES        = $(BUILD)/stream_events/core.so $(BUILD)/stream_events/server/core.so

export LUA_PATH  = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;
export LUA_CPATH = $(abspath $(BUILD))/?.so;;

.PHONY: help build clean
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

build: $(MODULES) ## compile the C modules into build/

$(BUILD)/stream_events/core.so: $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SHARED) -o $@ $^ $(LIBS_CORE)

$(BUILD)/stream_events/server/core.so: $(SERVER_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SHARED) -o $@ $^ $(LIBS_SERVER)

$(BUILD)/obj/%.o: csrc/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

clean: ## remove everything that was built
	rm -rf build

-include $(CORE_OBJECTS:.o=.d) $(SERVER_OBJECTS:.o=.d)
