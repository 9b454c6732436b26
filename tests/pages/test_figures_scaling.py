"""The figures of times over steps, tasks and width: what they draw of a stored result."""

import pytest

from mamlbook.pages.figures import scaling, widths


def workload(name, steps, tasks, **times):
    rows = [{"contender": who.replace("_", " "), "milliseconds": ms} for who, ms in times.items()]
    rows.append({"contender": "JAX", "wrong": "by far"})
    return {"name": name, "steps": steps, "tasks": tasks, "flops": 1e7 * steps * tasks, "rows": rows}


@pytest.fixture
def result():
    """On a machine of 100 GFLOP a second: the limit is 0.1 ms for each step and task."""
    workloads = [
        workload("long", 4, 1, mamlbook=8.0, mamlbook_compiled=2.0),
        workload("short", 1, 1, mamlbook=2.0, mamlbook_compiled=0.5, higher=9.0),
        workload("many", 1, 8, mamlbook=3.0, mamlbook_compiled=1.5),
    ]
    return {"limit": {"gflops": 100.0}, "workloads": workloads}


def drawn(figure):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines}


def test_times_are_drawn_over_steps_or_tasks_above_the_limit(result):
    figure = scaling(result, ["long", "short"], "steps")
    assert drawn(figure) == {
        "one task after another (higher)": ([1], [9.0]),
        "all at once (mamlbook)": ([1, 4], [2.0, 8.0]),
        "compiled (mamlbook)": ([1, 4], [0.5, 2.0]),
        "the limit": ([1, 4], pytest.approx([0.1, 0.4])),
    }
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    assert drawn(scaling(result, ["short", "many"], "tasks"))["the limit"] == ([1, 8], pytest.approx([0.1, 0.8]))


def test_so_many_steps_are_compiled_in_pieces(result):
    """Checkpointed code counts as compiled where nothing else was compiled, and nowhere else."""
    times = {"mamlbook_compiled": 0.5, "mamlbook_compiled_checkpointed": 3.0}
    result["workloads"] = [
        workload("short", 1, 1, **times),
        workload("endless", 64, 1, mamlbook_compiled_checkpointed=90.0),
    ]
    assert drawn(scaling(result, ["short", "endless"], "steps"))["compiled (mamlbook)"] == ([1, 64], [0.5, 90.0])


def test_what_is_not_stored_is_refused(result):
    with pytest.raises(ValueError, match="names: expected some of long, short, many, got none"):
        scaling(result, ["none"], "steps")
    with pytest.raises(ValueError, match="over: expected one of steps, tasks, got width"):
        scaling(result, ["long"], "width")


def test_executions_are_drawn_over_widths():
    times = {"one by one": 50.0, "all at once": 5.0, "compiled": 1.0}
    row = {"operations": 1e7, "times": {name: {"milliseconds": ms} for name, ms in times.items()}}
    stored = {"timed": {"limit": {"gflops": 100.0}, "widths": {"10": row, "40": row | {"operations": 1e8}}}}
    lines = drawn(widths(stored))
    assert lines["compiled"] == ([10, 40], [1.0, 1.0])
    assert lines["the limit"] == ([10, 40], pytest.approx([0.1, 1.0]))
