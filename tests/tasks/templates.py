"""Chat templates of the kinds that models have, each with a chat and what of it is learned, written by hand.

In the expected texts ``[[`` and ``]]`` enclose what is learned. A chat gives several texts where a template writes its
answers otherwise when other messages follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tokenizers
import transformers

SPECIAL = ["<s>", "</s>", "<pad>", "<|user|>", "<|bot|>", "<|sys|>", "<|tool|>", "<|end|>", "<|eot|>", "<|return|>"]
ADDED = ["<think>", "</think>", "<call>", "</call>"]
"""Tokens of their own that are not special, as those of reasoning and of tool calls mostly are."""

Message = dict[str, Any]


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def bot(content: str, **fields: Any) -> Message:
    return {"role": "assistant", "content": content} | fields


TWO = [user("hi"), bot("hello"), user("bye"), bot("ciao")]
CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of template."""

    template: str
    expected: tuple[str, ...]
    messages: list[Message] = field(default_factory=lambda: TWO)
    beside: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, ...] = ("<|end|>",)
    """The tokens with which the model ends its answers."""
    unprompted: int = 0
    """How many answers do not follow the generation prompt."""
    given: list[Message] | None = None
    """The messages in the form that the template takes, if the data have them in another one."""
    prompted: bool = True
    """Whether the last answer that is learned follows the generation prompt."""

    @property
    def before_answer(self) -> list[Message]:
        """The messages before the last answer that is learned, in the form that the template takes."""
        learned = [m["role"] == "assistant" and m.get("weight", 1) and m.get("train", True) for m in self.messages]
        return (self.given or self.messages)[: max(place for place, counts in enumerate(learned) if counts)]

    @property
    def variables(self) -> dict[str, Any]:
        """The template's variables, as transformers takes them."""
        others = {name: value for name, value in self.beside.items() if name != "chat_template_kwargs"}
        return others | self.beside.get("chat_template_kwargs", {})

    @property
    def prompt(self) -> str:
        """What precedes that answer, without the marks."""
        return self.expected[-1].rpartition("[[")[0].replace("[[", "").replace("]]", "")

    @property
    def answer(self) -> str:
        """What the model has to give, up to the token that ends it."""
        answer = self.expected[-1].rpartition("[[")[2].partition("]]")[0]
        return answer[: max(answer.find(end) + len(end) for end in self.ends if end in answer)]


CHATML = (
    "{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else 'sys' if m.role == 'system' else m.role }}|>"
    "{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)
REASONING = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}<|end|>\n"
    "{% else %}{% set r, c = m.reasoning_content or '', m.content %}{% if '</think>' in c %}"
    "{% set r = c.split('</think>')[0].split('<think>')[-1].strip() %}{% set c = c.split('</think>')[-1].strip() %}"
    "{% endif %}<|bot|>{% if loop.index0 > ns.last %}<think>\n{{ r }}\n</think>\n\n{% endif %}{{ c }}<|end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)
STRIPPING = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}"
    "<|bot|>{{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|bot|><think>\n{% endif %}"
)
BY_NEXT_ROLE = (
    "<s>{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>\n{{ m.content.strip() }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}</call>{% endfor %}"
    "{% else %}<|{{ m.role }}|>\n{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|bot|>"
    "{%- generation %}{{ m.content }}{% endgeneration %}{% endif %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}"
)
PARTS = (
    "{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{% for p in m.content %}"
    "{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}"
)
WITH_TOOLS = (
    "{% if tools %}<|sys|>{{ tools | tojson }}<|end|>{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}"
    "<|bot|>{{ m.content or '' }}{% for c in m.tool_calls or [] %}<call>{{ c.function.arguments | tojson }}</call>"
    "{% endfor %}{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}"
)

