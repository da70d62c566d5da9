"""What the user can get wrong: each mistake ends with status 2, a message that says what and where, and no run folder.

Mistakes in weights are in `test_main_evaluate.py`, in images to predict in `test_main_predict.py`, and what else an
experiment file may hold wrong in `utils/test_config*.py`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import DEMO, ROOT, arguments, fails, run, run_folders, run_here
from utils.version import VERSION


@pytest.fixture(autouse=True)
def logs(demo_nyudv2, tmp_path, monkeypatch) -> Path:
    """LOG_DIR of the test."""
    monkeypatch.setenv("NYUDV2_DIR", str(demo_nyudv2))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def complaint(logs, monkeypatch, capsys):
    """The message that a training ends with; it must leave no run folder."""

    def complaint(*extra: str, **overrides: object) -> str:
        message = fails(monkeypatch, capsys, *arguments(*extra, training__iterations=2, **overrides))
        assert run_folders(logs) == []
        return message

    return complaint


@pytest.fixture
def own_nyudv2(demo_nyudv2, tmp_path, monkeypatch) -> Path:
    """A copy of the dataset that a test may damage."""
    root = tmp_path / "nyudv2"
    shutil.copytree(demo_nyudv2, root)
    monkeypatch.setenv("NYUDV2_DIR", str(root))
    return root


def first_training_sample(root: Path) -> str:
    return sorted((root / "gt_sets" / "train.txt").read_text().split())[0]


def test_in_a_process_of_its_own(logs):
    status, out, error = run(*arguments(data__train_bz=2))
    assert (status, out) == (2, "")
    assert error.startswith("error: configs/demo/resnet18_ours_SDNE.yml (base configs/demo/fs_bs4.yml): 1 error\n")
    assert error.endswith("  data.train_bz: unknown key; did you mean 'train_bs'?\n") and error.count("\n") == 2
    assert not logs.exists()


def test_all_mistakes_of_an_experiment_are_listed_at_once(complaint):
    message = complaint(optim__nam="Adam", training__print_interval="often", data__train_bs=-1)
    assert ": 3 errors\n" in message
    assert re.search("data.train_bs: .*greater than 0, got -1", message)
    assert re.search("training.print_interval: .*integer, got 'often'", message)
    assert "optim.nam: unknown key; did you mean 'name'?" in message


def test_an_undefined_variable_is_named_with_the_key_and_both_ways_to_define_it(complaint, monkeypatch):
    monkeypatch.delenv("NYUDV2_DIR")
    message = complaint()
    assert "data.path: '$ENV:NYUDV2_DIR' needs the variable NYUDV2_DIR, which is not defined or empty" in message
    assert "export NYUDV2_DIR=..." in message and f"{ROOT / 'configs' / 'env_config.yml'} (NYUDV2_DIR: ...)" in message


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


def test_a_missing_dataset_folder_is_named_with_what_is_expected_in_it(complaint, tmp_path, monkeypatch):
    monkeypatch.setenv("NYUDV2_DIR", str(tmp_path / "nowhere"))
    message = complaint()
    assert f"data.path: {tmp_path / 'nowhere'}: no such file or folder" in message and "gt_sets/" in message


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("file", ["segmentation/{}.png", "depth/{}.npy", "edge/{}.png"])
def test_a_missing_label_file_is_named_with_its_sample(complaint, own_nyudv2, file, workers):
    name = first_training_sample(own_nyudv2)
    path = own_nyudv2 / file.format(name)
    path.unlink()
    message = complaint(training__n_workers=workers, training__shuffle_trainset=False)
    assert f"{path}: no such file, needed for sample {name}" in message


def test_a_truncated_image_is_named_with_its_sample(complaint, own_nyudv2):
    name = first_training_sample(own_nyudv2)
    (path,) = (own_nyudv2 / "images").glob(f"{name}.*")
    path.write_bytes(path.read_bytes()[:1000])
    message = complaint(training__shuffle_trainset=False)
    assert f"{path}: truncated or corrupt" in message and f"needed for sample {name}" in message


def test_a_run_that_has_learned_something_is_kept_whatever_file_is_missing(own_nyudv2, logs, monkeypatch, capsys):
    name = sorted((own_nyudv2 / "gt_sets" / "val.txt").read_text().split())[0]
    path = own_nyudv2 / "depth" / f"{name}.npy"
    path.unlink()
    words = arguments(training__iterations=2, training__val_interval="{0: 2}", training__checkpoint_interval=1)
    assert str(path) in fails(monkeypatch, capsys, *words)
    (folder,) = run_folders(logs)
    assert (folder / "resume.pkl").exists()


def test_one_image_cannot_train_a_head_that_pools_it_to_one_pixel(complaint):
    message = complaint(data__train_bs=1)
    assert "data.train_bs: 1 image cannot train semseg" in message and "set it to 2 or more" in message


def test_a_log_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "file" / "logs"))
    message = fails(monkeypatch, capsys, *arguments())
    assert f"{tmp_path / 'file' / 'logs'}/nyudv2" in message and "cannot be created (Not a directory)" in message
    assert "LOG_DIR or training.logdir" in message


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(complaint, device):
    message = complaint("--device", device)
    assert message.startswith(f"--device {device}: ") and "this machine has cpu" in message


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"training__use_amp": True, "training__amp_dtype": "float16"}, "training.amp_dtype: float16 needs a GPU"),
        ({"training__sync_bn": True}, "training.sync_bn: PyTorch's synchronised batch norm needs GPUs"),
    ],
)
def test_what_only_a_gpu_can_do_is_refused_on_a_cpu(complaint, overrides, expected):
    assert expected in complaint(**overrides)


def test_pretrained_weights_that_are_not_there_are_named(complaint):
    message = complaint(setup__model__pretrain="nowhere.pth")
    assert "setup.model.pretrain: 'nowhere.pth' is neither 'imnet' nor 'none' nor a weights file" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--predict a.png --output out", "--predict needs --weights"),
        ("--predict a.png --weights w.pkl", "--output"),
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
