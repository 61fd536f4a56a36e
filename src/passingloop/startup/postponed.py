"""Modules that libraries import and training seldom needs: they are loaded when something in them is first used.

transformers and lightning import torch's compiler, FSDP and symbolic shapes (and with those sympy) for classes and
functions that a single process calls in few runs. In place of each such module stands a `StandIn`. What the libraries
take from it is a `Name`, which is enough to import it, to write it in an annotation, and for `isinstance`, to which
nothing belongs before the real module is loaded. Whatever goes beyond that loads the real module, and then each `Name`
is replaced by the real thing wherever it stands. So nothing is missing, and nothing is changed but the time.

Stand-ins are used with the versions that they were tested with; with others everything is imported at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace
from typing import Any

TESTED = {"torch": "2.13", "transformers": "5.23", "lightning": "2.6"}
"""The versions with which stand-ins are used, by their beginnings."""

MODULES: Mapping[str, Sequence[str]] = {
    "torch._dynamo": ["OptimizedModule"],
    "torch._dynamo._trace_wrapped_higher_order_op": ["TransformGetItemToIndex"],
    "torch.distributed._composable.fsdp": ["fully_shard"],
    "torch.distributed.checkpoint": [],
    "torch.distributed.checkpoint.hf_storage": ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"],
    "torch.distributed.fsdp": ["CPUOffloadPolicy", "MixedPrecisionPolicy"],
    "torch.fx.experimental.symbolic_shapes": ["guard_or_false", "statically_known_true"],
}
"""What is postponed, and the functions and classes that may be taken from it without loading it."""

EXCEPTIONS: Mapping[str, Sequence[str]] = {
    "torch.fx.experimental.symbolic_shapes": ["GuardOnDataDependentSymNode"],
}
"""Likewise, classes that stand in `except` clauses."""


Function = Callable[..., Any]


class Name(type):
    """A function or a class of a module that is not loaded; called, it is the real one."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return _real(cls)(*arguments, **named)

    def __getattr__(cls, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked for by `inspect`, which is no use of it
            raise AttributeError(attribute)
        return getattr(_real(cls), attribute)

    def __instancecheck__(cls, value: object) -> bool:
        return _is_loaded(cls.__module__) and isinstance(value, _real(cls))

    def __subclasscheck__(cls, value: type) -> bool:
        return _is_loaded(cls.__module__) and issubclass(value, _real(cls))


class StandIn(ModuleType):
    """Stands for a module that is not loaded."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.names = _names(name)
        vars(self).update(self.names)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # as of `Name`
            raise AttributeError(attribute)
        return getattr(load(self.__name__), attribute)


class Postponing(MetaPathFinder, Loader):
    """Finds stand-ins for `MODULES` while they are to be used, and ever after what is below them."""

    def __init__(self) -> None:
        self.uses_stand_ins = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        above = fullname.rpartition(".")[0]
        is_below_stand_in = isinstance(sys.modules.get(above), StandIn)
        if fullname in MODULES and fullname not in _loaded and (self.uses_stand_ins or is_below_stand_in):
            return ModuleSpec(fullname, self, is_package=True)
        if not is_below_stand_in:
            return None
        real = load(above)
        if fullname in sys.modules:  # the real package has imported it
            return _present(sys.modules[fullname])
        return PathFinder.find_spec(fullname, real.__path__, target)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: a stand-in is complete."""


class _Present(Loader):
    """Gives a module that has been imported already. Its own specification would have it executed a second time."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _present(module: ModuleType) -> ModuleSpec:
    # The import system takes the specification that the module has by then, not the one that it is given.
    module.__spec__ = ModuleSpec(module.__name__, _Present(module))
    return module.__spec__


_loaded: set[str] = set()
"""The modules in place of which there is no stand-in any more."""


@contextmanager
def postponed_modules() -> Iterator[None]:
    """Within it `MODULES` are not loaded when they are imported. What is imported already stays."""
    if not all(metadata.version(name).startswith(f"{version}.") for name, version in TESTED.items()):
        yield
        return
    finder = Postponing()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.uses_stand_ins = False


def load(name: str) -> ModuleType:
    """The real module `name`, loaded unless it is, which then takes the place of its stand-in everywhere."""
    stand_in = sys.modules.get(name)
    if not isinstance(stand_in, StandIn):
        return importlib.import_module(name)
    _loaded.add(name)
    del sys.modules[name]
    real = importlib.import_module(name)
    replaced = {id(made): getattr(real, taken) for taken, made in stand_in.names.items()} | {id(stand_in): real}
    for module in list(sys.modules.values()):
        for variable, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, variable, replaced[id(value)])
    if name == "torch._dynamo":
        for function in _ALLOWED:
            real.allow_in_graph(function)
    return real


def _names(module: str) -> dict[str, object]:
    names: dict[str, object] = {name: Name(name, (), {"__module__": module}) for name in MODULES[module]}
    names |= {name: type(name, (Exception,), {"__module__": module}) for name in EXCEPTIONS.get(module, ())}
    return {**names, **SUBSTITUTES.get(module, {})}


def _real(name: Name) -> Any:
    return getattr(load(name.__module__), name.__name__)


def _is_loaded(name: str) -> bool:
    return not isinstance(sys.modules.get(name), StandIn | None)


def _graph_break(msg: str = "") -> None:
    """A place at which the compiler is to stop; without it nothing. Optimizers call it in every step."""


def _disable(function: Function | None = None, recursive: bool = True, **_: Any) -> Any:
    """Keep the compiler out of `function`. It is not told when it is loaded later: such functions generate text, and
    update weights, which nothing compiles."""
    return (lambda decorated: decorated) if function is None else function


def _allow_in_graph(function: Function) -> Function:
    """Have the compiler take `function` as it is."""
    _ALLOWED.append(function)
    return function


def _assume_constant_result(function: Function) -> Function:
    """Have the compiler call `function` once; done as the real one does it."""
    vars(function)["_dynamo_marked_constant"] = True
    return function


_ALLOWED: list[Function] = []
"""What the compiler is told when it is loaded."""


def _expect_true(a: Any, skip: int = 0) -> bool:
    """Whether `a` holds, which is symbolic in a traced program only. Asked when a tensor is made without memory."""
    if type(a) is bool:
        return a
    expected: bool = load("torch.fx.experimental.symbolic_shapes").expect_true(a, skip + 1)
    return expected


SUBSTITUTES: Mapping[str, Mapping[str, object]] = {
    "torch._dynamo": {
        "disable": _disable,
        "allow_in_graph": _allow_in_graph,
        "assume_constant_result": _assume_constant_result,
        "graph_break": _graph_break,
        # Asked for by `isinstance` when a model is saved.
        "eval_frame": SimpleNamespace(OptimizedModule=Name("OptimizedModule", (), {"__module__": "torch._dynamo"})),
    },
    "torch.fx.experimental.symbolic_shapes": {"expect_true": _expect_true},
}
"""What libraries use while they are imported, while models are loaded, and in steps that are not compiled."""
