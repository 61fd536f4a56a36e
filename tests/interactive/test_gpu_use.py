"""How busy GPUs are. The driver's library is the one thing here that is not real: it is a small one built for the test,
with the functions and structures of nvml.h, because machines that run the tests have no GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from passingloop.interactive import gpu_use

SOURCE = """
#include <string.h>
typedef struct { unsigned int gpu, memory; } utilization;
static const char *uuids[] = {"GPU-a", "GPU-b", "GPU-c"};
static int started;
int nvmlInit_v2(void) { started++; return 0; }
int nvmlShutdown(void) { started--; return 0; }
int opened(void) { return started; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (!started || index > 2) return 2;
    *device = (void *)uuids[index];
    return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    for (int i = 0; i < 3; i++)
        if (strcmp(uuid, uuids[i]) == 0) return nvmlDeviceGetHandleByIndex_v2(i, device);
    return 6;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization *found) {
    if (device == uuids[2]) return 3; /* not supported, as with MIG */
    *found = (utilization){device == uuids[0] ? 0 : 97, 5};
    return 0;
}
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "nvml.c").write_text(SOURCE)
    path = tmp_path / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, tmp_path / "nvml.c"], check=True)
    monkeypatch.setattr(gpu_use, "LIBRARY", str(path))
    return path


@pytest.mark.parametrize(
    ("names", "percent"),
    [
        ((), []),
        (("0",), [0]),
        (("1", "0"), [97, 0]),
        (("GPU-b",), [97]),
        (("2",), []),
        (("7", "GPU-unknown", "MIG-a", "1"), [97]),
    ],
)
def test_the_gpus_of_the_job_are_asked(library: Path, names: tuple[str, ...], percent: list[int]) -> None:
    import ctypes

    assert gpu_use.gpu_percent(names) == percent
    assert ctypes.CDLL(str(library)).opened() == 0


def test_without_a_driver_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_use, "LIBRARY", "libnvidia-ml-that-is-not-there.so.1")
    assert gpu_use.gpu_percent(["0"]) == []
