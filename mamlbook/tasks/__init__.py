"""Where learning problems come from."""

from mamlbook.tasks.base import Data, FixedTasks, SupportAsQuery, TaskDistribution, Tasks, never_again, require_tasks
from mamlbook.tasks.collection import WaveCollection
from mamlbook.tasks.families import DriftingTasks, Lines, Mixture, Signs, SquareWaves
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes, Pool
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split
from mamlbook.tasks.preparation import as_data, prepared, prepared_data
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error
from mamlbook.tasks.sinusoid import Sinusoids
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
    "Tasks",
    "WaveCollection",
    "as_data",
    "background",
    "batches_by_size",
    "evaluation",
    "glyph_split",
    "glyphs",
    "half_squared_error",
    "never_again",
    "omniglot",
    "paper_split",
    "prepared",
    "prepared_data",
    "require_tasks",
]