KINDS = {
    "chatml": Kind(
        template=CHATML,
        messages=[{"role": "system", "content": "be kind"}, *TWO, user("unanswered")],
        expected=(
            "<|sys|>be kind<|end|>\n<|user|>hi<|end|>\n<|bot|>[[hello<|end|>\n]]<|user|>bye<|end|>\n"
            "<|bot|>[[ciao<|end|>\n]]<|user|>unanswered<|end|>\n",
        ),
    ),
    "reasoning of earlier answers is dropped": Kind(
        template=REASONING,
        messages=[user("hi"), bot("<think>\na\n</think>\n\nhello"), user("bye"), bot("ciao", reasoning_content="b")],
        expected=(
            "<|user|>hi<|end|>\n<|bot|>[[<think>\na\n</think>\n\nhello<|end|>\n]]",
            "<|user|>hi<|end|>\n<|bot|>hello<|end|>\n<|user|>bye<|end|>\n"
            "<|bot|>[[<think>\nb\n</think>\n\nciao<|end|>\n]]",
        ),
    ),
    "without reasoning the last answer has an empty one": Kind(
        template=REASONING,
        expected=(
            "<|user|>hi<|end|>\n<|bot|>[[<think>\n\n</think>\n\nhello<|end|>\n]]",
            "<|user|>hi<|end|>\n<|bot|>hello<|end|>\n<|user|>bye<|end|>\n"
            "<|bot|>[[<think>\n\n</think>\n\nciao<|end|>\n]]",
        ),
    ),
    "the prompt begins reasoning, which the template drops": Kind(
        template=STRIPPING,
        messages=[user("hi"), bot("<think>\na\n</think>hello"), user("bye"), bot("<think>b</think>ciao")],
        expected=(
            "<|user|>hi<|bot|><think>\n[[a\n</think>hello</s>]]",
            "<|user|>hi<|bot|>hello</s><|user|>bye<|bot|><think>\n[[b</think>ciao</s>]]",
        ),
        ends=("</s>",),
    ),
    "the prompt begins reasoning, and there is none": Kind(
        prompted=False,
        unprompted=2,
        template=STRIPPING,
        expected=("<|user|>hi<|bot|>[[hello</s>]]<|user|>bye<|bot|>[[ciao</s>]]",),
        ends=("</s>",),
    ),
    "the next role ends an answer": Kind(
        template=BY_NEXT_ROLE,
        expected=("<s><|user|>\nhi<|bot|>[[\nhello<|user|>]]\nbye<|bot|>[[\nciao<|user|>]]",),
        ends=("<|user|>",),
    ),
    "a tool's role ends a call": Kind(
        template=BY_NEXT_ROLE,
        messages=[user("hi"), bot("", tool_calls=[CALL]), {"role": "tool", "content": "2"}, bot("two")],
        expected=("<s><|user|>\nhi<|bot|>[[\n<call>f</call><|tool|>]]\n2<|bot|>[[\ntwo<|user|>]]",),
        ends=("<|tool|>", "<|user|>"),
    ),
    "the last answer of a chat has another end": Kind(
        template="{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}<|end|>{% else %}"
        "<|bot|>{{ m.content }}{{ '<|return|>' if loop.last else '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|bot|>{% endif %}",
        expected=(
            "<|user|>hi<|end|><|bot|>[[hello<|return|>]]",
            "<|user|>hi<|end|><|bot|>hello<|end|><|user|>bye<|end|><|bot|>[[ciao<|return|>]]",
        ),
        ends=("<|return|>",),
    ),
    "the prompt follows the last answer as well": Kind(
        template="{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{{ m.content }}<|end|>\n"
        "{% endfor %}<|bot|>",
        expected=("<|user|>hi<|end|>\n<|bot|>[[hello<|end|>]]\n<|user|>bye<|end|>\n<|bot|>[[ciao<|end|>]]\n<|bot|>",),
    ),
    "the prompt has settings that earlier turns lack": Kind(
        template="{% for m in messages %}<|sys|>{{ m.role }}<|eot|>{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|sys|>assistant{{ ' ' ~ length if length }}<|eot|>{% endif %}",
        beside={"chat_template_kwargs": {"length": "short"}},
        expected=(
            "<|sys|>user<|eot|>hi<|end|>\n<|sys|>assistant short<|eot|>[[hello<|end|>\n]]",
            "<|sys|>user<|eot|>hi<|end|>\n<|sys|>assistant<|eot|>hello<|end|>\n<|sys|>user<|eot|>bye<|end|>\n"
            "<|sys|>assistant short<|eot|>[[ciao<|end|>\n]]",
        ),
    ),
    "the last answer of a chat has one end more": Kind(
        template="{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{{ m.content }}<|end|>\n"
        "{% endfor %}{{ '<|bot|>' if add_generation_prompt else '</s>' }}",
        expected=("<|user|>hi<|end|>\n<|bot|>[[hello<|end|>\n]]<|user|>bye<|end|>\n<|bot|>[[ciao<|end|>\n</s>]]",),
    ),
    "no end": Kind(
        template="{% for m in messages %}{{ 'Bot' if m.role == 'assistant' else 'User' }}: {{ m.content }}\n"
        "{% endfor %}{% if add_generation_prompt %}Bot:{% endif %}",
        expected=("User: hi\nBot:[[ hello</s>]]", "User: hi\nBot: hello\nUser: bye\nBot:[[ ciao</s>]]"),
        ends=("</s>",),
    ),
    "the prompt ends with a space": Kind(
        template="{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} {% else %}"
        "ASSISTANT: {{ m.content }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}",
        expected=("USER: hi ASSISTANT: [[hello</s>]]USER: bye ASSISTANT: [[ciao</s>]]",),
        ends=("</s>",),
    ),
    "no generation prompt, and the content is stripped": Kind(
        template="{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]{% else %}"
        " {{ m.content | trim }} </s>{% endif %}{% endfor %}",
        messages=[user("hi"), bot("  hello\n"), user("bye"), bot("ciao")],
        expected=("<s>[INST] hi [/INST][[ hello </s>]]<s>[INST] bye [/INST][[ ciao </s>]]",),
        ends=("</s>",),
    ),
    "the model writes its header itself": Kind(
        template="{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{{ m.content }}<|end|>"
        "{% endfor %}",
        expected=("<|user|>hi<|end|>[[<|bot|>hello<|end|>]]<|user|>bye<|end|>[[<|bot|>ciao<|end|>]]",),
    ),
    "a default system message, and an answer first": Kind(
        template="{% if messages[0].role != 'system' %}<|sys|>Default.<|end|>\n{% endif %}" + CHATML,
        messages=[bot("welcome"), user("hi"), bot("hello")],
        expected=("<|sys|>Default.<|end|>\n<|bot|>[[welcome<|end|>\n]]<|user|>hi<|end|>\n<|bot|>[[hello<|end|>\n]]",),
    ),
    "a date": Kind(
        template="<|sys|>{{ strftime_now('%Y') | length }}<|end|>" + CHATML,
        messages=TWO[:2],
        expected=("<|sys|>4<|end|><|user|>hi<|end|>\n<|bot|>[[hello<|end|>\n]]",),
    ),
    "tools, with arguments as JSON text": Kind(
        template=WITH_TOOLS,
        messages=[
            user("hi"),
            {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": '{"x":1}'}}]},
            {"role": "tool", "name": "f", "tool_call_id": "1", "content": "2"},
            bot("two"),
        ],
        given=[
            user("hi"),
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "name": "f", "tool_call_id": "1", "content": "2"},
        ],
        beside={"tools": TOOLS},
        expected=(
            '<|sys|>[{"type": "function", "function": {"name": "f", "parameters": {}}}]<|end|><|user|>hi<|end|>'
            '<|bot|>[[<call>{"x": 1}</call><|end|>]]<|tool|>2<|end|><|bot|>[[two<|end|>]]',
        ),
    ),
    "contents are lists of parts": Kind(
        template=PARTS,
        messages=[user("hi"), bot([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}])],  # type: ignore[arg-type]
        given=[user([{"type": "text", "text": "hi"}])],  # type: ignore[arg-type]
        expected=("<|user|>hi<|end|><|bot|>[[hello<|end|>]]",),
    ),
    "contents are texts, and the data have lists": Kind(
        template=CHATML,
        messages=[user([{"type": "text", "text": "hi"}]), bot([{"type": "text", "text": "hello"}])],  # type: ignore[arg-type]
        given=[user("hi")],
        expected=("<|user|>hi<|end|>\n<|bot|>[[hello<|end|>\n]]",),
    ),
    "contents are escaped": Kind(
        template="{% for m in messages %}<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{{ m.content | tojson }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}",
        messages=[user('"hi"'), bot('"hello"')],
        expected=(r'<|user|>"\"hi\""<|end|><|bot|>[["\"hello\""<|end|>]]',),
    ),
    "the template marks answers, without their end": Kind(
        template=MARKED,
        expected=("<|user|>hi<|end|>\n<|bot|>[[hello<|end|>]]\n<|user|>bye<|end|>\n<|bot|>[[ciao<|end|>]]\n",),
    ),
    "answers of weight 0": Kind(
        template=CHATML,
        messages=[user("hi"), bot("hello", weight=0), user("bye"), bot("ciao", weight=1), bot("no", train=False)],
        expected=(
            "<|user|>hi<|end|>\n<|bot|>hello<|end|>\n<|user|>bye<|end|>\n<|bot|>[[ciao<|end|>\n]]<|bot|>no<|end|>\n",
        ),
    ),
    "an answer is ended where another message follows": Kind(
        template="{% for m in messages %}{{ 'Bot' if m.role == 'assistant' else 'User' }}: {{ m.content }}"
        "{{ '</s>' if m.role == 'assistant' and not loop.last }}\n{% endfor %}"
        "{% if add_generation_prompt %}Bot:{% endif %}",
        expected=("User: hi\nBot:[[ hello</s>]]\nUser: bye\nBot:[[ ciao</s>]]",),
        ends=("</s>",),
    ),
    "tools stand before the last question only": Kind(
        template="{% for m in messages %}{% if m.role == 'user' %}{% if tools and loop.last %}"
        "<|sys|>{{ tools | length }}{% endif %}<|user|>{{ m.content }}"
        "{% elif m.tool_calls %}<call>{{ m.tool_calls[0].function.name }}</call></s>"
        "{% else %} {{ m.content }}{{ '' if m.role == 'tool' else '</s>' }}{% endif %}{% endfor %}",
        messages=[user("hi"), {"role": "assistant", "tool_calls": [CALL]}],
        beside={"tools": TOOLS},
        expected=("<|sys|>1<|user|>hi[[<call>f</call></s>]]",),
        ends=("</s>",),
    ),
    "the end of an answer opens the next message": Kind(
        template="{% for m in messages %}{% if not loop.first %}<|eot|>\n{% endif %}"
        "<|{{ 'bot' if m.role == 'assistant' else m.role }}|>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|eot|>\n<|bot|>{% endif %}",
        expected=("<|user|>hi<|eot|>\n<|bot|>[[hello<|eot|>]]\n<|user|>bye<|eot|>\n<|bot|>[[ciao<|eot|>]]",),
        ends=("<|eot|>",),
    ),
}


def make_tokenizer(template: str | None, *, eos: str | None = "</s>") -> Any:
    """A tokenizer of single bytes with the tokens that the templates write."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL)
    inner.add_tokens(ADDED)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token=eos, pad_token="<pad>", chat_template=template
    )
