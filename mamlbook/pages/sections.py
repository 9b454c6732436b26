"""Where the book explains what: the section of each row, and of what else the guide points to."""

from __future__ import annotations

from posixpath import relpath
from typing import NamedTuple


class Section(NamedTuple):
    """A section of the book: the page without its suffix, from the folder of the pages, and the heading."""

    page: str
    heading: str

    def address(self, folder: str) -> str:
        """The link from a page in this folder, as a notebook has it."""
        return f"{relpath(self.page, folder)}.ipynb#{self.heading.replace(' ', '-')}"


SECTIONS: dict[str, Section] = {
    "joint": Section("objective/objective", "On a network"),
    "maml": Section("objective/objective", "By hand"),
    "fomaml": Section("variants/first-order", "The factor that is left out"),
    "reptile": Section("variants/reptile", "Move towards the solutions"),
    "imaml": Section("variants/implicit", "The minimum instead of the way"),
    "imaml-neumann": Section("variants/implicit", "How many steps, how many products?"),
    "truncated": Section("variants/unrolling", "What truncation loses"),
    "forward-mode": Section("variants/unrolling", "In the package"),
    "finite-difference": Section("variants/unrolling", "In the package"),
    "kernel-ridge": Section("variants/closed-form", "Solve for the last layer"),
    "ntk-ridge": Section("variants/tangent-kernel", "Solve for all layers"),
    "meta-rkhs-2": Section("variants/tangent-kernel", "Solve for all layers"),
    "meta-rkhs-1": Section("variants/tangent-kernel", "Meta-RKHS-I: reward a gradient instead of following it"),
    "line-search": Section("variants/closed-form", "Steps of exactly the right length"),
    "fiml": Section("variants/closed-form", "Heads that are computed"),
    "protomaml": Section("variants/closed-form", "Heads that are computed"),
    "anil": Section("variants/what-adapts", "One line between gradient and step"),
    "boil": Section("variants/what-adapts", "One line between gradient and step"),
    "lambda-pattern": Section("variants/what-adapts", "One line between gradient and step"),
    "meta-sgd": Section("variants/inner-rates", "One multiplier between gradient and step"),
    "lslr": Section("variants/inner-rates", "One multiplier between gradient and step"),
    "cavia": Section("variants/what-adapts", "One line between gradient and step"),
    "dropgrad": Section("variants/inner-rates", "Does noise help?"),
    "multi-step-loss": Section("variants/stability", "Three of the parts, in one formula"),
    "annealed": Section("variants/stability", "Three of the parts, in one formula"),
    "maml++": Section("variants/stability", "Three of the parts, in one formula"),
    "softmax-weights": Section("variants/task-weights", "Six ways to weight"),
    "robust": Section("variants/task-weights", "Six ways to weight"),
    "learned-weights": Section("variants/task-weights", "Six ways to weight"),
    "amfs-weights": Section("variants/task-weights", "Six ways to weight"),
    "conflict-averse": Section("variants/task-weights", "The conflict-averse step, derived"),
    "moml": Section("variants/outer-loops", "A memory"),
    "moml-v2": Section("variants/outer-loops", "A memory"),
    "local-moml": Section("variants/outer-loops", "Clients and a server"),
    "sgld": Section("variants/outer-loops", "Random solutions"),
    "sgld-score": Section("variants/outer-loops", "Random solutions"),
    "evograd": Section("variants/outer-loops", "Candidates and evolution"),
    "es-maml": Section("variants/outer-loops", "Candidates and evolution"),
}
"""The section that explains a row of ``ALGORITHMS``."""

