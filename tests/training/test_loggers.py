import json

from training.loggers import JsonLinesLogger


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_json_object_a_step_and_nan_is_null(tmp_path):
    logger = JsonLinesLogger(tmp_path / "log.jsonl", start_step=0)
    logger.log(1, {"train/total": 2.0})
    logger.log(2, {"train/total": float("nan")})
    logger.close()
    assert lines(tmp_path / "log.jsonl") == [{"step": 1, "train/total": 2.0}, {"step": 2, "train/total": None}]


def test_resuming_drops_lines_after_the_checkpoint_and_a_half_written_one(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "tr')
    logger = JsonLinesLogger(path, start_step=2)
    logger.log(3, {"again": 1.0})
    logger.close()
    assert lines(path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": 1.0}]
