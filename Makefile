# make demo    watch a node do real Celery work, no broker needed
# make prepared  install what the tests need, and run none
# make test    install what the tests need and run them all
# make test-units  those of them that need no broker and no host: a minute
# make test-rabbitmq-4  those tests that RabbitMQ decides about, on Debian 13's 4.0
# make test-celery  those tests that Celery decides about, on each release that a project may have, and a ledger under kill -9
# make stall   10 bursts of 5,000 tasks through a solo worker, for each of three prefetches: none may stall
# make chaos   5,000 tasks for each way to break a worker, an agent, a broker or the network: none may be lost; takes hours
# make health  provoke each condition that a worker can be in, and write how long it took to be named and mended into docs/health.md
# make causes  provoke nine causes of trouble, and write what each place says of it where one looks into docs/causes.md
# make ledger  5,000 tasks, a kill -9 of each worker and a reload: status, metrics and callers must agree on what became of each
# make fuzz    100,000 inputs of garbage for each test that `make test` plays with 2,000; FUZZ="--hours 8" goes on and on
# make innocents  1,000 tasks on each pool, some of which end their process: no other may suffer; half an hour and more
# make schedules  kill ten leaders of a schedule, on RabbitMQ and on Redis: no tick may be sent twice, and no two nodes may lead at once
# make safe    5,000 tasks of an app with make_safe under kill -9 of its workers, and 5,000 through a move that is killed
# make results 200 results in a loop, 3,000 in threads, 100 in forked servers, while the broker restarts: none may be lost;
#              6,000 from Redis while its connections are cut; and 2,000 chains on each pool under kill -9 of workers:
#              none may be lost, none may fork
# make pairs   kill each process of an agent after each other one, under load: none of its tasks may be lost
# make test-valkey  those tests that use Redis as a broker, on Debian 13's Valkey
# make test-public  Weblate, a public application, under the agent; needs network, takes a quarter of an hour
# make test-guide  each row of docs/user-guide.md on each pool with each store of results; some minutes
# make test-graph  the pictures of `agent graph` in a real browser, and Mermaid's; leaves PNGs in .cache/graph, to be looked at; two minutes
# make test-ansible  what of deploy/ansible takes longer: firewalls, Docker, a cluster, upgrades under load
# make test-vm limits that a kernel enforces, in an emulated virtual machine; takes minutes
# make check   format, lint, types, arrows between modules
# make ansible what deploy/ansible is played with, into .venv
# make release build what is installed on hosts, into dist/
# make graph   draw the picture of the README anew, of a real instance
# make bench   the agent beside supervisord, circus, celery multi and plain workers
# make bench-apps  memory of a project's own app, hosted in several ways; rewrites the tables of docs/apps.md
# make lock    compile the locked requirements anew

.PHONY: help demo packages prepared test test-units test-rabbitmq-4 test-celery test-valkey servers-of-debian-13 test-public test-guide test-graph test-ansible test-vm stall chaos health causes ledger fuzz schedules innocents results pairs safe check \
	ansible release graph bench bench-apps lock clean
.DEFAULT_GOAL := help

# Four tests at once, each in a process of its own: much of a test is waiting.
AT_ONCE := -n 4 -p tests.sharing --no-loadscope-reorder --max-worker-restart 0

# The releases of Celery that projects have: `make test-celery CELERIES=5.5,5.6`.
CELERIES := oldest,5.5,5.6,5.7

# Chains that `make results` sends to each pool.
CHAINS := 2000

LOCKED := requirements/build.txt pyproject.toml celery_delivery/pyproject.toml celery_tasks/pyproject.toml

help:
	@sed -n 's/^# //p' Makefile

.venv/run: requirements/run.txt $(LOCKED)
	@scripts/make-venv run
	@touch .venv/run

.venv/dev: requirements/dev.txt requirements/run.txt $(LOCKED)
	@scripts/make-venv dev
	@touch .venv/dev .venv/run

