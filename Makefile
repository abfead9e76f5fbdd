# Two commands: `make book` reads, `make test` checks. Everything they write lies in .venv and _build.
#
#   make book                       execute the notebooks (quick profile, every CPU core) and build the book
#   make book PROFILE=smoke         a look of minutes; PROFILE=paper is for a GPU
#   make book JOBS=1 AT_ONCE=1      one row and one notebook at a time; else as cores and memory allow
#   make book DATASET=flickr8k DATA_ROOT=/data/flickr8k DEVICE=cuda
#   make test                       ruff, import contracts, pytest with doctests, strict nbval, on 2 cores
#   make test JOBS=8                the same on eight
#   make any-cpu                    whether the notebooks show the same on other processors (half an hour)
#   make refresh                    execute the committed notebooks again (smoke), normalise them, and write
#                                   down their numbers in tests/golden
#   make results DATASET=flickr8k DATA_ROOT=/data/flickr8k      train what results/ does not hold (full profile),
#                                   publish each row as it is finished; PAPERS="instance_loss intra_modal"
#                                   TABLES=2,4 SEEDS=0,1,2 PROFILE=quick RUNS=/runs JOBS=1 DEVICE=cuda
#   make clean                      remove _build (runs and generated data too); make distclean: .venv as well

PYTHON ?= python3
PROFILE ?= quick
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := book
# A value as one word of the shell, whatever it holds; make's own functions (abspath) cut at spaces.
quoted = '$(subst ','\'',$(1))'

# Generated data, caches and runs stay inside the checkout.
export IMTEXT_DATA ?= $(CURDIR)/_build/data
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

given = $(if $(2),-p $(1) $(call quoted,$(2)))
PARAMETERS = $(call given,dataset,$(DATASET)) $(call given,data_root,$(DATA_ROOT)) \
	$(call given,device,$(DEVICE)) $(call given,seeds,$(SEEDS))
# JOBS as its default is for the tests.
ROWS = $(if $(filter command,$(origin JOBS)),$(call given,jobs,$(JOBS)))
TESTED := imtext tests notebooks book benchmarks results _build/html .github .ci \
	Makefile pyproject.toml constraints.txt environment.yml README.md CITATION.cff _config.yml _toc.yml

.PHONY: book test any-cpu refresh results picture normalise venv clean distclean constraints

book: $(STAMP)
	@$(PY) -m imtext book make --profile $(call quoted,$(PROFILE)) \
	    $(if $(FORCE),--force) $(if $(AT_ONCE),--at-once $(call quoted,$(AT_ONCE))) $(PARAMETERS) $(ROWS)

# A second call where no file changed says so in a second; FORCE=1 runs everything again.
test: $(STAMP)
	@mkdir -p _build
	@digest=$$({ find $(TESTED) -type f -not -path '*/__pycache__/*' 2>/dev/null || true; } | LC_ALL=C sort \
	    | tr '\n' '\0' | xargs -0 sha256sum | sha256sum); \
	if [ -z $(call quoted,$(FORCE)) ] && [ "$$(cat _build/.tested 2>/dev/null)" = "$$digest" ]; then \
	    echo "Nothing changed since these tests passed; make test FORCE=1 runs them again."; \
	    tail -n 1 _build/test.log; exit 0; \
	fi; \
	rm -rf _build/.tested _build/test-runs; \
	export CI=true IMTEXT_RUNS=$(call quoted,$(CURDIR)/_build/test-runs); \
	echo "ruff"; $(VENV)/bin/ruff check .; \
	echo "import contracts"; $(VENV)/bin/lint-imports --no-cache; \
	echo "pytest, doctests, nbval"; \
	$(PY) -m pytest --numprocesses $(call quoted,$(JOBS)) --no-loadscope-reorder \
	    --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg 2>&1 \
	    | tee _build/test.log; \
	echo "$$digest" > _build/.tested

# Trained anew: a kept run would hide that the library's numbers have changed.
refresh: $(STAMP)
	@rm -rf _build/refresh-runs
	@CI=true IMTEXT_RUNS=$(call quoted,$(CURDIR)/_build/refresh-runs) $(PY) -m imtext book refresh
	@CI=true $(PY) tests/golden/frozen.py _build/refresh-runs

results: PROFILE = full
results: JOBS = auto
results: $(STAMP)
	@$(PY) -m imtext book results $(foreach paper,$(PAPERS),$(call quoted,$(paper))) \
	    --profile $(call quoted,$(PROFILE)) $(PARAMETERS) $(call given,tables,$(TABLES)) \
	    $(call given,runs_dir,$(RUNS)) $(call given,jobs,$(JOBS))

# The notebooks as other processors execute them; a line a setting.
any-cpu: $(STAMP)
	@$(PY) tests/any_cpu.py --jobs $(call quoted,$(JOBS))

# The picture in README.md: a page of the built book, by default the front page.
PAGE ?= book/intro.html
picture: $(STAMP)
	@$(PY) tests/book/headless_browser.py _build/html $(call quoted,$(PAGE)) book/images/page.png

normalise: $(STAMP)
	@$(PY) -m imtext book normalise

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(call quoted,$(PYTHON)) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	    "imtext needs Python 3.11 to 3.13, and %s is %d.%d; write make PYTHON=python3.12" % ((sys.argv[1],) + v))' \
	    $(call quoted,$(PYTHON))
	@test -x $(PY) || { echo "making $(VENV)"; rm -rf $(VENV); $(call quoted,$(PYTHON)) -m venv $(VENV); }
	@echo "installing into $(VENV) (about 6 GB with the GPU build of torch, some minutes the first time)"
	@$(PY) -m pip install --constraint constraints.txt --editable '.[book,test]'
	@touch $@

# After testing newer versions: write down what is installed.
constraints: $(STAMP)
	@{ echo "# The versions that every test ran against (Python 3.11). Used by make and environment.yml."; \
	   $(PY) -m pip freeze --exclude-editable --exclude imtext --exclude pip --exclude setuptools; } > constraints.txt.partial
	@mv constraints.txt.partial constraints.txt
	@touch $(STAMP)

clean:
	rm -rf _build

distclean: clean
	rm -rf $(VENV)
