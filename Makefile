# Builds, tests and installs stream-events. `make` alone lists what it can do.

# LUA=lua5.3 LUA_PC=lua5.3 makes the client for another Lua; what is built with LUA_PC=lua5.1 serves
# LuaJIT as well. The server and the command are for 5.4 alone.
LUA        ?= lua5.4
LUA_PC     ?= lua5.4
# LUA_INCDIR: where the headers of Lua are, for who knows it better than pkg-config, as LuaRocks does.
ifdef LUA_INCDIR
LUA_CFLAGS  = -I$(LUA_INCDIR)
LUA_VERSION := $(shell sed -n 's/^\#define LUA_VERSION_NUM[^0-9]*50\([0-9]\).*/5.\1/p' '$(LUA_INCDIR)/lua.h')
endif
LUA_VERSION ?= $(if $(filter %5.1 %51 luajit,$(LUA_PC)),5.1,$(if $(filter %5.3 %53,$(LUA_PC)),5.3,5.4))
BUSTED     ?= busted
CC         ?= cc
CFLAGS     ?= -O2 -g
BUILD      ?= build$(if $(ONLY_CLIENT),/lua$(LUA_VERSION))
PREFIX     ?= /usr/local
DESTDIR    ?=
ONLY_CLIENT = $(filter-out 5.4,$(LUA_VERSION))
# Where things go. LuaRocks gives folders of its own for these.
INSTALL_LUA ?= $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)
INSTALL_LIB ?= $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)
INSTALL_BIN ?= $(DESTDIR)$(PREFIX)/bin
INSTALL_DOC ?= $(DESTDIR)$(PREFIX)/share/doc/stream-events
INSTALL_STATIC ?= $(DESTDIR)$(PREFIX)/lib/libstream_events.a
INSTALL_HEADER ?= $(DESTDIR)$(PREFIX)/include/stream_events.h

# What pkg-config does not know is looked for where the compiler looks.
ask = $(shell pkg-config $(1) 2>/dev/null)
ifndef LUA_CFLAGS
LUA_CFLAGS := $(call ask,--cflags $(LUA_PC))
endif
HEADERS := $(foreach library,libcurl libssl libcrypto zlib,$(call ask,--cflags $(library)))
LINK_CURL := $(or $(call ask,--libs libcurl),-lcurl)
LINK_SSL := $(or $(call ask,--libs libssl),-lssl)
LINK_CRYPTO := $(or $(call ask,--libs libcrypto),-lcrypto)
LINK_ZLIB := $(or $(call ask,--libs zlib),-lz)

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS_ALL = -D_POSIX_C_SOURCE=200809L -Icsrc $(CPPFLAGS) $(LUA_CFLAGS) $(HEADERS)
CFLAGS_ALL = -std=c11 -fPIC -fvisibility=hidden $(WARNINGS) $(CFLAGS)
LIBS_CORE = $(LINK_CURL) $(LINK_SSL) $(LINK_CRYPTO) $(LINK_ZLIB) -lm
LIBS_SERVER = $(LINK_CURL) $(LINK_SSL) $(LINK_CRYPTO) -lhttp_parser
LIBFLAG ?= $(if $(filter Darwin,$(shell uname -s)),-bundle -undefined dynamic_lookup,-shared)
SHARED = $(LIBFLAG) $(LDFLAGS)