PLACES: dict[str, Section] = {
    "How to choose α, β and S": Section("objective/complete", "Choosing the rates and the number of steps"),
    "Why the query set is new data": Section("objective/objective", "Why the query set is new data"),
    "Which gradient does this code compute?": Section(
        "objective/gradients-of-gradients", "Which gradient does this code compute?"
    ),
    "Three ways to the same numbers": Section("objective/gradients-of-gradients", "Three ways to the same numbers"),
    "A kink in the loss": Section("objective/gradients-of-gradients", "A kink in the loss, a jump in the objective"),
    "Too few steps and too many": Section("dynamics/steps", "How often: too few steps and too many"),
    "What exactly is held constant?": Section("variants/first-order", "What exactly is held constant?"),
    "First order, exactly, on bowls": Section("variants/first-order", "Exactly, on bowls"),
    "What the graph keeps": Section("variants/cost", "What the graph keeps"),
    "Checkpoints and chunks": Section("variants/cost", "Less memory, same gradient"),
    "A compiled meta-step": Section("variants/speed", "Compiled: what a trace is"),
    "What a meta-step costs": Section("variants/cost", "Three gradients a step"),
    "Batch norm: whose statistics?": Section("variants/batch-norm", "The choices"),
    "A rate that is too large": Section("variants/stability", "When the inner rate is too large"),
    "A gallery of failures": Section("variants/stability", "A gallery of failures"),
    "What unlike tasks cost": Section("practice/limits", "Unlike tasks, exactly"),
    "The same on networks": Section("practice/limits", "Unlike tasks, measured"),
    "Beside a pretrained backbone": Section("practice/baselines", "The comparison"),
    "A start that follows": Section("practice/drift", "A start that follows"),
    "A decaying outer rate": Section("practice/drift", "A decaying outer rate"),
    "Fewer launches": Section("practice/on-a-gpu", "Fewer launches"),
    "Fewer bits": Section("practice/precision", "The formats"),
    "The memory of a GPU": Section("practice/on-a-gpu", "Memory"),
    "Adapt weights, a few, or none": Section("beyond/in-context", "Which should you use?"),
    "One layer is one step": Section("beyond/in-context", "One layer is one step"),
    "A step on trajectories": Section("beyond/reinforcement", "A step on trajectories"),
    "A wrong second derivative": Section("beyond/reinforcement", "Why the second derivative is wrong"),
    "Whether intervals hold": Section("beyond/bayes", "Do the intervals hold?"),
    "What a point cannot know": Section("beyond/bayes", "What a point cannot know"),
    "Networks and algorithms": Section("practice/any-network", "Networks and algorithms"),
    "Adapters and frozen parts": Section("practice/any-network", "Which weights adapt"),
    "What each decision is worth": Section("practice/few-shot-images", "What each decision is worth"),
    "From your data to a learner": Section("practice/build-your-own", "What a learner asks of your data"),
}
"""Other sections that the guide and the quiz of the map point to, by the words of their links."""

APART: dict[str, str] = {
    "meta-rkhs-1": "it rewards the gradient at θ, and that reward has no bound",
    "sgld": "it says what the solution of a noisy inner loop is, which no trouble asks for",
    "sgld-score": "its gradient takes many noisy paths where first order takes one",
    "evograd": "it was made for other meta-parameters than a start",
}
"""Rows that no answer leads to, with the reason."""

ALSO_CALLED: dict[str, tuple[str, ...]] = {
    "joint": ("joint training",),
    "maml": ("model-agnostic meta-learning",),
    "fomaml": ("first-order MAML",),
    "imaml": ("implicit MAML", "implicit gradient"),
    "imaml-neumann": ("Neumann series",),
    "truncated": ("truncated backpropagation",),
    "kernel-ridge": ("R2-D2", "ridge regression"),
    "ntk-ridge": ("neural tangent kernel",),
    "lslr": ("per-step learning rates",),
    "cavia": ("context parameters",),
    "multi-step-loss": ("multi-step loss",),
    "robust": ("TR-MAML", "worst task"),
    "conflict-averse": ("CAGrad",),
    "finite-difference": ("finite differences",),
    "es-maml": ("evolution strategies",),
}
"""Other names by which readers look for a row."""

