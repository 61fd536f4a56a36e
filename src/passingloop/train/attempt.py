"""What one training process does in an attempt: from the settings to the result."""

from __future__ import annotations

import functools
import logging
import time
from contextlib import ExitStack

import transformers

from passingloop.config.data import Part
from passingloop.data.cache.measurements import Measurements
from passingloop.data.examples.order import BatchOrder
from passingloop.errors import Interrupted, NotSaved, PassingloopError, Superseded
from passingloop.handoff import Handoff
from passingloop.model.adapters.frozen import check_quantizer
from passingloop.model.allocator import keep_freed_memory
from passingloop.model.device.kernels import choose_kernels
from passingloop.preempt.cause import BATCH_SCRIPT_ENDED, PATIENCE, stop_cause
from passingloop.preempt.signals import StopRequest
from passingloop.rundir import failure, ledger, record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Memory
from passingloop.rundir.fence import Fence
from passingloop.startup.phases import FirstStep, Phases
from passingloop.track import console
from passingloop.track.log_handlers import route_logs
from passingloop.track.metrics_file import MetricsFile
from passingloop.track.progress import ProgressDisplay
from passingloop.track.recorder import Recorder
from passingloop.track.wandb_identity import identity_of
from passingloop.track.wandb_run import open_wandb
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.saver import open_saver
from passingloop.train.earlier_attempts import EarlierAttempts, fewest_too_many
from passingloop.train.ending.completion import Completion
from passingloop.train.ending.export import check_destination, check_file_size
from passingloop.train.ending.failures import failure_of
from passingloop.train.evaluation import evaluate
from passingloop.train.header import describe
from passingloop.train.learner import Learner, make_learner
from passingloop.train.loop import Fit
from passingloop.train.material import Material, gather
from passingloop.train.meters.clock import Clock
from passingloop.train.meters.flops import model_size
from passingloop.train.meters.heartbeat import Heartbeat
from passingloop.train.meters.tally import open_meter
from passingloop.train.passes import DeviceMemory, Devices
from passingloop.train.world import process_group, usable_gpus
from passingloop.vitals.marks import MARKS, Evidence

log = logging.getLogger("passingloop")


