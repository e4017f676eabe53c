# berth. `make` builds; `make check` runs every test (as root); `make demo` shows it; `make help` lists the rest.
PREFIX ?= /usr/local
DESTDIR ?=
B ?= build
CC ?= gcc
CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wwrite-strings -Wcast-qual -Wvla -Wswitch-enum \
	$(if $(findstring clang,$(CC)),-Wno-format-nonliteral,-Wimplicit-fallthrough=5 -Wduplicated-cond -Wlogical-op -Wnull-dereference)
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	$(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero)
CPPFLAGS += -D_GNU_SOURCE -I. -MMD -MP $(DEFS)
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(WERROR) $(HARDEN) -fPIE -pthread
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS)
STATIC_LDFLAGS = -static-pie -Wl,-z,relro,-z,now $(LDFLAGS)
# berth-init has no C library: nothing of it may be called, nor need starting.
BARE_CFLAGS = -O2 -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables
BARE_LDFLAGS = -static-pie -nostdlib -Wl,--no-dynamic-linker,-z,noexecstack,-z,norelro,--build-id=none $(LDFLAGS)
Q = $(if $(V),,@)

# A program: its sources, and the pkg-config names it links.
PROGRAMS = berthd berth-logger berth-control berth-build berth-static berth-router berth-shell berth-hook berth-acme berth-registry berth-backup berth-drain berth
code = $(filter-out %_test.c,$(wildcard $(1)))
berthd_SRC        = $(filter-out runtime/sandbox/init.c runtime/logger/%,$(call code,runtime/*.c runtime/*/*.c))
berthd_PKG        = libseccomp
berth-logger_SRC  = $(call code,runtime/logger/*.c)
berth-control_SRC = $(call code,control/*.c control/*/*.c db/*.c) receiver/source.c lib/credentials.c
berth-control_PKG = libmicrohttpd jansson sqlite3 libgit2 libcrypto
berth-control_LIB = -lmd
berth-build_SRC   = $(filter-out buildpacks/static/%,$(call code,buildpacks/*.c buildpacks/*/*.c))
berth-build_PKG   = jansson
# Only tar and zip (nettle: encrypted ones, refused) are read: --static from pkg-config would name libxml2 and more too.
berth-build_LIB   = -larchive -lacl -lmd -lz -lbz2 -llzma -lzstd -lnettle -lcrypto
berth-static_SRC  = $(call code,buildpacks/static/*.c)
berth-router_SRC  = $(call code,router/*.c) lib/credentials.c
berth-router_PKG  = libnghttp2 libssl libcrypto zlib
berth-router_LIB  = -lmd
berth-shell_SRC   = receiver/shell.c $(call code,receiver/common.c receiver/deliver.c receiver/words.c receiver/repo.c receiver/jail.c)
berth-hook_SRC    = receiver/hook.c $(call code,receiver/common.c receiver/repo.c)
berth-acme_SRC    = acme/acme.c
berth-registry_SRC = $(call code,registry/*.c)
berth-registry_PKG = libcurl jansson
berth-registry_LIB = -lmd
berth-drain_SRC = $(call code,drain/*.c)
berth-drain_PKG = libcurl jansson zlib
berth-backup_SRC = $(call code,backup/*.c)
berth-backup_PKG = jansson libcrypto libzstd
berth_SRC         = $(call code,cli/*.c)
berth_PKG         = jansson
STATIC = berth-build berth-static

MAINS = runtime/berthd.c runtime/sandbox/init.c runtime/logger/logger.c control/control.c buildpacks/build.c buildpacks/static/static.c \
	router/router.c receiver/shell.c receiver/hook.c acme/acme.c registry/registry.c backup/backup.c drain/drain.c cli/berth.c
# credentials.c needs -lmd: only in the programs that name it.
LIB_OBJ = $(patsubst %.c,$(B)/%.o,$(filter-out lib/credentials.c,$(call code,lib/*.c)))
ROOT_TESTS = $(patsubst %.c,$(B)/test/%,$(wildcard */*_root_test.c */*/*_root_test.c))
UNIT_TESTS = $(filter-out $(ROOT_TESTS),$(patsubst %.c,$(B)/test/%,$(wildcard */*_test.c */*/*_test.c)))

all: $(PROGRAMS:%=$(B)/bin/%) $(B)/bin/berth-init $(B)/bin/packs $(B)/bin/hooks/post-receive
.PHONY: all

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC   $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

define program
$(B)/bin/$(1): $$(patsubst %.c,$(B)/%.o,$$($(1)_SRC)) $$(LIB_OBJ)
	@mkdir -p $$(@D)
	@$$(if $$(V),,echo "  LINK $$@")
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(if $$(filter $(1),$$(STATIC)),$$(STATIC_LDFLAGS),$$(ALL_LDFLAGS)) -o $$@ $$^ \
		$$(if $$($(1)_PKG),$$(shell pkg-config $$(if $$(filter $(1),$$(STATIC)),--static) --libs $$($(1)_PKG))) $$($(1)_LIB)
-include $$(patsubst %.c,$(B)/%.d,$$($(1)_SRC))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))
-include $(LIB_OBJ:.o=.d)

$(B)/runtime/sandbox/init.o: ALL_CFLAGS += $(BARE_CFLAGS)
$(B)/bin/berth-init: $(B)/runtime/sandbox/init.o
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $^
-include $(B)/runtime/sandbox/init.d

$(B)/db/db.o: $(wildcard db/*.sql)
$(B)/control/api/openapi.o: control/api/answers.json

# The buildpacks stand beside the programs; the static file server is part of its pack.
$(B)/bin/packs: $(wildcard buildpacks/packs/* buildpacks/packs/*/* buildpacks/packs/*/*/*) $(B)/bin/berth-static
	@mkdir -p $@ && find $@ -mindepth 1 -delete && cp -a buildpacks/packs/. $@/ && mkdir -p $@/static/lib && cp $(B)/bin/berth-static $@/static/lib/
