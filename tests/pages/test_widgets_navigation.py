"""The figure of the plane: its policies against PyTorch with the same noise, its goal by pointer and keyboard."""

import math

import numpy as np
import pytest
import torch

from figure_data import walkers
from mamlbook.pages.figures import plane_navigation
from shown import Shown

ALPHA = {"maml": 0.02, "joint": 0.01}


def made(**changes):
    return plane_navigation(**{"starts": walkers(), "alpha": ALPHA, **changes})


def adapted(start, alpha, goal, noise, steps):
    """Policy gradients by PyTorch's layers, distributions and optimiser, in float64: weights, return and path."""
    width = len(start[1])
    net = torch.nn.Sequential(
        torch.nn.Linear(2, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, 2),
    ).double()
    with torch.no_grad():
        for parameter, values in zip(net.parameters(), start, strict=True):
            parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))
    noise, goal = (
        torch.tensor(noise, dtype=torch.float64).reshape(4, 20, 10, 2),
        torch.tensor(goal, dtype=torch.float64),
    )
    optimiser = torch.optim.SGD(net.parameters(), lr=alpha)

    def walks(draws):
        place, seen, acted, earned = torch.zeros(draws.shape[0], 2, dtype=torch.float64), [], [], []
        for time in range(10):
            with torch.no_grad():
                action = net(place) + 0.1 * draws[:, time]
            seen.append(place)
            acted.append(action)
            place = place + action.clamp(-0.1, 0.1)
            earned.append(-(place - goal).norm(dim=1))
        return torch.stack(seen, 1), torch.stack(acted, 1), torch.stack(earned, 1)

    for step in range(steps):
        seen, acted, earned = walks(noise[step])
        ahead = torch.stack([earned[:, time:].sum(1) for time in range(10)], 1)
        others = torch.stack([ahead[[k for k in range(20) if k != own]].mean(0) for own in range(20)])
        logs = torch.distributions.Normal(net(seen), 0.1).log_prob(acted).sum(-1)
        optimiser.zero_grad()
        (-(logs * (ahead - others)).sum(1).mean()).backward()
        optimiser.step()
    _, _, earned = walks(noise[steps])
    path = walks(torch.zeros(1, 10, 2, dtype=torch.float64))[0][0]
    return [p.detach().numpy().ravel() for p in net.parameters()], earned.sum(1).mean().item(), path.numpy()


def assert_adapted(shown: Shown, **expected):
    state = shown.ask("f.state")
    for name, value in expected.items():
        assert state[name] == value
    for name, start in shown.ask("f.data.starts").items():
        alpha = shown.ask(f"f.data.alpha.{name}")
        weights, earned, path = adapted(start, alpha, state["goal"], state["noise"], state["steps"])
        found = state["adapted"][name]
        for one, other in zip(found["parameters"], weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)
        assert found["earned"] == pytest.approx(earned, abs=1e-8)
        np.testing.assert_allclose(np.stack([found["path"]["xs"][:-1], found["path"]["ys"][:-1]], 1), path, atol=1e-8)


def test_policies_equal_pytorch_at_every_setting(show):
    with show(made()) as shown:
        assert_adapted(shown, steps=1, goal=[0.4, 0.3])
        for steps in (0, 2, 3):
            shown.slide("steps", steps)
            assert_adapted(shown, steps=steps)
        shown.click("noise")
        assert_adapted(shown, seed=1)


def test_the_noise_is_normal_and_new_for_every_seed(show):
    with show(made()) as shown:
        first = np.array(shown.ask("f.state.noise"))
        assert len(first) == 4 * 20 * 10 * 2
        assert abs(first.mean()) < 4 / math.sqrt(len(first))
        assert abs(first.std() - 1) < 0.1
        assert abs((first[::2] * first[1::2]).mean()) < 4 / math.sqrt(len(first) / 2)
        shown.click("noise")
        assert abs((np.array(shown.ask("f.state.noise")) * first).mean()) < 4 / math.sqrt(len(first))


def test_python_draws_the_same_noise(show):
    from mamlbook.pages.figures.widgets import navigation

    with show(made(seed=5)) as shown:
        np.testing.assert_allclose(shown.ask("f.state.noise"), navigation.normals(5, 1600).numpy(), atol=1e-12)
        found = navigation.navigated(shown.ask("f.data.starts.maml"), 0.02, (0.4, 0.3), 5)
        assert found[1].earned == pytest.approx(shown.ask("f.state.adapted.maml.earned"), abs=1e-9)
        state = shown.ask("f.state.adapted.maml.path")
        np.testing.assert_allclose(found[1].path[:, 0], state["xs"][:-1], atol=1e-9)


def test_the_goal_follows_pointer_and_keyboard(show):
    with show(made(goal=(0.0, 0.0))) as shown:
        shown.drag(0, 60, -40)
        x, y = shown.ask("f.state.goal")
        assert x > 0.1
        assert y > 0.05
        assert_adapted(shown)
        shown.drag(0, 3000, 3000)  # a goal stays in the square
        assert shown.ask("f.state.goal") == [0.5, -0.5]
        shown.press(0, "ArrowLeft", "ArrowUp", "ArrowUp")
        assert shown.ask("f.state.goal") == pytest.approx([0.45, -0.4])
        assert shown.handle(0).get_attribute("aria-valuetext") == "0.45 across, −0.40 up"
        box = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
        assert shown.ask("f.state.goal")[0] < 0
        assert_adapted(shown)


def test_reset_comes_back_and_the_figure_says_its_returns(show):
    with show(made()) as shown:
        first = shown.ask("f.state")
        assert shown.said().startswith("After 1 step the mean return is ")
        shown.slide("steps", 0)
        shown.click("noise")
        shown.press(0, "ArrowDown")
        assert shown.said().startswith("Before any step the mean return is ")
        earned = shown.ask("f.state.adapted.maml.earned")
        assert f"{earned:.2f}".replace("-", "−") in shown.said()
        shown.click("reset")
        assert shown.ask("f.state") == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": {}}, "starts, alpha: expected both for the same of maml, joint, got none and maml, joint"),
        ({"alpha": {"maml": 1.0}}, "starts, alpha: expected both"),
        ({"goal": (0.6, 0.0)}, "goal: expected two numbers from -0.5 to 0.5"),
        ({"steps": 4}, "steps: expected a whole number from 0 to 3, got 4"),
        ({"starts": {**walkers(), "joint": walkers()["joint"][:5]}}, r"starts\['joint'\]: expected the six parameters"),
    ],
    ids=["none", "rates", "goal", "steps", "shapes"],
)
def test_wrong_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_the_book_shows_the_same_numbers(in_the_book):
    for shown in in_the_book("navigation"):
        for steps in (0, 1, 3):
            shown.slide("steps", steps)
            assert_adapted(shown, steps=steps)
