import pytest

from training.schedule import interval_in_force, validation_due

PAPER = {0: 100, 100: 200, 1000: 2500, 30000: 1000}


@pytest.mark.parametrize(
    ("step", "every"), [(1, 100), (100, 100), (101, 200), (1000, 200), (1001, 2500), (30000, 2500), (30001, 1000)]
)
def test_the_entry_with_the_largest_key_below_the_step_is_in_force(step, every):
    assert interval_in_force(step, PAPER) == every


def test_the_papers_schedule_validates_where_expected():
    due = [step for step in range(1, 40001) if validation_due(step, PAPER, 40000)]
    assert due == [100, 200, 400, 600, 800, 1000, *range(2500, 30001, 2500), *range(31000, 40001, 1000)]


def test_the_last_step_is_always_validated():
    assert validation_due(7, {0: 100}, 7)
    assert not validation_due(6, {0: 100}, 7)


def test_a_schedule_without_a_start_is_an_error():
    with pytest.raises(ValueError, match="no interval for step 5"):
        interval_in_force(5, {10: 3})
