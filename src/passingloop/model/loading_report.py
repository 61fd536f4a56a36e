"""What transformers reports of the weights that it loaded, and what follows: no part of the body may stay random."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError
from passingloop.model.fingerprint import weight_files
from passingloop.model.pretrained import Origin, input_embedding
from passingloop.text import list_excerpt

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that torch puts around others: torch.compile, FSDP, activation checkpointing. They stay in the names of
weights that were saved from the wrapped model."""


INTEGERS = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64")
"""Types of whole numbers in safetensors. Quantised weights that are loaded as they are lack their scale."""


_SCALE = re.compile(r"(?:_scale(?:_inv)?|_zero_point|\.absmax|\.quant_state.*)$")
"""What the names of scales of a quantised weight add to its name."""


LISTED_NAMES = 3
"""Weights that a sentence names; of the others it has the count."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """How names in the checkpoint become those of the model."""

    pattern: str
    """A regular expression."""
    replacement: str
    removed: str | None
    """What it takes off the names, as text."""


def find_renamings(model: Any, report: Mapping[str, Any]) -> list[Renaming]:
    """By which renamings the model would be loaded; none if it was, but for a new head.

    Names may differ by a prefix, such as ``module.`` of DDP; by wrappers in the middle; or, for the decoder of an
    encoder-decoder, in the name of the embedding that both parts share.
    """
    missing, unexpected = report["missing_keys"], sorted(report["unexpected_keys"])
    body, renamings = f"{model.base_model_prefix}.", []
    in_body = _in_body(model, missing)
    prefix = _prefix(unexpected, {*in_body, *(name.removeprefix(body) for name in in_body)})
    if not in_body and any(f"{body}{name}" in unexpected for name in missing):
        prefix = body  # transformers takes it off the names of the body, but not off those of the head
    if prefix:
        renamings.append(Renaming(f"^{re.escape(prefix)}", "", prefix))
    inner_names = [name.removeprefix(prefix) for name in unexpected]
    for wrapper in WRAPPERS:
        if any(f".{wrapper}." in f".{name}" for name in inner_names):
            renamings.append(Renaming(rf"(?<![^.]){wrapper}\.", "", f"{wrapper}."))
    embedding = next((name for name in in_body if name.endswith("decoder.embed_tokens.weight")), None)
    if embedding and any(name.endswith("shared.weight") for name in inner_names):
        renamings.append(Renaming(r"^(?:.*\.)?shared\.weight$", embedding, None))
    return renamings


def _prefix(unexpected: Collection[str], expected: Collection[str]) -> str:
    """The shortest prefix in `unexpected` without which a name is `expected`; empty if there is none."""
    for name in unexpected:
        parts = name.split(".")
        for count in range(1, len(parts)):
            if ".".join(parts[count:]) in expected:
                return ".".join(parts[:count]) + "."
    return ""


def _in_body(model: Any, names: Collection[str]) -> list[str]:
    """Those of `names` that belong to the body. Poolers do not: a checkpoint of pretraining need not have one."""
    body, embedding = f"{model.base_model_prefix}.", input_embedding(model)
    embeddings = {f"{name}.weight" for name, module in model.named_modules() if module is embedding}
    return sorted(
        name for name in names if name in embeddings or (name.startswith(body) and "pooler" not in name.split("."))
    )


def outside_body(model: Any, names: Collection[str]) -> list[str]:
    """Those of `names` that belong to the head."""
    return sorted(name for name in names if not name.startswith(f"{model.base_model_prefix}."))


def check_weights(
    model: Any, report: Mapping[str, Any], origin: Origin, config: ModelConfig, *, has_head: bool
) -> None:
    """Refuse weights that are not those of the model.

    Args:
        has_head: whether the checkpoint has to have the head as well.

    Raises:
        ConfigError: weights of the body, or of a head that is to be pretrained, are not in the checkpoint, or have
            another shape; or they are quantised, or an adapter was added to them.
    """
    for name, shape, configured in sorted(report["mismatched_keys"]):
        if name.startswith(f"{model.base_model_prefix}."):
            raise ConfigError(
                f"You set model.path={config.path}, but its weights do not fit its config.json: {name} has the shape "
                f"{list(shape)} instead of {list(configured)}. Choose a folder whose files belong together."
            )
    missing = _in_body(model, report["missing_keys"])
    if missing:
        other = _in_words(report["unexpected_keys"])
        raise ConfigError(
            f"You set model.path={config.path}, but its weights are not those of a {type(model).__name__}, and would "
            f"stay random: it lacks {_in_words(missing)}{', and has ' if other else ''}{other}. Choose a folder whose "
            "weights belong to its config.json."
        )
    if report["missing_keys"] and has_head:
        raise ConfigError(
            f"You set model.path={config.path}, but it has no pretrained head over the vocabulary: it lacks "
            f"{_in_words(report['missing_keys'])}. Set model.path to a causal language model."
        )
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ConfigError(
            f"You set model.path={config.path}, but its folder has an adapter besides the model. Merge it into the "
            "model, or remove adapter_config.json."
        )
    quantised = getattr(model, "is_quantized", False) or not all(p.is_floating_point() for p in model.parameters())
    if quantised or _has_scales(model, report["unexpected_keys"]) or _has_integers(origin):
        raise ConfigError(
            f"You set model.path={config.path}, but its weights are quantised, and cannot be trained. Set model.path "
            "to the model that they were made from."
        )


def _has_scales(model: Any, unused: Collection[str]) -> bool:
    """Whether weights that were loaded have companions which were not, such as ``weight_scale_inv`` of ``weight``.

    Without a `quantization_config` transformers takes quantised weights for the real ones.
    """
    loaded = {name for name, _ in model.named_parameters()}
    return any(_SCALE.sub("", name) in loaded for name in unused if _SCALE.search(name))


def _has_integers(origin: Origin) -> bool:
    """Whether weights are stored as whole numbers in the safetensors of a folder; buffers with positions may be."""
    from safetensors import safe_open

    for path in weight_files(Path(origin.path)):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = [name for name in file.keys() if name.endswith("weight")]  # noqa: SIM118
                if any(file.get_slice(name).get_dtype() in INTEGERS for name in names):
                    return True
    return False


def _in_words(names: Collection[str]) -> str:
    return list_excerpt(sorted(names), LISTED_NAMES)


def new_modules(model: Any, report: Mapping[str, Any]) -> list[str]:
    """The outermost modules of which all parameters are newly initialised."""
    new = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    modules: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in modules)
        parameters = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        if name and not inside and parameters and new.issuperset(parameters):
            modules.append(name)
    return modules


def header_rows(report: Mapping[str, Any], new: Collection[str], renamings: Collection[Renaming]) -> dict[str, str]:
    """Rows for the run's header."""
    facts = {"new": f"{', '.join(new)}, initialised with trainer.seed"} if new else {}
    removed = [renaming.removed for renaming in renamings if renaming.removed]
    if removed:
        facts["names"] = f"{' and '.join(removed)} is taken off the names in the checkpoint"
    if report["unexpected_keys"]:
        facts["unused"] = f"in the checkpoint: {_in_words(report['unexpected_keys'])}"
    return facts