# In an environment of its own, or each process would import what Celery uses where it is there: PyYAML and cffi. Behind it
# stands the agent, by which settings are looked at before a host is touched.
.venv/ansible: requirements/ansible.txt | .venv/run
	@.venv/bin/python -m venv --clear .venv/of-ansible
	@.venv/of-ansible/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/ansible.txt
	@for site in .venv/lib/python3*/site-packages; do \
		echo "import site; site.addsitedir('$(CURDIR)/$$site')" >.venv/of-ansible/$${site#.venv/}/behind.pth; done
	@cd .venv/bin && ln -sf ../of-ansible/bin/ansible* ../of-ansible/bin/yamllint .
	@touch .venv/ansible

ansible: .venv/ansible

graph: .venv/dev
	@.venv/bin/python scripts/draw-graph

release: .venv/run
	@.venv/bin/python scripts/build-release

demo: .venv/run
	@.venv/bin/agent demo

packages:
	@scripts/prepare-tests

prepared: .venv/dev .venv/ansible packages
	@.venv/bin/python -m tests.celeries oldest >/dev/null

test: prepared
	.venv/bin/python -m pytest --no-skips $(AT_ONCE) $(PYTEST)

test-units: .venv/dev .venv/ansible
	.venv/bin/python -m pytest --no-skips $(AT_ONCE) tests/architecture tests/unit tests/adapters $(PYTEST)

servers-of-debian-13: .venv/dev packages
	@.venv/bin/python -m tests.rabbitmq_4 .cache/rabbitmq-4

test-rabbitmq-4: servers-of-debian-13
	TEST_RABBITMQ=$(CURDIR)/.cache/rabbitmq-4 .venv/bin/python -m pytest --no-skips $(AT_ONCE) -m rabbitmq_4 tests/chaos tests/integration $(PYTEST)

test-celery: .venv/dev packages
	@for each in $$(echo $(CELERIES) | tr , ' '); do .venv/bin/python -m tests.celeries $$each >/dev/null || exit 1; done
	.venv/bin/python -m pytest --no-skips $(AT_ONCE) --celeries $(CELERIES) --ledger 1000 tests/chaos/test_celeries.py tests/integration/test_celeries.py $(PYTEST)
	@set -e; for each in $$(echo $(CELERIES) | tr , ' '); do echo "Celery $$each"; \
		$$(.venv/bin/python -m tests.celeries $$each) -m pytest --no-skips $(AT_ONCE) -m celery tests/unit tests/integration $(PYTEST); done

test-valkey: servers-of-debian-13
	TEST_REDIS=$(CURDIR)/.cache/rabbitmq-4/valkey-server .venv/bin/python -m pytest --no-skips $(AT_ONCE) tests/integration/test_apps_on_redis.py \
		tests/integration/test_lock.py tests/integration/test_schedules_on_redis.py $(PYTEST)

# Without what the packages ask for of one another: requirements/public-instead.in says where that is not met.
.cache/public/done: requirements/public.txt tests/public/packages.txt | .venv/run
	@scripts/install-packages $$(grep -v '^#' tests/public/packages.txt)
	@.venv/bin/python -m venv --clear .cache/public
	@.cache/public/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --require-hashes -r requirements/public.txt
	@touch .cache/public/done

test-public: .venv/dev .cache/public/done packages
	.venv/bin/python -m pytest --no-skips tests/public $(PYTEST)

test-guide: .venv/dev packages
	.venv/bin/python -m pytest --no-skips --whole-guide tests/guide $(PYTEST)

# By the one way to it that is not somebody's copy.
MERMAID := 11.17.2
MERMAID_SHA256 := 581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8

.cache/mermaid/done:
	@command -v npm >/dev/null || scripts/install-packages npm
	@mkdir -p .cache/mermaid
	@cd .cache/mermaid && npm pack --silent mermaid@$(MERMAID) >/dev/null && tar xzf mermaid-$(MERMAID).tgz package/dist/mermaid.min.js
	@rm .cache/mermaid/mermaid-$(MERMAID).tgz
	@echo "$(MERMAID_SHA256)  .cache/mermaid/package/dist/mermaid.min.js" | sha256sum --check --quiet
	@touch .cache/mermaid/done

test-graph: .venv/dev .cache/mermaid/done
	@scripts/install-packages $$(grep -v '^#' tests/browser/packages.txt)
	.venv/bin/python -m pytest --no-skips tests/browser $(PYTEST)

test-ansible: .venv/dev .venv/ansible packages
	.venv/bin/python -m pytest --no-skips tests/ansible $(PYTEST)

test-vm: .venv/dev packages
	@scripts/install-packages $$(grep -v '^#' tests/vm/packages.txt)
	.venv/bin/python -m pytest --no-skips tests/vm $(PYTEST)

stall: .venv/dev packages
	.venv/bin/python -m pytest -k never_sleeps_on_its_acks --bursts 10 --burst 5000 --durations 3 $(PYTEST)

fuzz: .venv/dev packages
	.venv/bin/python -m tests.fuzz $(FUZZ)

schedules: .venv/dev packages
	.venv/bin/python -m pytest tests/integration/test_schedules.py tests/integration/test_schedules_on_redis.py --kills 10 $(PYTEST)

results: .venv/dev packages
	.venv/bin/python -m pytest tests/integration/test_unanswered.py tests/integration/test_results_heard.py --turns 100 $(PYTEST)
	.venv/bin/python -m pytest tests/integration/test_broken_workflows.py -k every_chain --chains $(CHAINS) --timeout 3600 $(PYTEST)

innocents: .venv/dev packages
	.venv/bin/python -m pytest --no-skips tests/integration/test_innocents.py --innocents 1000 $(PYTEST)

pairs: .venv/dev packages
	.venv/bin/python -m pytest tests/chaos/test_pairs.py --every-pair --timeout 3600 -s $(PYTEST)

safe: .venv/dev packages
	.venv/bin/python -m pytest tests/integration/test_make_safe.py tests/integration/test_move_queue.py -k "killed" --tasks 5000 --timeout 3600 $(PYTEST)

chaos: .venv/dev packages
	.venv/bin/python -m tests.chaos --write docs/delivery.md $(CHAOS)

health: .venv/dev packages
	.venv/bin/python -m tests.health --write docs/health.md $(HEALTH)

causes: .venv/dev packages
	.venv/bin/python -m tests.health.provoke --write docs/causes.md $(CAUSES)

ledger: .venv/dev packages
	.venv/bin/python -m pytest tests/integration/test_ledger.py --entries 5000 --timeout 3600 $(PYTEST)

check: .venv/dev .venv/ansible
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@cd deploy/ansible && PATH="$(CURDIR)/.venv/bin:$$PATH" ansible-lint -q --nocolor

.cache/bench/done: requirements/bench.txt | .venv/run
	@.venv/bin/python -m venv .cache/bench
	@.cache/bench/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/bench.txt
	@touch .cache/bench/done

bench: .cache/bench/done
	@scripts/install-packages rabbitmq-server
	@.cache/bench/bin/python -m bench $(BENCH)

bench-apps: .venv/dev .cache/public/done packages
	@.venv/bin/python -m bench.apps $(BENCH)

lock: .venv/dev
	.venv/bin/python -m pip --quiet install uv
	for each in build run dev bench ansible celery-oldest celery-5.5 celery-5.6 celery-5.7; do .venv/bin/uv --quiet pip compile --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header requirements/$$each.in --output-file requirements/$$each.txt; done
	.venv/bin/uv --quiet pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-header requirements/public.in --override requirements/public-instead.in --output-file requirements/public.txt

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info celery_delivery/*.egg-info celery_tasks/*.egg-info