CORE_SOURCES   = $(wildcard csrc/*.c)
# What the server's module takes from the client's C parts: framing, connecting, and what those need.
SERVER_SHARES  = clock status buffer utf8 ws upgrade crypto poller lcore multi failure certificate trust \
                 http_headers list
SERVER_SOURCES = $(wildcard csrc/server/*.c) $(wildcard $(SERVER_SHARES:%=csrc/%.c))
CORE_OBJECTS   = $(CORE_SOURCES:csrc/%.c=$(BUILD)/obj/%.o)
SERVER_OBJECTS = $(SERVER_SOURCES:csrc/%.c=$(BUILD)/obj/%.o)
CORE_MODULE    = $(BUILD)/stream_events/core.so
SERVER_MODULE  = $(BUILD)/stream_events/server/core.so

export LUA_PATH  = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;
export LUA_CPATH = $(abspath $(BUILD))/?.so;;

.DEFAULT_GOAL = help
.PHONY: help deps deps-browser build build-jit objects demo lobby pack-lobby test test-love test-luanti test-browser \
  test-rocks test-all test-others faults faults-network soak bench doc check asan fuzz build-client build-server \
  install install-client install-server install-words uninstall clean
help: ## list the targets
	@echo "stream-events: custom events for Lua. New here? make demo"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

# DEPS=skip: the packages are there already, by other means than apt.
DEPS ?= .ci/deps
NEED = $(if $(filter skip,$(DEPS)),true,$(DEPS))

deps: ## install the missing system packages for everything below but bench and fuzz
	@$(NEED) build test interop runtimes rocks check asan
	@$(MAKE) --no-print-directory -s $(NODE_WS)

deps-browser: ## install the missing packages for the specs in a browser
	@$(NEED) browser

build: build-client $(if $(ONLY_CLIENT),,build-server) ## compile the C modules into build/
build-client: $(CORE_MODULE)
build-server: $(SERVER_MODULE)

# What is missing is said before the compiler fails: which library, and what its package is called.
NEEDED_client = lua$(LUA_VERSION) curl openssl zlib
NEEDED_server = lua$(LUA_VERSION) curl openssl http_parser
NEEDED_all    = $(NEEDED_client) http_parser
NEEDED = $(BUILD)/libraries/$(or $(patsubst build-%,%,$(filter build-client build-server,$(MAKECMDGOALS))),$(if \
         $(ONLY_CLIENT),client,all))
$(BUILD)/libraries/%: csrc/libraries.sh
	@mkdir -p $(@D)
	@CC='$(CC)' FLAGS='$(CPPFLAGS_ALL) $(CFLAGS) $(LDFLAGS)' LIBS='$(LIBS_CORE) $(LIBS_SERVER)' \
	  csrc/libraries.sh '$(@D)' $(NEEDED_$*)
	@echo "Compiling the C modules into $(BUILD), once"
	@touch $@
$(CORE_OBJECTS) $(SERVER_OBJECTS): | $(NEEDED)

$(CORE_MODULE): $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SHARED) -o $@ $^ $(LIBS_CORE)

$(SERVER_MODULE): $(SERVER_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SHARED) -o $@ $^ $(LIBS_SERVER)

$(BUILD)/obj/%.o: csrc/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# For programs that load no modules: csrc/stream_events.h says what is in it. Files of the same name are
# in both halves, so the archive is written anew and nothing in it is replaced.
.PHONY: static install-static
STATIC = $(BUILD)/libstream_events.a
static: $(STATIC) ## an archive to link with engines that load no modules
$(STATIC): $(filter-out $(BUILD)/obj/core.o,$(CORE_OBJECTS)) $(BUILD)/obj/static/core.o \
  $(if $(ONLY_CLIENT),,$(filter-out $(CORE_OBJECTS),$(SERVER_OBJECTS)))
	@rm -f $@
	$(AR) qcs $@ $^

$(BUILD)/obj/static/core.o: csrc/core.c Makefile | $(NEEDED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -DSE_STATIC -MMD -MP -c -o $@ $<

# The targets for people do their own set-up and then start make once more: only then are the
# flags of pkg-config there to be read.
demo: ## build, start the bundled server, let two users exchange custom events
	@$(NEED) build
	@$(MAKE) --no-print-directory -s build
	@$(LUA) lua/examples/demo.lua

# LÖVE has LuaJIT: its module is the one built with the headers of 5.1.
LOBBY = lua/examples/love-lobby
LOBBY_TREE = build/lobby
JIT_MODULE = build/lua5.1/stream_events/core.so
build-jit:
	@$(MAKE) --no-print-directory -s build LUA=luajit LUA_PC=lua5.1

lobby: ## play: the lobby in LÖVE, with a server and players who are no humans; NAME=YOU
	@$(NEED) build love
	@$(MAKE) --no-print-directory -s build build-jit
	@$(LUA) $(LOBBY)/players.lua --serve & players=$$!; trap 'kill $$players; wait' EXIT; trap 'exit 1' INT TERM; \
	LUA_CPATH='$(CURDIR)/build/lua5.1/?.so;;' love $(LOBBY) $(if $(NAME),--name '$(NAME)')

pack-lobby: ## pack the lobby and the plugin into build/lobby.love
	@$(NEED) build love
	@$(MAKE) --no-print-directory -s build-jit
	@rm -rf $(LOBBY_TREE) $(LOBBY_TREE).love
	@mkdir -p $(LOBBY_TREE)
	@cd $(LOBBY) && cp -R conf.lua main.lua field.lua rules.lua lobby '$(CURDIR)/$(LOBBY_TREE)'
	@cd lua && find stream_events -name '*.lua' $(NOT_CLIENT) -not -path '*/_meta/*' \
	  -exec install -D -m 644 {} '$(CURDIR)/$(LOBBY_TREE)/{}' \;
	@native=$(LOBBY_TREE)/native/$$(luajit -e 'print(jit.os .. "-" .. jit.arch)'); \
	  install -D -s $(JIT_MODULE) "$$native/stream_events/core.so"; \
	  install -D "$$(luajit -e 'print(assert(package.searchpath("cjson", package.cpath)))')" "$$native/cjson.so"
	@cd $(LOBBY_TREE) && zip -q -9 -r ../lobby.love .
	@echo "packed $(LOBBY_TREE).love; play it: love $(LOBBY_TREE).love"

test-luanti: ## run the specs of the mod for Luanti, in a server of it
	@$(NEED) build test
	@$(NEED) luanti || echo "the packages for Luanti cannot be had"
	@$(MAKE) --no-print-directory -s build build-jit
	@spec/luanti/run.sh '$(LUA)' "$$(command -v $(BUSTED))"

test-love: ## run the specs of the lobby, in LÖVE on a screen that nobody sees
	@$(NEED) build test love screen
	@$(MAKE) --no-print-directory -s build build-jit pack-lobby
	@$(LUA) "$$(command -v $(BUSTED))" --run=love

test-rocks: ## make, pack and install the rocks, and use what was installed
	@$(NEED) build test rocks
	@$(MAKE) --no-print-directory -s build build-jit
	@$(LUA) "$$(command -v $(BUSTED))" --run=rocks

.PHONY: api-snapshot
SNAPSHOT = spec/api_snapshot.txt
api-snapshot: ## take what is public now for what spec/api_snapshot.txt says, and show what changed
	@$(NEED) build test
	@$(MAKE) --no-print-directory -s build
	@LUA_PATH='$(CURDIR)/spec/?.lua;'"$$LUA_PATH" $(LUA) -e 'io.write(require("support.api").text())' \
	  > $(BUILD)/api_snapshot.txt
	@! diff -U0 $(SNAPSHOT) $(BUILD)/api_snapshot.txt || echo "nothing public has changed"
	@cp $(BUILD)/api_snapshot.txt $(SNAPSHOT)

# Of the specs, another Lua runs those of the client. The rest needs 5.4 itself: the server and the
# command. The demo and the README's programs are run with lua5.4, and make reads the rockspecs.
ONLY_5_4 = $(wildcard spec/server_*_spec.lua spec/command*_spec.lua) \
           $(patsubst %,spec/%_spec.lua,api_snapshot demo frames manual readme reference rockspec) \
           $(filter-out spec/interop/client_%,$(wildcard spec/*/*_spec.lua))
