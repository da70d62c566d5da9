from training.loop import validation_due


def test_the_papers_schedule_validates_where_expected():
    schedule = {0: 100, 100: 200, 1000: 2500, 30000: 1000}
    due = [step for step in range(1, 40001) if validation_due(step, schedule, 40000)]
    assert due == [100, 200, 400, 600, 800, 1000, *range(2500, 30001, 2500), *range(31000, 40001, 1000)]


def test_the_last_step_is_always_validated():
    assert validation_due(7, {0: 100}, 7)
    assert not validation_due(6, {0: 100}, 7)