$(B)/bin/hooks/post-receive: $(B)/bin/berth-hook
	@mkdir -p $(@D) && for h in pre-receive update post-receive; do ln -sf ../berth-hook $(@D)/$$h; done

# Unit tests: each linked with its folder's code (no main) and what lies below it.
TEST_PKG = cmocka libcurl libseccomp libmicrohttpd jansson sqlite3 libgit2 libarchive libnghttp2 libssl libcrypto zlib libzstd
folder_code = $(patsubst %.c,$(B)/%.o,$(filter-out $(MAINS),$(call code,$(1)/*.c $(1)/*/*.c)))
# Test objects are kept: a second run compiles what changed.
.SECONDARY:
.SECONDEXPANSION:
$(B)/test/%: $(B)/%.o $$(call folder_code,$$(firstword $$(subst /, ,$$*))) \
		$$(if $$(findstring control/,$$*),$(B)/receiver/source.o $$(call folder_code,db)) $(LIB_OBJ) $(B)/lib/credentials.o
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(sort $(filter-out $<,$^)) $(shell pkg-config --libs $(TEST_PKG)) -lmd
-include $(patsubst $(B)/test/%,$(B)/%.d,$(UNIT_TESTS) $(ROOT_TESTS))

# Fuzz targets: tests/fuzz/NAME.c over the code of some folders; its own functions come before theirs of the same name.
# Linked with libFuzzer (FUZZER=1, clang), or with a main that replays a corpus.
head_OVER = router
chunk_OVER = router
table_OVER = router
certs_OVER = router
h2_OVER = router
h2c_OVER = router
dispatch_OVER = runtime
log_OVER = runtime
tree_OVER = buildpacks
image_OVER = buildpacks
archive_OVER = buildpacks
build_OVER = buildpacks
docker_OVER = buildpacks
receive_OVER = receiver
registry_OVER = registry
logs_OVER = control db
logs_WITH = receiver/source.c
control_OVER = control db
control_WITH = runtime/keys.c receiver/source.c
pem_OVER = control db
pem_WITH = receiver/source.c cli/certs_input.c
values_WITH = cli/dotenv.c
hostfile_WITH = cli/hostfile.c cli/hostfile_line.c cli/nearest.c
FUZZ_TARGETS = head chunk h2 h2c table certs dispatch spec log logs tree image archive build docker receive registry control pem values hostfile
define fuzz_target
$(B)/fuzz/$(1): $(B)/tests/fuzz/$(1).o $$(if $$(FUZZER),,$(B)/tests/fuzz/main.o) \
		$$(foreach f,$($(1)_OVER),$$(call folder_code,$$f)) $$($(1)_WITH:%.c=$(B)/%.o) $$(LIB_OBJ) $(B)/lib/credentials.o
	@mkdir -p $$(@D)
	@$$(if $$(V),,echo "  LINK $$@")
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -Wl,-z,muldefs $$(if $$(FUZZER),-fsanitize=fuzzer) -o $$@ $$^ \
		$$(shell pkg-config --libs $$(TEST_PKG)) -lmd