TOPICS: dict[str, Section] = {
    "Colab": Section("practice/on-a-gpu", "A training on pictures"),
    "CUDA graphs": PLACES["Fewer launches"],
    "mixed precision": PLACES["Fewer bits"],
    "checkpointing": PLACES["Checkpoints and chunks"],
    "out of memory": PLACES["Checkpoints and chunks"],
    "batch normalisation": PLACES["Batch norm: whose statistics?"],
    "batch normalization": PLACES["Batch norm: whose statistics?"],
    "learning rate": PLACES["How to choose α, β and S"],
    "hyperparameters": PLACES["How to choose α, β and S"],
    "nan": PLACES["A gallery of failures"],
    "online learning": PLACES["A start that follows"],
    "in-context learning": PLACES["One layer is one step"],
    "transformer": PLACES["One layer is one step"],
    "LoRA": PLACES["Adapters and frozen parts"],
    "reinforcement learning": PLACES["A step on trajectories"],
    "policy gradient": PLACES["A step on trajectories"],
    "DiCE": PLACES["A wrong second derivative"],
    "Bayes": Section("beyond/bayes", "Steps are a posterior mean"),
    "uncertainty": PLACES["Whether intervals hold"],
    "Omniglot": Section("practice/few-shot-images", "The table"),
    "own data": PLACES["From your data to a learner"],
    "transductive": Section("practice/few-shot-images", "What each decision is worth"),
    "REINFORCE": Section("beyond/reinforcement", "Why the second derivative is wrong"),
    "ProMP": Section("beyond/reinforcement", "Why the second derivative is wrong"),
    "2-D navigation": Section("beyond/reinforcement", "Navigation in the plane"),
    "how many inner steps": PLACES["Too few steps and too many"],
    "number of inner steps": PLACES["Too few steps and too many"],
    "inner steps": PLACES["Too few steps and too many"],
    "second order": Section("objective/gradients-of-gradients", "The Jacobian is a product"),
    "Hessian": Section("objective/gradients-of-gradients", "Without a matrix"),
    "which algorithm": Section("practice/map", "Which one?"),
    "fine-tuning": PLACES["Beside a pretrained backbone"],
    "pretraining": PLACES["Beside a pretrained backbone"],
    "mini-ImageNet": PLACES["What each decision is worth"],
    "prototypical networks": Section("practice/baselines", "The baseline, and its two heads"),
    "ProtoNet": Section("practice/baselines", "The baseline, and its two heads"),
    "inner learning rate": SECTIONS["meta-sgd"],
    "outer learning rate": PLACES["How to choose α, β and S"],
    "ReLU": PLACES["A kink in the loss"],
    "support set": Section("index", "The words for a task"),
    "meta-learning": Section("objective/objective", "Two loops"),
    "memorisation": Section("beyond/bayes", "Learned by heart"),
    "memorization": Section("beyond/bayes", "Learned by heart"),
    "speed": Section("variants/speed", "The race"),
    "sine waves": SECTIONS["joint"],
    "gradient surgery": Section("variants/task-weights", "The conflict-averse step, derived"),
    "continual learning": Section("practice/drift", "What is left of what was learned"),
    "forgetting": Section("practice/drift", "What is left of what was learned"),
    "LSTM": PLACES["Networks and algorithms"],
    "vmap": Section("variants/speed", "By hand: one task after another, all tasks at once"),
    "torch.compile": PLACES["A compiled meta-step"],
    "CSV": Section("practice/build-your-own", "A table"),
    "custom dataset": PLACES["From your data to a learner"],
    "FAQ": Section("appendix/questions", "Questions people ask"),
    "references": Section("appendix/bibliography", "Bibliography"),
}
"""What readers look for that is no row."""

NAMES: dict[str, Section] = {
    **{name: section for row, section in SECTIONS.items() for name in (row, *ALSO_CALLED.get(row, ()))},
    **TOPICS,
}
"""The section that the search of the site puts first for a name."""
