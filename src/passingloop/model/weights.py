"""Loads the weights of a model, with the head that a task needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from passingloop.config.settings import ModelConfig
from passingloop.model.head import HeadClasses, default_names, load_with_head, match_classes
from passingloop.model.loading_report import (
    Renaming,
    check_weights,
    find_renamings,
    header_rows,
    new_modules,
    outside_body,
)
from passingloop.model.pretrained import Origin, counts_from_padding, input_embedding, load_pretrained


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
    renamings = find_renamings(model, report)
    if renamings:
        model, report = load(renamings)
    check_weights(model, report, origin, config, has_head=head.is_pretrained)
    _set_padding(model, tokenizer, classifies=not head.is_pretrained)
    has_head = not report["unread"] and not outside_body(model, report["missing_keys"])
    new = new_modules(model, report)
    facts = header_rows(report, new, renamings)
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
