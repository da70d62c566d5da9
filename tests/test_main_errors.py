"""What the user can get wrong: each mistake ends with status 2, a message that says what and where, and no run folder.

Mistakes in weights are in `test_main_evaluate.py`, in images to predict in `test_main_predict.py`, and what else an
experiment file may hold wrong in `utils/config`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import DEMO, ROOT, arguments, fails, run, run_folders, run_here
from utils.version import VERSION


@pytest.fixture
def complaint(logs, monkeypatch, capsys):
    """The message that a training ends with, which must match all patterns; it must leave no run folder."""

    def complaint(*patterns: str, extra: tuple[str, ...] = (), **overrides: object) -> None:
        message = fails(monkeypatch, capsys, *arguments(*extra, training__iterations=2, **overrides))
        assert run_folders(logs) == []
        for pattern in patterns:
            assert re.search(pattern, message), message

    return complaint


@pytest.fixture
def own_nyudv2(demo_nyudv2, logs, tmp_path, monkeypatch) -> Path:
    """A copy of the dataset that a test may damage."""
    root = shutil.copytree(demo_nyudv2, tmp_path / "nyudv2")
    monkeypatch.setenv("NYUDV2_DIR", str(root))
    return root


def first_sample(root: Path, split: str) -> str:
    return min((root / "gt_sets" / f"{split}.txt").read_text().split())


def test_in_a_process_of_its_own(logs):
    status, out, error = run(*arguments(data__train_bz=2))
    assert (status, out, error.count("\n")) == (2, "", 2) and not logs.exists()
    assert error.startswith("error: configs/demo/resnet18_ours_SDNE.yml (base configs/demo/fs_bs4.yml): 1 error\n")
    assert re.search("  data.train_bz: .*'train_bs'", error)


@pytest.mark.parametrize(
    ("overrides", "patterns"),
    [
        (
            {"optim__nam": "Adam", "training__print_interval": "often", "data__train_bs": -1},  # all at once
            ["data.train_bs: .*greater than 0, got -1", "training.print_interval: .*'often'", "optim.nam: .*'name'"],
        ),
        ({"data__train_bs": 1}, ["data.train_bs: 1 image cannot train semseg.* 2 or more"]),
        ({"setup__model__pretrain": "nowhere.pth"}, ["setup.model.pretrain: 'nowhere.pth' .*'imnet'.*'none'"]),
        ({"training__use_amp": True, "training__amp_dtype": "float16"}, ["training.amp_dtype: float16 needs a GPU"]),
        ({"training__sync_bn": True}, ["training.sync_bn: .*needs GPUs"]),
        ({"data__path": "/nowhere"}, ["data.path: /nowhere: no such file or folder", "gt_sets/"]),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_key(complaint, overrides, patterns):
    complaint(*patterns, **overrides)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(complaint, device):
    complaint(f"^--device {device}: .*this machine has cpu", extra=("--device", device))


def test_an_undefined_variable_is_named_with_the_key_and_both_ways_to_define_it(complaint, monkeypatch):
    monkeypatch.delenv("NYUDV2_DIR")
    env_config = re.escape(str(ROOT / "configs" / "env_config.yml"))
    complaint("data.path: .*NYUDV2_DIR.* not defined", "export NYUDV2_DIR=", rf"{env_config} \(NYUDV2_DIR: ")


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        (("--config", "configs/nyudv2/resnet101_our_SD.yml"), "did you mean configs/nyudv2/resnet101_ours_SD.yml"),
        ((*DEMO[2:], "--base", "configs/demo/fs_bs.yml"), "did you mean configs/demo/fs_bs4.yml"),
        (("--config", "configs/demo/zzz"), "--config configs/demo/zzz: no such file\n"),
        (("--config", "nowhere/fs_bs4.yml"), "nor is there a folder nowhere"),
        (("--config", DEMO[1], "--base", DEMO[3]), "swap --base and --config"),
        (("--config", DEMO[1]), "needs the section `setup`\n"),
    ],
)
def test_what_is_no_experiment_file_is_named_with_what_was_meant(experiment, expected, monkeypatch, capsys):
    assert expected in fails(monkeypatch, capsys, *arguments(experiment=experiment))


MISTAKES = {  # by command: words that are wrong
    "main": [*DEMO, "--set", "data.train_bz=2"],
    "training.compare": ["label"],
    "training.benchmark.__main__": ["step", "--config", "nowhere.yml"],
    "dataset.prepare.__main__": ["--config", "nowhere.yml"],
    "dataset.demo.__main__": ["out", "--scenes", "0"],
}


@pytest.mark.parametrize("words", [["--help"], None])
@pytest.mark.parametrize("command", MISTAKES)
def test_help_and_mistakes_do_not_wait_for_pytorch(command, words):
    report = "print('PyTorch' if 'torch' in sys.modules else 'light')"
    code = f"import sys, atexit; atexit.register(lambda: {report}); from {command} import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *(words or MISTAKES[command])], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == (0 if words else 2), done.stderr
    assert done.stdout.endswith("light\n") and ("usage: " in done.stdout or done.stderr.startswith("error: "))


@pytest.mark.parametrize("words", [["--help"], ["--config"], ["--config", "nowhere.yml"]])
def test_one_process_speaks_for_all_before_they_have_joined(words):
    (first, *said), other = [run(*words, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2") for rank in "01"]
    assert any(said) and other == (first, "", "")


def test_version(monkeypatch, capsys):
    assert run_here(monkeypatch, "--version") == 0
    assert re.fullmatch(rf"DenseMTL {re.escape(VERSION)}( \([0-9a-f]{{10}}\))?\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("file", "workers"), [("segmentation/{}.png", 0), ("depth/{}.npy", 1), ("edge/{}.png", 0), ("images/{}.png", 0)]
)
def test_a_file_that_is_missing_or_cut_short_is_named_with_its_sample(complaint, own_nyudv2, file, workers):
    name = first_sample(own_nyudv2, "train")
    path = own_nyudv2 / file.format(name)
    whole, reason = path.read_bytes(), "no such file"
    path.unlink()
    if file.startswith("images"):
        path.write_bytes(whole[:1000])
        reason = "truncated or corrupt"
    expected = f"{re.escape(str(path))}: {reason}.* sample {name}"
    complaint(expected, training__n_workers=workers, training__shuffle_trainset=False)


def test_a_run_that_has_learned_something_is_kept_whatever_file_is_missing(own_nyudv2, logs, monkeypatch, capsys):
    path = own_nyudv2 / "depth" / f"{first_sample(own_nyudv2, 'val')}.npy"
    path.unlink()
    words = arguments(training__iterations=2, training__val_interval="{0: 2}", training__checkpoint_interval=1)
    assert str(path) in fails(monkeypatch, capsys, *words)
    (folder,) = run_folders(logs)
    assert (folder / "resume.pkl").exists()


def test_a_log_folder_that_cannot_be_written_is_named(complaint, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "file" / "logs"))
    complaint(f"{re.escape(str(tmp_path / 'file' / 'logs'))}/nyudv2.*Not a directory.*LOG_DIR or training.logdir")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--predict a.png --output out", "--predict needs --weights"),
        ("--predict a.png --weights w.pkl", "--output"),
        ("--predict a.png", "--predict needs --weights WEIGHTS and --output DIR"),
        ("--output out", "--output and --raw go with --predict"),
        ("--raw", "--output and --raw go with --predict"),
        ("--export-weights out.pkl", "--export-weights needs --weights"),
        ("--evaluate w.pkl --weights w.pkl", "--evaluate WEIGHTS"),
        ("--resume --weights w.pkl", "leave out --weights"),
        ("--weights-partial", "--weights-partial goes with --weights"),
        ("--predict a.png --weights w.pkl --output out --weights-partial", "--weights-partial goes with"),
        ("--resume --debug", "leave out one of them"),
        ("--resume --evaluate w.pkl", "--evaluate: not allowed with argument --resume"),
        ("--weights nowhere.pkl", "no weights file at nowhere.pkl"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(line, message, monkeypatch, capsys):
    monkeypatch.delenv("MODELS", raising=False)
    assert run_here(monkeypatch, *arguments(*line.split(), experiment=("--config", "configs/nowhere.yml"))) == 2
    assert message in capsys.readouterr().err


def test_an_experiment_file_is_asked_for(monkeypatch, capsys):
    assert "--config FILE is missing" in fails(monkeypatch, capsys, "-w")
