# Thin: every target is one command that can as well be typed.

.PHONY: help demo down purge test sim check check-fast components clean-cache
ROADSTEAD ?= $(or $(CARGO_TARGET_DIR),target)/release/roadstead
CACHE := $(or $(ROADSTEAD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roadstead)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo ROADSTEAD_CACHE=$(CACHE))

help: ## shows this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a live cluster from nothing, or again (about 10 minutes of compiling the first time, then seconds)
	@scripts/demo

down: ## stops the demo; its data stay
	@$(SUDO) $(ROADSTEAD) down

purge: ## stops the demo and removes all its data
	@$(SUDO) $(ROADSTEAD) down --purge

test: ## all tests, end to end included (root)
	@scripts/test

sim: ## 20,000 seeds of the simulator; the first that breaks a rule is shrunk and printed
	@cargo run --quiet --release --package roadstead-sim -- --seeds $(or $(SEEDS),20000)

check: ## import rules, house rules, licences, generated files, formatting, lints
	@scripts/check

# The clients' venv comes first on PATH: it has the pip that fetches the AWS models.
check-fast: ## the same without lints
	@PATH="$(CACHE)/venv/bin:$$PATH" cargo xtask tidy --fast

components: ## builds all that is pinned; `cargo xtask components --help` for less
	@cargo xtask components --all

clean-cache: ## removes built components and installed clients (not Go's and cargo's own caches)
	rm -rf $(CACHE)/components $(CACHE)/cargo-deny-* $(CACHE)/components.log $(CACHE)/apt.log $(CACHE)/venv $(CACHE)/venv-* $(CACHE)/venv.lock
