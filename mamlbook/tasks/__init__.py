"""Where learning problems come from."""

from mamlbook.tasks.base import Data, Tasks, never_again, require_tasks
from mamlbook.tasks.benchmark_sets import cifar_fs, mini_imagenet, tiered_imagenet
from mamlbook.tasks.collection import WaveCollection
from mamlbook.tasks.distribution import FixedTasks, SupportAsQuery, TaskDistribution
from mamlbook.tasks.families import DriftingTasks, Lines, Mixture, Signs, SquareWaves
from mamlbook.tasks.folders import picture_folder
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split
from mamlbook.tasks.pool import Pool
from mamlbook.tasks.preparation import as_data, prepared, prepared_data
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error
from mamlbook.tasks.sinusoid import Sinusoids
from mamlbook.tasks.splits import class_split
from mamlbook.tasks.table import TaskTable
from mamlbook.tasks.task_check import check_tasks
from mamlbook.tasks.task_report import TaskReport, Verdict
from mamlbook.tasks.unequal import batches_by_size

__all__ = [
    "Data",
    "DriftingTasks",
    "Episodes",
    "FixedTasks",
    "LinearRegression",
    "Lines",
    "Mixture",
    "Pool",
    "Quadratics",
    "Signs",
    "Sinusoids",
    "SquareWaves",
    "SupportAsQuery",
    "TaskDistribution",
    "TaskReport",
    "TaskTable",
    "Tasks",
    "Verdict",
    "WaveCollection",
    "as_data",
    "background",
    "batches_by_size",
    "check_tasks",
    "cifar_fs",
    "class_split",
    "evaluation",
    "glyph_split",
    "glyphs",
    "half_squared_error",
    "mini_imagenet",
    "never_again",
    "omniglot",
    "paper_split",
    "picture_folder",
    "prepared",
    "prepared_data",
    "require_tasks",
    "tiered_imagenet",
]
