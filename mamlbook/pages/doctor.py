"""What a meta-training that goes wrong looks like: twelve symptoms, and the questions that lead to each."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from mamlbook.pages.guide import Question
from mamlbook.pages.sections import Section


class Symptom(NamedTuple):
    """What is seen, why, what to do, and the section of the book that explains it, by the words of its link."""

    sign: str
    cause: str
    cure: str
    words: str
    section: Section


SYMPTOMS: dict[str, Symptom] = {
    "rate": Symptom(
        "The loss is nan or infinite within the first meta-steps.",
        "The inner steps diverge: α times the largest curvature is above 2.",
        "Measure the curvature at the start, and choose α so that the product is below 2.",
        "Steps on a bowl",
        Section("dynamics/steps", "Steps on a bowl"),
    ),
    "outer": Symptom(
        "The loss falls, and then explodes all at once.",
        "One outer step throws θ so far that the next inner loop diverges.",
        "Divide β by ten.",
        "A gallery of failures",
        Section("variants/stability", "A gallery of failures"),
    ),
    "still": Symptom(
        "The loss stays where it was.",
        "θ hardly moves: β is too small.",
        "Multiply β by ten until the loss falls, and search around that value.",
        "Choosing the rates",
        Section("objective/complete", "Choosing the rates and the number of steps"),
    ),
    "joint": Symptom(
        "The error is nearly the same after every inner step.",
        "The inner steps are too short to adapt: this is almost joint training.",
        "A larger α, or more steps.",
        "A gallery of failures",
        Section("variants/stability", "A gallery of failures"),
    ),
    "wanders": Symptom(
        "The loss wanders up and down and hardly falls.",
        "The meta-batch is too small for the outer rate.",
        "More tasks a step, or a smaller β for longer.",
        "The noise of an outer step",
        Section("dynamics/convergence", "The noise of an outer step"),
    ),
    "shown": Symptom(
        "The training loss is excellent, and adapting to new points is poor.",
        "The query set repeats the support set.",
        "Draw both together, without replacement.",
        "Why the query set is new data",
        Section("objective/objective", "Why the query set is new data"),
    ),
    "heart": Symptom(
        "Training tasks are predicted well, new tasks are not.",
        "The training tasks are few. Their points, or the tasks themselves, have been learned by heart.",
        "New points, more tasks; judge on tasks that were never trained on.",
        "Why the query set is new data",
        Section("objective/objective", "Why the query set is new data"),
    ),
    "leak": Symptom(
        "The test is too good to be true.",
        "Test tasks, or their classes, were trained on: rows were split and not tasks.",
        "Split tasks or classes before anything is drawn.",
        "Three sets of tasks",
        Section("objective/complete", "Choosing the rates and the number of steps"),
    ),
    "norm": Symptom(
        "A prediction changes with the other query examples.",
        "Batch norm takes the mean and variance of the query batch.",
        "Use the statistics of the support set, or another norm.",
        "Batch norm: whose statistics?",
        Section("variants/batch-norm", "The choices"),
    ),
    "few": Symptom(
        "The mean error is huge, and the median is fine.",
        "A few tasks diverge.",
        "A smaller α; look at medians and at the largest error.",
        "A mean that is one wave",
        Section("practice/baselines", "What goes wrong"),
    ),
    "graph": Symptom(
        "Everything works, only a little worse than others report.",
        "The inner gradients have no graph, so that this is FOMAML.",
        "Ask gradient_check for the name of the gradient.",
        "Which gradient does this code compute?",
        Section("objective/gradients-of-gradients", "Which gradient does this code compute?"),
    ),
    "alike": Symptom(
        "Joint training with fine-tuning is as good.",
        "The tasks are alike, or the test has steps and data enough for any start.",
        "Keep the simpler method, or compare with fewer steps or fewer examples.",
        "Unlike tasks, measured",
        Section("practice/limits", "Unlike tasks, measured"),
    ),
}
"""The symptoms by name, in the order in which they are met."""


def symptom_table(folder: str = "practice") -> Any:
    """Every symptom with its cause, its cure and a link to the section, for a page in this folder of the book."""
    from IPython.display import HTML  # only a notebook has it

    lines = []
    for one in SYMPTOMS.values():
        link = f'<a href="{escape(one.section.address(folder))}">{escape(one.words)}</a>'
        cells = (escape(one.sign), escape(one.cause), escape(one.cure), link)
        lines.append("<tr>" + "".join(f'<td style="text-align: left">{cell}</td>' for cell in cells) + "</tr>")
    titles = ("What is seen", "Cause", "Cure", "Explained in")
    head = "".join(f'<th style="text-align: left">{title}</th>' for title in titles)
    body = "\n".join(lines)
    return HTML(f'<table class="table">\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>')


FIRST = "begin"
QUESTIONS: dict[str, Question] = {
    FIRST: Question(
        "What do you see?",
        {
            "The training loss is nan or infinite": "when",
            "The training loss is finite, and hardly falls": "flat",
            "The training loss falls, and the results are poor": "poor",
            "The results are good, and I do not trust them": "good",
        },
        "Look at the training loss first, then at the error after 0, 1, ..., S steps on validation tasks.",
    ),
    "when": Question(
        "When does it begin?",
        {
            "Within the first meta-steps": "rate",
            "Later, after it had fallen": "outer",
        },
    ),
    "flat": Question(
        "What does the error do from 0 to S inner steps?",
        {
            "It falls, but the loss is where it was at the first meta-step": "still",
            "It hardly changes": "joint",
            "It falls, but the loss jumps up and down": "wanders",
        },
        "evaluate(learner, validation_tasks) gives the error of each task after every step.",
    ),
    "poor": Question(
        "Where are they poor?",
        {
            "On new points of the training tasks already": "shown",
            "On new tasks only": "heart",
            "In the mean over tasks, and not in the median": "few",
            "Everywhere a little, compared with what others report": "graph",
        },
        "check_tasks(training_tasks, test=test_tasks) sees the first two causes without any training.",
    ),
    "good": Question(
        "Why not?",
        {
            "The test is nearly as good as the training": "leak",
            "One query example at a time gives other predictions": "norm",
            "A network without meta-learning does as well": "alike",
        },
        "check_tasks(training_tasks, test=test_tasks, learner=learner) sees the first two causes.",
    ),
}
"""The questions by name; an answer leads to another question or to a symptom."""
