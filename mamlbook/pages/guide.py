"""Which algorithm for which problem: questions, and where their answers lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mamlbook.pages.guide_ends import ENDS, End


class Question(NamedTuple):
    """``answers`` maps the words of an answer to the name of the question or end that it leads to."""

    words: str
    answers: Mapping[str, str]
    hint: str = ""


FIRST = "begin"
QUESTIONS: dict[str, Question] = {
    FIRST: Question(
        "What do you begin with?",
        {
            "A network with random weights": "tasks",
            "A network that was trained on much other data": "pretrained",
            "A large model that reads examples in its input": "prompt",
            "A policy that acts and is rewarded": "policy",
            "Data, and no code yet": "data",
        },
    ),
    "pretrained": Question(
        "What does a task ask for?",
        {"Telling classes apart": "classes", "Predicting values": "values"},
    ),
    "tasks": Question(
        "How different are the tasks?",
        {
            "Nearly the same: one network without adaptation is almost good enough": "alike",
            "Different, but what helps one helps the others": "part",
            "Of several kinds that have little in common": "kinds",
            "They change while the training goes on": "moving",
        },
        "Train one network on all tasks together and look at its error on each: that shows it.",
    ),
    "part": Question(
        "What has to change from one task to the next?",
        {
            "A few numbers, such as an amplitude or a user's habits": "context",
            "The last layer: the same features serve all tasks": "pretrained",
            "The features: the last layer can stay": "body",
            "All weights, or I do not know": "solved",
        },
    ),
    "solved": Question(
        "How is a task solved?",
        {
            "By one to ten gradient steps": "trouble",
            "By more than ten steps": "long",
            "By a formula, without steps": "formula",
            "By code that I cannot differentiate, but the loss has a gradient": "gradients",
            "By code that only tells me losses": "losses",
        },
    ),
    "trouble": Question(
        "What troubles the training?",
        {
            "Nothing yet": "plain",
            "It does not fit into memory": "memory",
            "It takes too long": "slow",
            "The loss jumps, or becomes nan": "wild",
            "The inner rate is hard to choose": "rate",
            "It is good on the training tasks and poor on new ones": "memorised",
            "With batch norm the predictions hang on the other examples": "norm",
            "Some tasks are left behind": "behind",
            "The same few tasks come back, or their data may not be moved": "again",
            "It has to say how sure it is": "sure",
        },
    ),
    "slow": Question("Where does it run?", {"On a CPU": "processor", "On a GPU": "gpu"}),
}

GUIDE: dict[str, Question | End] = {**QUESTIONS, **ENDS}
"""The questions and ends by name."""