SPECS = $(filter-out $(if $(ONLY_CLIENT),$(ONLY_5_4)),\
        $(filter-out spec/love/% spec/luanti/% spec/rocks/%,$(sort $(wildcard spec/*_spec.lua spec/*/*_spec.lua))))
# busted is looked for when it runs, not when this file is read: it may have been installed in
# between. What a spec starts with lua5.4, such as the server, finds its own modules in build/.
RUN_SPECS = $(if $(ONLY_CLIENT),LUA_CPATH_5_4='$(CURDIR)/build/?.so;;') \
            $(LUA) spec/support/run_specs.lua "$$(command -v $(BUSTED))" \
            $(if $(ONLY_CLIENT),--helper=spec/support/older_lua.lua) $(SPECS)
test: ## build and run every spec
	@$(NEED) build test interop
	@$(MAKE) --no-print-directory -s build $(NODE_WS)
	@$(RUN_SPECS)

# A WebSocket of others, for specs and comparisons: nothing of ours needs it.
NODE_WS = build/node_modules/ws/package.json
$(NODE_WS):
	@echo "Installing the npm package ws below build, for specs and comparisons only"
	@mkdir -p build
	@npm install --loglevel=error --no-audit --no-fund --no-package-lock --prefix build ws@8

test-browser: ## run what needs a browser in headless Chromium
	@$(NEED) build test browser
	@$(MAKE) --no-print-directory -s build
	@$(LUA) "$$(command -v $(BUSTED))" --run=browser

