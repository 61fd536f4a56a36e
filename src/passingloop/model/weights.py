"""Loads the weights of a model, and checks which of them were loaded: no part of its body may stay random."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError
from passingloop.model.fingerprint import weight_files
from passingloop.model.head import HeadClasses, default_names, load_with_head, match_classes
from passingloop.model.pretrained import Origin, counts_from_padding, load_pretrained
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
class Head:
    """The head of a model."""

    auto: str
    """The auto class of transformers with it, such as AutoModelForSequenceClassification."""

    settings: Mapping[str, Any]
    """Its settings in the model's configuration, such as `num_labels`."""

    is_pretrained: bool
    """Whether it is that of a language model; otherwise it is for classes or numbers of the data, and may be new."""

    @property
    def names(self) -> list[str]:
        """The names of its classes or numbers; those of transformers if the task gives none."""
        names = self.settings.get("id2label") or default_names(self.settings.get("num_labels", 0))
        return [] if self.is_pretrained else list(names.values())


@dataclass(frozen=True, slots=True)
class Renaming:
    """How names in the checkpoint become those of the model."""

    pattern: str
    """A regular expression."""
    replacement: str
    removed: str | None
    """What it takes off the names, as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A model with its weights, and what of them comes from the checkpoint."""

    model: Any
    new: Collection[str]
    """The outermost modules of which all parameters are newly initialised."""
    kept: Sequence[bool]
    """For each class whether its row of the head is that of the checkpoint."""
    facts: Mapping[str, str]
    """Rows for the run's header: what is new, what is reused, and what of the checkpoint is not used."""


def load_model(
    origin: Origin, config: ModelConfig, settings: Any, head: Head, tokenizer: Any, seed: int
) -> LoadedModel:
    """The model with `head` and weights in fp32. New weights, such as those of a head, are initialised with `seed`.

    Args:
        settings: the model's transformers configuration.

    Raises:
        ConfigError: the model cannot be loaded for this task, or the checkpoint does not have the weights of its body.
    """
    classes = _head_classes(head, settings)

    def load(renamings: Collection[Renaming]) -> tuple[Any, Mapping[str, Any]]:
        return load_with_head(
            classes, lambda count: _load(origin, config, settings, _resized(head, count), renamings, seed)
        )

    model, report = load([])
    renamings = _renamings(model, report)
    if renamings:
        model, report = load(renamings)
    _check_weights(model, report, origin, config, head)
    _set_padding(model, tokenizer, classifies=not head.is_pretrained)
    has_head = not report["unread"] and not _outside_body(model, report["missing_keys"])
    new = _new_modules(model, report)
    facts = _facts(report, new, renamings)
    if has_head and not head.is_pretrained:
        facts["head"] = classes.description
    if settings.is_encoder_decoder and head.is_pretrained:
        facts["encoder"] = "left out: a causal language model is trained and exported from the decoder alone"
    return LoadedModel(
        model=model, new=new, kept=[has_head and source is not None for source in classes.sources], facts=facts
    )


def _load(
    origin: Origin, config: ModelConfig, settings: Any, head: Head, renamings: Collection[Renaming], seed: int
) -> tuple[Any, Mapping[str, Any]]:
    arguments: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True, **head.settings}
    if config.dropout is not None:
        arguments |= _dropout_settings(settings, config.dropout)
    if renamings:
        arguments["key_mapping"] = {renaming.pattern: renaming.replacement for renaming in renamings}
    torch.manual_seed(seed)
    model, report = load_pretrained(getattr(transformers, head.auto), origin, config, **arguments)
    if renamings:  # transformers would undo them when it saves the model
        patterns = {renaming.pattern for renaming in renamings}
        model._weight_conversions = [
            conversion
            for conversion in model._weight_conversions
            if not patterns.intersection(conversion.source_patterns)
        ]
    return model, report


