"""Where the answers of the guide lead: what to try, the first first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class End(NamedTuple):
    """What to try, the first first: ``rows`` and ``places`` map their names to the reason in a sentence."""

    words: str
    rows: Mapping[str, str] = {}
    places: Mapping[str, str] = {}


ENDS: dict[str, End] = {
    "prompt": End(
        "Decide how much should adapt: all weights, a few, or none.",
        {},
        {
            "Adapt weights, a few, or none": "The three, side by side, with what each costs in use.",
            "One layer is one step": "Why reading examples can be an inner step.",
            "Adapters and frozen parts": "How to adapt a few weights beside those of a large network.",
        },
    ),
    "policy": End(
        "MAML on trajectories, with a surrogate whose second derivative is right.",
        {"fomaml": "It needs no second derivative, and so cannot get it wrong."},
        {
            "A step on trajectories": "What support and query are, and the meta-gradient computed exactly.",
            "A wrong second derivative": "Which surrogate is right, and how far off the naive one is.",
        },
    ),
    "data": End(
        "Make tasks of your data, check them, and begin with MAML and its baselines.",
        {"maml": "The exact gradient of the loss after adaptation."},
        {
            "From your data to a learner": "From a table or a folder to a learner that is trained and checked.",
            "Networks and algorithms": "Whether your network can be adapted, and what to change if not.",
            "What each decision is worth": "For pictures: what a protocol decides, in numbers.",
        },
    ),
    "alike": End(
        "Train jointly, and take gradient steps on the support set in the test.",
        {"joint": "One gradient a task, and no inner loop; it is also what every other row has to beat."},
        {"The same on networks": "How unlike tasks have to be before meta-training pays."},
    ),
    "kinds": End(
        "One start has to serve all kinds, and more steps do not change that.",
        {
            "robust": "It minimises the worst task of a collection.",
            "conflict-averse": "It takes the step near the mean that helps the least helped task most.",
            "softmax-weights": "It gives more weight to the tasks with a large loss.",
        },
        {"What unlike tasks cost": "A start for each kind is the remedy where the kind is known."},
    ),
    "moving": End(
        "The start has to follow, so the outer rate must not decay.",
        {"maml": "Few inner steps: each further step makes the start follow more slowly."},
        {
            "A start that follows": "How far behind the tasks the start stays.",
            "A decaying outer rate": "Why a rate that falls to zero loses the tasks.",
        },
    ),
    "context": End(
        "Keep the network, and adapt a few inputs that stand for the task.",
        {"cavia": "The inputs begin at zero and are all that the inner loop moves."},
    ),
    "classes": End(
        "Keep the features, and compute or adapt the last layer.",
        {
            "protomaml": "The last layer begins at the means of the classes; gradient steps go on from there.",
            "anil": "Gradient steps on the last layer alone.",
            "kernel-ridge": "The last layer is solved for, with one-hot targets.",
        },
        {"Beside a pretrained backbone": "Measure first what the features reach without meta-training."},
    ),
    "values": End(
        "Keep the features, and solve for the last layer.",
        {
            "kernel-ridge": "Ridge regression on the features, in one formula.",
            "fiml": "A few line searches on the last layer, with a learned loss.",
            "anil": "Gradient steps on the last layer alone, for any loss.",
        },
    ),
    "body": End(
        "Hold the last layer, or choose the layers step by step.",
        {
            "boil": "Everything adapts but the last layer.",
            "lambda-pattern": "Which layers adapt at which step; a search finds a cheap pattern.",
        },
    ),
    "formula": End(
        "Solve the task exactly, in a space where it is linear.",
        {
            "kernel-ridge": "Linear in the last layer: ridge regression on the features.",
            "ntk-ridge": "Linear in all weights near θ: ridge regression with the tangent kernel.",
            "meta-rkhs-2": "The same kernel, and gradient descent of a given length in place of the ridge.",
        },
    ),
    "long": End(
        "Do not keep every step.",
        {
            "imaml": "The gradient of the minimum, whatever led there; it needs a pull to θ and steps that arrive.",
            "imaml-neumann": "The same by a series in place of conjugate gradients.",
            "truncated": "The gradient through the last steps only.",
            "reptile": "No derivative of the steps at all: it moves θ towards each solution.",
        },
        {"Checkpoints and chunks": "MAML's own gradient, with some steps computed twice."},
    ),
    "gradients": End(
        "First-order methods need the gradients of the losses, and nothing of the inner loop.",
        {
            "fomaml": "The query gradient at the solution is applied to the start.",
            "reptile": "The same without a query set; it needs more than one inner step.",
            "finite-difference": "MAML's gradient from differences of gradients; the network has to be smooth.",
        },
        {"A kink in the loss": "Why differences fail with ReLU."},
    ),
    "losses": End(
        "Only differences of losses are left, and they need many evaluations.",
        {"es-maml": "The loss after adaptation, at random points around θ."},
    ),
    "plain": End(
        "MAML. Search the outer rate before anything else, and keep joint training beside it.",
        {"maml": "The exact gradient of the loss after adaptation."},
        {
            "How to choose α, β and S": "On validation tasks, with the code.",
            "Which gradient does this code compute?": "A check that second derivatives are there.",
        },
    ),
    "memory": End(
        "Memory grows with the number of steps and of tasks; both can be cut.",
        {
            "truncated": "Keeps the last steps only.",
            "fomaml": "Keeps no step.",
            "forward-mode": "Keeps no step and is exact; for networks of a few hundred weights.",
        },
        {
            "Checkpoints and chunks": "The same gradient: checkpoints keep fewer steps, chunks fewer tasks at once.",
            "The memory of a GPU": "What fits on yours.",
        },
    ),
    "processor": End(
        "Count the arithmetic first, then compile.",
        {"fomaml": "S + 1 gradients a task, and MAML takes about 3 S + 1."},
        {
            "What a meta-step costs": "Where the 3 S + 1 come from.",
            "A compiled meta-step": "The same numbers without Python between them.",
        },
    ),
    "gpu": End(
        "A small network waits for launches and a large one for arithmetic: find out which yours is.",
        {"fomaml": "Helps where the arithmetic is what takes the time."},
        {
            "Fewer launches": "For small networks: more tasks at once, and compiled steps.",
            "Fewer bits": "For large ones: TF32 and bfloat16, and what they do to a meta-gradient.",
        },
    ),
    "wild": End(
        "Lower the inner rate first; where it has to be large, clip the gradients.",
        {
            "multi-step-loss": "The query loss after every step counts, at first equally; no gain is settled.",
            "annealed": "First order for the first meta-steps, MAML from then on; no gain is settled.",
            "maml++": "Both, and learned rates; at too large a rate it gains about as much as clipping.",
        },
        {
            "A rate that is too large": "Clipping beside MAML++, and neither replaces a rate that fits.",
            "A gallery of failures": "Eight mistakes, and what each looks like in the curves.",
        },
    ),
    "rate": End(
        "Let the rates be learned, or computed.",
        {
            "lslr": "A learned rate for each tensor and step.",
            "meta-sgd": "A learned rate for each weight.",
            "line-search": "The rate is computed at each step, with a damping to choose instead.",
        },
        {"How to choose α, β and S": "What a search costs."},
    ),
    "memorised": End(
        "Train on more tasks, and judge with new data.",
        {"dropgrad": "Noise on the inner gradients. It was proposed for this; on ten waves no gain was found."},
        {"Why the query set is new data": "Four tasks with fresh points, and four fixed episodes."},
    ),
    "norm": End(
        "Decide whose mean and variance the layer uses, and test with one query example at a time.",
        {},
        {"Batch norm: whose statistics?": "The choices, measured."},
    ),
    "behind": End(
        "Give the tasks other weights than 1/B.",
        {
            "softmax-weights": "More weight to a large loss, within each meta-batch.",
            "robust": "The worst task of a collection.",
            "conflict-averse": "The step that helps the least helped task most.",
            "learned-weights": "Less weight to noisy tasks, learned.",
            "amfs-weights": "More weight to tasks whose gradients agree.",
        },
    ),
    "sure": End(
        "A start is a point: what it says of its own certainty has to be measured.",
        {},
        {
            "Whether intervals hold": "Intervals from the steps, from Bayes' rule and from several starts.",
            "What a point cannot know": "Tasks of two kinds, of which a mean is neither.",
        },
    ),
    "again": End(
        "Remember the tasks, or let each take outer steps where its data lie.",
        {
            "moml": "A mean of each task's solutions is kept.",
            "moml-v2": "The same, and the memories of absent tasks follow θ.",
            "local-moml": "Each client takes outer steps, and a server averages the copies.",
        },
    ),
}
"""The ends by name."""