# The other Luas, each with the headers that its module is built with.
OTHERS = lua5.3:lua5.3 lua5.1:lua5.1 luajit:lua5.1
test-all: test test-others ## run the specs on 5.4, those of the client on 5.3, 5.1 and LuaJIT too

test-others:
	@$(NEED) build test interop runtimes
	@$(MAKE) --no-print-directory -s build $(NODE_WS)
	@for other in $(OTHERS); do \
	  lua=$${other%%:*}; pc=$${other#*:}; \
	  command -v $$lua >/dev/null 2>&1 || { echo "== $$lua is not installed: left out"; continue; }; \
	  echo "== $$lua, without the $(words $(ONLY_5_4)) files of specs that need 5.4"; \
	  $(MAKE) --no-print-directory -s test DEPS=skip LUA=$$lua LUA_PC=$$pc CFLAGS='$(CFLAGS) -Werror' || failed=1; \
	done; [ -z "$$failed" ]

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined
# What runs under valgrind cannot run under a sanitizer as well.
asan: SPECS := $(filter-out spec/frames_spec.lua,$(SPECS))
asan: ## run the specs with the C parts under AddressSanitizer and UBSan
	@$(NEED) build test interop asan
	@$(MAKE) --no-print-directory -s $(NODE_WS)
	@$(MAKE) --no-print-directory -s build BUILD=$(BUILD)/asan \
	  CFLAGS='-g -O1 -fno-omit-frame-pointer $(SANITIZE)' LDFLAGS='$(SANITIZE)'
	@LUA_CPATH='$(abspath $(BUILD))/asan/?.so;;' ASAN_OPTIONS=detect_leaks=1 SPECS_SANITIZED=1 \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	  $(RUN_SPECS)

DOC = build/doc
doc: ## make the manual and the reference as pages of HTML in build/doc
	@mkdir -p $(DOC)
	@LUA_PATH='$(CURDIR)/spec/?.lua;'"$$LUA_PATH" $(LUA) spec/doc/make.lua . $(DOC)

LUACHECK ?= luacheck
check: ## compile without a warning, luacheck, cppcheck
	@$(NEED) build check
	@$(MAKE) --no-print-directory -s build BUILD=build/check CFLAGS='-O2 -Werror'
	@$(LUACHECK) -q lua spec rockspec/*.rockspec lua/bin/stream-events
	@cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem -Icsrc csrc

faults: ## run the specs of faults, and those on a network that loses packets where one can be made
	@$(NEED) build test faults
	@$(MAKE) --no-print-directory -s build
	@$(LUA) "$$(command -v $(BUSTED))" --run=faults
	@spec/faults/network.sh '$(LUA)' "$$(command -v $(BUSTED))"

faults-network: # the second half of it alone
	@$(NEED) build test faults
	@$(MAKE) --no-print-directory -s build
	@spec/faults/network.sh '$(LUA)' "$$(command -v $(BUSTED))"

MINUTES ?= 10
soak: ## two users and the server under random faults for MINUTES (10); SEED=... for the same once more
	@$(NEED) build test
	@$(MAKE) --no-print-directory -s build
	@LUA_PATH='$(CURDIR)/spec/?.lua;'"$$LUA_PATH" $(LUA) spec/faults/soak.lua $(MINUTES) $(SEED)

FUZZ_SECONDS ?= 60
FUZZ_FLAGS = -g -O1 -std=c11 -D_POSIX_C_SOURCE=200809L -Icsrc -fsanitize=fuzzer,address,undefined
FUZZ_OBJECTS = $(CORE_SOURCES:csrc/%.c=build/fuzz/objects/obj/%.o)
FUZZ_RULES = -dict=build/fuzz/rules.dict -max_len=8192 -timeout=30
# A target in Lua is its driver, and a host for it.
FUZZ_LUA = clang $(FUZZ_FLAGS) $(shell pkg-config --cflags $(LUA_PC)) spec/fuzz/lua_fuzz.c $(FUZZ_OBJECTS) \
  $(LIBS_CORE) $(shell pkg-config --libs $(LUA_PC))
objects: $(CORE_OBJECTS)
fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@$(NEED) build fuzz
	@mkdir -p build/fuzz/json build/fuzz/ws build/fuzz/http build/fuzz/answer build/fuzz/lists build/fuzz/rules
	clang $(FUZZ_FLAGS) -o build/fuzz/json_fuzz spec/fuzz/json_fuzz.c csrc/json.c csrc/json_split.c \
	  csrc/scan.c csrc/number.c csrc/utf8.c
	clang $(FUZZ_FLAGS) -o build/fuzz/ws_fuzz spec/fuzz/ws_fuzz.c csrc/ws.c csrc/utf8.c csrc/buffer.c \
	  csrc/crypto.c -lcrypto
	clang $(FUZZ_FLAGS) -o build/fuzz/http_fuzz spec/fuzz/http_fuzz.c csrc/server/http_request.c \
	  csrc/buffer.c csrc/crypto.c -lhttp_parser -lcrypto
	clang $(FUZZ_FLAGS) -o build/fuzz/answer_fuzz spec/fuzz/answer_fuzz.c csrc/server/answer_reader.c \
	  -lhttp_parser
	@$(MAKE) --no-print-directory -s objects BUILD=build/fuzz/objects CC=clang \
	  CFLAGS='-g -O1 -fsanitize=fuzzer-no-link,address,undefined'
	$(FUZZ_LUA) -o build/fuzz/lists_fuzz -DDRIVER='"spec/fuzz/lists_fuzz.lua"'
	$(FUZZ_LUA) -o build/fuzz/rules_fuzz -DDRIVER='"spec/fuzz/rules_fuzz.lua"'
	@LUA_PATH='$(CURDIR)/spec/?.lua;'"$$LUA_PATH" $(LUA) spec/fuzz/rules_corpus.lua build/fuzz/rules
	@for target in json ws http answer lists rules; do \
	  echo "== fuzz $$target"; \
	  case $$target in \
	    json|lists) options=-dict=spec/fuzz/json.dict ;; rules) options='$(FUZZ_RULES)' ;; *) options= ;; \
	  esac; \
	  build/fuzz/$${target}_fuzz $$options -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$$target- build/fuzz/$$target || exit 1; \
	done

bench: ## measure against other clients and servers, side by side, as ratios
	@$(NEED) build bench
	@$(MAKE) --no-print-directory -s build $(NODE_WS)
	@$(MAKE) --no-print-directory -s -f spec/bench/bench.mk

NOT_CLIENT = -not -path '*/server/*' -not -path '*/command/*'
NOT_SERVER = -not -path '*/server/*'
# A mode, where to, and files of lua/, which keep their folders. Not every install(1) has -D.
put = cd lua && for file in $(3); do \
  mkdir -p "$(2)/$$(dirname $$file)" && install -m $(1) $$file "$(2)/$$file" || exit 1; done
put_as = mkdir -p "$$(dirname '$(3)')" && install -m $(1) $(2) '$(3)'

install: install-client $(if $(ONLY_CLIENT),,install-server install-words) ## copy it all below $(DESTDIR)$(PREFIX)
	@echo "installed below $(DESTDIR)$(PREFIX)"

# Another Lua gets its modules alone: command, manual and examples are those of 5.4. These lie to each
# other as they do here, since they have links to each other.
install-client:
	@$(MAKE) --no-print-directory -s build-client
	@$(call put_as,755,$(CORE_MODULE),$(INSTALL_LIB)/stream_events/core.so)
	@$(call put,644,$(INSTALL_LUA),$$(find stream_events -name '*.lua' $(if $(ONLY_CLIENT),$(NOT_CLIENT),$(NOT_SERVER))))
ifeq ($(ONLY_CLIENT),)
	@$(call put_as,755,lua/bin/stream-events,$(INSTALL_BIN)/stream-events)
	@$(call put,644,$(INSTALL_DOC)/lua,$$(find examples stream_events/doc -type f))
	@$(call put,755,$(INSTALL_DOC)/lua,$$(find examples -type f -perm -100))
	@install -m 644 README.md CHANGELOG.md LICENSE '$(INSTALL_DOC)'
endif

install-server:
	@$(MAKE) --no-print-directory -s build-server
	@$(call put_as,755,$(SERVER_MODULE),$(INSTALL_LIB)/stream_events/server/core.so)
	@$(call put,644,$(INSTALL_LUA),$$(find stream_events -path '*/server/*' -type f))

# The manual page and what shells complete, made by the command itself.
INSTALL_SHARE = $(DESTDIR)$(PREFIX)/share
WORDS = man/man1/stream-events.1 bash-completion/completions/stream-events \
        zsh/site-functions/_stream-events fish/vendor_completions.d/stream-events.fish
install-words: $(WORDS:%=$(BUILD)/share/%)
	@$(foreach file,$(WORDS),$(call put_as,644,$(BUILD)/share/$(file),$(INSTALL_SHARE)/$(file)) &&) true

COMMAND_SOURCES = lua/bin/stream-events $(wildcard lua/stream_events/command/*.lua \
  lua/stream_events/command/*/*.lua lua/stream_events/server/options.lua)
