"""Decision Transformers of Hugging Face and of kzl predict the same with their code and with ours.

The model is Hugging Face's own with random weights; kzl's is the same in another file layout.
"""

import re

import pytest
import torch
from transformers import DecisionTransformerConfig, DecisionTransformerModel

from qalign_dt.core import InputError
from qalign_dt.paper.policies import d4rl_normaliser
from qalign_dt.policy import Policy
from qalign_dt.paper.checkpoints import actor_from_official
from qalign_dt.paper.weights import actor_from_huggingface, read_weights

TOLERANCE = 1e-5


def random_model(seed=0, **settings):
    "A model in which no parameter has its initial value, biases and norms included."
    torch.manual_seed(seed)
    sizes = (
        dict(state_dim=11, act_dim=3, hidden_size=32, n_layer=2, n_head=4, max_ep_len=40, n_positions=64)
        | settings
    )
    model = DecisionTransformerModel(DecisionTransformerConfig(**sizes)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def random_batch(model, windows=5, steps=7):
    "Windows with 0, 1, 2, ... padded steps on the left."
    c, g = model.config, torch.Generator().manual_seed(1)
    mask = (torch.arange(steps) >= torch.arange(windows)[:, None]).float()
    return dict(
        states=torch.randn(windows, steps, c.state_dim, generator=g),
        actions=torch.rand(windows, steps, c.act_dim, generator=g) * 2 - 1,
        returns_to_go=torch.randn(windows, steps, 1, generator=g),
        timesteps=torch.randint(c.max_ep_len, (windows, steps), generator=g),
    ), mask


@torch.no_grad()
def largest_error(model, actor, mask_given):
    batch, mask = random_batch(model)
    theirs = model(**batch, attention_mask=mask.long() if mask_given else torch.ones_like(mask).long())
    ours = actor(
        batch["returns_to_go"],
        batch["states"],
        batch["actions"],
        batch["timesteps"],
        mask if mask_given else None,
    )
    real = mask[..., None] if mask_given else 1.0
    return max(
        ((a - b) * real).abs().max().item() for a, b in zip(ours, (theirs.action_preds, theirs.state_preds))
    )


@pytest.mark.parametrize(
    "settings",
    [{}, dict(n_head=1), dict(n_layer=1, hidden_size=48, n_inner=192), dict(state_dim=17, act_dim=6)],
)
@pytest.mark.parametrize("mask_given", [False, True])
def test_predictions(settings, mask_given):
    model = random_model(**settings)
    actor = actor_from_huggingface(model.state_dict(), model.config.to_dict())
    assert largest_error(model, actor, mask_given) < TOLERANCE


def test_the_comparison_can_fail():
    model = random_model()
    settings = model.config.to_dict()
    assert (
        largest_error(model, actor_from_huggingface(model.state_dict(), settings | {"n_head": 2}), False)
        > 1e-2
    )
    no_position = {k: v for k, v in model.state_dict().items() if "wpe" not in k}
    assert largest_error(model, actor_from_huggingface(no_position, settings), False) > 1e-2


@pytest.mark.parametrize("safe", [True, False])
def test_folder(tmp_path, safe):
    "The files of `save_pretrained`, and the older pytorch_model.bin with the same config.json."
    model = random_model(n_head=2)
    model.save_pretrained(tmp_path)
    if not safe:
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    found = read_weights(tmp_path)
    assert found.source == "huggingface" and found.actor().config.n_heads == 2
    assert largest_error(model, actor_from_huggingface(tmp_path), True) < TOLERANCE
    policy = Policy.from_official(tmp_path, "hopper-medium-v2")
    assert policy.info["method"] == "dt" and policy.rtg_scale == 1000
    assert policy.act(d4rl_normaliser("hopper-medium-v2").mean, 3000.0).shape == (3,)


def test_older_masks_are_ignored():
    "Older releases of transformers store GPT-2's masks too."
    model = random_model()
    masks = {
        f"encoder.h.{i}.attn.{k}": v
        for i in range(2)
        for k, v in (
            ("bias", torch.ones(1, 1, 64, 64, dtype=torch.uint8).tril()),
            ("masked_bias", torch.tensor(-1e4)),
        )
    }
    assert (
        largest_error(model, actor_from_huggingface(model.state_dict() | masks, model.config.to_dict()), True)
        < TOLERANCE
    )


@pytest.mark.parametrize(
    "change",
    [dict(activation_function="gelu"), dict(action_tanh=False), dict(scale_attn_by_inverse_layer_idx=True)],
)
def test_other_arithmetic_is_refused(tmp_path, change):
    random_model(**change).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=next(iter(change))):
        actor_from_huggingface(tmp_path)


def test_kzl(tmp_path):
    "kzl's network has one head and no position embedding; its file is a bare state dict."
    model = random_model(n_head=1)
    with torch.no_grad():
        model.encoder.wpe.weight.zero_()
    state = {re.sub("^encoder", "transformer", k): v for k, v in model.state_dict().items() if "wpe" not in k}
    state |= {
        f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 1024, 1024, dtype=torch.uint8).tril()
        for i in range(2)
    }
    torch.save(state, tmp_path / "dt.pt")
    found = read_weights(tmp_path / "dt.pt")
    assert found.source == "kzl"
    for mask_given in (False, True):
        assert largest_error(model, found.actor(), mask_given) < TOLERANCE
        assert largest_error(model, actor_from_official(state), mask_given) < TOLERANCE
