"""A picture drawn anew in its place: for a person who looks, and for nobody else."""

import importlib.util

from mamlbook.pages import Live
from need import need

CELL = """
from mamlbook.pages import Live
live, drawn = Live(), []
for number in range(3):
    live(lambda n, end: drawn.append(n) or f"picture {n}{end}", number, end="")
print(drawn)
"""


def test_outside_of_a_notebook_nothing_is_drawn():
    Live()(lambda: 1 / 0)


def test_each_picture_replaces_the_one_before_where_a_person_runs_the_cell():
    need(importlib.util.find_spec("jupyter_client"), "jupyter_client is not installed")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        seen = {}
        for person in (True, False):
            messages = []
            client.execute_interactive(CELL, allow_stdin=person, output_hook=messages.append, timeout=120)
            kept = [m for m in messages if m["msg_type"] not in ("status", "execute_input")]
            assert not [m["content"]["evalue"] for m in kept if m["msg_type"] == "error"]
            seen[person] = [(m["msg_type"], m["content"]) for m in kept]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    *pictures, (_, last) = seen[True]
    assert [kind for kind, _ in pictures] == ["display_data", "update_display_data", "update_display_data"]
    assert len({content["transient"]["display_id"] for _, content in pictures}) == 1
    assert [content["data"]["text/plain"] for _, content in pictures] == [f"'picture {n}'" for n in range(3)]
    assert last["text"] == "[0, 1, 2]\n"
    assert [content["text"] for _, content in seen[False]] == ["[]\n"]