class Attempt:
    """What one process does for an attempt at `run`.

    Args:
        handoff: what the launcher has told this process.
        phases: those of the start of this process.
    """

    def __init__(self, run: RunDir, handoff: Handoff, stop: StopRequest, phases: Phases) -> None:
        self.run, self.handoff, self.stop = run, handoff, stop
        self.number, self.world = handoff.attempt, handoff.world
        self.fence = Fence(run, self.number, handoff.token)
        self.config = record.attempt_config(run, self.number)
        self.phases = phases
        self.clock = Clock(phases.process_start, handoff.queued_seconds)
        self.terminal = console.make_console(quiet=not self.world.leads)
        self.recorder: Recorder | None = None
        self.fit: Fit | None = None
        self.validated: dict[int, dict[str, float]] = {}
        """The last validation's step and metrics."""

    def train(self) -> None:
        """Bring the run to its end, or to where it is asked to stop.

        Raises:
            Interrupted: it was asked to stop, and has saved.
            Superseded: a newer attempt has started; this one has written nothing since.
            PassingloopError: it cannot go on; the message says why.
        """
        with ExitStack() as stack:
            stack.enter_context(
                route_logs(
                    None if self.handoff.redirects_output else self.terminal, self.run.log(self.number, self.world.rank)
                )
            )
            transformers.utils.logging.disable_progress_bar()  # one bar is enough
            self.fence.check()
            self._link_log()
            try:
                metrics = self._train(stack)
            except BaseException as error:
                self._stop_if_superseded(error)
                self._record_failure(error)
                raise
            if metrics is None:
                self._end("paused", self._pause_sentence())
            else:
                self._end("completed", None, metrics=metrics)

    def _record_failure(self, error: BaseException) -> None:
        """Write down how the attempt ended, and show the traceback of what nobody expected."""
        match error:
            case Interrupted():
                logging.error("%s", error)  # the root logger writes to the file only
                patience = 0.0 if self.handoff.at_a_terminal else PATIENCE
                cause = stop_cause(self.run, self.handoff.restarts, patience)
                self._end(cause, BATCH_SCRIPT_ENDED if cause == "crash" else str(error))
            case PassingloopError():
                logging.error("%s", error)
                self._fail(error)
            case _:
                logging.exception("The attempt failed", exc_info=error)
                self._fail(error)

    def _stop_if_superseded(self, error: BaseException) -> None:
        """Whatever ends a superseded attempt, such as a peer that is gone: it stops without another word.

        Raises:
            Superseded: a newer attempt has started.
        """
        try:
            self.fence.check()
        except Superseded as superseded:
            logging.error("%s", superseded)
            if self.recorder:
                self.recorder.abandon()
            raise superseded from error

    def _pause_sentence(self) -> str:
        assert self.fit
        step, of = self.fit.progress.step, self.fit.total_steps
        log.info("Paused after step %d of %d, and saved.", step, of)
        return f"It paused after step {step} of {of}, as it was to."

    def _train(self, stack: ExitStack) -> dict[str, float] | None:
        """Train, evaluate, export. Returns the metrics of the finished model; None if it is to pause before its end.

        Raises:
            NotSaved: it is to pause, and what it has learned could not be saved.
        """
        check_quantizer(self.config.adapter)
        keep_freed_memory()
        choose_kernels(deterministic=self.config.trainer.deterministic)
        if self.world.leads:
            check_destination(self.config, self.run)
        pinned = record.pinned_values(self.run)
        self._enter("preparing the data", "work")
        material = gather(self.config, log.info, record.creation_date(self.run), pinned)
        for note in material.data.notes:
            log.info("%s", note)
        self._enter("joining the other processes", "bytes")
        self.fabric = stack.enter_context(
            process_group(self.world, usable_gpus(self.config), self.handoff.stuck_seconds)
        )
        self.measurements = Measurements(self.run.measured, self.config.cache_root)
        earlier = EarlierAttempts(self.run, self.config, material, self.fabric, self.world)
        settled, number_format = earlier.settle(pinned, self.measurements, self.handoff.gpu_share)
        memory = DeviceMemory(share=self.handoff.gpu_share, too_many=fewest_too_many(self.run))
        self._enter("loading the model", "bytes")
        bf16, quantize = settled.precision == "bf16", settled.quantize
        devices = Devices(fabric=self.fabric, memory=memory, measurements=self.measurements)
        learner = make_learner(self.config, material, devices, bf16=bf16, quantize=quantize)
        if self.world.leads:
            check_file_size(learner.module.model, merge=self.config.export.merge)
        self._enter("restoring the newest checkpoint", "bytes")
        progress, best = earlier.resume(learner)
        order = earlier.order(learner.layouts["train"], progress)
        self.fit = fit = self._fit(learner, material, order, progress, best)
        if self.world.leads:
            console.print_header(
                self.terminal, describe(self.run, self.number, material, learner, fit, str(number_format))
            )
            self.recorder = self._open_recorder()
        with ProgressDisplay(fit.total_steps, fit.progress.step, self.terminal) as display:
            fit.bar = FirstStep(display, self._print_phases) if self.config.timing and self.world.leads else display
            self.phases.begin("the first step")
            fit.run()
        if fit.progress.step < fit.total_steps:
            self._pause(fit)
            return None
        completion = Completion(
            run=self.run,
            config=self.config,
            handoff=self.handoff,
            fence=self.fence,
            stop=self.stop,
            clock=self.clock,
            terminal=self.terminal,
            material=material,
            learner=learner,
            fit=fit,
            evaluate=lambda part: self._evaluate(part, learner, fit.progress.step),
        )
        return completion.complete(self.validated.get(fit.progress.step))

    def _pause(self, fit: Fit) -> None:
        """Save, and leave the rest to another attempt (`trainer.pause_at`)."""
        MARKS.enter("saving", "bytes")
        fit.finish_saving()
        self.stop.end_steps()
        if fit.saver and fit.saver.saved_step < fit.progress.step:
            raise NotSaved(
                f"The run pauses after step {fit.progress.step}, and could save nothing newer than step "
                f"{fit.saver.saved_step}. Make room; the same command trains the rest again."
            )

    def _enter(self, doing: str, evidence: Evidence) -> None:
        """Pass a mark, before the first step."""
        MARKS.enter(doing, evidence)
        self.phases.begin(doing)

    def _print_phases(self) -> None:
        for line in self.phases.lines():
            log.info("%s", line)

    def _fit(self, learner: Learner, material: Material, order: BatchOrder, progress: Progress, best: float) -> Fit:
        layout = learner.layouts["train"]
        size = model_size(learner.module.model, material.settings, is_causal=learner.module.task.causal)
        folders = [prepared.folder for prepared in material.prepared.values()]
        heartbeat = Heartbeat(self.run, self.number, self.clock, folders, self.fence, self.handoff.grace_seconds)
        return Fit(
            config=self.config,
            world=self.world,
            fabric=self.fabric,
            module=learner.wrapped,
            optimizer=learner.optimizer,
            order=order,
            layout=layout,
            sharing=learner.sharing,
            clock=self.clock,
            meter=open_meter(self.clock, size, progress.tally, self.fabric.device, self.world.size),
            stop=self.stop,
            fence=self.fence,
            record=self._record,
            validate=functools.partial(self._validate, learner) if "validation" in learner.layouts else None,
            heartbeat=heartbeat if self.world.leads else None,
            saver=open_saver(self.run, self.fence, self.config.checkpoint, learner, self.clock, self.world),
            progress=progress,
            best=best,
        )

    def _validate(self, learner: Learner, step: int) -> float | None:
        metrics = self._evaluate("validation", learner, step)
        if metrics is None:
            return None
        self.validated = {step: metrics}
        return metrics["validation/loss"]

    def _evaluate(self, part: Part, learner: Learner, step: int) -> dict[str, float] | None:
        """The metrics of `part`, recorded and returned; None if the run is to stop, and nobody waits for them."""
        MARKS.enter(f"evaluating the {part} data", "marks")
        with self.clock.evaluating():
            values = evaluate(learner.module, learner.layouts[part], self.fabric, self.world, learner.names, self.stop)
        if values is None:
            return None
        self._record(step, part, values)
        return {f"{part}/{name}": value for name, value in values.items()}

    def _record(self, step: int, split: str, values: dict[str, float]) -> None:
        if self.recorder:
            self.fence.check()
            self.recorder.log(step, split, values)
            if split != "train":
                for line in console.metric_lines(split, values):
                    log.info("step %d  %s", step, line)

    def _open_recorder(self) -> Recorder:
        identity = identity_of(self.run, self.config)
        wandb = open_wandb(self.config.tracking, identity, folder=self.run.path, attempt=self.number, notice=log.info)
        return Recorder(MetricsFile(self.run.metrics, self.number), wandb)

    def _link_log(self) -> None:
        if self.world.leads:
            self.run.latest_log.unlink(missing_ok=True)
            self.run.latest_log.symlink_to(self.run.log(self.number, 0).relative_to(self.run.path))

    def _fail(self, error: BaseException) -> None:
        """Write down why this process fails; the first of all also how the attempt ended: as the first that failed."""
        step = self.fit.progress.step if self.fit else self.run.saved_step
        why = failure_of(error, step, self.fit.shape if self.fit else (0, 0))
        failure.write(self.run, self.number, self.world.rank, why)
        first = failure.read_first(self.run, self.number) or why
        self._end(first.cause, first.message, memory=first.memory, tokens=first.tokens)

    def _end(
        self,
        cause: Cause,
        message: str | None,
        *,
        memory: Memory | None = None,
        tokens: int | None = None,
        metrics: dict[str, float] | None = None,
    ) -> None:
        if not self.world.leads:
            return
        saver = self.fit.saver if self.fit else None
        kept = cause == "completed" or bool(saver and self.fit and saver.saved_step == self.fit.progress.step)
        line = End(
            attempt=self.number,
            end_step=self.fit.progress.step if self.fit else self.run.saved_step,
            cause=cause,
            message=message,
            memory=memory,
            tokens=tokens,
            seconds=self.clock.seconds(kept=kept),
        )
        ledger.append(self.run, line)
        if cause == "completed":
            self.stop.end_steps()
        if self.recorder:
            figures = self._figures() if self.recorder.wandb else {}
            speed = self.fit.progress.tally.speed.known() if self.fit else {}
            throughput = {f"throughput/{name}": value for name, value in speed.items()}
            self.recorder.close(cause, {**figures, **throughput, **(metrics or {})})

    def _figures(self) -> dict[str, float | str]:
        """What the report says of the run; nothing if its directory cannot be read, which must not hide the end."""
        from passingloop.usage.run_summary import run_summary  # most attempts track nothing

        try:
            return run_summary(self.run, time.time())
        except (PassingloopError, OSError, ValueError) as error:
            log.info("W&B gets no figures of the report: %s", error)
            return {}
