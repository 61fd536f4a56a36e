"""Texts and chats become tokens: nothing is lost but what is said to be, and the loss counts where it should."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from passingloop.data.source import CHAT, UNLABELLED
from passingloop.errors import DataError
from passingloop.tasks.encoding import Encoded, largest_id
from passingloop.tasks.task import learning_task
from tests.train.tiny import make_tokenizer

TOKENIZER = make_tokenizer()
EOS = TOKENIZER.eos_token_id
Chat = list[tuple[str, str]]


def encode_texts(texts: list[str], max_length: int) -> Encoded:
    batch = pa.record_batch([range(len(texts)), texts], schema=UNLABELLED)
    return learning_task("causal_lm").encoder(TOKENIZER, max_length)(batch)


def encode_chats(*chats: Chat, max_length: int = 512, tokenizer: Any = TOKENIZER) -> Encoded:
    written = [{"messages": [{"role": role, "content": content} for role, content in chat]} for chat in chats]
    batch = pa.record_batch([range(len(chats)), [*map(json.dumps, written)]], schema=CHAT)
    return learning_task("causal_lm").encoder(tokenizer, max_length)(batch)


def answers(encoded: Encoded, example: int = 0) -> str:
    """The tokens that the loss counts, as text."""
    assert encoded.answers is not None
    return str(TOKENIZER.decode(encoded.ids[example][encoded.answers[example] == 1]))


# Texts


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4), max_length=st.integers(2, 20))
def test_windows_lose_no_token_and_end_with_one_eos(texts: list[str], max_length: int) -> None:
    encoded = encode_texts(texts, max_length)
    for row, text in enumerate(texts):
        windows = [encoded.ids[i].tolist() for i in np.flatnonzero(encoded.source == row)]
        if not text:
            assert not windows  # an end by itself predicts nothing
            continue
        assert all(2 <= len(window) <= max_length for window in windows)
        joined = windows[0] + [token for window in windows[1:] for token in window[1:]]
        assert joined == [*TOKENIZER(text)["input_ids"], EOS]
        # Each begins with the last token of the one before: every token but the first is predicted once.
        assert all(before[-1] == after[0] for before, after in itertools.pairwise(windows))
        assert encoded.targets[encoded.source == row].sum() == len(joined) - 1
    assert encoded.empty == texts.count("")


def test_a_text_that_ends_itself_gets_no_second_eos() -> None:
    assert encode_texts(["the end<eos>"], 50).ids[0].tolist().count(EOS) == 1


def test_a_classified_text_keeps_its_special_tokens_when_cut(bert_tokenizer: Any) -> None:
    texts = ["a short one", "a much longer one that is cut for sure"]
    batch = pa.record_batch([range(2), texts, ["x", "y"]], names=["row", "text", "label"])
    encoded = learning_task("classification").encoder(bert_tokenizer, 6)(batch)
    assert [bert_tokenizer.decode(ids) for ids in encoded.ids] == [
        "[CLS] a short one [SEP]",
        "[CLS] a much longer one [SEP]",
    ]
    assert encoded.cut == 1 and encoded.targets.tolist() == [1, 1]


# Chats


def test_the_loss_counts_on_answers_and_on_what_ends_them() -> None:
    encoded = encode_chats([("user", "which train waits?"), ("assistant", "the slow one")])
    assert TOKENIZER.decode(encoded.ids[0]) == (
        "<|im_start|>user\nwhich train waits?<|im_end|>\n<|im_start|>assistant\nthe slow one<|im_end|>\n"
    )
    assert answers(encoded) == "the slow one<|im_end|>\n"
    assert encoded.targets.tolist() == [encoded.answers[0].sum()]  # type: ignore[index]


def test_every_answer_of_a_long_chat_counts_and_nothing_else() -> None:
    chat = [
        ("system", "be brief"),
        ("user", "one?"),
        ("assistant", "1"),
        ("user", "the assistant said?"),
        ("assistant", "two 🚂"),
        ("user", "unanswered"),
    ]
    assert answers(encode_chats(chat)) == "1<|im_end|>\ntwo 🚂<|im_end|>\n"


def test_two_answers_in_a_row_both_count() -> None:
    chat = [("user", "go"), ("assistant", "first"), ("assistant", "second")]
    assert answers(encode_chats(chat)) == "first<|im_end|>\nsecond<|im_end|>\n"


def test_a_chat_may_begin_with_an_answer() -> None:
    chat = [("assistant", "welcome"), ("user", "thanks"), ("assistant", "bye")]
    assert answers(encode_chats(chat)).endswith("welcome<|im_end|>\nbye<|im_end|>\n")


def test_special_tokens_are_not_added_twice() -> None:
    encoded = encode_chats([("user", "a"), ("assistant", "b")])
    assert EOS not in encoded.ids[0]


def test_a_long_chat_is_cut_and_what_has_no_answer_left_is_dropped() -> None:
    short, long = [("user", "a"), ("assistant", "b")], [("user", "word " * 50), ("assistant", "b")]
    cut = [("user", "a"), ("assistant", "word " * 50)]
    encoded = encode_chats(short, long, [("user", "nobody answers")], cut, max_length=40)
    assert encoded.source.tolist() == [0, 3]
    assert [len(ids) for ids in encoded.ids] == [len(encoded.ids[0]), 40]
    assert (encoded.cut, encoded.empty) == (2, 2)
    assert answers(encoded, 1).startswith("word word")


@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(st.tuples(st.sampled_from(["user", "system", "assistant"]), st.text(max_size=15)), max_size=5),
    answer=st.text(min_size=1, max_size=15),
)
def test_any_text_can_be_an_answer(turns: Chat, answer: str) -> None:
    """Whatever the words are, the last answer stands where the loss counts, up to tokens that begin before it."""
    encoded = encode_chats([("user", "q"), *turns, ("assistant", answer)])
    assert answers(encoded).endswith(f"{answer}<|im_end|>\n"[1:])


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_is_cut_is_what_the_tokenizer_would_cut(bert_tokenizer: Any, side: str) -> None:
    texts = ["a", "", "a long text that is cut on one of its sides", "six words that fit right in"]
    batch = pa.record_batch([range(4), texts, ["x"] * 4], names=["row", "text", "label"])
    before = bert_tokenizer.truncation_side
    bert_tokenizer.truncation_side = side
    try:
        for length in (2, 3, 6, 8, 50):
            ours = [ids.tolist() for ids in learning_task("classification").encoder(bert_tokenizer, length)(batch).ids]
            assert ours == bert_tokenizer(texts, truncation=True, max_length=length)["input_ids"]
    finally:
        bert_tokenizer.truncation_side = before


# The token on the border

SPACED = (
    "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }} {% else %}A: {{ m.content }}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}A: {% endif %}"
)
TIGHT = SPACED.replace("A: ", "A:")
BORDERS = {
    "a space that is glued to the answer": (SPACED, "good", "Q: so? A: good </s>", "good </s>"),
    "a space of its own": (SPACED, "42", "Q: so? A: _ 42 </s>", "42 </s>"),
    "a part of the question in the answer's first token": (TIGHT, ")", "Q: so? A:) </s>", "</s>"),
}


@pytest.mark.parametrize("mark", "Ġ▁")
@pytest.mark.parametrize("name", BORDERS)
def test_a_token_is_learned_if_it_has_characters_of_an_answer_and_none_of_a_question(name: str, mark: str) -> None:
    template, answer, tokens, learned = BORDERS[name]
    words = ["Q:", "▁so?", "▁A:", "▁good", "▁", "42", "▁A:)"]
    vocabulary = {word.replace("▁", mark): number for number, word in enumerate(words)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary))
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r" ?[^\s\d]+| (?=\d)|\d+"), "isolated")
    spaces = tokenizers.pre_tokenizers.ByteLevel(use_regex=False, add_prefix_space=False)
    if mark == "▁":
        spaces = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, spaces])
    inner.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", chat_template=template)
    encoded = encode_chats([("user", "so?"), ("assistant", answer)], tokenizer=tokenizer)
    assert encoded.answers is not None
    shown = [token.strip(mark) or "_" for token in tokenizer.convert_ids_to_tokens(encoded.ids[0])]
    assert " ".join(shown) == tokens
    assert " ".join(itertools.compress(shown, encoded.answers[0])) == learned


def test_a_glued_space_leaves_the_tokenizer_as_it_was() -> None:
    before = TOKENIZER.backend_tokenizer.to_str()
    encode_chats([("user", "a"), ("assistant", "b")])
    assert TOKENIZER.backend_tokenizer.to_str() == before


def test_a_tokenizer_without_a_token_for_unknown_words() -> None:
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"train": 7}))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    assert largest_id(tokenizer) == 7, "found without encoding a text that it may not be able to"
    encode = learning_task("classification").encoder(tokenizer, 8)
    with pytest.raises(DataError, match=r"cannot encode a text of the data: .*UNK.* Choose another model\."):
        encode(pa.record_batch([range(2), ["train", "plane"], ["x", "x"]], names=["row", "text", "label"]))


def punctuation_tokenizer(*, prefix_space: bool = False) -> Any:
    """A tokenizer that joins a punctuation mark with the letters after it, as those of Llama 3 and Qwen do."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["</s>", *letters, ":y", ":yes", "es"])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [(":", "y"), ("e", "s"), (":y", "es")]))
    words = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"[^\r\n\p{L}]?\p{L}+|\s+"), "isolated")
    pieces = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=False)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([words, pieces])
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(["</s>"])
    template = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ '</s>' if m.role == 'assistant' else ' ' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", chat_template=template)


