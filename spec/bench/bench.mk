# Builds the bench programs and runs them. Started by `make bench`.
BENCH = build/bench
PROGRAMS = blast floor_client cpu sink curl_sender floor_server swarm
SHARED = csrc/ws.c csrc/utf8.c csrc/buffer.c csrc/upgrade.c csrc/crypto.c
ROUNDS ?= 5
LUA ?= lua5.4

.PHONY: bench
bench: $(PROGRAMS:%=$(BENCH)/%)
	@NODE_PATH=build/node_modules $(LUA) spec/bench/run.lua $(ROUNDS) $(ONLY)

$(BENCH)/%: spec/bench/%.c spec/bench/net.h $(SHARED)
	@mkdir -p $(BENCH)
	$(CC) -O2 -std=c11 -D_POSIX_C_SOURCE=200809L -Icsrc -o $@ $< $(SHARED) -lcurl -lcrypto
