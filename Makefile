# make book    the built book              make test    everything that can fail
# make help    the rest

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python here that the pinned packages run on; `make PYTHON=/path/to/python ...` overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
HAVE_PYTHON = test -n "$(PYTHON)" || { \
	echo "The book needs Python 3.11, 3.12 or 3.13, and none was found; set PYTHON=/path/to/python."; exit 1; }
NEEDED = import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	"The book needs Python 3.11, 3.12 or 3.13, and this is " + sys.version.split()[0] + "; set PYTHON=/path/to/python.")

VENV := .venv
BENCH := .venv-bench
RUN := $(VENV)/bin/python -m
STAMP := $(VENV)/.installed
PAGES := $(shell find book -name '*.ipynb' -not -path '*/.*' 2>/dev/null)
JOBS ?= 3 # processes that run the tests, which often wait for a browser or a kernel of their own
OUT ?= runs/gpu
DEVICE ?= cuda
MINUTES ?= 4
COLAB := .venv-colab
COLAB_PYTHON ?= python3.12
LOCK := .venv-lock
SLOW := tests/test_site.py tests/test_answering.py tests/test_figure_links.py tests/test_notebooks.py tests/test_plain_pages.py tests/test_algorithms.py
CORE := $(filter-out $(SLOW), $(wildcard tests/test_*.py)) tests/exact tests/inner tests/metagradient tests/tasks \
	tests/training
CHECK = -n $(JOBS) --dist loadfile -q --doctest-modules mamlbook $(CORE)
TEST := pytest --durations 40 --durations-min 5 -n $(JOBS) --dist loadfile -rfEs --doctest-modules --nbval --nbval-current-env
SHARD_site := tests/test_site.py tests/test_answering.py tests/test_figure_links.py $(wildcard tests/pages/test_widgets*.py)
SHARD_notebooks := book tests/test_notebooks.py tests/test_plain_pages.py tests/test_pages_on_a_gpu.py
SHARD_package := tests mamlbook $(addprefix --ignore=,$(SHARD_site) $(SHARD_notebooks))

.PHONY: help book test check lint format notebooks second-processor pdf epub serve screenshot gpu bench colab check-here test-package test-notebooks test-site set-repository clean chromium lock

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

# Installed again only when what is asked for has changed.
$(STAMP): requirements.txt requirements-hashes.txt pyproject.toml
	@$(HAVE_PYTHON)
	@"$(PYTHON)" -c '$(NEEDED)'
	@echo "Installing the environment into $(VENV) (about two minutes the first time) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@$(RUN) pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements-hashes.txt
	@$(RUN) pip install -qq --disable-pip-version-check -r requirements.txt
	@$(RUN) pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $@

# From scratch each time: a kept page would keep its warnings to itself.
book: $(STAMP)  ## build the book
	@rm -rf _build/html _build/.doctrees
	$(VENV)/bin/jupyter-book build . -W -n --keep-going --quiet
	@echo "The book: file://$(CURDIR)/_build/html/index.html"

test: book chromium  ## build the book, then test the package, the notebooks and the pages in a browser
	$(RUN) $(TEST) tests mamlbook book

test-package test-notebooks test-site: test-%: book chromium  # the same in three shards, for several machines
	$(RUN) $(TEST) $(SHARD_$*)

chromium: $(STAMP)
	@$(RUN) tools.chromium --install

check: $(STAMP)  ## test the core alone, while you work
	$(RUN) pytest $(CHECK)

# With the Python at hand and the packages that it has, whatever their versions: tests/packages.txt says what is needed.
check-here:
	@$(HAVE_PYTHON)
	env -u CI "$(PYTHON)" -m pytest $(CHECK)

lint: $(STAMP)  ## check style, in the notebooks as well, and types in the package
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy mamlbook
	@$(RUN) tools.notebooks --check $(PAGES)

format: $(STAMP)  ## mend style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

notebooks: $(STAMP)  ## run every notebook again and store its outputs
	@$(RUN) tools.notebooks $(PAGES)