-include $(B)/tests/fuzz/$(1).d
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(t))))
-include $(B)/tests/fuzz/main.d
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
fuzz-targets: $(FUZZ_TARGETS:%=$(B)/fuzz/%)
.PHONY: fuzz fuzz-bin fuzz-targets fuzz-replay list-fuzz
# The whole of berthd, as it is built.
$(B)/fuzz/berthd: $(B)/tests/fuzz/berthd.o $(B)/runtime/process.o $(LIB_OBJ)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs cmocka)
-include $(B)/tests/fuzz/berthd.d
fuzz-replay: $(B)/fuzz/berthd
	@$(MAKE) --no-print-directory B=build-asan CFLAGS='$(SANITIZE)' HARDEN= fuzz-targets
fuzz-bin:
	@$(MAKE) --no-print-directory B=build-fuzz CC=clang FUZZER=1 CFLAGS='$(SANITIZE) -fsanitize=fuzzer-no-link' HARDEN= fuzz-targets

# Over a start that takes the place of the real one.
$(B)/test/runtime/daemons/daemons_test: LDFLAGS += -Wl,-z,muldefs

# What the tests of sandboxes run inside.
INSIDE = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/runtime/*.c))
$(filter $(B)/test/runtime/%,$(ROOT_TESTS)): | $(INSIDE)
$(INSIDE): $(B)/test/%: tests/%.c
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(CFLAGS) -static -o $@ $<

# The API is tested over stubs that take the place of the operations behind it.
$(B)/test/control/access/access_test $(B)/test/control/cron/cron_test $(B)/test/control/deploy/clone_test $(B)/test/control/api/api_test $(B)/test/control/api/wire_test $(B)/test/control/api/certs_test $(B)/test/control/api/events_test $(B)/test/control/deploy/preview_test $(B)/test/control/deploy/clone_volumes_test $(B)/test/control/data/retention_test $(B)/test/control/deploy/rename_test $(B)/test/control/builds/step_test $(B)/test/control/run/oneoff_test $(B)/test/control/logs/drains_test $(B)/test/control/certs/acme_test $(B)/test/control/run/probe_test $(B)/test/control/run/sleep_test $(B)/test/control/run/liveness_test $(B)/test/control/run/ps_test $(B)/test/control/network/network_test: LDFLAGS += -Wl,-z,muldefs

# The attack tests: the probe and its driver; and the driver once more over a runtime whose guards can be left out, in a
# tree of its own, so that nothing of that gets into berth.
$(B)/attack/attack: $(patsubst %.c,$(B)/%.o,$(addprefix tests/attack/,attack.c ground.c guest.c host.c peers.c special.c)) $$(call folder_code,runtime) $(LIB_OBJ)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs libseccomp)
$(B)/attack/probe: $(patsubst %.c,$(B)/%.o,$(addprefix tests/attack/,probe.c mounts.c namespaces.c processes.c files.c kernel.c network.c limits.c))
$(B)/attack/probe:
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(STATIC_LDFLAGS) -o $@ $^
$(B)/attack/berth-init: $(B)/runtime/sandbox/init.o $(B)/tests/attack/init_open.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $^
-include $(wildcard $(B)/tests/attack/*.d)
attack-bin: $(B)/attack/attack $(B)/attack/probe $(B)/bin/berth-init
	@$(MAKE) --no-print-directory B=build-guards DEFS=-DBERTH_TEST_GUARDS build-guards/attack/attack build-guards/attack/berth-init

tests-bin: $(UNIT_TESTS) $(ROOT_TESTS) $(B)/attack/attack $(B)/attack/probe
list-unit:
	@printf '%s\n' $(UNIT_TESTS)
list-root:
	@printf '%s\n' $(ROOT_TESTS)
list-fuzz:
	@printf '%s\n' $(FUZZ_TARGETS)
check-unit: $(UNIT_TESTS)
	@set -e; for t in $^; do $$t; done
check-root: all $(ROOT_TESTS)
	@set -e; for t in $(ROOT_TESTS); do $$t; done
check: deps layers
	$(MAKE) -j2 all tests-bin attack-bin fuzz-replay
	tests/run
attack: deps all attack-bin
	tests/run attack
attack-table: deps-v2 all tests-bin attack-bin
	@rm -f build/attack/results
	ATTACK_RESULTS=build/attack/results tests/run attack
	tests/vm/run attack
	tests/attack/table build/attack/results build/vm/attacks >docs/ATTACKS.md
conformance-table: all
	tests/router/run --table >docs/CONFORMANCE.md
# The same kernel tests under Debian's own kernel with version 2 control groups, emulated.
check-v2: deps-v2 all tests-bin attack-bin
	tests/run v2
# The package on a whole Debian with systemd, emulated: install, push, restart, upgrade, reboot, attacks, remove, purge. About an hour.
check-vm:
	tests/vm/system
e2e: all
	tests/run e2e
# Each target so many seconds; FUZZ_TARGETS="head chunk": only these.
FUZZ_S ?= 60
fuzz:
	packaging/deps --fuzz
	@$(MAKE) -j2 all $(B)/fuzz/berthd fuzz-bin
	tests/fuzz/run $(FUZZ_S) $(FUZZ_TARGETS)
demo: deps
	tests/demo
soak: all $(B)/test/bench/backend $(B)/test/soak/named.so
	tests/soak/run
	tests/soak/many
	tests/soak/slow
	tests/soak/deploys
	tests/soak/kills
	tests/soak/crash
	tests/soak/power
	tests/soak/full
	tests/soak/browser
	tests/soak/apps
	tests/soak/data
	tests/soak/restore
	tests/soak/dockerfile
	tests/soak/images
	tests/soak/hostile
$(B)/test/soak/named.so: tests/soak/named.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -D_GNU_SOURCE -fPIC -shared -o $@ $<
bench-idle: all
	tests/bench/idle
bench-push: all
	tests/bench/push
bench-build: all
	tests/bench/build $(BENCH_OPTIONS)
bench-wake: all
	tests/bench/wake
bench-many: all
	tests/bench/many
bench-snapshot: all
	tests/bench/snapshot $(BENCH_OPTIONS)
bench-backup: all
	tests/bench/backup $(BENCH_OPTIONS)
bench-jail: $(B)/test/bench/jail
	tests/bench/jail
$(B)/test/bench/jail: $(B)/tests/bench/jail.o $(B)/receiver/jail.o $(LIB_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs libseccomp)
-include $(B)/tests/bench/jail.d
bench-logs: all $(B)/test/bench/logwrite
	tests/bench/logs $(BENCH_OPTIONS)
bench-router: all $(B)/test/bench/backend $(B)/test/bench/messages
	tests/bench/router $(BENCH_OPTIONS)
bench-volumes: all $(B)/test/bench/volumes
	tests/bench/volumes $(BENCH_OPTIONS)
$(B)/test/bench/backend $(B)/test/bench/messages $(B)/test/bench/logwrite $(B)/test/bench/volumes: $(B)/test/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -D_GNU_SOURCE $(ALL_LDFLAGS) -o $@ $<
bench-start: all $(B)/test/bench/start $(B)/test/bench/true
	tests/bench/start
$(B)/test/bench/start: $(B)/tests/bench/start.o $(filter-out $(B)/runtime/berthd.o,$(berthd_SRC:%.c=$(B)/%.o)) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs $(berthd_PKG))
-include $(B)/tests/bench/start.d
$(B)/test/bench/true: tests/bench/true.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $<
deps:
	@packaging/deps
.PHONY: deps-v2
deps-v2:
	@packaging/deps --vm
layers:
	@packaging/layers
lint:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	cppcheck --quiet --enable=warning,portability --suppress=memleak --suppress=autoVariables --suppress=preprocessorErrorDirective \
		--inline-suppr --error-exitcode=1 -D_GNU_SOURCE '-Djson_array_foreach(a,i,v)=for(;;)' \
		'-Djson_object_foreach(o,k,v)=for(;;)' -I. $$(git ls-files '*.c')
asan:
	$(MAKE) B=build-asan CFLAGS='$(SANITIZE)' HARDEN= STATIC= check-unit
.PHONY: tests-bin list-unit list-root check-unit check-root check check-v2 check-vm attack attack-bin attack-table conformance-table e2e demo soak bench-push bench-build bench-start bench-wake bench-idle bench-many bench-snapshot bench-volumes bench-jail bench-backup bench-router bench-logs deps layers lint asan install uninstall deb clean help

L = $(DESTDIR)$(PREFIX)/lib/berth
# A running berthd has its own copy of packs/ for builds.
install: all
	install -d $(L)/hooks $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(filter-out $(B)/bin/berth,$(PROGRAMS:%=$(B)/bin/%)) $(B)/bin/berth-init $(L)/
	install -m 755 $(B)/bin/berth $(DESTDIR)$(PREFIX)/bin/
	ln -sf ../berth-hook $(L)/hooks/update
	ln -sf ../berth-hook $(L)/hooks/pre-receive
	ln -sf ../berth-hook $(L)/hooks/post-receive
	install -d $(L)/packs && find $(L)/packs -mindepth 1 -delete && cp -a --no-preserve=ownership $(B)/bin/packs/. $(L)/packs/
	ln -sf ../lib/berth/berthd $(DESTDIR)$(PREFIX)/sbin/berthd
	install -m 755 packaging/berth-users $(L)/
	install -d $(DESTDIR)$(UNITDIR) $(SHARED:%=$(DESTDIR)$(PREFIX)/share/%)
	for unit in $(UNITS); do sed 's|@SBIN@|$(PREFIX)/sbin|' packaging/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit; done
	packaging/manual $(B)/bin/berth >$(DESTDIR)$(PREFIX)/share/man/man1/berth.1
	install -m 644 packaging/man/berthd.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 packaging/man/berth.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	$(B)/bin/berth-control --openapi >$(DESTDIR)$(PREFIX)/share/berth/openapi.json
	install -m 644 cli/answers.json $(DESTDIR)$(PREFIX)/share/berth/commands.json
	install -m 644 packaging/completions/berth.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/berth
	install -m 644 packaging/completions/_berth $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/
	install -m 644 packaging/completions/berth.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
UNITDIR = $(PREFIX)/lib/systemd/system
UNITS = berthd.service berth-apps.service
SHARED = berth man/man1 man/man5 man/man8 bash-completion/completions zsh/vendor-completions fish/vendor_completions.d
uninstall:
	rm -rf $(L) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%) $(addprefix $(DESTDIR)$(PREFIX)/,bin/berth sbin/berthd share/berth share/man/man1/berth.1 \
		share/man/man5/berth.conf.5 share/man/man8/berthd.8 share/bash-completion/completions/berth share/zsh/vendor-completions/_berth \
		share/fish/vendor_completions.d/berth.fish)
# The package, with what is in the work tree: build/deb/berth_VERSION_ARCH.deb, checked by lintian.
deb:
	packaging/deb
clean:
	rm -rf build build-asan build-fuzz build-guards
help:
	@echo 'all install uninstall deb clean | deps check check-unit check-root check-v2 check-vm attack e2e demo | bench-push bench-build bench-start bench-wake bench-idle bench-many bench-snapshot bench-volumes bench-jail bench-backup bench-router bench-logs soak | lint layers asan'
