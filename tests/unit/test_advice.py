"""What `agent check` says of a queue that does not do well."""

from dataclasses import replace

import pytest

from agent.decide.words import TROUBLES
from agent.operate.advice import explained
from tests.unit.test_render import QUEUE


@pytest.mark.parametrize("word", sorted(TROUBLES))
def test_each_trouble_is_explained_with_what_to_do(word: str) -> None:
    text = explained(replace(QUEUE, health=word, cause="nobody begins", consuming=False))
    assert text.startswith("emails runs nothing: nobody begins. ")
    assert len(text) > len("emails runs nothing: nobody begins. ") + 40


def test_a_queue_that_runs_its_tasks_and_can_t_keep_up_is_explained_too() -> None:
    assert explained(replace(QUEUE, health="saturated", cause="3 wait")).startswith("emails is saturated: 3 wait. ")


def test_a_queue_that_does_well_or_goes_needs_no_word() -> None:
    assert explained(replace(QUEUE, health="busy")) == ""
    assert explained(replace(QUEUE, health="hung", cause="it hangs", wanted=False, consuming=False)) == ""
