"""The rehearsed GPU itself: it refuses what a GPU refuses, and right programs give the numbers of the CPU."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from devices import rehearsal

if rehearsal is None:
    pytest.skip("there is a GPU, and nothing to rehearse", allow_module_level=True)

DEVICE, waits = rehearsal.DEVICE, rehearsal.waits

X = torch.linspace(-1, 1, 12).view(4, 3)


def there(tensor=X):
    return tensor.to(DEVICE)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


# ---------------------------------------------------------------- wrong programs

TWO = "Expected all tensors to be on the same device, but found at least two devices, rehearsal:0 and cpu"
WRONG = {
    "a sum": (lambda: there() + torch.ones(3), RuntimeError, TWO),
    "a sum into the CPU": (lambda: X.clone().add_(there()), RuntimeError, TWO),
    "a sum that begins on the CPU": (lambda: torch.tensor(0.0).add_(there().sum()), RuntimeError, TWO),
    "a product of matrices": (lambda: there() @ torch.ones(3, 2), RuntimeError, TWO),
    "a product of matrices, the other way": (lambda: X.mT @ there(), RuntimeError, TWO),
    "a batched product": (lambda: torch.einsum("bi,bij->bj", there(), torch.ones(4, 3, 2)), RuntimeError, TWO),
    "joining": (lambda: torch.cat([there(), torch.ones(1, 3)]), RuntimeError, TWO),
    "stacking": (lambda: torch.stack([there(), X]), RuntimeError, TWO),
    "a choice": (lambda: torch.where(X > 0, there(), 0.0), RuntimeError, TWO),
    "a network that was left": (lambda: network()(there()), RuntimeError, TWO),
    "data that were left": (lambda: network().to(DEVICE)(X), RuntimeError, TWO),
    "a loss's targets": (lambda: nn.functional.mse_loss(there(), X), RuntimeError, TWO),
    "labels": (lambda: nn.functional.cross_entropy(there(), torch.tensor([0, 1, 2, 0])), RuntimeError, TWO),
    "weights of classes": (
        lambda: nn.functional.cross_entropy(there(), there(torch.tensor([0, 1, 2, 0])), weight=torch.ones(3)),
        RuntimeError,
        TWO,
    ),
    "an index that is gathered by": (lambda: there().gather(0, torch.zeros(1, 3).long()), RuntimeError, TWO),
    "arange in a network": (lambda: vmap(lambda x: x + torch.arange(3))(there()), RuntimeError, TWO),
    "what is written by an index": (lambda: there().index_put_((torch.tensor([0]),), torch.ones(3)), RuntimeError, TWO),
    "an index of the CPU's": (lambda: X[there(torch.tensor([0]))], RuntimeError, "indices should be either on cpu or"),
    "under vmap": (lambda: vmap(torch.dot, (0, None))(there(), torch.ones(3)), RuntimeError, TWO),
    "under grad": (lambda: grad(lambda w: (X @ w).sum())(there(torch.ones(3))), RuntimeError, TWO),
    "in the second derivative": (lambda: second_derivative(torch.ones(3)), RuntimeError, TWO),
    "a generator": (lambda: torch.randn(3, device=DEVICE, generator=torch.Generator()), RuntimeError, "for generator"),
    "a generator in place": (lambda: there().normal_(generator=torch.Generator()), RuntimeError, "for generator"),
    "numpy": (lambda: there().numpy(), TypeError, r"can't convert rehearsal:0 .* Use Tensor.cpu\(\)"),
    "an array": (lambda: np.asarray(there()), TypeError, r"Use Tensor.cpu\(\)"),
    "a function of numpy": (lambda: np.sin(there()), TypeError, r"Use Tensor.cpu\(\)"),
}


def second_derivative(v):
    w = there(torch.ones(3)).requires_grad_()
    (g,) = torch.autograd.grad((there() @ w).pow(3).sum(), w, create_graph=True)
    return torch.autograd.grad(g @ v, w)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_is_refused(name):
    program, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        program()


# ---------------------------------------------------------------- right programs


def second_order(x):
    w = torch.ones(3, device=x.device, requires_grad=True)
    (g,) = torch.autograd.grad((x @ w).tanh().exp().sum(), w, create_graph=True)
    return torch.autograd.grad(g.square().sum(), w)[0]


def trained(x):
    net = network().to(x.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    return torch.cat([p.flatten() for p in net.parameters()])


def loss_of_each_example(x):
    net = network().to(x.device)

    def loss(weights, x):
        return functional_call(net, weights, (x,)).square().sum()

    gradients = vmap(grad(loss), (None, 0))(dict(net.named_parameters()), x)
    return torch.cat([g.flatten(1) for g in gradients.values()], 1)


def in_place(x):
    y = x.clone()
    y[0] = 2
    y[:, 1].mul_(3)
    y.t_().unsqueeze_(0)
    return y.squeeze_(0).add_(y.sum())


RIGHT = {
    "a number of Python's": lambda x: 2 * x - 1,
    "a number of the CPU's": lambda x: x * torch.tensor(2.0) + torch.tensor(1),
    "a number that is filled in": lambda x: torch.full_like(x, 0).fill_(torch.tensor(2.0)),
    "a number where a mask is": lambda x: x.masked_fill(x > 0, torch.tensor(5.0)),
    "an index of the CPU's": lambda x: x[torch.tensor([0, 2])],
    "a mask": lambda x: x[x > 0],
    "made where x is": lambda x: x @ torch.eye(3, device=x.device) + torch.arange(3, device=x.device),
    "made like x": lambda x: x + torch.zeros_like(x) + x.new_tensor([1.0, 2.0, 3.0]) + x.new_ones(3),
    "tensor": lambda x: x * torch.tensor([1.0, 2.0, 3.0], device=x.device),
    "written to": in_place,
    "copied into": lambda x: torch.zeros_like(x).copy_(X),
    "views": lambda x: x.view(2, 6).t().unflatten(0, (3, 2)).expand(5, 3, 2, 2).contiguous().flatten(1)[::2],
    "several outputs": lambda x: torch.cat([*x.split(1), x.sort(0).values, x.topk(2, 0).values, x.max(0).values[None]]),
    "linear algebra": lambda x: torch.linalg.solve(x.mT @ x + torch.eye(3, device=x.device), x.mT),
    "convolution": lambda x: nn.functional.conv1d(x[:, None], torch.ones(2, 1, 2, device=x.device), padding=1),
    "double precision": lambda x: x.double().exp(),
    "second derivatives": second_order,
    "vmap, grad and functional_call": loss_of_each_example,
    "training": trained,
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_gives_the_numbers_of_the_cpu(name):
    got = RIGHT[name](there())
    assert got.device == DEVICE
    assert torch.equal(got.cpu(), RIGHT[name](X))


def test_a_view_is_of_the_same_memory():
    x = there(X.clone())
    row = x[1]
    row.zero_()
    x.data = 2 * x
    assert x.cpu().tolist() == (2 * X * torch.tensor([1, 0, 1, 1])[:, None]).tolist()


def test_numbers_come_back_when_they_are_asked_for():
    x = there()
    assert x.tolist() == X.tolist()
    assert float(x[0, 0]) == x[0, 0].item() == -1
    assert bool(x[0, 0] < 0)
    assert f"{x[3, 2]:.2f} {x[3, 2]}" == "1.00 1.0"
    assert np.array_equal(x.cpu().numpy(), X.numpy())
    assert repr(x[0, :1]) == "tensor([-1.], device='rehearsal:0')"


def test_a_module_keeps_its_weights_when_it_moves():
    net = network()
    before, optimizer = list(net.parameters()), torch.optim.SGD(net.parameters(), lr=0.1)
    net.to(DEVICE)
    assert all(a is b for a, b in zip(net.parameters(), before, strict=True))
    assert all(isinstance(p, nn.Parameter) and p.requires_grad and p.is_leaf for p in net.parameters())
    net(there()).sum().backward()
    optimizer.step()
    copied = copy.deepcopy(net).cpu()
    assert torch.equal(copied(X), net(there()).cpu())
    assert not torch.equal(copied(X), network()(X))


def test_what_is_saved_is_loaded_where_it_was_or_where_it_is_asked_for():
    net, file = network().to(DEVICE), io.BytesIO()
    torch.save({"weights": net.state_dict()}, file)
    for place, wanted in ((None, DEVICE), ("cpu", torch.device("cpu"))):
        file.seek(0)
        weights = torch.load(file, map_location=place, weights_only=True)["weights"]
        assert {w.device for w in weights.values()} == {wanted}
        fresh = network(1)
        fresh.load_state_dict(weights)
        assert torch.equal(fresh(X), network()(X))


def test_noise_is_the_devices_own():
    def drawn():
        return torch.cat([torch.rand(2, device=DEVICE), nn.functional.dropout(there(torch.ones(6)))]).tolist()

    torch.manual_seed(3)
    state, first = torch.get_rng_state(), drawn()
    assert torch.equal(torch.get_rng_state(), state), "the CPU's generator is left alone"
    kept, second = torch.rehearsal.get_rng_state(), drawn()
    assert first != second
    torch.rehearsal.set_rng_state(kept)
    assert drawn() == second
    torch.manual_seed(3)
    assert drawn() == first
    torch.manual_seed(3)
    assert first[:2] != torch.rand(2).tolist()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_part_that_is_computed_again(use_reentrant):
    def gradient(x):
        net, x = network().to(x.device), x.clone().requires_grad_()
        checkpoint(net, x, use_reentrant=use_reentrant).sum().backward()
        return x.grad

    assert torch.equal(gradient(there()).cpu(), gradient(X))


def test_a_loader_of_data_feeds_it():
    batches = [x.to(DEVICE) for (x,) in DataLoader(TensorDataset(X), batch_size=2)]
    assert torch.equal(torch.cat(batches).cpu(), X)


# ---------------------------------------------------------------- waits

WAITING = {
    "item": lambda x: x[0, 0].item(),
    "float": lambda x: float(x.sum()),
    "if": lambda x: 1 if x.sum() > 0 else 2,
    "tolist": lambda x: x.tolist(),
    "format": lambda x: f"{x.sum():.3f}",
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu", torch.float64),
    "into the CPU": lambda x: torch.zeros(4, 3).copy_(x),
    "nonzero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 0],
    "a mask that is written by": lambda x: x.clone().index_put_((x > 0,), x.new_tensor(0.0)),
    "an index from the CPU": lambda x: x[torch.tensor([0, 1])],
    "a number of the CPU's that is written": lambda x: x.clone().index_put_((x[0].long() * 0,), torch.tensor(2.0)),
    "a number of the CPU's that is chosen": lambda x: torch.where(x > 0, x, torch.tensor(2.0)),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "unique": lambda x: x.unique(),
    "cholesky": lambda x: torch.linalg.cholesky(x.mT @ x + torch.eye(3, device=x.device)),
    "singular values": lambda x: torch.linalg.svdvals(x),
    "a copy from the CPU": lambda x: X.to(DEVICE),
    "a tensor from numbers": lambda x: torch.tensor([1.0, 2.0], device=DEVICE),
    "synchronize": lambda x: torch.rehearsal.synchronize(),
}
QUICK = {
    "arithmetic": lambda x: (2 * x).tanh() @ x.mT,
    "a choice": lambda x: torch.where(x > 0, x, 0.0),
    "a number of the CPU's": lambda x: x + torch.tensor(1.0),
    "made there": lambda x: torch.arange(5, device=DEVICE) + torch.zeros(5, device=DEVICE),
    "shapes": lambda x: x[1:, 0].view(1, 3).expand(2, 3).shape,
    "an index that is there": lambda x: x[torch.arange(2, device=DEVICE)],
    "a copy that need not be waited for": lambda x: X.to(DEVICE, non_blocking=True),
    "a condition that the device checks": lambda x: torch._assert_async((x < 2).all()),
    "cholesky without a check": lambda x: torch.linalg.cholesky_ex(x.mT @ x + torch.eye(3, device=x.device)).L,
    "second derivatives": second_order,
}


@pytest.mark.parametrize("name", WAITING)
def test_a_wait_is_noticed(name):
    x = there()
    with waits() as found:
        WAITING[name](x)
    assert found
    assert all(__file__ in each for each in found), "it says where"


@pytest.mark.parametrize("name", QUICK)
def test_where_python_goes_on_none_is(name):
    x = there()
    with waits() as found:
        QUICK[name](x)
    assert not found
