"""Every mistake is answered at once, in one sentence that names the key as typed, and nothing is written."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passingloop.config.explain import known_keys
from tests.conftest import Finished

Command = Callable[..., Finished]

MISTAKES: dict[str, str] = {
    # keys
    "optim.lrr=1": "There is no setting optim.lrr. Did you mean optim.lr?",
    "trainer.lr=1e-4": "There is no setting trainer.lr. Did you mean optim.lr?",
    "gpus=2": "Did you mean resources.gpus?",
    "dropout=0": "Did you mean model.dropout or adapter.dropout?",
    "TRAINER.SEED=1": "There is no setting TRAINER.SEED. Did you mean trainer.seed?",
    "data_train=x": "Did you mean data.train?",
    "optim.learning_rate=1": "There is no setting optim.learning_rate. optim has: lr, weight_decay",
    "optim.lr.x=1": "There is no setting optim.lr.x. Did you mean optim.lr?",
    "+foo=1": "There is no setting foo.",
    "++optim.foo=1": "There is no setting optim.foo. optim has:",
    "+optim.lr=1": "optim.lr has a value already. Write optim.lr=… without the +.",
    "+optim=adamw": "optim is chosen already. Write optim=… without the +.",
    "~nope": "There is no setting nope.",
    "~data.train": "data.train is null already",
    "~optim.lr": "optim.lr is missing. Give it a value: a number.",
    "optim={a:1}": "There is no setting optim.a. optim has:",
    # choices
    "data=filez": "You set data=filez, but data has no such choice. Did you mean files? Choose from: files, ",
    "optim=[sgd]": "You set optim=sgd, but optim has no such choice.",
    "optim=3": "You set optim=3, but optim takes the name of a choice.",
    "~optim=3": "You set ~optim=3, but optim takes the name of a choice.",
    "task=classify": "one of classification, causal_lm, regression, multilabel. Did you mean classification?",
    "trainer.precision=fp16": "must be one of auto, fp32, bf16. Did you mean bf16?",
    "trainer.eval_every=epochs": "must be a whole number, or epoch. Did you mean epoch?",
    # types and limits: tests/config/test_build.py has the rest
    "optim.lr=abc": "You set optim.lr=abc, but optim.lr must be a number.",
    "optim.lr=": "You set optim.lr=, but optim.lr must be a number.",
    "optim.lr=nan": "You set optim.lr=nan, but optim.lr must be a number.",
    "optim.lr=???": "optim.lr",
    "tracking.tags={a:1}": "'tracking.tags={a:1}' is not understood: ",
    "optim.betas=0.9": "optim.betas=[0.9] must be two numbers",
    f"trainer.epochs={'9' * 400}": "trainer.epochs must be more than 0.",
    "name=a/b": "You set name=a/b, but name must be 1 to 64 letters",
    # combinations
    "trainer.steps=3 trainer.epochs=2": "You set trainer.epochs=2 and trainer.steps=3",
    "trainer.batch_size=3 trainer.batch_tokens=4": "You set trainer.batch_size=3 and trainer.batch_tokens=4",
    "data.validation_fraction=0.5 data.test_fraction=0.5": "leave less than a tenth to train on",
    "task=causal_lm trainer.class_weights=balanced": "You set trainer.class_weights=balanced",
    "data=files data.train=good.csv data.messages=chat": "You set data.messages=chat",
    "task=causal_lm data.messages=chat": "data.messages is a setting of data=files, ",
    "data=files data.dsn=shop": "data.dsn is a setting of data=sql, which is not chosen here. Add data=sql.",
    "data=sql data.train=questions": "data=sql needs either data.dsn, a name from odbc.ini, or data.connection",
    "data=sql data.train=a data.dsn=b +data.parameters=3": "data.parameters",
    "data=hub data.train=train": "data.path has no value. Set data.path=…",
    "data=mix": "data=mix needs sources, each a section with a name: +data@data.sources.faq=files",
    "data=mix +data@data.sources.a=stdlib_docs +data.weights.b=2": "You set data.weights.b, but data.sources has: a.",
    "data=mix +data@data.sources.a=stdlib_docs +data.weights.a=0": "data.weights.a must be more than 0.",
    "data=mix +data@data.sources.a=files": "data=files needs data.sources.a.train",
    "resources.gpus=0 resources.tasks=1 data=files": "data=files needs data.train",
    # launchers
    "dry_run=true": "You set dry_run=true, but that shows what would be submitted, and launcher=shell submits nothing.",
    "estimate=true": "You set estimate=true, but that compares when Slurm would start a job, and launcher=shell",
    "resources.gpus=1-4 resources.tasks=2": "there is one process per GPU, so their number follows from the range.",
    "resources.gpus=1-4 +cluster.extra.gres=gpu:a100:4": "cluster.extra.gres=gpu:a100:4, but that fixes what is to be",
    "resources.nodes=1-4 +cluster.extra.gpus_per_node=4": "You set resources.nodes=1-4 and cluster.extra.gpus_per_node",
    "resources.gpus=4-1": "but resources.gpus must be 0 or more, or a range such as 1-8: two numbers from 1 on",
    "-m launcher=shell,slurm": "You set launcher=shell,slurm, but a sweep runs in one place.",
    # receivers of notices
    "notify.command=[/nosuch/prog,-q]": "You set notify.command, but /nosuch/prog is no program that can be started",
    "notify.webhook_env=NO_SUCH_HOOK": "You set notify.webhook_env=NO_SUCH_HOOK, but the environment variable",
    # paths and columns
    "data.train=x.csv": "data.train is a setting of data=files, data=gcs, data=hub or data=sql, which is not chosen",
    "data=files data.train=": "You set data.train to an empty text.",
    "data=files data.train=gone.csv": "gone.csv does not exist.",
    "data=files data.train=good.cvs": "good.cvs does not exist. Did you mean good.csv?",
    "data=files data.train=[good.csv,gone.csv]": "You set data.train=",
    "data=files data.train=good.csv data.test=gone.csv": "You set data.test=",
    "data=files data.train=*.parquet": "nothing in ",
    "data=files data.train=~nobody_here/x.csv": "~nobody_here/x.csv",
    "data=files data.train=good.csv data.label=labels": "You set data.label=labels, but",
    "data=files data.train=good.csv data.text=txt": "Did you mean text?",
    "data=files data.train=good.csv data.validation=good.csv data.label=x": "You set data.label=x",
    "+=x": "'+=x' has no key.",
    "+@a=x": "'+@a=x' has no key.",
    "model.path=.": "but that folder has no config.json, so it holds no model.",
    "model.path=./nope": "You set model.path=./nope, but there is no such folder.",
    "model.path=~nobody_here/x": "You set model.path=~nobody_here/x, but there is no such folder.",
    "model.path=": "You set model.path=, which is neither a folder nor a Hugging Face model id.",
    f"model.path={'a/' * 3000}": "which is neither a folder",
    "run_root=": "You set run_root=, but run_root must be a path.",
    # environment variables
    "optim.lr=${oc.env:NOT_SET}": "optim.lr: the environment variable NOT_SET is not set.",
    "run_root=${oc.env:NOT_SET}/x": "run_root: the environment variable NOT_SET is not set.",
    "optim.lr=${oc.env:HOME}": "You set optim.lr=",
    "name=${trainer.seedd}": "name: Interpolation key 'trainer.seedd' not found",
    "name=${name}": "name: Recursive interpolation",
    # the command line itself
    "trainer.seed": "'trainer.seed' is not understood. Write key=value",
    "=3": "'=3' has no key.",
    "data.train=(a": "'data.train=(a' is not understood.",
    "name='${oops'": "is not understood: ",
    "trainer.seed=1,2": "You set trainer.seed=1,2, which is more than one value. Add -m",
    "--config-name nope": "There is no configuration file nope.yaml.",
    "--config-dir nope": "nope' not found",
    "--cfg job optim.lrr=1": "There is no setting optim.lrr.",
    # sweeps
    "sweep.search=halving": "You set sweep.search=halving, which trains several points, but without -m there is one.",
    "sweep.search=asha hydra.verbose=true": "but without -m there is one. Add -m, or set sweep.search=grid",
    "-m trainer.seed=1,2,x": "You set trainer.seed=x, but trainer.seed must be a whole number.",
    "trainer.seed=1,x -m optim.lr=1": "You set trainer.seed=x",
    "-m optim=adamw,sgd": "You set optim=sgd, but optim has no such choice.",
    "-m trainer.seed=glob(*)": "You set trainer.seed=glob(*)",
    "-m trainer.seed=range(1,4,0)": "You typed: -m trainer.seed=range(1,4,0)",
    "-m trainer.seed=1,2 run_root=${oc.env:NOT_SET}": "the environment variable NOT_SET is not set",
    "-m data=files data.train=good.csv,gone.csv": "gone.csv does not exist.",
    "-m data=files data.train=good.csv data.label=label,labels": "You set data.label=labels, but",
}


@pytest.mark.parametrize("line", MISTAKES, ids=lambda line: line[:60])
def test_a_mistake_is_one_message_and_exit_code_2(main_here: Command, work: Path, line: str) -> None:
    (work / "good.csv").write_text("text,label\nhello,a\n")
    done = main_here(*line.split(" "))
    assert done.code == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert MISTAKES[line] in done.stderr
    assert [path.name for path in work.iterdir()] == ["good.csv"], "nothing is written on a mistake"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("resources.gpus=99999", 3, "You set resources.gpus=99999, but 0 are visible here."),
        ("-m resources.gpus=0,99999", 3, "You set resources.gpus=99999"),
        ("-m resources.gpus=1 resources.tasks=1,3", 2, "You set resources.tasks=3 with 1 GPUs"),
        ("-m run_root=/proc/nope trainer.seed=1,2 resources.gpus=0", 2, "/proc/nope cannot be used"),
    ],
)
def test_what_this_machine_lacks_is_found_before_the_first_run(
    main_here: Command, work: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, words: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "" if code == 3 else "0")
    done = main_here(*line.split(" "))
    assert (done.code, done.stdout) == (code, "")
    assert words in done.stderr
    assert not list(work.iterdir())


KEYS = st.sampled_from([*known_keys(), "experiment", "hydra.foo", "hydra/sweeper", "nope", "", "a.b"])
VALUES = st.sampled_from(
    [
        *("adamw", "files", "null", "true", "1", "1e-3", "abc", "???", "ü", "9" * 30, "0x1f", "", " ", "\n", "\\"),
        *("${oc.env:NOT_SET}", "${optim}", "${", "[1,a]", "{a:1}", "a,b", "a=b", "choice(1,x)", "range(3)", "glob(*)"),
        *("'", '"', "~", "@x", "#", "(", ")", ";", "!", "%"),
    ]
)
WORDS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "+", "++", "~"]),
    KEYS,
    st.sampled_from(["=", "=", "@x=", ""]),
    VALUES,
    VALUES,
)


@pytest.mark.process
@given(words=st.lists(WORDS, min_size=1, max_size=2), sweep=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_command_line_ends_in_a_traceback(main_here: Command, work: Path, words: list[str], sweep: bool) -> None:
    done = main_here(*["-m"] * sweep, *words)
    assert done.code in (2, 3), done
    assert done.stderr.startswith("error: ")
    assert not list(work.iterdir())


def test_a_folder_whose_name_is_not_utf8_is_refused(train: Command, work: Path) -> None:
    odd = work / "odd\udcff"
    odd.mkdir()
    for words in ((), (f"data.train={odd}/x.csv", "data=files", "run_root=/")):
        done = train(*words, cwd=odd)
        assert done.code == 2
        assert "odd\\udcff" in done.stderr
        assert "is not UTF-8" in done.stderr
    assert not list(odd.iterdir())


def test_the_command_answers_a_mistake(train: Command, work: Path) -> None:
    done = train("optim.lrr=1")
    assert done == Finished(2, "", "error: There is no setting optim.lrr. Did you mean optim.lr?\n")
    traced = train("optim.lrr=1", env={"PASSINGLOOP_TRACEBACK": "1"})
    assert "Traceback" in traced.stderr
    assert "ConfigError: There is no setting optim.lrr." in traced.stderr
    unknown = train("--no-such-option")
    assert unknown.code == 2
    assert "Traceback" not in unknown.stderr
    assert not list(work.iterdir())


HEAVY = ("torch", "lightning", "transformers", "datasets", "wandb", "pyodbc", "gcsfs")


@pytest.mark.process
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("--cfg job", 0, "lr: 0.0003"),
        ("--cfg job --resolve", 0, "name: classification"),
        ("--cfg job --package optim optim.lr=1", 0, "lr: 1"),
        ("--help", 0, "python train.py --cfg job"),
        ("--info all", 0, "Hydra"),
        ("--info searchpath", 0, "config"),
        ("data=files data.train=gone.csv", 2, ""),
    ],
)
def test_answers_come_without_heavy_imports(work: Path, line: str, code: int, words: str) -> None:
    program = (
        "import sys\nfrom passingloop.cli.train import main\n"
        "try:\n    code = main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "raise SystemExit(f'loaded {loaded}' if loaded else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *line.split()], cwd=work, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert words in done.stdout
    assert not list(work.iterdir())


Command = Callable[..., Finished]


def test_submitting_the_default_loads_nothing_to_read_data_with(work: Path) -> None:
    program = (
        "import sys\nfrom passingloop.cli import train\n"
        "sys.argv[1:] = ['launcher=slurm']\ntrain.check_data_here(train.command_line_configs())\n"
        "print([name for name in ('pyarrow', 'numpy', 'torch', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=work, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_command_leaves_this_process_as_it_was(main_here: Command) -> None:
    before = gc.get_threshold()
    assert main_here("optim.lr=x").code == 2
    assert main_here("optim.lrr=1").code == 2
    assert gc.get_threshold() == before
    assert "HYDRA_FULL_ERROR" not in os.environ