# With the instructions of a processor that has AVX2 and nothing newer, as PyTorch and its two libraries know them.
second-processor: $(STAMP)  ## test every notebook as on an older processor (AVX2): do stored outputs hold there?
	ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 \
		$(RUN) pytest -n $(JOBS) --dist loadfile -q --nbval --nbval-current-env book

pdf: book chromium  ## print the book, to _build/model-agnostic-meta-learning.pdf
	@$(RUN) tools.pdf

epub: book chromium  ## bind the book for readers of EPUB, to _build/model-agnostic-meta-learning.epub
	@$(RUN) tools.epub

serve: book  ## look at the book in a browser
	@echo "http://127.0.0.1:8000/ (stop with Ctrl-C)"
	@$(RUN) http.server 8000 --bind 127.0.0.1 --directory _build/html

screenshot: book chromium  ## take the picture in the README again
	@$(RUN) tools.screenshot

# A GPU machine has its own torch and perhaps no network, so nothing is installed here: Python as it is found.
gpu:  ## test, race and train on a GPU: OUT=, DATA=, MINUTES=, see CONTRIBUTING.md
	@$(HAVE_PYTHON)
	@"$(PYTHON)" -m tools.gpu --out "$(OUT)" --device "$(DEVICE)" --minutes "$(MINUTES)" \
		$(if $(DATA),--data "$(DATA)") $(if $(PARTS),--parts $(PARTS))

# In an environment of its own, beside the other libraries.
bench: $(BENCH)/.installed  ## time a meta-gradient and whole trainings, here and in other libraries
	$(BENCH)/bin/python -m benchmarks.meta_step
	$(BENCH)/bin/python -m benchmarks.training

$(BENCH)/.installed: requirements.txt benchmarks/requirements.txt
	@$(HAVE_PYTHON)
	@"$(PYTHON)" -c '$(NEEDED)'
	@"$(PYTHON)" -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check -r benchmarks/requirements.txt
	@$(BENCH)/bin/python -m pip download -qq --disable-pip-version-check --no-deps --no-binary learn2learn \
		--dest $(BENCH) learn2learn==0.2.0
	@tar -xzf $(BENCH)/learn2learn-0.2.0.tar.gz --strip-components 1 \
		-C "$$($(BENCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		learn2learn-0.2.0/learn2learn
	@touch $@

# The first cell of a page and the page itself, with the Python and the packages that a reader has on Colab.
colab: $(STAMP) $(COLAB)/.installed  ## run a page in an environment like Colab's: COLAB_PYTHON=python3.12
	MAMLBOOK_COLAB_PYTHON="$(CURDIR)/$(COLAB)/bin/python" $(RUN) pytest -q tests/test_notebooks.py -k machine_without

$(COLAB)/.installed: tests/colab.txt
	@"$(COLAB_PYTHON)" -m venv $(COLAB)
	@$(COLAB)/bin/python -m pip install -qq --disable-pip-version-check -r tests/colab.txt
	@touch $@

# All but torch, whose build and whose libraries are other ones on a machine with a GPU, so that they cannot be fixed here.
lock: $(LOCK)/.installed  ## write the hashes of what requirements.txt pins
	@grep -v '^torch==' requirements.txt | $(LOCK)/bin/uv pip compile - --quiet --no-deps --generate-hashes --universal \
		--python-version 3.11 --no-annotate --custom-compile-command "make lock" --output-file requirements-hashes.txt

$(LOCK)/.installed:
	@$(HAVE_PYTHON)
	@"$(PYTHON)" -m venv $(LOCK)
	@$(LOCK)/bin/python -m pip install -qq --disable-pip-version-check uv==0.13.9
	@touch $@

set-repository: $(STAMP)  ## make the book its own: make set-repository URL=https://github.com/OWNER/NAME
	@$(RUN) tools.set_repository "$(URL)"

clean:  ## remove what was built, and the environment
	rm -rf _build $(VENV) $(BENCH) $(COLAB) $(LOCK) .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
