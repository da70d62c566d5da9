# Each target does all the set-up it needs: a virtual environment in .venv, filled from the requirements files.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo_output

.PHONY: demo demo-da demo-sde test test-lowest lint format clean

$(VENV)/.run: requirements.txt
	@echo "Setting up $(VENV): PyTorch and the like, some minutes"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "DenseMTL needs Python 3.10 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@echo "Setting up $(VENV) for development"
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

# The newest run below the folder of an experiment.
newest = $$(ls -td $(1)/s*/*/ | head -1)

# The demo world in NYUDv2's format, then the commands of the README on it.
DEMO_DATA := $(DEMO)/data/nyudv2
DEMO_RUNS := $(DEMO)/logs/nyudv2/resnet18_ours_SDNE
DEMO_EXPERIMENT := --base configs/demo/fs_bs4.yml --config configs/demo/resnet18_ours_SDNE.yml --device cpu
demo: export NYUDV2_DIR = $(DEMO_DATA)
demo: export LOG_DIR = $(DEMO)/logs
demo: $(DEMO_DATA)/gt_sets/val.txt  ## train, evaluate and predict on the demo world, on a CPU, in a few minutes
	@echo "1. Train on 400 rooms"
	@$(BIN)/python main.py $(DEMO_EXPERIMENT) --disable-wandb
	@echo "2. Evaluate on the 100 other rooms"
	@$(BIN)/python main.py $(DEMO_EXPERIMENT) --evaluate $(call newest,$(DEMO_RUNS))
	@echo "3. Predict 8 of them"
	@$(BIN)/python main.py $(DEMO_EXPERIMENT) --weights $(call newest,$(DEMO_RUNS)) --output $(DEMO)/predictions \
		--predict $$(sed 's|.*|$(DEMO_DATA)/images/&.png|' $(DEMO_DATA)/gt_sets/val.txt | head -8)
	@echo "4. Compare with the best constant answer"
	@$(BIN)/python -m training.trivial --base configs/demo/fs_bs4.yml --config configs/demo/resnet18_ours_SDNE.yml \
		--metrics $(call newest,$(DEMO_RUNS))metrics.json
	@echo
	@echo "The run:      $(call newest,$(DEMO_RUNS))"
	@echo "The pictures: $(DEMO)/predictions/*_panel.png"
	@echo "Try a picture of your own. This network has only seen 400 computer-made rooms, so expect wrong answers there:"
	@echo "  $(BIN)/python main.py --weights $(call newest,$(DEMO_RUNS)) --output out --predict PHOTO"

$(DEMO_DATA)/gt_sets/val.txt: $(VENV)/.run
	@$(BIN)/python -m dataset.demo $(DEMO)/data --layout nyudv2 --size 128x96 --scenes 500

# Domain adaptation from one style of the demo world to another: lower bound, adaptation, upper bound.
SEEDS ?= 42
DA_EXPERIMENTS := source_only ours oracle
STREET := --size 192x96 --scenes 300
DA_ADAPTED := $(DEMO)/da/logs/synthia2cityscapes/resnet18_ours_SD
demo-da: export SYNTHIA_DIR = $(DEMO)/da/source/synthia
demo-da: export CITYSCAPES_DIR = $(DEMO)/da/target/cityscapes
demo-da: export LOG_DIR = $(DEMO)/da/logs
demo-da: $(VENV)/.run  ## train source-only, adapted and oracle for each of SEEDS and compare them
	@test -d $(DEMO)/da/source || $(BIN)/python -m dataset.demo $(DEMO)/da/source --layout synthia --seed 1 $(STREET)
	@test -d $(DEMO)/da/target || $(BIN)/python -m dataset.demo $(DEMO)/da/target --layout cityscapes --seed 2 $(STREET) \
		--style target
	@set -e; for seed in $(SEEDS); do for experiment in $(DA_EXPERIMENTS); do \
		echo "Train $$experiment, seed $$seed"; \
		$(BIN)/python main.py --base configs/demo/da/fs_bs4.yml --config configs/demo/da/resnet18_$${experiment}_SD.yml \
			--device cpu --disable-wandb --seed $$seed; done; done
	@$(BIN)/python -m training.compare \
		"source-only=$(DEMO)/da/logs/synthia2cityscapes/resnet18_source_only_SD" \
		"adapted=$(DA_ADAPTED)" \
		"oracle=$(DEMO)/da/logs/cityscapes/resnet18_oracle_SD"
	@echo
	@echo "The runs:     $(DEMO)/da/logs"
	@echo "The pictures: $(call newest,$(DA_ADAPTED))panels/"
	@echo "Try a picture of your own, of a street:"
	@echo "  $(BIN)/python main.py --weights $(call newest,$(DA_ADAPTED)) --output out --predict PHOTO"

# Depth learned from video on the demo world.
SDE_EXPERIMENT := --config configs/demo/monodepth/resnet18_ours_SD.yml
SDE_RUNS := $(DEMO)/sde/logs/cityscapes/resnet18_ours_SD
demo-sde: export CITYSCAPES_DIR = $(DEMO)/sde/cityscapes
demo-sde: export LOG_DIR = $(DEMO)/sde/logs
demo-sde: $(VENV)/.run  ## train segmentation with depth from video and compare with a constant depth
	@test -d $(DEMO)/sde/cityscapes || $(BIN)/python -m dataset.demo $(DEMO)/sde --layout cityscapes $(STREET)
	@$(BIN)/python main.py $(SDE_EXPERIMENT) --device cpu --disable-wandb
	@$(BIN)/python -m training.trivial $(SDE_EXPERIMENT) --metrics $(call newest,$(SDE_RUNS))metrics.json
	@echo
	@echo "The run:      $(call newest,$(SDE_RUNS))"
	@echo "The pictures: $(call newest,$(SDE_RUNS))panels/"
	@echo "Try a picture of your own, of a street:"
	@echo "  $(BIN)/python main.py --weights $(call newest,$(SDE_RUNS)) --output out --predict PHOTO"

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n 2

# pip takes the newest versions unless constrained: here to the lower bounds of requirements.txt. Needs Python 3.11, as
# not all of them have wheels for later ones.
LOWEST := .venv-lowest
test-lowest:  ## run the tests with the lowest versions that requirements.txt allows
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	sed 's/>=\([^,]*\).*/==\1/' requirements.txt > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet -r requirements-dev.txt -c $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pytest -n 2

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) $(DEMO)