def test_the_first_word_of_an_answer_is_learned_if_a_token_joins_it_with_the_prompt() -> None:
    """The prompt ends with the token ``:``, and the answer begins with ``y``, as they are at inference."""
    tokenizer = punctuation_tokenizer()
    chat = [("user", "ok"), ("assistant", "yes"), ("user", "yes"), ("assistant", "yes"), ("user", "?")]
    encoded = encode_chats(chat, tokenizer=tokenizer)
    prompt, answer = [*map(tokenizer.encode, ("user:ok assistant:", "yes</s>"))]
    again, rest = [*map(tokenizer.encode, ("user:yes assistant:", "user:? "))]
    assert encoded.ids[0].tolist() == [*prompt, *answer, *again, *answer, *rest]
    lengths = [len(prompt), len(answer), len(again), len(answer), len(rest)]
    assert encoded.answers is not None
    assert encoded.answers[0].tolist() == np.repeat([0, 1, 0, 1, 0], lengths).tolist()
    joined = tokenizer.convert_tokens_to_ids(":yes")
    assert joined in again and joined not in answer, "the question's own word stays one token"


def test_a_text_stays_whole_if_its_pieces_would_get_a_space() -> None:
    tokenizer = punctuation_tokenizer(prefix_space=True)
    encoded = encode_chats([("user", "ok"), ("assistant", "yes")], tokenizer=tokenizer)
    assert encoded.ids[0].tolist() == tokenizer.encode("user:ok assistant:yes</s>")