def _head_classes(head: Head, settings: Any) -> HeadClasses:
    own_names = [] if head.is_pretrained else [str(name) for _, name in sorted(settings.id2label.items())]
    return match_classes(head.names, own_names)


def _resized(head: Head, count: int) -> Head:
    """`head`, or a head for `count` classes without names if it has another number."""
    if count == len(head.names):
        return head
    settings = {"num_labels": count, "id2label": default_names(count), "ignore_mismatched_sizes": True}
    return Head(head.auto, settings, is_pretrained=False)


def _dropout_settings(settings: Any, probability: float) -> dict[str, float]:
    """The names of all dropout probabilities in the model's configuration, with the value `probability`."""
    return {
        name: probability
        for name, value in settings.to_dict().items()
        if ("dropout" in name or name.endswith("_pdrop")) and isinstance(value, int | float)
    }


def _renamings(model: Any, report: Mapping[str, Any]) -> list[Renaming]:
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


def input_embedding(model: Any) -> torch.nn.Embedding | None:
    """The embedding of the tokens; None for a model that has none, such as CANINE, which hashes characters."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:
        return None
    return embedding if isinstance(embedding, torch.nn.Embedding) else None


def _in_body(model: Any, names: Collection[str]) -> list[str]:
    """Those of `names` that belong to the body. Poolers do not: a checkpoint of pretraining need not have one."""
    body, embedding = f"{model.base_model_prefix}.", input_embedding(model)
    embeddings = {f"{name}.weight" for name, module in model.named_modules() if module is embedding}
    return sorted(
        name for name in names if name in embeddings or (name.startswith(body) and "pooler" not in name.split("."))
    )


def _outside_body(model: Any, names: Collection[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(f"{model.base_model_prefix}."))


def _check_weights(model: Any, report: Mapping[str, Any], origin: Origin, config: ModelConfig, head: Head) -> None:
    """
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
    if report["missing_keys"] and head.is_pretrained:
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


def _set_padding(model: Any, tokenizer: Any, *, classifies: bool) -> None:
    """Tell the model which token pads, unless that is a token of texts that it need not know.

    The heads of decoders look for the last token that is not padding. The embedding of its `padding_idx` gets no
    gradient: if the token also ends texts, say, it must learn like others. Positions that are counted from
    `padding_idx`, as in RoBERTa, stay as they were pretrained.
    """
    pads_only = tokenizer.pad_token_id not in _special_ids(tokenizer)
    if (classifies or pads_only) and not counts_from_padding(model):
        for settings in (model.config, model.config.get_text_config()):
            settings.pad_token_id = tokenizer.pad_token_id
    embedding = input_embedding(model)
    if embedding is None or (pads_only and embedding.padding_idx == tokenizer.pad_token_id):
        return
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.weight is embedding.weight:
            module.padding_idx = None


def _special_ids(tokenizer: Any) -> set[int]:
    """The special tokens with a role other than padding."""
    roles = ("bos", "eos", "unk", "sep", "cls", "mask")
    return {getattr(tokenizer, f"{role}_token_id") for role in roles} - {None}


def _new_modules(model: Any, report: Mapping[str, Any]) -> list[str]:
    """The outermost modules of which all parameters are newly initialised."""
    new = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    modules: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in modules)
        parameters = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        if name and not inside and parameters and new.issuperset(parameters):
            modules.append(name)
    return modules


def _facts(report: Mapping[str, Any], new: Collection[str], renamings: Collection[Renaming]) -> dict[str, str]:
    """Rows for the run's header."""
    facts = {"new": f"{', '.join(new)}, initialised with trainer.seed"} if new else {}
    removed = [renaming.removed for renaming in renamings if renaming.removed]
    if removed:
        facts["names"] = f"{' and '.join(removed)} is taken off the names in the checkpoint"
    if report["unexpected_keys"]:
        facts["unused"] = f"in the checkpoint: {_in_words(report['unexpected_keys'])}"
    return facts