$(BUILD)/share/man/%: SAYS = --man
$(BUILD)/share/bash-completion/%: SAYS = completion bash
$(BUILD)/share/zsh/%: SAYS = completion zsh
$(BUILD)/share/fish/%: SAYS = completion fish
$(BUILD)/share/%: $(COMMAND_SOURCES) $(CORE_MODULE) $(SERVER_MODULE)
	@mkdir -p $(@D)
	@$(LUA) lua/bin/stream-events $(SAYS) > $@.partial && mv $@.partial $@

install-static: ## the archive of `make static` and its header
	@$(MAKE) --no-print-directory -s static
	@$(call put_as,644,$(STATIC),$(INSTALL_STATIC))
	@$(call put_as,644,csrc/stream_events.h,$(INSTALL_HEADER))

uninstall: ## remove what install copied
	@rm -rf '$(INSTALL_LIB)/stream_events' '$(INSTALL_LUA)/stream_events'
	@rmdir '$(INSTALL_LIB)' '$(INSTALL_LUA)' 2>/dev/null || true
ifeq ($(ONLY_CLIENT),)
	@rm -rf '$(INSTALL_DOC)'
	@rm -f '$(INSTALL_STATIC)' '$(INSTALL_HEADER)'
	@rm -f '$(INSTALL_BIN)/stream-events' $(WORDS:%='$(INSTALL_SHARE)/%')
endif
	@echo "removed from $(DESTDIR)$(PREFIX)"

clean: ## remove everything that was built
	rm -rf build

-include $(CORE_OBJECTS:.o=.d) $(BUILD)/obj/static/core.d $(SERVER_OBJECTS:.o=.d)
